// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disks on which a host was installed, by their partition tables.

use std::fs::File;
use std::path::Path;

use image_formats::gpt::{self, DiskLayout, FoundPartition, SectorSize, Table, UnknownLayout};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Disk;

/// The partition table of a disk with partitions of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostTable {
    /// The disk's id.
    pub guid: Uuid,
    /// In the order of their numbers.
    pub partitions: Vec<HostPartition>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostPartition {
    /// From 1.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Its id.
    pub guid: Uuid,
    /// Its type.
    pub type_guid: Uuid,
    /// In logical sectors from the start of the disk.
    pub first_sector: u64,
    /// The last that belongs to it.
    pub last_sector: u64,
}

impl From<Table> for HostTable {
    fn from(table: Table) -> Self {
        let partitions = table.partitions.into_iter().map(|found| HostPartition {
            number: found.number,
            // What is on a disk may be anything, and its words reach terminals.
            name: found.name.replace(char::is_control, "?"),
            guid: found.guid,
            type_guid: found.type_guid,
            first_sector: found.first_sector,
            last_sector: found.last_sector,
        });
        Self { guid: table.guid, partitions: partitions.collect() }
    }
}

impl HostTable {
    /// As the installer lays disks out.
    ///
    /// # Errors
    /// [`UnknownLayout`].
    pub fn layout(
        &self,
        disk: &Disk,
        sector_size: SectorSize,
    ) -> Result<DiskLayout, UnknownLayout> {
        let partitions = self.partitions.iter().map(|found| FoundPartition {
            number: found.number,
            name: found.name.clone(),
            guid: found.guid,
            type_guid: found.type_guid,
            first_sector: found.first_sector,
            last_sector: found.last_sector,
        });
        let table = Table { guid: self.guid, partitions: partitions.collect() };
        DiskLayout::of_table(&table, sector_size, disk.size / sector_size.bytes())
    }
}

/// The table of a device, if it has partitions of ours. One that cannot be told is none, which is logged.
pub(super) fn read(device: &Path, sector_size: u32) -> Option<HostTable> {
    let sector_size = match sector_size {
        512 => SectorSize::B512,
        4096 => SectorSize::B4096,
        _ => return None,
    };
    let mut file = match File::open(device) {
        Ok(file) => file,
        Err(error) => {
            tracing::warn!("opening {}: {error}", device.display());
            return None;
        }
    };
    match gpt::read(&mut file, sector_size) {
        Ok(table) => table.filter(Table::is_ours).map(HostTable::from),
        Err(error) => {
            let error = crate::steps::chain(&error);
            tracing::warn!("the partition table of {}: {error}", device.display());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use image_formats::mbr::STARTS_NOTHING;

    use super::*;
    use crate::plan::tests::{disk, ids};

    #[test]
    fn the_table_of_a_host_is_read_and_recognised() {
        let size = 20_000_000_000;
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size).unwrap();
        assert_eq!(read(file.path(), 512), None, "an empty disk");
        let layout = DiskLayout::new(size, SectorSize::B512, &ids().guids).unwrap();
        layout.write(&mut file.reopen().unwrap(), &STARTS_NOTHING).unwrap();
        let table = read(file.path(), 512).unwrap();
        let found = table.layout(&disk("sda", size), SectorSize::B512);
        assert_eq!(found, Ok(layout));
        assert_eq!(read(file.path(), 2048), None, "sectors on which no host is");
        assert_eq!(read("/dev/none-such".as_ref(), 512), None);
        let smaller = disk("sda", 16_000_000_000);
        table.layout(&smaller, SectorSize::B512).unwrap_err();
    }
}
