// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disks and media that fail during an installation: it ends, says what failed and what the disk is like.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use isobuild::emulator::{Fault, Layer, Medium};

use super::boot::LIMIT;
use crate::install;
use crate::lab::Lab;
use crate::runner::{Case, Figures};
use crate::vm::{Setup, Vm};

/// A sector of slot A that the root image reaches: 514 MiB is where the slot begins, behind the boot
/// loader's partition and the EFI system partition.
const IN_SLOT_A: u64 = (514 + 20) * 2048;
const UNTOUCHED: &str = "Nothing was written: the disk is as it was before.";
const LOST: &str =
    "What was on the disk is lost. It starts nothing until an installation is complete.";
/// What follows a failure: a person can go on from here.
const GOES_ON: &str = "Press Enter for the installer's screens";

/// Only by name and in full runs.
pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "fault-disk-write",
            about: "the disk cannot write one sector of the system's place",
            run: |lab, folder, _| {
                let fault = Fault { writes: true, sector: IN_SLOT_A, full: false };
                let reason = ["copying the system failed: ", " /dev/vda3: Input/output error"];
                disk(lab, folder, fault, &reason)
            },
        },
        Case {
            name: "fault-disk-read",
            about: "the disk cannot read one sector that was written",
            run: |lab, folder, _| {
                let fault = Fault { writes: false, sector: IN_SLOT_A, full: false };
                let reason = ["verifying the copy failed: ", " /dev/vda3: Input/output error"];
                disk(lab, folder, fault, &reason)
            },
        },
        Case {
            name: "fault-disk-full",
            about: "a thin disk has no room left while the system is copied",
            run: |lab, folder, _| {
                let fault = Fault { writes: true, sector: IN_SLOT_A, full: true };
                let reason = ["copying the system failed: ", " /dev/sda3: No space left on device"];
                disk(lab, folder, fault, &reason)
            },
        },
        Case {
            name: "fault-medium-out",
            about: "the CD is taken out while it is checked",
            run: medium_out,
        },
    ]
}

fn setup(folder: &Path, layer: Layer) -> Result<Setup> {
    install::make_system_disk(folder)?;
    install::write_answers(folder, &install::answers("ext"))?;
    Ok(Setup {
        medium: Some(Medium::Cd),
        disks: vec![install::system_disk(), install::answers_disk()],
        layer,
        ..Setup::default()
    })
}

fn disk(lab: &Lab, folder: &Path, fault: Fault, reason: &[&str]) -> Result<()> {
    let setup = setup(folder, Layer::Fault(fault))?;
    let mut vm = Vm::start(lab, folder, "install", &setup)?;
    fails(&mut vm, LOST, reason)
}

fn medium_out(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let setup = setup(folder, Layer::None)?;
    let mut vm = Vm::start(lab, folder, "install", &setup)?;
    vm.serial.wait("[1/10] ", LIMIT).context("waiting for the installer")?;
    vm.eject_medium()?;
    let reason = ["checking the installation medium failed: ", "on the medium cannot be "];
    fails(&mut vm, UNTOUCHED, &reason)
}

/// Waits for the installation to fail as it should.
fn fails(vm: &mut Vm, state: &str, reason: &[&str]) -> Result<()> {
    let ended = vm.serial.wait_any(&[state, install::FAILED, install::COMPLETE], LIMIT);
    let tail = vm.serial.tail(15);
    let which = ended.with_context(|| format!("the console ended with:\n{tail}"))?;
    ensure!(which == 0, "the installation ended without {state:?}:\n{tail}");
    vm.serial.wait(install::FAILED, LIMIT)?;
    let from = vm.serial.heard();
    vm.serial.wait(GOES_ON, LIMIT).context("a person cannot go on")?;
    let told = vm.serial.between(from, GOES_ON);
    for part in reason {
        ensure!(told.contains(part), "the installer does not say {part:?} but:\n{told}");
    }
    eprintln!("  the installer says {told}");
    Ok(())
}
