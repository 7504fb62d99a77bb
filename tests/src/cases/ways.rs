// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ways to boot the medium, each with an installation by keystrokes over the serial line and an
//! unattended one. Those by CD are the cases of `installed`, and of `serial_install` by BIOS.

use std::path::Path;

use anyhow::Result;
use isobuild::emulator::Medium;

use super::serial_install;
use crate::install;
use crate::lab::Lab;
use crate::runner::{Case, Figures};
use crate::vm::Setup;

/// Only by name and in full runs.
pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "way-uefi-usb-unattended",
            about: "UEFI, USB disk: unattended installation",
            run: |lab, folder, _| unattended(lab, folder, true, Medium::Usb),
        },
        Case {
            name: "way-bios-usb-unattended",
            about: "BIOS, USB disk: unattended installation",
            run: |lab, folder, _| unattended(lab, folder, false, Medium::Usb),
        },
        Case {
            name: "way-bios-disk-unattended",
            about: "BIOS, SATA disk: unattended installation",
            run: |lab, folder, _| unattended(lab, folder, false, Medium::Disk),
        },
        Case {
            name: "way-uefi-cd-keys",
            about: "UEFI, optical disc: installation by keystrokes",
            run: |lab, folder, figures| keys(lab, folder, figures, true, Medium::Cd),
        },
        Case {
            name: "way-uefi-usb-keys",
            about: "UEFI, USB disk: installation by keystrokes",
            run: |lab, folder, figures| keys(lab, folder, figures, true, Medium::Usb),
        },
        Case {
            name: "way-bios-usb-keys",
            about: "BIOS, USB disk: installation by keystrokes",
            run: |lab, folder, figures| keys(lab, folder, figures, false, Medium::Usb),
        },
        Case {
            name: "way-bios-disk-keys",
            about: "BIOS, SATA disk: installation by keystrokes",
            run: |lab, folder, figures| keys(lab, folder, figures, false, Medium::Disk),
        },
    ]
}

fn unattended(lab: &Lab, folder: &Path, uefi: bool, medium: Medium) -> Result<()> {
    install::make_system_disk(folder)?;
    let disks = vec![install::system_disk()];
    let setup = Setup { uefi, medium: Some(medium), disks, ..Setup::default() };
    install::install_with(lab, folder, &install::answers("ext"), setup)?.cut_power();
    Ok(())
}

/// Screens differ between the ways by what the machine has: only which screen it is counts.
fn keys(lab: &Lab, folder: &Path, figures: &Figures, uefi: bool, medium: Medium) -> Result<()> {
    let setup = Setup { uefi, medium: Some(medium), ..Setup::default() };
    serial_install::run(lab, folder, figures, setup, false)
}
