// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the partitions of an installed disk go.

use gpt::disk::LogicalBlockSize;
use gpt::partition_types::{self, Type};
use uuid::Uuid;

const MIB: u64 = 1024 * 1024;
/// The backup table takes 33 sectors of 512 or 5 of 4096 bytes; the last MiB is left to it.
const TAIL: u64 = MIB;

/// Bytes of a logical sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectorSize {
    /// 512, nearly all disks.
    B512,
    /// 4096. A BIOS does not boot from these.
    B4096,
}

impl SectorSize {
    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::B512 => 512,
            Self::B4096 => 4096,
        }
    }
}

impl From<SectorSize> for LogicalBlockSize {
    fn from(size: SectorSize) -> Self {
        match size {
            SectorSize::B512 => Self::Lb512,
            SectorSize::B4096 => Self::Lb4096,
        }
    }
}

/// What a partition is for, in the order of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// GRUB's core image, without a file system.
    BiosBoot,
    /// The EFI system partition: boot loader, menu, kernels of both slots.
    Esp,
    /// Root image A.
    SlotA,
    /// Root image B.
    SlotB,
    /// What the host keeps: /var and the changes to /etc.
    State,
    /// The physical volume of the local storage repository.
    Sr,
}

impl Role {
    /// All of them, in the order of the disk; the first is partition 1.
    pub const ALL: [Self; 6] =
        [Self::BiosBoot, Self::Esp, Self::SlotA, Self::SlotB, Self::State, Self::Sr];

    /// The GPT partition name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BiosBoot => "xenith-bios",
            Self::Esp => "xenith-esp",
            Self::SlotA => "xenith-a",
            Self::SlotB => "xenith-b",
            Self::State => "xenith-state",
            Self::Sr => "xenith-sr",
        }
    }

    /// The number that GRUB and Linux count it by, from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self as u32 + 1
    }

    /// In bytes; the storage repository takes what is left.
    fn size(self) -> Option<u64> {
        match self {
            Self::BiosBoot => Some(MIB),
            Self::Esp => Some(512 * MIB),
            Self::SlotA | Self::SlotB => Some(1024 * MIB),
            Self::State => Some(4096 * MIB),
            Self::Sr => None,
        }
    }

    /// Whether two disks that mirror each other have this in an array over both; of the others each
    /// disk has its own, because firmware knows nothing of arrays.
    #[must_use]
    pub fn is_mirrored(self) -> bool {
        !matches!(self, Self::BiosBoot | Self::Esp)
    }

    pub(super) fn partition_type(self, mirrored: bool) -> Type {
        match self {
            _ if mirrored && self.is_mirrored() => partition_types::LINUX_RAID,
            Self::BiosBoot => partition_types::BIOS,
            Self::Esp => partition_types::EFI,
            // Not the "root" type: systemd would mount it where it thinks it belongs.
            Self::SlotA | Self::SlotB | Self::State => partition_types::LINUX_FS,
            Self::Sr => partition_types::LINUX_LVM,
        }
    }
}

/// The ids of a disk and its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskGuids {
    /// Of the disk.
    pub disk: Uuid,
    /// Of the partitions, in the order of [`Role::ALL`].
    pub partitions: [Uuid; 6],
}

/// A partition that is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedPartition {
    /// What it is for.
    pub role: Role,
    /// Its id, `PARTUUID` to Linux.
    pub guid: Uuid,
    /// In logical sectors from the start of the disk.
    pub first_sector: u64,
    /// In logical sectors.
    pub sectors: u64,
}

impl PlannedPartition {
    /// The last logical sector that belongs to it.
    #[must_use]
    pub fn last_sector(&self) -> u64 {
        self.first_sector + self.sectors - 1
    }
}

/// Why a disk cannot be laid out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LayoutError {
    /// See [`DiskLayout::MINIMUM_BYTES`].
    #[error("the disk has {bytes} bytes, at least {} are needed", DiskLayout::MINIMUM_BYTES)]
    TooSmall {
        /// The disk's size.
        bytes: u64,
    },
}

/// The partitions of one disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskLayout {
    pub(super) guid: Uuid,
    pub(super) sector_size: SectorSize,
    pub(super) sectors: u64,
    pub(super) mirrored: bool,
    pub(super) partitions: Vec<PlannedPartition>,
}

impl DiskLayout {
    /// The smallest disk that a host is installed on: 16 GB, in bytes.
    pub const MINIMUM_BYTES: u64 = 16_000_000_000;

    /// Lays out a disk of `bytes` bytes. Every partition starts at a whole MiB.
    ///
    /// # Errors
    /// The disk is too small.
    pub fn new(
        bytes: u64,
        sector_size: SectorSize,
        guids: &DiskGuids,
    ) -> Result<Self, LayoutError> {
        Self::lay_out((bytes, bytes), sector_size, guids, false)
    }

    /// Lays out one of two disks that mirror each other, with `bytes` bytes; the smaller of both has
    /// `smaller` bytes. Both get partitions of the same sizes at the same places.
    ///
    /// # Errors
    /// A disk is too small.
    pub fn mirrored(
        bytes: u64,
        smaller: u64,
        sector_size: SectorSize,
        guids: &DiskGuids,
    ) -> Result<Self, LayoutError> {
        Self::lay_out((bytes, smaller.min(bytes)), sector_size, guids, true)
    }

    /// Of the disk's `bytes`, partitions take the first `used`.
    fn lay_out(
        (bytes, used): (u64, u64),
        sector_size: SectorSize,
        guids: &DiskGuids,
        mirrored: bool,
    ) -> Result<Self, LayoutError> {
        if used < Self::MINIMUM_BYTES {
            return Err(LayoutError::TooSmall { bytes: used });
        }
        let per_sector = sector_size.bytes();
        let end = (used - TAIL) / MIB * MIB;
        let mut at = MIB;
        let mut partitions = Vec::with_capacity(Role::ALL.len());
        for (role, guid) in Role::ALL.into_iter().zip(guids.partitions) {
            let size = role.size().unwrap_or(end - at);
            let (first_sector, sectors) = (at / per_sector, size / per_sector);
            partitions.push(PlannedPartition { role, guid, first_sector, sectors });
            at += size;
        }
        let (guid, sectors) = (guids.disk, bytes / per_sector);
        Ok(Self { guid, sector_size, sectors, mirrored, partitions })
    }

    /// The disk's id.
    #[must_use]
    pub fn guid(&self) -> Uuid {
        self.guid
    }

    /// The disk's logical sector.
    #[must_use]
    pub fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    /// The disk's size in logical sectors.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Whether the disk is one of two that mirror each other.
    #[must_use]
    pub fn is_mirrored(&self) -> bool {
        self.mirrored
    }

    /// In the order of the disk.
    #[must_use]
    pub fn partitions(&self) -> &[PlannedPartition] {
        &self.partitions
    }

    /// The partition for `role`; every layout has one of each.
    #[must_use]
    pub fn partition(&self, role: Role) -> &PlannedPartition {
        &self.partitions[role as usize]
    }
}
