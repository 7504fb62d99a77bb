// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of a guest while it runs: devices that come and go, suspend, checkpoint.

use std::path::Path;

use anyhow::{Context, Result};
use isobuild::emulator::Forward;

use super::boot::{LIMIT, READY};
use crate::install::{self, From};
use crate::lab::{Lab, free_port};
use crate::runner::Case;
use crate::vm::{Setup, Vm};

/// One for each kind of change.
pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "life-pvh",
            about: "a PVH guest: disks and cards come and go, suspend and resume; on request",
            run: |lab, folder, _| drive(lab, folder, "life"),
        },
        Case {
            name: "life-checkpoint",
            about: "a PVH guest: processors come, checkpoint, snapshot, revert; on request",
            run: |lab, folder, _| drive(lab, folder, "back"),
        },
        Case {
            name: "life-guard",
            about: "a PVH guest tries other addresses than its own, with each locking mode; on request",
            run: |lab, folder, _| drive(lab, folder, "guard"),
        },
        Case {
            name: "life-balloon",
            about: "a PVH guest whose memory changes, by itself and for another VM; on request",
            run: |lab, folder, _| drive(lab, folder, "balloon"),
        },
    ]
}

fn drive(lab: &Lab, folder: &Path, action: &str) -> Result<()> {
    install::install(lab, folder, false, "lvm-thin", From::Volume)?;
    let api = free_port()?;
    let setup = Setup {
        disks: vec![install::system_disk()],
        forwards: vec![Forward { host_port: api, address: String::new(), port: 443 }],
        ..Setup::default()
    };
    let mut vm = Vm::start(lab, folder, "first", &setup)?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    lab.client(api, &folder.join("client.log"), &[action, "/guest.img"])
}
