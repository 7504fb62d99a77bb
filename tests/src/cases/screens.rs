// SPDX-License-Identifier: MIT OR Apache-2.0
//! The installer on the machine's own screen, used by keystrokes, and pictures of it for the
//! documentation.

use std::fs::File;
use std::io::{Cursor, Read as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use image_formats::fat::{FatVolume, FatWriter};
use isobuild::emulator::{Forward, Medium};

use super::boot::{LIMIT, READY};
use crate::install::{self, DISK_BYTES, PASSWORD};
use crate::lab::{Lab, free_port, sparse_file};
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
    vec![
        Case {
            name: "picture-installer",
            about: "the installer on the screen, by keystrokes; leaves a picture of each screen",
            run,
        },
        Case {
            name: "picture-ssh",
            about: "nothing listens for SSH until the boot line asks for it; then the screen says how",
            run: run_ssh,
        },
    ]
}

/// Image of the stick that logs are saved on.
const STICK: &str = "stick.img";
/// Its size in bytes, and where its only partition begins, in sectors.
const STICK_BYTES: u64 = 64 << 20;
const STICK_FIRST: u32 = 2048;

/// A stick as they are sold: an MBR with one FAT partition.
fn make_stick(path: &Path) -> Result<()> {
    let part = path.with_extension("part");
    let bytes = STICK_BYTES - u64::from(STICK_FIRST) * 512;
    sparse_file(&part, bytes)?;
    let file = File::options().read(true).write(true).open(&part)?;
    let volume = FatVolume { bytes, label: "LOGS", id: 0x0a0b_0c0e };
    FatWriter::format(file, &volume).context("making the stick")?.finish()?;
    sparse_file(path, STICK_BYTES)?;
    let stick = File::options().write(true).open(path)?;
    let sectors = u32::try_from(bytes / 512)?;
    // Kind 0x0c is FAT32 by sector numbers.
    let mut entry = [0, 0xff, 0xff, 0xff, 0x0c, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    entry[8..12].copy_from_slice(&STICK_FIRST.to_le_bytes());
    entry[12..].copy_from_slice(&sectors.to_le_bytes());
    stick.write_all_at(&entry, 446)?;
    stick.write_all_at(&[0x55, 0xaa], 510)?;
    let offset = u64::from(STICK_FIRST) * 512;
    stick.write_all_at(&std::fs::read(&part)?, offset).context("writing the stick")
}

/// Names of the files in the only archive on the stick, a line each.
fn logs_on(stick: &Path) -> Result<String> {
    let bytes = std::fs::read(stick).context("reading the stick")?;
    let volume = Cursor::new(bytes[usize::try_from(STICK_FIRST)? * 512..].to_vec());
    let fat = fatfs::FileSystem::new(volume, fatfs::FsOptions::new())?;
    let mut files = fat.root_dir().iter().filter(|entry| !matches!(entry, Ok(e) if !e.is_file()));
    let file = files.next().context("nothing was saved on the stick")??;
    let mut packed = Vec::new();
    file.to_file().read_to_end(&mut packed)?;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
    let mut names = String::new();
    for entry in archive.entries().context("reading the saved logs")? {
        names.push_str(&entry?.path()?.display().to_string());
        names.push('\n');
    }
    Ok(names)
}

fn run(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let (image, _) = install::system_disk();
    sparse_file(&folder.join(&image), DISK_BYTES)?;
    let disks = vec![install::system_disk()];
    make_stick(&folder.join(STICK))?;
    let setup = Setup {
        medium: Some(Medium::Cd),
        disks: disks.clone(),
        sticks: vec![STICK.to_owned()],
        no_reboot: true,
        ..Setup::default()
    };
    let mut vm = Vm::start(lab, folder, "install", &setup)?;
    // A key stops the menu from going on by itself, and this one selects the first entry.
    vm.picture("1-menu", "Install Xenith", Some("home"), LIMIT)?;
    for step in [
        Keys(&["ret"]),
        Picture("2-welcome", "Xenith installer - welcome"),
        Keys(&["f2"]),
        Picture("log", "Xenith installer - log"),
        Keys(&["esc", "c"]),
        Picture("check", "Xenith installer - checking the medium"),
        Picture("checked", "The medium is whole."),
        Keys(&["ret"]),
        Picture("2-welcome-again", "Xenith installer - welcome"),
        Keys(&["ret"]),
        Picture("3-hardware", "Xenith installer - this machine"),
        Keys(&["ret"]),
        Picture("4-choose", "Xenith installer - what to do"),
        Keys(&["ctrl+c"]),
        Picture("leave", "Xenith installer - leave"),
        Keys(&["esc", "down", "down", "down", "down", "ret", "ret"]),
        Picture("save-logs", "sda1 vfat \"LOGS\""),
        Keys(&["ret"]),
        Picture("saved-logs", "which can be pulled out"),
        Keys(&["esc", "home", "ret"]),
        Text("de"),
        Picture("5-keyboard", "> de "),
        Keys(&["ret"]),
        Picture("6-licence", "Xenith installer - licence"),
        Keys(&["ret"]),
        Picture("7-disk", "Xenith installer - disk"),
        Keys(&["ret"]),
        Picture("8-hostname", "Xenith installer - host name"),
        Keys(&["ctrl+u"]),
        Text("node1"),
        Keys(&["ret"]),
        Picture("9-network", "Xenith installer - network"),
        // From the card to its address, and on.
        Keys(&["ret", "ret"]),
        Text("europe"),
        Keys(&["ret"]),
        Text("berlin"),
        Picture("10-zone", "> Berlin "),
        Keys(&["ret"]),
        Text(PASSWORD),
        Keys(&["ret"]),
        Text(PASSWORD),
        Picture("11-login", "Xenith installer - login"),
        Keys(&["ret", "right", "ret"]),
        Picture("12-summary", "Xenith installer - summary"),
        // The keyboard is German by now: the key of a z has a y.
        Text("zes"),
        Keys(&["ret"]),
        Picture("13-progress", "Xenith installer - installing"),
        Picture("14-complete", "Xenith installer - complete"),
    ] {
        match step {
            Keys(keys) => vm.keys(keys)?,
            Text(text) => vm.type_text(text)?,
            Picture(name, text) => vm.picture(name, text, None, LIMIT)?,
        }
    }
    vm.cut_power();
    let names = logs_on(&folder.join(STICK))?;
    anyhow::ensure!(names.contains("/inventory.json"), "the logs have no inventory: {names}");

    let mut vm = Vm::start(lab, folder, "installed", &Setup { disks, ..Setup::default() })?;
    vm.serial.wait(READY, LIMIT).context("booting the installed host")?;
    shell::log_in(&mut vm.serial, PASSWORD)?;
    for (command, expected) in [
        ("hostname", "node1"),
        ("cat /etc/vconsole.conf", "KEYMAP=de"),
        ("readlink /etc/localtime", "../usr/share/zoneinfo/Europe/Berlin"),
        ("date --date=2026-01-01 +%Z", "CET"),
        ("dumpkeys -C /dev/tty1 --keys-only | grep -c 'keycode *21 = *+*z'", "1"),
    ] {
        let found = shell::run(&mut vm.serial, command)?;
        anyhow::ensure!(found == expected, "{command}: {found} instead of {expected}");
    }
    vm.picture("15-host", "Xenith - node1", None, LIMIT)?;
    vm.keys(&["alt+f2"])?;
    vm.picture("16-login", "node1 login:", None, LIMIT)
}

/// What a server of SSH says first (RFC 4253, section 4.2).
const SSH: &[u8] = b"SSH-2.0-";

/// Starts the installer without and with the word, which is typed into GRUB's editor.
fn run_ssh(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    for (name, word) in [("without", ""), ("with", " xenith.ssh")] {
        let port = free_port()?;
        let forward = Forward { host_port: port, address: String::new(), port: 22 };
        let forwards = vec![forward];
        let setup = Setup { medium: Some(Medium::Cd), forwards, ..Setup::default() };
        let mut vm = Vm::start(lab, folder, name, &setup)?;
        vm.picture(&format!("{name}-menu"), "Install Xenith", Some("home"), LIMIT)?;
        vm.keys(&["e"])?;
        vm.picture(&format!("{name}-editor"), "setparams", None, LIMIT)?;
        // To the end of the line with the kernel.
        vm.keys(&["down", "down", "down", "down", "ctrl+e"])?;
        vm.type_text(word)?;
        vm.keys(&["ctrl+x"])?;
        let told = if word.is_empty() { "Network cards  1" } else { "ssh installer@10.0.2.15" };
        vm.picture(&format!("{name}-welcome"), told, None, LIMIT)?;
        let mut said = Vec::new();
        let limit = Some(Duration::from_secs(60));
        let mut stream = TcpStream::connect(("127.0.0.1", port)).context("connecting")?;
        stream.set_read_timeout(limit)?;
        // QEMU takes the connection itself, and cuts it where nobody in the machine does.
        let read = (&mut stream).take(SSH.len() as u64).read_to_end(&mut said);
        let opened = read.is_ok() && said == SSH;
        anyhow::ensure!(opened != word.is_empty(), "{name} the word: {said:?}");
        vm.cut_power();
    }
    Ok(())
}
