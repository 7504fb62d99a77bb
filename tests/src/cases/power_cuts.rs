// SPDX-License-Identifier: MIT OR Apache-2.0
//! Power cuts in every step of an installation.
//!
//! One installation runs over an old system, on a disk whose every write and flush is logged: the machine
//! has a disk with a cache, and nothing but a flush makes what it wrote durable. From the log any moment
//! can be had again: what was flushed is on the disk, and of the rest any sector or none. Each such disk is
//! started; one of them gets the next installation.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use isobuild::emulator::{FOLDER, Layer, Medium};

use super::boot::{LIMIT, READY};
use crate::install::{self, DISK_BYTES};
use crate::lab::{Lab, sparse_file};
use crate::old_system;
use crate::runner::{Case, Figures};
use crate::vm::{Setup, Vm};
use crate::write_log::{self, WriteLog};

/// Steps of an installation, as the installer counts them.
const STEPS: usize = 10;
/// The one that wipes, and writes first.
const WIPE: usize = 3;
/// The one before the last: it may be heard of only when the last one has begun.
const BOOT_FILES: usize = 9;
/// The one that writes the boot loaders.
const LAST: usize = STEPS;
/// Cuts in the last step; in the others there is one each.
const LAST_CUTS: usize = 3;

/// Only by name and in full runs.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "fault-power-cuts",
        about: "power cuts in every step of an installation, then a start by BIOS and UEFI",
        run,
    }]
}

/// What a machine starts from a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Started {
    Nothing,
    OldSystem,
    Host,
}
use Started::{Host, Nothing, OldSystem};

fn run(lab: &Lab, folder: &Path, figures: &Figures) -> Result<()> {
    let seed = write_log::seed()?;
    eprintln!("  power cuts: XENITH_SEED={seed} repeats them");
    let mut rng = Rng::with_seed(seed);
    let done = || format!("with XENITH_SEED={seed}");
    cut_all(lab, folder, figures, &mut rng).with_context(done)
}

fn cut_all(lab: &Lab, folder: &Path, figures: &Figures, rng: &mut Rng) -> Result<()> {
    let (log, begins) = install_logged(lab, folder, figures)?;
    let mut cuts = 0;
    let mut left = None;
    for step in WIPE - 1..=STEPS {
        // Lines come over a slow serial port, so a step begins a little before it is heard of.
        let (from, to) = match step {
            ..WIPE => (0, 0),
            WIPE => (0, begins[step]),
            _ => (begins[step - 1], begins[step]),
        };
        for _ in 0..if step == LAST { LAST_CUTS } else { 1 } {
            let cut = rng.usize(from..=to);
            let what = format!("cut in step {step}, behind write {cut} of {}", log.len());
            replay(folder, &log, cut, rng).with_context(|| what.clone())?;
            let bios = start(lab, folder, false).with_context(|| what.clone())?;
            let allowed: &[Started] = match step {
                ..WIPE => &[OldSystem],
                WIPE => &[OldSystem, Nothing],
                _ if step < BOOT_FILES => &[Nothing],
                _ => &[Nothing, Host],
            };
            ensure!(allowed.contains(&bios), "{what}: BIOS starts {bios:?}");
            cuts += 1;
            // UEFI knows no old system, and before the last step nothing that it could start is there.
            let uefi = match step == LAST || rng.usize(..STEPS) == 0 {
                true => Some(start(lab, folder, true).with_context(|| what.clone())?),
                false => None,
            };
            ensure!(
                uefi.is_none_or(|uefi| allowed.contains(&uefi) || uefi == Nothing),
                "{what}: UEFI starts {uefi:?}"
            );
            eprintln!("  power {what}: BIOS starts {bios:?}, UEFI {uefi:?}");
            if step > WIPE && bios == Nothing && (left.is_none() || rng.bool()) {
                fs::rename(folder.join("cut.img"), folder.join("left.img"))
                    .context("keeping a disk")?;
                left = Some(what);
            }
        }
    }
    replay(folder, &log, log.len(), rng)?;
    for uefi in [false, true] {
        let started = start(lab, folder, uefi).context("after the installation was complete")?;
        ensure!(started == Host, "UEFI {uefi}: a complete installation starts {started:?}");
        cuts += 1;
    }
    figures.note("power cuts", f64::from(cuts));
    fs::rename(folder.join("left.img"), folder.join("system.img")).context("taking a disk")?;
    let mut vm = Vm::start(lab, folder, "again", &setup(Layer::None))?;
    install::follow(&mut vm).with_context(|| format!("installing again after the {left:?}"))
}

fn setup(layer: Layer) -> Setup {
    Setup {
        medium: Some(Medium::Cd),
        disks: vec![install::system_disk(), install::answers_disk()],
        layer,
        ..Setup::default()
    }
}

/// Installs, and gives the log with the number of writes when each step began, and at the end.
fn install_logged(lab: &Lab, folder: &Path, figures: &Figures) -> Result<(WriteLog, Vec<usize>)> {
    install::make_system_disk(folder)?;
    old_system::write(&folder.join("system.img"))?;
    install::write_answers(folder, &install::answers("ext"))?;
    let file = folder.join("writes.img");
    sparse_file(&file, 0)?;
    let layer = Layer::Log(format!("{FOLDER}/writes.img"));
    let mut vm = Vm::start(lab, folder, "install", &setup(layer))?;
    let size = || fs::metadata(&file).map(|data| data.len()).context("sizing the log of writes");
    let mut sizes = Vec::new();
    for step in 1..=STEPS {
        let begins = [&*format!("[{step}/{STEPS}] "), install::FAILED];
        let which = vm.serial.wait_any(&begins, LIMIT);
        let tail = || format!("the console ended with:\n{}", vm.serial.tail(15));
        ensure!(which.with_context(tail)? == 0, "the installation failed: {}", vm.serial.tail(5));
        sizes.push(size()?);
    }
    vm.serial.wait(install::COMPLETE, LIMIT)?;
    sizes.push(size()?);
    figures.note("logged installation, CPU s", vm.cpu_seconds()?);
    vm.cut_power();
    let log = WriteLog::open(&file)?;
    let begins: Vec<usize> = sizes.into_iter().map(|size| log.entered(size)).collect();
    ensure!(begins.is_sorted() && begins[STEPS] > begins[WIPE], "nothing was logged: {begins:?}");
    Ok((log, begins))
}

/// Makes `cut.img`.
fn replay(folder: &Path, log: &WriteLog, cut: usize, rng: &mut Rng) -> Result<()> {
    let path = folder.join("cut.img");
    sparse_file(&path, DISK_BYTES)?;
    old_system::write(&path)?;
    let disk = File::options().write(true).open(&path).context("opening the disk after a cut")?;
    log.replay(&disk, cut, rng)
}

/// Starts a machine from `cut.img` and nothing else.
fn start(lab: &Lab, folder: &Path, uefi: bool) -> Result<Started> {
    let variables = folder.join("uefi-vars.fd");
    if variables.exists() {
        fs::remove_file(&variables).context("removing the UEFI variables")?;
    }
    let disks = vec![("cut.img".to_owned(), install::SERIAL.to_owned())];
    let setup = Setup { uefi, disks, bios_on_serial: true, ..Setup::default() };
    let mut vm = Vm::start(lab, folder, "cut", &setup)?;
    let words = [
        (READY, Host),
        (old_system::SAYS, OldSystem),
        ("No bootable device", Nothing),
        ("BdsDxe: No bootable option or device was found", Nothing),
        ("UEFI Interactive Shell", Nothing),
    ];
    let which = vm.serial.wait_any(&words.map(|(word, _)| word), LIMIT);
    // Anything else: GRUB's prompt, a kernel without its root, half a host.
    let which =
        which.with_context(|| format!("the console ended with:\n{}", vm.serial.tail(15)))?;
    vm.cut_power();
    Ok(words[which].1)
}
