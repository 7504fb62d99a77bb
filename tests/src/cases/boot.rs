// SPDX-License-Identifier: MIT OR Apache-2.0
//! The medium boots to a working toolstack, however it is attached.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use isobuild::emulator::Medium;

use crate::lab::Lab;
use crate::runner::{Case, Figures};
use crate::vm::{Setup, Vm};

/// The line that the toolstack prints once it answers.
pub const READY: &str = "xenith: toolstack ready";
/// Far beyond what a boot takes under software emulation on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(600);

/// The five ways.
pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "boot-uefi-usb",
            about: "UEFI firmware, the ISO as a USB disk",
            run: |lab, folder, figures| boot(lab, folder, figures, true, Medium::Usb),
        },
        Case {
            name: "boot-uefi-cd",
            about: "UEFI firmware, the ISO as an optical disc",
            run: |lab, folder, figures| boot(lab, folder, figures, true, Medium::Cd),
        },
        Case {
            name: "boot-bios-usb",
            about: "BIOS, the ISO as a USB disk",
            run: |lab, folder, figures| boot(lab, folder, figures, false, Medium::Usb),
        },
        Case {
            name: "boot-bios-disk",
            about: "BIOS, the ISO written to a SATA disk",
            run: |lab, folder, figures| boot(lab, folder, figures, false, Medium::Disk),
        },
        Case {
            name: "boot-bios-cd",
            about: "BIOS, the ISO as an optical disc",
            run: |lab, folder, figures| boot(lab, folder, figures, false, Medium::Cd),
        },
    ]
}

fn boot(lab: &Lab, folder: &Path, figures: &Figures, uefi: bool, medium: Medium) -> Result<()> {
    let setup = Setup { uefi, medium: Some(medium), ..Setup::default() };
    let mut vm = Vm::start(lab, folder, "live", &setup)?;
    let ready = vm.serial.wait(READY, LIMIT);
    vm.screenshot("live")?;
    ready.with_context(|| format!("booting; the console ended with:\n{}", vm.serial.tail(15)))?;
    figures.note("toolstack ready, CPU s", vm.cpu_seconds()?);
    Ok(())
}
