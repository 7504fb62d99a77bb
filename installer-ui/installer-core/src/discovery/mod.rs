// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the machine has: disks, network cards, firmware, the medium. Only reads.

mod disk;
mod inventory;
mod machine;
mod medium;
mod mounts;
mod multipath;
mod nic;
mod roots;
mod table;
mod unusable;

use std::path::PathBuf;

pub use disk::{Content, Disk, Holder, partition};
pub use inventory::InventoryError;
pub use machine::{Firmware, Machine, Virtualization};
pub use medium::Medium;
pub use multipath::Multipath;
pub use nic::Nic;
pub use roots::Roots;
pub use table::{HostPartition, HostTable};
pub use unusable::{Kind, Unusable};

use serde::{Deserialize, Serialize};

use crate::program::ProgramError;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Discovery {
    /// Disks, the medium's own too (marked), by name.
    pub disks: Vec<Disk>,
    /// Network cards, by name.
    pub nics: Vec<Nic>,
    /// What is there and cannot be used.
    pub unusable: Vec<Unusable>,
    /// The rest.
    pub machine: Machine,
    /// Where the installation comes from.
    pub medium: Medium,
}

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// Reading one of the kernel's files or a file of the medium.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file of the medium is not what it should be.
    #[error("understanding {}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A program failed.
    #[error("looking at {what}")]
    Program {
        /// At what.
        what: String,
        /// The cause.
        #[source]
        source: ProgramError,
    },
}

impl DiscoveryError {
    fn read(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }
}

impl Discovery {
    /// Looks at the machine. `medium` is the folder at which the medium is mounted.
    ///
    /// # Errors
    /// The medium is not whole, or the kernel's files cannot be read.
    pub fn look(roots: &Roots, medium: &std::path::Path) -> Result<Self, DiscoveryError> {
        let medium = Medium::look(medium)?;
        Ok(Self {
            disks: Self::disks(roots, &medium.path)?,
            nics: nic::look(roots)?,
            unusable: unusable::look(roots),
            machine: Machine::look(roots)?,
            medium,
        })
    }

    /// Only the disks, by name: without a whole medium too, which `medium` is not looked into for.
    ///
    /// # Errors
    /// The kernel's files cannot be read.
    pub fn disks(roots: &Roots, medium: &std::path::Path) -> Result<Vec<Disk>, DiscoveryError> {
        let mounts = mounts::Mounts::read(roots)?;
        let below = mounts.device_of(medium).map(|device| disk::disks_below(roots, &device));
        disk::look(roots, &mounts, &below.unwrap_or_default())
    }

    /// Whether there are several paths to one disk that are not put together yet.
    pub fn has_loose_paths(roots: &Roots) -> bool {
        multipath::are_loose(roots)
    }

    /// The network cards alone.
    ///
    /// # Errors
    /// The kernel's files cannot be read.
    pub fn nics(roots: &Roots) -> Result<Vec<Nic>, DiscoveryError> {
        nic::look(roots)
    }

    /// Disks that may be installed on, by name.
    pub fn candidates(&self) -> impl Iterator<Item = &Disk> {
        self.disks.iter().filter(|disk| !disk.is_medium)
    }
}

#[cfg(test)]
pub(crate) mod tests;
