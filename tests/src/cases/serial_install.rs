// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole installation through the installer's screens over the serial line, by keystrokes, as a person
//! at a serial terminal of 80x24 does it.

use std::path::Path;

use anyhow::{Context, Result};
use isobuild::emulator::Medium;

use super::boot::{LIMIT, READY};
use crate::install::{self, PASSWORD};
use crate::lab::Lab;
use crate::runner::{Case, Figures};
use crate::screen::Screen;
use crate::serial::Serial;
use crate::shell;
use crate::vm::{Setup, Vm};

/// What is pressed on each screen, after the screen of that name is there and shows those words. All of
/// it together is less than the 128 bytes that Xen keeps until Dom0 takes them.
const SCREENS: [(&str, &str, &[&str]); 15] = [
    ("welcome", "Enter begin", &["\r"]),
    ("hardware", "Enter next", &["\r"]),
    ("choose", "Xenith installer - what to do", &["\r"]),
    ("keyboard", "1 of 8", &["\r"]),
    ("licence", "2 of 8", &["\r"]),
    ("disk", "3 of 8", &["\r"]),
    // There is no other disk, so no screen of further disks either.
    ("hostname", "4 of 8", &[CLEAR, "node1", "\r"]),
    // From the card to its address, and on.
    ("network", "5 of 8", &["\r", "\r"]),
    ("zone", "First the region:", &["europe", "\r"]),
    ("zone-city", "Europe, and there:", &["berlin"]),
    ("zone-found", "> Berlin", &["\r"]),
    ("login", "7 of 8", &[PASSWORD, "\r", PASSWORD]),
    ("login-filled", "[*************                                     ]", &["\r", RIGHT, "\r"]),
    ("summary", "8 of 8", &["yes", "\r"]),
    ("installing", "[    ] writing the boot loader", &[]),
];
const CLEAR: &str = "\x15";
const RIGHT: &str = "\x1b[C";
/// GRUB's own way to the next entry.
const NEXT: &str = "\x0e";

/// Only by name and in full runs.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "install-serial",
        about: "BIOS install by keystrokes over the serial line, its screens compared",
        run: |lab, folder, figures| {
            let setup = Setup { medium: Some(Medium::Cd), ..Setup::default() };
            run(lab, folder, figures, setup, true)
        },
    }]
}

/// Installs by keystrokes and starts the installed host; `compared` says whether each screen has to be the
/// one of its file, or only the right one.
pub fn run(
    lab: &Lab,
    folder: &Path,
    figures: &Figures,
    setup: Setup,
    compared: bool,
) -> Result<()> {
    install::make_system_disk(folder)?;
    let disks = vec![install::system_disk()];
    let uefi = setup.uefi;
    let setup = Setup { disks: disks.clone(), no_reboot: true, ..setup };
    let mut vm = Vm::start(lab, folder, "install", &setup)?;
    choose_entry(&mut vm.serial)?;
    let mut screen = Screen::new("install-serial");
    for (name, words, keys) in SCREENS {
        match compared {
            true => screen.expect(&mut vm.serial, name, words, LIMIT)?,
            false => screen.wait(&mut vm.serial, words, LIMIT)?,
        }
        for key in keys {
            vm.serial.send(key).with_context(|| format!("typing on the screen {name}"))?;
        }
    }
    screen.wait(&mut vm.serial, "Xenith installer - ", LIMIT)?;
    match compared {
        true => screen.expect(&mut vm.serial, "complete", "Enter restart", LIMIT)?,
        false => screen.wait(&mut vm.serial, "Enter restart", LIMIT)?,
    }
    figures.note("installation, CPU s", vm.cpu_seconds()?);
    vm.serial.send("\r")?;
    vm.wait_off(LIMIT).context("restarting from the last screen")?;

    let setup = Setup { uefi, disks, ..Setup::default() };
    let mut vm = Vm::start(lab, folder, "installed", &setup)?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    shell::log_in(&mut vm.serial, PASSWORD)?;
    for (command, expected) in
        [("hostname", "node1"), ("readlink /etc/localtime", "../usr/share/zoneinfo/Europe/Berlin")]
    {
        let found = shell::run(&mut vm.serial, command)?;
        anyhow::ensure!(found == expected, "{command}: {found} instead of {expected}");
    }
    Ok(())
}

/// Stops the menu's clock and chooses the installation over serial. By UEFI the firmware shows the menu on
/// the serial line too, so it is no screen that could be compared.
fn choose_entry(serial: &mut Serial) -> Result<()> {
    serial.wait("GNU GRUB", LIMIT)?;
    serial.send(install::FIRST_ENTRY)?;
    serial.wait("*Install Xenith", LIMIT)?;
    serial.send(NEXT)?;
    serial.wait("*Install over serial", LIMIT)?;
    serial.send("\r")?;
    serial.wait("(XEN) ", LIMIT).context("starting Xen from the menu")
}
