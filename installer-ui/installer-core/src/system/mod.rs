// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam to the machine that is installed: devices, programs, files of the medium.

mod device;
#[cfg(test)]
pub(crate) mod fake;
mod kept;
mod multipath;
mod real;
mod stage;

use std::io::Read;
use std::path::{Path, PathBuf};

use appliance_model::records::Records;
use image_formats::gpt::DiskLayout;
use uuid::Uuid;

pub use device::Device;
pub use real::RealSystem;

use crate::hooks::Stage;
use crate::layout::Entry;
use crate::program::{Program, ProgramError};

/// A file system that is made with everything in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ext4<'a> {
    /// Label, at most 16 bytes.
    pub label: &'a str,
    /// Its id.
    pub uuid: Uuid,
    /// Files and folders, folders before what is in them.
    pub entries: &'a [Entry],
}

/// Why the machine did not do something.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// Reading or writing a file or device.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was done, `reading`.
        doing: &'static str,
        /// Of what.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A program failed.
    #[error("running a program")]
    Program(#[source] ProgramError),
    /// A script of the person who installs failed; with status 124 it took longer than it may.
    #[error("running the script {stage}")]
    Script {
        /// Of which stage.
        stage: Stage,
        /// The cause.
        #[source]
        source: ProgramError,
    },
    /// The kernel does not see the new partitions as they were written.
    #[error("{} is not where it was written: {detail}", partition.display())]
    Partition {
        /// Which.
        partition: PathBuf,
        /// What is there instead.
        detail: String,
    },
}

/// Why the records of a host's guests cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The file system is damaged.
    #[error("e2fsck cannot repair {}: {said}", device.display())]
    FileSystem {
        /// Where.
        device: PathBuf,
        /// What it says.
        said: String,
    },
    /// The host has never run, or is none of ours.
    #[error("there is no database in {folder:?} on {}", device.display())]
    Missing {
        /// Where.
        device: PathBuf,
        /// The folder in it.
        folder: String,
    },
    /// The database is damaged, or of a version that this program does not know.
    #[error("the database on {} is not one that this version can take over", device.display())]
    Database {
        /// Where.
        device: PathBuf,
        /// What the toolstack says.
        #[source]
        source: ProgramError,
    },
    /// The toolstack printed something else than its records.
    #[error("understanding what the toolstack says of the database")]
    Malformed(#[source] serde_json::Error),
    /// Reading it was not possible.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// The machine. Every call that changes something may be repeated.
pub trait System {
    /// Fills `buffer` with the bytes at `offset` of a device.
    ///
    /// # Errors
    /// [`SystemError::Io`].
    fn read_at(&mut self, device: &Path, offset: u64, buffer: &mut [u8])
    -> Result<(), SystemError>;

    /// Writes bytes at `offset` of a device.
    ///
    /// # Errors
    /// [`SystemError::Io`].
    fn write_at(&mut self, device: &Path, offset: u64, bytes: &[u8]) -> Result<(), SystemError>;

    /// [`System::write_at`] past the cache, where the device lets itself be written so. Bytes and offset
    /// are aligned as [`crate::copy::ALIGNMENT`] says; the last ones may end anywhere.
    ///
    /// # Errors
    /// [`SystemError::Io`].
    fn write_direct(&mut self, device: &Path, offset: u64, bytes: &[u8])
    -> Result<(), SystemError>;

    /// Returns once everything written is on the device itself; what is read later comes from there.
    ///
    /// # Errors
    /// [`SystemError::Io`].
    fn sync(&mut self, device: &Path) -> Result<(), SystemError>;

    /// Opens a file of the medium, or of the running system.
    ///
    /// # Errors
    /// [`SystemError::Io`].
    fn open(&mut self, path: &Path) -> Result<Box<dyn Read + Send>, SystemError>;

    /// Size of such a file in bytes.
    ///
    /// # Errors
    /// [`SystemError::Io`].
    fn size(&mut self, path: &Path) -> Result<u64, SystemError>;

    /// Forgets what was read of such a file before: what is read next comes from the medium itself.
    ///
    /// # Errors
    /// [`SystemError::Io`].
    fn forget(&mut self, path: &Path) -> Result<(), SystemError>;

    /// Runs a program to its end.
    ///
    /// # Errors
    /// [`SystemError::Program`].
    fn run(&mut self, program: &Program) -> Result<String, SystemError>;

    /// Puts a script where `program` has it, runs that to its end, and gives each line to `said`.
    ///
    /// # Errors
    /// Writing the script down, or [`SystemError::Script`].
    fn run_script(
        &mut self,
        stage: Stage,
        script: &[u8],
        program: &Program,
        said: &mut dyn FnMut(&str),
    ) -> Result<(), SystemError>;

    /// Path of partition `number` of a disk.
    fn partition(&self, disk: &Path, number: u32) -> PathBuf;

    /// Makes the kernel read the partition table anew; afterwards the partitions of `layout` are
    /// there, and nothing else looks at them any more.
    ///
    /// # Errors
    /// The kernel refuses, or sees something else.
    fn reread_partitions(&mut self, disk: &Path, layout: &DiskLayout) -> Result<(), SystemError>;

    /// Makes the kernel forget the partitions of a disk whose table is gone.
    ///
    /// # Errors
    /// The kernel refuses: one of them is in use.
    fn forget_partitions(&mut self, disk: &Path) -> Result<(), SystemError>;

    /// What the state partition of a host that is there knows of its guests. The file system is brought in
    /// order before, as at each start of the host; nothing else is written.
    ///
    /// # Errors
    /// [`RecordsError`].
    fn records(&mut self, state: &Path) -> Result<Records, RecordsError>;

    /// Puts entries in the place of everything on such a partition but the records of the guests and
    /// `folders`, named as the running host does; whatever moment it is cut off at, they are there and are
    /// found again.
    ///
    /// # Errors
    /// Mounting it, or changing what is on it.
    fn replace_state(
        &mut self,
        device: &Path,
        entries: &[Entry],
        folders: &[String],
    ) -> Result<(), SystemError>;

    /// Makes an ext4 file system with content.
    ///
    /// # Errors
    /// Staging the content, or `mkfs.ext4`.
    fn make_ext4(&mut self, device: &Path, content: &Ext4<'_>) -> Result<(), SystemError>;
}
