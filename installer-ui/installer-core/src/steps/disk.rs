// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a disk with something on it to an empty partition table.

use image_formats::mbr::BOOT_CODE_SIZE;

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

    /// Zeroes both ends of each disk and of every new partition. The start of a disk goes first:
    /// from then on it starts nothing.
    pub(super) fn wipe(&mut self) -> Result<(), StepError> {
        let zeros = vec![0; SIGNATURES as usize];
        // No disk may start anything once another has lost what it holds.
        for disk in self.plan.wiped() {
            self.system.write_at(&disk.path, 0, &zeros)?;
        }
        for (disk, layout) in self.plan.disks() {
            let per_sector = layout.sector_size().bytes();
            let mut ranges = vec![(0, disk.size)];
            ranges.extend(layout.partitions().iter().map(|partition| {
                (partition.first_sector * per_sector, partition.sectors * per_sector)
            }));
            for (start, length) in ranges {
                let ends = [start, start + length - SIGNATURES.min(length)];
                for offset in ends {
                    let bytes = usize::try_from(length.min(SIGNATURES)).unwrap_or(zeros.len());
                    self.system.write_at(&disk.path, offset, &zeros[..bytes])?;
                }
            }
            self.system.sync(&disk.path)?;
        }
        for disk in &self.plan.storage_disks {
            self.system.write_at(&disk.path, disk.size - SIGNATURES, &zeros)?;
            self.system.sync(&disk.path)?;
            self.system.forget_partitions(&disk.path)?;
        }
        Ok(())
    }

    /// Writes the tables with empty boot sectors, makes the kernel see them, and makes the arrays of
    /// a mirror.
    pub(super) fn write_table(&mut self) -> Result<(), StepError> {
        for (disk, layout) in self.plan.disks() {
            let mut device = Device::new(self.system, &disk.path, disk.size);
            layout.write(&mut device, &[0; BOOT_CODE_SIZE]).map_err(StepError::Table)?;
            self.system.sync(&disk.path)?;
            self.system.reread_partitions(&disk.path, layout)?;
        }
        self.make_arrays()
    }
}
