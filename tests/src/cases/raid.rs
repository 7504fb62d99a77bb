// SPDX-License-Identifier: MIT OR Apache-2.0
//! Installations on two disks as a mirror, of which one is pulled.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::boot::{LIMIT, READY};
use crate::install::{self, PASSWORD};
use crate::lab::{Lab, sparse_file};
use crate::runner::{Case, Figures};
use crate::shell;
use crate::vm::{Setup, Vm};

/// The second disk: a little larger, as replacements are.
const SECOND: (&str, &str) = ("second.img", "XENITH-MIRROR");

/// Each firmware installs, and both start what is left.
pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "raid-bios",
            about: "BIOS install on a mirror; the first disk pulled; both firmwares",
            run: |lab, folder, _: &Figures| pull(lab, folder, false, 0),
        },
        Case {
            name: "raid-uefi",
            about: "UEFI install on a mirror; the second disk pulled; both firmwares",
            run: |lab, folder, _: &Figures| pull(lab, folder, true, 1),
        },
    ]
}

fn disks() -> Vec<(String, String)> {
    vec![install::system_disk(), (SECOND.0.to_owned(), SECOND.1.to_owned())]
}

fn pull(lab: &Lab, folder: &Path, uefi: bool, pulled: usize) -> Result<()> {
    install::make_system_disk(folder)?;
    sparse_file(&folder.join(SECOND.0), install::DISK_BYTES + (1 << 30))?;
    let mirror = format!("wipe = true\nmirror = {{ serial = \"{}\" }}\n", SECOND.1);
    let answers = install::answers("lvm-thin").replace("wipe = true\n", &mirror);
    let setup = Setup { uefi, disks: disks(), ..Setup::default() };
    let mut vm = install::install_with(lab, folder, &answers, setup)?;
    let serial = &mut vm.serial;
    shell::log_in(serial, PASSWORD)?;
    ensure!(degraded(serial)? == "0 0 0 0", "an array has no second disk: {}", mdstat(serial)?);
    let pool = shell::run(serial, "xe pool-list --minimal")?;
    shell::run(serial, &format!("xe pool-param-set uuid={pool} name-label=mirrored"))?;
    let sr = shell::run(serial, "xe sr-list type=lvmthin --minimal")?;
    let make = format!("xe vdi-create sr-uuid={sr} name-label=kept virtual-size=64MiB");
    let vdi = shell::run(serial, &make)?;
    vm.cut_power();

    let mut left = disks();
    left.remove(pulled);
    for (name, uefi) in [("pulled", uefi), ("pulled-other-firmware", !uefi)] {
        let setup = Setup { uefi, disks: left.clone(), ..Setup::default() };
        let mut vm = Vm::start(lab, folder, name, &setup)?;
        vm.serial.wait(READY, LIMIT).with_context(|| format!("booting one disk: {name}"))?;
        let serial = &mut vm.serial;
        shell::log_in(serial, PASSWORD)?;
        ensure!(degraded(serial)? == "1 1 1 1", "the arrays are {}", mdstat(serial)?);
        let label = shell::run(serial, "xe pool-list params=name-label --minimal")?;
        ensure!(label == "mirrored", "the pool is called {label:?}");
        let found = shell::run(serial, "xe vdi-list name-label=kept --minimal")?;
        ensure!(found == vdi, "the disk of before is {found:?} instead of {vdi}");
        let attached = shell::run(
            serial,
            &format!("xe pbd-list sr-uuid={sr} params=currently-attached --minimal"),
        )?;
        ensure!(attached == "true", "the SR is not attached");
        vm.cut_power();
    }
    Ok(())
}

/// How many disks each array lacks.
fn degraded(serial: &mut crate::serial::Serial) -> Result<String> {
    shell::run(serial, "echo $(cat /sys/block/md*/md/degraded)")
}

fn mdstat(serial: &mut crate::serial::Serial) -> Result<String> {
    shell::run(serial, "cat /proc/mdstat")
}
