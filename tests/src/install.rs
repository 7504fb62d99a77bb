// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unattended installation onto an empty disk.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use image_formats::fat::{FatVolume, FatWriter};
use image_formats::iso::ReservedFile;
use isobuild::assemble::{ANSWERS, ANSWERS_LABEL};
use isobuild::emulator::Medium;

use crate::cases::{LIMIT, READY};
use crate::lab::{Lab, sparse_file};
use crate::vm::{Setup, Vm};

/// Root password of every host that the cases install.
pub const PASSWORD: &str = "correct horse";
/// What the installer says at the end of an unattended installation.
pub const COMPLETE: &str = "xenith-installer: installation complete";
/// The same if it failed; the reason follows.
pub const FAILED: &str = "xenith-installer: installation failed";
/// Serial number of the system disk.
pub const SERIAL: &str = "XENITH-SYSTEM";
/// The volume with the answers.
pub const VOLUME: &str = "answers.img";
/// Size of the system disk in bytes: a little over the minimum.
pub const DISK_BYTES: u64 = 20 << 30;

/// GRUB's own way to the first entry, which stops the menu's clock.
pub const FIRST_ENTRY: &str = "\x01";

/// The installed disk, for [`Setup::disks`].
pub fn system_disk() -> (String, String) {
    ("system.img".to_owned(), SERIAL.to_owned())
}

/// The volume that [`write_answers`] makes, for [`Setup::disks`].
pub fn answers_disk() -> (String, String) {
    (VOLUME.to_owned(), "ANSWERS".to_owned())
}

/// Where the answers are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// On a volume beside the medium.
    Volume,
    /// In the medium.
    Medium,
}

/// Boots the ISO beside an empty disk, waits until the installer says that it is done and the
/// machine has started the installed host by itself, with the medium still first, and cuts its
/// power.
pub fn install(lab: &Lab, folder: &Path, uefi: bool, storage: &str, from: From) -> Result<()> {
    make_system_disk(folder)?;
    let setup = Setup { uefi, disks: vec![system_disk()], ..Setup::default() };
    let mut vm = boot(lab, folder, &answers(storage), setup, from)?;
    follow(&mut vm)?;
    vm.cut_power();
    Ok(())
}

/// The same with other answers and another machine, whose disks are there already and whose medium, if it
/// names none, is a CD; the installed host runs.
pub fn install_with(lab: &Lab, folder: &Path, answers: &str, setup: Setup) -> Result<Vm> {
    let mut vm = boot(lab, folder, answers, setup, From::Volume)?;
    follow(&mut vm)?;
    Ok(vm)
}

/// The same on a disk that has a host of this ISO, which the medium's menu starts unless somebody chooses.
pub fn install_again(lab: &Lab, folder: &Path, answers: &str, setup: Setup) -> Result<Vm> {
    let mut vm = boot(lab, folder, answers, setup, From::Volume)?;
    let serial = &mut vm.serial;
    serial.wait("GNU GRUB", LIMIT).context("waiting for the medium's menu")?;
    serial.send(FIRST_ENTRY)?;
    serial.wait("*Install unattended", LIMIT).context("choosing the first entry of the menu")?;
    serial.send("\r")?;
    follow(&mut vm)?;
    Ok(vm)
}

/// Boots the ISO beside an empty disk and a volume with these answers, with what `setup` has else.
pub fn begin(lab: &Lab, folder: &Path, answers: &str, setup: Setup) -> Result<Vm> {
    make_system_disk(folder)?;
    let setup = Setup { disks: vec![system_disk()], ..setup };
    boot(lab, folder, answers, setup, From::Volume)
}

fn boot(lab: &Lab, folder: &Path, answers: &str, mut setup: Setup, from: From) -> Result<Vm> {
    match from {
        From::Volume => {
            write_answers(folder, answers)?;
            setup.disks.push(answers_disk());
        }
        From::Medium => {
            embed_answers(&lab.iso, &folder.join("medium.img"), answers)?;
            setup.image = Some("medium.img".to_owned());
        }
    }
    setup.medium = setup.medium.or(Some(Medium::Cd));
    Vm::start(lab, folder, "install", &setup)
}

/// Makes the disk of [`system_disk`], empty.
pub fn make_system_disk(folder: &Path) -> Result<()> {
    sparse_file(&folder.join("system.img"), DISK_BYTES)
}

/// Waits until an unattended installation is complete and the machine has started the installed host.
pub fn follow(vm: &mut Vm) -> Result<()> {
    let which = vm.serial.wait_any(&[COMPLETE, FAILED], LIMIT);
    vm.screenshot("install")?;
    if which.with_context(|| format!("the console ended with:\n{}", vm.serial.tail(15)))? != 0 {
        anyhow::bail!("the installation failed:\n{}", vm.serial.tail(15));
    }
    let again = [READY, "xenith-installer: unattended installation"];
    let which = vm.serial.wait_any(&again, LIMIT).context("restarting into the installed host")?;
    anyhow::ensure!(which == 0, "the host is installed again");
    Ok(())
}

/// The answers for [`system_disk`].
pub fn answers(storage: &str) -> String {
    answers_with(storage, "mode = \"dhcp\"\n")
}

/// The same with another network.
pub fn answers_with(storage: &str, network: &str) -> String {
    format!(
        "hostname = \"proof\"\n\
         root-password = \"{PASSWORD}\"\n\
         on-success = \"reboot\"\n\
         [disk]\nserial = \"{SERIAL}\"\nwipe = true\n\
         [storage]\ntype = \"{storage}\"\n\
         [network]\n{network}"
    )
}

fn embed_answers(iso: &Path, image: &Path, answers: &str) -> Result<()> {
    std::fs::copy(iso, image).context("copying the ISO")?;
    let file = File::options().read(true).write(true).open(image);
    let mut file = file.with_context(|| format!("opening {}", image.display()))?;
    let reserved = ReservedFile::find(&mut file, ANSWERS).context("finding room for answers")?;
    reserved.fill(&mut file, answers.as_bytes()).context("putting answers into the ISO")
}

/// Makes the volume of [`answers_disk`] in the case's folder.
pub fn write_answers(folder: &Path, answers: &str) -> Result<()> {
    let (path, bytes) = (folder.join(VOLUME), 1 << 20);
    sparse_file(&path, bytes)?;
    let file = File::options().read(true).write(true).open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    let volume = FatVolume { bytes, label: ANSWERS_LABEL, id: 0x0a0b_0c0d };
    let mut fat = FatWriter::format(file, &volume).context("making the answers' volume")?;
    fat.file("answers.toml", answers.as_bytes()).context("writing the answers")?;
    fat.finish().context("finishing the answers' volume")
}
