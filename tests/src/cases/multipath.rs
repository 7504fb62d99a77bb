// SPDX-License-Identifier: MIT OR Apache-2.0
//! Installations on a disk that is reached over two paths, of which one is pulled.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::boot::{LIMIT, READY};
use crate::install::{self, PASSWORD};
use crate::lab::Lab;
use crate::runner::{Case, Figures};
use crate::serial::Serial;
use crate::shell;
use crate::vm::{Setup, Vm};

/// By each firmware.
pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "multipath-bios",
            about: "BIOS install on a disk over two paths; one is pulled, then the other",
            run: |lab, folder, _: &Figures| pull(lab, folder, false),
        },
        Case {
            name: "multipath-uefi",
            about: "UEFI install on a disk over two paths; one is pulled, then the other",
            run: |lab, folder, _: &Figures| pull(lab, folder, true),
        },
    ]
}

/// The machine with so many paths to its disk.
fn setup(uefi: bool, paths: usize) -> Setup {
    let disks = vec![install::system_disk(); paths];
    Setup { uefi, disks, paths, ..Setup::default() }
}

fn pull(lab: &Lab, folder: &Path, uefi: bool) -> Result<()> {
    install::make_system_disk(folder)?;
    let name = format!("{:x}", Setup::WWN);
    // udev has the name in the world as the serial number of such disks.
    let answers = install::answers("lvm-thin").replace(install::SERIAL, &name);
    let mut vm = install::install_with(lab, folder, &answers, setup(uefi, 2))?;
    let serial = &mut vm.serial;
    shell::log_in(serial, PASSWORD)?;
    through_map(serial)?;
    has_paths(serial, 2).context("the second path after the start")?;
    let sr = shell::run(serial, "xe sr-list type=lvmthin --minimal")?;
    let make = format!("xe vdi-create sr-uuid={sr} virtual-size=64MiB name-label=");
    shell::run(serial, &format!("{make}before"))?;

    vm.pull_path(1)?;
    let serial = &mut vm.serial;
    has_paths(serial, 1).context("after a path was pulled")?;
    shell::run(serial, "dd if=/dev/zero of=/var/proof bs=1M count=64 conv=fsync status=none")?;
    let vdi = shell::run(serial, &format!("{make}kept"))?;
    shell::run(serial, "sync; rm /var/proof")?;
    vm.cut_power();

    // What is left is the disk at a controller of another name.
    for (run, firmware) in [("one-path", uefi), ("other-firmware", !uefi)] {
        let mut vm = Vm::start(lab, folder, run, &setup(firmware, 1))?;
        vm.serial.wait(READY, LIMIT).with_context(|| format!("starting over one path: {run}"))?;
        let serial = &mut vm.serial;
        shell::log_in(serial, PASSWORD)?;
        through_map(serial)?;
        has_paths(serial, 1)?;
        let found = shell::run(serial, "xe vdi-list name-label=kept --minimal")?;
        ensure!(found == vdi, "the disk of before is {found:?} instead of {vdi}");
        let ask = format!("xe pbd-list sr-uuid={sr} params=currently-attached --minimal");
        let attached = shell::run(serial, &ask)?;
        ensure!(attached == "true", "the SR is not attached");
        vm.cut_power();
    }
    Ok(())
}

/// Image, state and storage lie on the map's partitions, and no path is used beside it.
fn through_map(serial: &mut Serial) -> Result<()> {
    let name = format!("3{:x}", Setup::WWN);
    for (what, command, part) in [
        ("the image", "findmnt -no SOURCE /run/xenith/image", 3),
        ("the state", "findmnt -no SOURCE /run/xenith/state", 5),
        ("storage", "echo $(pvs --noheadings -o pv_name)", 6),
    ] {
        let found = shell::run(serial, command)?;
        let map = shell::run(serial, &format!("dmsetup info -c --noheadings -o name {found}"))?;
        ensure!(map == format!("{name}-part{part}"), "{what} is on {found}, {map:?}");
    }
    Ok(())
}

/// Waits until the map has so many paths that work.
fn has_paths(serial: &mut Serial, expected: usize) -> Result<()> {
    let name = format!("3{:x}", Setup::WWN);
    let count = format!("dmsetup status {name} | grep -o ' [0-9]*:[0-9]* A' | wc -l");
    let wait =
        format!("for i in $(seq 60); do [ $({count}) = {expected} ] && break; sleep 1; done");
    shell::run(serial, &wait)?;
    let found = shell::run(serial, &count)?;
    let status = shell::run(serial, &format!("dmsetup status {name}; multipath -ll"))?;
    ensure!(found == expected.to_string(), "not {expected} paths but {found}: {status}");
    Ok(())
}
