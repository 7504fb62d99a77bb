// SPDX-License-Identifier: MIT OR Apache-2.0
//! The installer on the machine's own screen, used by keystrokes, and pictures of it for the
//! documentation.

use std::path::Path;

use anyhow::{Context, Result};
use isobuild::emulator::Medium;

use super::boot::{LIMIT, READY};
use crate::install::{self, DISK_BYTES, PASSWORD};
use crate::lab::{Lab, sparse_file};
use crate::runner::{Case, Figures};
use crate::shell;
use crate::vm::{Setup, Vm};

/// What a person does.
enum Step {
    Keys(&'static [&'static str]),
    Text(&'static str),
    Picture(&'static str),
}
use Step::{Keys, Picture, Text};

/// Only by name: pictures are made for people.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "picture-installer",
        about: "the installer on the screen, by keystrokes; leaves a picture of each screen",
        run,
    }]
}

fn run(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let (image, _) = install::system_disk();
    sparse_file(&folder.join(&image), DISK_BYTES)?;
    let disks = vec![install::system_disk()];
    let setup = Setup {
        medium: Some(Medium::Cd),
        disks: disks.clone(),
        no_reboot: true,
        ..Setup::default()
    };
    let mut vm = Vm::start(lab, folder, "install", &setup)?;
    let menu = vm.picture("1-menu", &[], LIMIT)?;
    vm.keys(&["ret"])?;
    // The kernel and systemd draw until the installer's first screen stands still.
    vm.serial.wait("about to get started", LIMIT)?;
    let mut screen = vm.picture("2-welcome", &menu, LIMIT)?;
    for step in [
        Keys(&["ret"]),
        Picture("3-disk"),
        Keys(&["ret"]),
        Picture("4-hostname"),
        Keys(&["ctrl+u"]),
        Text("node1"),
        Keys(&["ret"]),
        Picture("5-network"),
        Keys(&["ret"]),
        Text(PASSWORD),
        Keys(&["ret"]),
        Text(PASSWORD),
        Picture("6-login"),
        Keys(&["ret", "right", "ret"]),
        Picture("7-summary"),
        Text("yes"),
        Keys(&["ret"]),
        Picture("8-progress"),
        Picture("9-complete"),
    ] {
        match step {
            Keys(keys) => vm.keys(keys)?,
            Text(text) => vm.type_text(text)?,
            Picture(name) => screen = vm.picture(name, &screen, LIMIT)?,
        }
    }
    vm.cut_power();

    let mut vm = Vm::start(lab, folder, "installed", &Setup { disks, ..Setup::default() })?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    shell::log_in(&mut vm.serial, PASSWORD)?;
    anyhow::ensure!(shell::run(&mut vm.serial, "hostname")? == "node1", "the host's name is wrong");
    vm.picture("10-host", &[], LIMIT).map(drop)
}
