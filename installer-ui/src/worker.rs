// SPDX-License-Identifier: MIT OR Apache-2.0
//! The work behind screens and unattended mode.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use installer_core::discovery::{Discovery, Nic, Roots};
use installer_core::events::Event;
use installer_core::hooks::Hooks;
use installer_core::lock::{LockError, Owner};
use installer_core::logs::Volume;
use installer_core::medium::{Checked, ListedMedium, MediumError};
use installer_core::pace::Pace;
use installer_core::plan::Plan;
use installer_core::program::Program;
use installer_core::size::Size;
use installer_core::steps::{InstallError, install};
use installer_core::system::RealSystem;
use rustix::mm::MlockAllFlags;

use crate::log::FOLDER;

/// The last plan that was carried out, without secrets; it goes with the logs.
pub const PLAN: &str = "/run/xenith/plan.txt";

/// Says that there are disks over several paths: `xenith-multipath.service` runs then.
const MULTIPATH: &str = "/run/xenith/multipath";

/// This machine as it is installed.
#[derive(Debug, Clone)]
pub struct Machine {
    roots: Roots,
    medium: PathBuf,
}

impl Machine {
    /// With the folder at which the medium is mounted.
    pub fn new(medium: PathBuf, loop_devices: bool) -> Self {
        Self { roots: Roots { loop_devices, ..Roots::default() }, medium }
    }

    /// Looks at the machine, once udev has handled what it knows of and paths to the same disk are one.
    pub fn look(&self) -> Result<Discovery> {
        settle()?;
        if Discovery::has_loose_paths(&self.roots) {
            put_paths_together();
            settle()?;
        }
        Ok(Discovery::look(&self.roots, &self.medium)?)
    }

    /// Volumes that logs can be saved on.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        settle()?;
        Ok(Volume::of(&Discovery::disks(&self.roots, &self.medium)?))
    }
}

/// Makes multipath devices of disks that are reached over several paths, which writes nothing to them. Where
/// it does not succeed, the disks are refused later.
fn put_paths_together() {
    if let Err(error) = fs::write(MULTIPATH, "") {
        tracing::warn!("writing {MULTIPATH}: {error}");
    }
    for program in [
        Program::new("modprobe").args(["-a", "dm-multipath", "dm-service-time"]),
        Program::new("multipath").args(["-v2"]),
        // From now on it looks after the paths.
        Program::new("systemctl").args(["start", "xenith-multipath.service"]),
    ] {
        match program.run() {
            Ok(said) => said.lines().for_each(|line| tracing::info!("multipath: {line}")),
            Err(error) => tracing::warn!("putting paths together: {error}"),
        }
    }
}

/// The network cards.
pub fn nics() -> Result<Vec<Nic>> {
    settle()?;
    Ok(Discovery::nics(&Roots::default())?)
}

/// Waits until udev has handled what it knows of.
fn settle() -> Result<()> {
    // Without udev (in a container) there is nothing to wait for.
    if Path::new("/run/udev/control").exists() {
        let settle = Program::new("udevadm").args(["settle", "--timeout=300"]);
        settle.run().context("waiting for devices")?;
    }
    Ok(())
}

impl Machine {
    /// Where the medium is mounted.
    pub fn medium(&self) -> &Path {
        &self.medium
    }

    /// Reads the whole medium, telling how far it is, until it is told to stop.
    pub fn check_medium(
        &self,
        sink: &mut dyn FnMut(Pace) -> ControlFlow<()>,
    ) -> Result<Checked, MediumError> {
        let begin = Instant::now();
        tracing::info!("checking the medium at {}", self.medium.display());
        let mut system = RealSystem::default();
        let listed = ListedMedium::read(&mut system, &self.medium)?;
        let mut tenth = 0;
        let checked = listed.check_all(&mut system, &mut |done, total| {
            let pace = Pace { done, total, elapsed: begin.elapsed() };
            if pace.percent() / 10 > tenth {
                tenth = pace.percent() / 10;
                tracing::info!("checking the medium: {pace}");
            }
            sink(pace)
        });
        match &checked {
            Checked::Whole { bytes } => tracing::info!("the medium is whole: {}", Size(*bytes)),
            Checked::Damaged(files) => files.iter().for_each(|line| tracing::error!("{line}")),
            Checked::Stopped => tracing::info!("the check was stopped"),
        }
        Ok(checked)
    }
}

/// Installs, and logs what the events tell.
pub fn run(plan: &Plan, hooks: &Hooks, sink: &mut dyn FnMut(Event)) -> Result<(), InstallError> {
    let begin = Instant::now();
    // The program itself comes from the medium, and has to be able to say that it was taken out.
    if let Err(error) = rustix::mm::mlockall(MlockAllFlags::CURRENT) {
        tracing::warn!("keeping the installer in memory: {error}");
    }
    if let Err(error) = fs::write(PLAN, format!("{plan}\n")) {
        tracing::warn!("writing {PLAN}: {error}");
    }
    for line in plan.to_string().lines() {
        tracing::info!("plan: {line}");
    }
    let mut system = RealSystem::default();
    let result = install(plan, hooks, &mut system, &mut |event| {
        match &event {
            Event::Started(step) => tracing::info!("step: {step}"),
            Event::Failed { step, error } => tracing::error!("{step} failed: {error}"),
            Event::Complete => tracing::info!("complete after {} s", begin.elapsed().as_secs()),
            Event::Progress { .. } | Event::Said(_) | Event::Done(_) => {}
        }
        sink(event);
    });
    result.map(drop)
}

/// Takes the installation for this console.
pub fn own() -> Result<Owner, LockError> {
    let console = console_name().unwrap_or_else(|_| "another terminal".to_owned());
    Owner::take(&Path::new(FOLDER).join("installer.lock"), &console)
}

/// `hvc0` for a process whose input is `/dev/hvc0`.
pub fn console_name() -> Result<String> {
    let input = fs::read_link("/proc/self/fd/0").context("looking at standard input")?;
    let name = match input.strip_prefix("/dev") {
        Ok(name) => name.display().to_string().replace('/', "-"),
        Err(_) => "no-terminal".to_owned(),
    };
    Ok(name)
}

/// Restarts the machine.
pub fn reboot() -> Result<()> {
    Program::new("systemctl").args(["reboot"]).run().map(drop).context("restarting")
}

/// Switches the machine off.
pub fn poweroff() -> Result<()> {
    Program::new("systemctl").args(["poweroff"]).run().map(drop).context("powering off")
}
