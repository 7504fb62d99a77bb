// SPDX-License-Identifier: MIT OR Apache-2.0
//! The partition table of an installed disk: laying it out, writing it, reading any disk's.

mod installed;
mod layout;
mod read;

pub use installed::UnknownLayout;
pub use layout::{DiskGuids, DiskLayout, LayoutError, PlannedPartition, Role, SectorSize};
pub use read::{FoundPartition, ReadError, Table, read};

use std::collections::BTreeMap;
use std::io::SeekFrom;

use gpt::GptConfig;
use gpt::partition::Partition;

use crate::BlockIo;
use crate::mbr::{self, BOOT_CODE_SIZE};

/// Writing a partition table failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The `gpt` crate's error.
    #[error("writing the GUID partition table")]
    Gpt(#[source] gpt::GptError),
    /// Sector 0 could not be written.
    #[error("writing the boot sector")]
    BootSector(#[source] std::io::Error),
}

impl DiskLayout {
    /// Writes both copies of the table, and sector 0 with `boot_code`. What is in the partitions
    /// stays as it is.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write<D: BlockIo>(
        &self,
        disk: &mut D,
        boot_code: &[u8; BOOT_CODE_SIZE],
    ) -> Result<(), WriteError> {
        let config = GptConfig::new().writable(true).logical_block_size(self.sector_size().into());
        let mut table = config
            .create_from_device(Opaque(&mut *disk), Some(self.guid()))
            .map_err(WriteError::Gpt)?;
        let entries = self.partitions().iter().map(|planned| Partition {
            part_type_guid: planned.role.partition_type(self.is_mirrored()),
            part_guid: planned.guid,
            first_lba: planned.first_sector,
            last_lba: planned.last_sector(),
            flags: 0,
            name: planned.role.name().to_owned(),
        });
        let numbered: BTreeMap<u32, Partition> = (1..).zip(entries).collect();
        table.update_partitions(numbered).map_err(WriteError::Gpt)?;
        table.write().map_err(WriteError::Gpt)?;

        let signature = self.guid().as_fields().0;
        let sector = mbr::protective(boot_code, signature, self.sectors());
        disk.seek(SeekFrom::Start(0))
            .and_then(|_| disk.write_all(&sector))
            .and_then(|()| disk.flush())
            .map_err(WriteError::BootSector)
    }
}

/// The `gpt` crate asks for a device that can be printed.
struct Opaque<T>(T);

impl<T> std::fmt::Debug for Opaque<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("device")
    }
}

impl<T: std::io::Read> std::io::Read for Opaque<T> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

impl<T: std::io::Write> std::io::Write for Opaque<T> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.write(buf)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl<T: std::io::Seek> std::io::Seek for Opaque<T> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

#[cfg(test)]
mod tests;
