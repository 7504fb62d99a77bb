// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a disk with something on it to an empty partition table.

use std::path::Path;

use image_formats::mbr::STARTS_NOTHING;

use super::{Run, StepError};
use crate::discovery::Holder;
use crate::program::Program;
use crate::system::Device;

/// Every format keeps its signature within this many bytes of its start or end: GPT, LVM, md, ext4,
/// ISO 9660 (at 32 KiB), btrfs (at 64 KiB), the labels of ZFS (two of 256 KiB at each end).
const SIGNATURES: u64 = 1 << 20;

impl Run<'_> {
    /// Takes down volume groups and arrays that the kernel found on the disks by itself.
    pub(super) fn release(&mut self) -> Result<(), StepError> {
        let mut done: Vec<&Holder> = Vec::new();
        for holder in self.plan.wiped().flat_map(|disk| &disk.holders) {
            // Both disks of an old mirror have the same array on top.
            if done.contains(&holder) {
                continue;
            }
            done.push(holder);
            let program = match holder {
                Holder::Mapper(name) => Program::new("dmsetup").args(["remove", "--retry", name]),
                Holder::Raid(path) => {
                    Program::new("mdadm").args(["--stop"]).arg(path.display().to_string())
                }
                // The plan has refused these.
                Holder::Other(_) => continue,
            };
            self.system.run(&program)?;
        }
        Ok(())
    }

    /// Zeroes both ends of each disk and of every new partition. The ends of the disks go first, and
    /// what is in the partitions only after those of every disk are gone from the devices themselves:
    /// whatever of the old system a power cut leaves is whole, or is not found.
    pub(super) fn wipe(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        for disk in plan.wiped() {
            self.zero_ends(&disk.path, 0, disk.size)?;
            self.system.sync(&disk.path)?;
        }
        for (disk, layout) in plan.disks() {
            let per_sector = layout.sector_size().bytes();
            for partition in layout.partitions() {
                let (start, length) = (partition.first_sector, partition.sectors);
                self.zero_ends(&disk.path, start * per_sector, length * per_sector)?;
            }
            self.system.sync(&disk.path)?;
        }
        for disk in &plan.storage_disks {
            self.system.forget_partitions(&disk.path)?;
        }
        Ok(())
    }

    /// Zeroes both ends of a range of a disk, in bytes.
    fn zero_ends(&mut self, disk: &Path, start: u64, length: u64) -> Result<(), StepError> {
        let bytes = SIGNATURES.min(length);
        let zeros = vec![0; usize::try_from(bytes).unwrap_or_default()];
        for offset in [start, start + length - bytes] {
            self.system.write_at(disk, offset, &zeros)?;
        }
        Ok(())
    }

    /// Writes the tables with boot sectors that start nothing, makes the kernel see them, and makes the
    /// arrays of a mirror.
    pub(super) fn write_table(&mut self) -> Result<(), StepError> {
        for (disk, layout) in self.plan.disks() {
            let mut device = Device::new(self.system, &disk.path, disk.size);
            layout.write(&mut device, &STARTS_NOTHING).map_err(StepError::Table)?;
            self.system.sync(&disk.path)?;
            self.system.reread_partitions(&disk.path, layout)?;
        }
        self.make_arrays()
    }
}
