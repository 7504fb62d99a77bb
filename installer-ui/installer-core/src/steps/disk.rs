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
    /// Takes down volume groups and arrays that the kernel found on the disk by itself.
    pub(super) fn release(&mut self) -> Result<(), StepError> {
        for holder in &self.plan.disk.holders {
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

    /// Zeroes both ends of the disk and of every new partition. The start of the disk goes first:
    /// from then on it starts nothing.
    pub(super) fn wipe(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        let per_sector = plan.layout.sector_size().bytes();
        let mut ranges = vec![(0, plan.disk.size)];
        ranges.extend(plan.layout.partitions().iter().map(|partition| {
            (partition.first_sector * per_sector, partition.sectors * per_sector)
        }));
        let zeros = vec![0; SIGNATURES as usize];
        let device = &plan.disk.path;
        for (start, length) in ranges {
            let ends = [start, start + length - SIGNATURES.min(length)];
            for offset in ends {
                let bytes = usize::try_from(length.min(SIGNATURES)).unwrap_or(zeros.len());
                self.system.write_at(device, offset, &zeros[..bytes])?;
            }
        }
        self.system.sync(device)?;
        Ok(())
    }

    /// Writes the table with an empty boot sector, and makes the kernel see it.
    pub(super) fn write_table(&mut self) -> Result<(), StepError> {
        let plan = self.plan;
        let path = &plan.disk.path;
        let mut device = Device::new(self.system, path, plan.disk.size);
        plan.layout.write(&mut device, &[0; BOOT_CODE_SIZE]).map_err(StepError::Table)?;
        self.system.sync(path)?;
        self.system.reread_partitions(path, &plan.layout)?;
        Ok(())
    }
}
