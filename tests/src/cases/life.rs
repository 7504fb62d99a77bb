// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of a guest while it runs: devices that come and go, suspend, checkpoint.

use std::path::Path;

use anyhow::{Context, Result};
use isobuild::emulator::Forward;

use super::boot::{LIMIT, READY};
use crate::install;
use crate::lab::{Lab, free_port};
use crate::runner::{Case, Figures};
use crate::vm::{Setup, Vm};

pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "life-pvh",
        about: "a PVH guest: hotplug, suspend, checkpoint; on request",
        run: pvh,
    }]
}

fn pvh(lab: &Lab, folder: &Path, _figures: &Figures) -> Result<()> {
    install::install(lab, folder, false, "lvm-thin")?;
    let api = free_port()?;
    let setup = Setup {
        disks: vec![install::system_disk()],
        forwards: vec![Forward { host_port: api, address: String::new(), port: 443 }],
        ..Setup::default()
    };
    let mut vm = Vm::start(lab, folder, "first", &setup)?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    lab.client(api, &folder.join("client.log"), &["life", "/guest.img"])
}
