// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs a plan. Every step may be repeated; a step that fails ends the installation.

mod boot;
mod disk;
mod hooks;
mod kept;
mod medium;
mod mirror;
mod parents;
mod root_image;
mod state;
mod storage;

use std::ops::ControlFlow;
use std::path::PathBuf;

use appliance_model::Digest;
use image_formats::fat::FatError;
use image_formats::gpt::{Role, WriteError};
use image_formats::grub::GrubError;

use crate::events::{DiskState, Event, Step};
use crate::hooks::{Hooks, Stage};
use crate::medium::{ListedMedium, MediumError};
use crate::plan::Plan;
use crate::system::{RecordsError, System, SystemError};

pub use hooks::{ROOT, completed, script_path};

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The machine did not do what it was told.
    #[error(transparent)]
    System(#[from] SystemError),
    /// The medium is not whole.
    #[error(transparent)]
    Medium(#[from] MediumError),
    /// The medium was exchanged since the plan was made.
    #[error("this is another medium than the one that was looked at: begin again")]
    AnotherMedium,
    /// A file of the medium has another size than when the plan was made.
    #[error("{} has {found} bytes instead of {expected}: the medium is damaged or was changed", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Bytes at planning time.
        expected: u64,
        /// Bytes now.
        found: u64,
    },
    /// The partition table.
    #[error("writing the partition table")]
    Table(#[source] WriteError),
    /// The EFI system partition.
    #[error("filling the EFI system partition")]
    Fat(#[source] FatError),
    /// GRUB's images do not fit.
    #[error("preparing the boot loader")]
    Grub(#[source] GrubError),
    /// What was read back is not what was written.
    #[error(
        "{what} was read back with SHA-256 {found} instead of {expected}: the disk does not keep what is \
         written to it, or the medium gave something else"
    )]
    ReadBack {
        /// Which part.
        what: String,
        /// As written.
        expected: Digest,
        /// As read.
        found: Digest,
    },
    /// The running system's password file is not as expected.
    #[error("/etc/shadow has no line for root")]
    NoRoot,
    /// What the host that is there knows of its guests.
    #[error(
        "the records of the guests cannot be kept, without which their disks are of no use: what is left \
         is an installation that wipes the disk, or an older backup of the disk"
    )]
    Records(#[source] RecordsError),
    /// Half of a mirror would keep the old system.
    #[error(
        "the mirror {name} is not whole on both disks: start the host that is there, and let it copy what \
         is missing"
    )]
    Degraded {
        /// Which.
        name: &'static str,
        /// What mdadm says.
        #[source]
        source: SystemError,
    },
    /// The settings for the toolstack.
    #[error("writing down the settings for the toolstack")]
    Handover(#[source] toml::ser::Error),
}

/// An installation that failed.
#[derive(Debug, thiserror::Error)]
#[error("{step} failed")]
pub struct InstallError {
    /// Where.
    pub step: Step,
    /// The disk now.
    pub disk: DiskState,
    /// Why.
    #[source]
    pub source: StepError,
}

/// Carried from step to step.
pub(crate) struct Run<'a> {
    plan: &'a Plan,
    hooks: &'a Hooks,
    system: &'a mut dyn System,
    sink: &'a mut dyn FnMut(Event),
    /// The medium's list, once it was read.
    listed: Option<ListedMedium>,
    /// Folders of the host that was there which stay.
    folders: Vec<String>,
    /// First sector of each disk's EFI system partition, until they are written.
    esp_starts: Vec<Vec<u8>>,
}

/// Installs, telling `sink` about it; the scripts of [`completed`] are not run here.
///
/// # Errors
/// The step that failed; `sink` has heard of it too.
pub fn install(
    plan: &Plan,
    hooks: &Hooks,
    system: &mut dyn System,
    sink: &mut dyn FnMut(Event),
) -> Result<(), InstallError> {
    let mut run = Run::new(plan, hooks, system, sink);
    for step in Step::of(plan, hooks) {
        (run.sink)(Event::Started(step));
        if let Err(source) = run.step(step) {
            let error = InstallError { step, disk: step.disk_state(plan), source };
            let text = chain(&error.source);
            (run.sink)(Event::Failed { step, error: text });
            return Err(error);
        }
        (run.sink)(Event::Done(step));
    }
    (run.sink)(Event::Complete);
    Ok(())
}

impl<'a> Run<'a> {
    fn new(
        plan: &'a Plan,
        hooks: &'a Hooks,
        system: &'a mut dyn System,
        sink: &'a mut dyn FnMut(Event),
    ) -> Self {
        let (folders, esp_starts) = (Vec::new(), Vec::new());
        Self { plan, hooks, system, sink, listed: None, folders, esp_starts }
    }

    fn step(&mut self, step: Step) -> Result<(), StepError> {
        match step {
            Step::Before => self.hook(Stage::Before),
            Step::Populated => self.populated(),
            Step::Medium => self.check_medium(),
            Step::Release => self.release(),
            Step::Records => self.check_records(),
            Step::Unboot => self.unboot(),
            Step::Wipe => self.wipe(),
            Step::Partition => self.write_table(),
            Step::RootImage => self.copy_root_image(),
            Step::Verify => self.verify_root_image(),
            Step::State => self.make_state(),
            Step::Storage => self.make_storage(),
            Step::BootFiles => self.copy_boot_files(),
            Step::BootLoader => self.write_boot_loader(),
        }
    }

    fn progress(&mut self, done: u64, total: u64) {
        (self.sink)(Event::Progress { done, total });
    }

    /// Device that holds `role`: a partition, or the array over one of each disk. Firmware's own
    /// partitions are never arrays; see [`Run::partitions`].
    fn device(&self, role: Role) -> PathBuf {
        match self.plan.mirror.is_some() && role.is_mirrored() {
            true => mirror::device(role),
            false => self.system.partition(&self.plan.disk.path, role.number()),
        }
    }

    /// The partition of each disk.
    fn partitions(&self, role: Role) -> Vec<PathBuf> {
        let disks = self.plan.disks();
        disks.map(|(disk, _)| self.system.partition(&disk.path, role.number())).collect()
    }

    /// Size of a partition in bytes.
    fn size_of(&self, role: Role) -> u64 {
        let layout = &self.plan.layout;
        layout.partition(role).sectors * layout.sector_size().bytes()
    }

    /// A whole file of the medium in memory, as it is listed; for the small ones.
    fn read_medium(&mut self, name: &str) -> Result<Vec<u8>, StepError> {
        let listed = self.listed()?;
        let mut bytes = Vec::new();
        let _: ControlFlow<()> = listed.check(self.system, name, &mut |piece| {
            bytes.extend_from_slice(piece);
            ControlFlow::Continue(())
        })?;
        Ok(bytes)
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Errors that repeat their cause would say it twice.
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod power_cuts;
#[cfg(test)]
mod tests;
