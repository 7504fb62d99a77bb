// SPDX-License-Identifier: MIT OR Apache-2.0
//! Installations on other disks than one of 512-byte sectors.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::boot::{LIMIT, READY};
use crate::install::{self, PASSWORD};
use crate::lab::{Lab, sparse_file};
use crate::runner::{Case, Figures};
use crate::shell;
use crate::vm::{Setup, Vm};

/// For guests' storage.
const FURTHER: (&str, &str) = ("further.img", "XENITH-FURTHER");
const FURTHER_BYTES: u64 = 30 << 30;

/// UEFI only, as no BIOS starts such disks.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "disks-4k",
        about: "UEFI install on disks of 4096-byte sectors, guests' storage over both",
        run: large_sectors,
    }]
}

fn large_sectors(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    install::make_system_disk(folder)?;
    sparse_file(&folder.join(FURTHER.0), FURTHER_BYTES)?;
    // A rule that only that disk fits.
    let further = "disks = [{ min-size = \"25 GiB\", filter = { ID_SERIAL = \"XENITH-*\" } }]\n";
    let storage = "[storage]\n";
    let answers = install::answers("ext").replace(storage, &format!("{storage}{further}"));
    let setup = || Setup {
        uefi: true,
        large_sectors: true,
        disks: vec![install::system_disk(), (FURTHER.0.to_owned(), FURTHER.1.to_owned())],
        ..Setup::default()
    };
    install::install_with(lab, folder, &answers, setup())?.cut_power();
    let mut vm = Vm::start(lab, folder, "first", &setup())?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    let serial = &mut vm.serial;
    shell::log_in(serial, PASSWORD)?;
    let sector = shell::run(serial, "cat /sys/block/vda/queue/logical_block_size")?;
    ensure!(sector == "4096", "the disk has sectors of {sector} bytes");
    let size = shell::run(serial, "xe sr-list type=ext params=physical-size --minimal")?;
    let size: u64 = size.parse().with_context(|| format!("the SR has {size:?} bytes"))?;
    ensure!(size > FURTHER_BYTES, "the SR has {size} bytes only");
    let sr = shell::run(serial, "xe sr-list type=ext --minimal")?;
    let make = format!("xe vdi-create sr-uuid={sr} name-label=large virtual-size=32GiB");
    shell::run(serial, &make).map(drop)
}
