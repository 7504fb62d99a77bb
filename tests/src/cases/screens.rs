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
    /// Name of the file, and what the screen says when it has come.
    Picture(&'static str, &'static str),
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
    // A key stops the menu from going on by itself, and this one selects the first entry.
    vm.picture("1-menu", "Install Xenith", Some("home"), LIMIT)?;
    for step in [
        Keys(&["ret"]),
        Picture("2-welcome", "Xenith installer - welcome"),
        Keys(&["ret"]),
        Picture("3-hardware", "Xenith installer - this machine"),
        Keys(&["ret"]),
        Picture("4-disk", "Xenith installer - disk"),
        Keys(&["ret"]),
        Picture("5-hostname", "Xenith installer - host name"),
        Keys(&["ctrl+u"]),
        Text("node1"),
        Keys(&["ret"]),
        Picture("6-network", "Xenith installer - network"),
        // From the card to its address, and on.
        Keys(&["ret", "ret"]),
        Text(PASSWORD),
        Keys(&["ret"]),
        Text(PASSWORD),
        Picture("7-login", "Xenith installer - login"),
        Keys(&["ret", "right", "ret"]),
        Picture("8-summary", "Xenith installer - summary"),
        Text("yes"),
        Keys(&["ret"]),
        Picture("9-progress", "Xenith installer - installing"),
        Picture("10-complete", "Xenith installer - complete"),
    ] {
        match step {
            Keys(keys) => vm.keys(keys)?,
            Text(text) => vm.type_text(text)?,
            Picture(name, text) => vm.picture(name, text, None, LIMIT)?,
        }
    }
    vm.cut_power();

    let mut vm = Vm::start(lab, folder, "installed", &Setup { disks, ..Setup::default() })?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    shell::log_in(&mut vm.serial, PASSWORD)?;
    anyhow::ensure!(shell::run(&mut vm.serial, "hostname")? == "node1", "the host's name is wrong");
    vm.picture("11-host", "node1 login:", None, LIMIT)
}
