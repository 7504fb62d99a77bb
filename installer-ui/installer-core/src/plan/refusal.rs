// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why there is no plan.

use std::path::PathBuf;

use image_formats::gpt::DiskLayout;

use crate::discovery::{Disk, Holder};
use crate::size::Size;

/// Less than this is no storage for guests, in bytes.
const SMALLEST_STORAGE: u64 = 1_000_000_000;

/// Why a disk cannot be installed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fewer bytes than a host needs.
    #[error("it is too small: {}, at least {} are needed", Size(*.0), Size(DiskLayout::MINIMUM_BYTES))]
    TooSmall(u64),
    /// The same for guests' storage.
    #[error("it is too small for storage: {}, at least {} are needed", Size(*.0), Size(SMALLEST_STORAGE))]
    TooSmallForStorage(u64),
    /// Mounted, or swap.
    #[error("it is in use: {}", .0.join(", "))]
    InUse(Vec<String>),
    /// One of several paths to a disk: what is written over it alone is lost or torn.
    #[error(
        "it is one path of several to the same disk, see {0}, and they could not be put together as one \
         (multipath): look at the log, or leave one path connected"
    )]
    Path(String),
    /// It has a name in the world that only udev tells.
    #[error(
        "it is reached over several paths, and has no name (NAA or EUI-64 of SCSI) by which a host can \
         find it at start"
    )]
    Nameless,
    /// Something is on top of it that cannot be taken down.
    #[error("the kernel keeps {0} on top of it")]
    Held(String),
    /// It cannot even be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It refuses writes.
    #[error("it is read-only")]
    ReadOnly,
    /// The installation comes from there.
    #[error("it is the installation medium")]
    Medium,
    /// Neither 512 nor 4096 bytes.
    #[error("its sectors have {0} bytes; 512 and 4096 are supported")]
    SectorSize(u32),
}

impl Refusal {
    /// Whether this disk can be installed on; the same question for screens and for plans.
    pub fn of(disk: &Disk) -> Option<Self> {
        if disk.is_medium {
            return Some(Self::Medium);
        }
        if disk.size < DiskLayout::MINIMUM_BYTES {
            return Some(Self::TooSmall(disk.size));
        }
        Self::of_any(disk)
    }

    /// Whether this disk can be added to guests' storage.
    pub fn of_storage(disk: &Disk) -> Option<Self> {
        if disk.is_medium {
            return Some(Self::Medium);
        }
        if disk.size < SMALLEST_STORAGE {
            return Some(Self::TooSmallForStorage(disk.size));
        }
        Self::of_any(disk)
    }

    fn of_any(disk: &Disk) -> Option<Self> {
        let held = disk.holders.iter().find_map(|holder| match holder {
            Holder::Other(name) => Some(name.clone()),
            Holder::Mapper(_) | Holder::Raid(_) => None,
        });
        if let Some(device) = &disk.path_of {
            return Some(Self::Path(device.clone()));
        }
        if disk.multipath.as_ref().is_some_and(|multipath| multipath.wwid.is_none()) {
            return Some(Self::Nameless);
        }
        if disk.read_only {
            return Some(Self::ReadOnly);
        }
        if !disk.uses.is_empty() {
            return Some(Self::InUse(disk.uses.clone()));
        }
        if let Some(complaint) = &disk.unreadable {
            return Some(Self::Unreadable(complaint.clone()));
        }
        if let Some(name) = held {
            return Some(Self::Held(name));
        }
        let known = super::sector_size(disk).is_some();
        (!known).then_some(Self::SectorSize(disk.sector_size))
    }
}

/// Why there is no plan. Nothing has been written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A disk that is named for guests' storage cannot be used.
    #[error("{} cannot be used: {refusal}", disk.display())]
    Storage {
        /// Which.
        disk: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// The disk that is named cannot be used.
    #[error("{} cannot be installed on: {refusal}", disk.display())]
    Disk {
        /// Which.
        disk: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// There is nothing that could be kept.
    #[error("no host is installed on this machine, so nothing can be kept: install afresh; found: {}", found.join(", "))]
    NoHost {
        /// What is there.
        found: Vec<String>,
    },
    /// The disk that is named has none.
    #[error("no host is installed on {}, so nothing can be kept: name its disk, or install afresh", disk.display())]
    NotAHost {
        /// Which.
        disk: PathBuf,
    },
    /// There are several, and none is named.
    #[error("there are several installed hosts: {}; name the disk of one", found.join(", "))]
    SeveralHosts {
        /// Their disks.
        found: Vec<String>,
    },
    /// Another version's, or a disk that somebody has changed.
    #[error(
        "the host on {} cannot be installed again: its partitions are not laid out as this version \
         does it: {why}; what is left is an installation that wipes the disk", disk.display()
    )]
    UnknownHost {
        /// Which.
        disk: PathBuf,
        /// What is different.
        why: String,
    },
    /// The new system would not be on both disks.
    #[error(
        "{} is a disk of a mirror whose other disk is not there: attach that one, and no third one \
         with the same content", disk.display()
    )]
    HalfMirror {
        /// Which.
        disk: PathBuf,
    },
    /// Nothing matches.
    #[error("no disk is {what}; found: {}", found.join(", "))]
    NoDisk {
        /// What was asked for.
        what: String,
        /// What is there.
        found: Vec<String>,
    },
    /// More than one matches.
    #[error("{what} is not one disk but {}: {}", found.len(), found.join(", "))]
    AmbiguousDisk {
        /// What was asked for.
        what: String,
        /// What matches.
        found: Vec<String>,
    },
    /// One disk cannot have two purposes.
    #[error("{} is named twice; each disk has one purpose", disk.display())]
    NamedTwice {
        /// Which.
        disk: PathBuf,
    },
    /// Two kinds of safety in one, of which the initramfs starts one only.
    #[error(
        "{} is reached over several paths and cannot be in a mirror: choose one disk over several \
         paths, or two disks with one path each", disk.display()
    )]
    MirrorPaths {
        /// Which.
        disk: PathBuf,
    },
    /// Neither an array nor a volume group can be over such disks.
    #[error(
        "{} has sectors of {} bytes and {} of {}; disks that are used together need the same",
        disks[0].display(), sizes[0], disks[1].display(), sizes[1]
    )]
    SectorSizes {
        /// Which.
        disks: [PathBuf; 2],
        /// In bytes.
        sizes: [u32; 2],
    },
    /// Nothing matches.
    #[error("no network card is {what}; found: {}", found.join(", "))]
    NoNic {
        /// What was asked for.
        what: String,
        /// What is there.
        found: Vec<String>,
    },
    /// There are several, and none is named.
    #[error("there are several network cards: {}; name one by network.mac", found.join(", "))]
    AmbiguousNic {
        /// What is there.
        found: Vec<String>,
    },
    /// A bond names a card in two ways.
    #[error("the bond has {nic} twice")]
    NicTwice {
        /// Which.
        nic: String,
    },
    /// A card's driver refuses the MTU.
    #[error("{nic} cannot have an MTU of {mtu}, only up to {most}")]
    Mtu {
        /// Which.
        nic: String,
        /// What was asked for, in bytes.
        mtu: u32,
        /// What it can, in bytes.
        most: u32,
    },
    /// Something on the medium does not fit.
    #[error("{what} has {}, there is room for {}", Size(*size), Size(*room))]
    ImageTooLarge {
        /// What.
        what: &'static str,
        /// In bytes.
        size: u64,
        /// In bytes.
        room: u64,
    },
}
