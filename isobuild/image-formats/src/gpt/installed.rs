// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recognises the layout of a disk on which a host was installed.

use gpt::partition_types;

use super::{DiskLayout, FoundPartition, PlannedPartition, Role, SectorSize, Table};

/// What every name of our partitions begins with.
const OURS: &str = "xenith-";

/// A disk has partitions of ours, but not as this program lays them out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its partitions are not laid out as this version does it: {0}")]
pub struct UnknownLayout(pub String);

impl Table {
    /// Whether any partition has a name of ours.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.partitions.iter().any(|found| found.name.starts_with(OURS))
    }
}

impl DiskLayout {
    /// The layout that a disk of `sectors` logical sectors has. Sizes of partitions may be any.
    ///
    /// # Errors
    /// A partition is missing, is one too many, is of another type, or lies where it cannot.
    pub fn of_table(
        table: &Table,
        sector_size: SectorSize,
        sectors: u64,
    ) -> Result<Self, UnknownLayout> {
        let unknown = |what: String| Err(UnknownLayout(what));
        if table.partitions.len() != Role::ALL.len() {
            let (found, known) = (table.partitions.len(), Role::ALL.len());
            return unknown(format!("there are {found} partitions instead of {known}"));
        }
        let slot = &table.partitions[Role::SlotA as usize];
        let mirrored = slot.type_guid == partition_types::LINUX_RAID.guid;
        let mut next = 1;
        let mut partitions = Vec::with_capacity(Role::ALL.len());
        for (role, found) in Role::ALL.into_iter().zip(&table.partitions) {
            let FoundPartition { number, name, guid, type_guid, first_sector, last_sector } = found;
            if *number != role.number() || name != role.name() {
                let (role, expected) = (role.name(), role.number());
                return unknown(format!(
                    "partition {number} is {name:?}, and {role:?} should be {expected}"
                ));
            }
            if *type_guid != role.partition_type(mirrored).guid {
                return unknown(format!("{name:?} has the type {type_guid}"));
            }
            if *first_sector < next || last_sector < first_sector || *last_sector >= sectors {
                return unknown(format!(
                    "{name:?} lies at the sectors {first_sector} to {last_sector}"
                ));
            }
            next = last_sector + 1;
            let sectors = next - first_sector;
            let (guid, first_sector) = (*guid, *first_sector);
            partitions.push(PlannedPartition { role, guid, first_sector, sectors });
        }
        Ok(Self { guid: table.guid, sector_size, sectors, mirrored, partitions })
    }
}
