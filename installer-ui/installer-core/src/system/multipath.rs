// SPDX-License-Identifier: MIT OR Apache-2.0
//! Partitions of disks that are reached over several paths: each is a device of device mapper's own.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use image_formats::gpt::{DiskLayout, PlannedPartition};

use super::SystemError;
use crate::program::Program;

/// `major:minor` of a multipath device; none for any other.
pub(super) fn number(device: &Path) -> Option<String> {
    let found = fs::metadata(device).ok().filter(|found| found.file_type().is_block_device())?;
    let number = found.rdev();
    let number = format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
    let uuid = Path::new("/sys/dev/block").join(&number).join("dm/uuid");
    fs::read_to_string(uuid).ok()?.starts_with("mpath-").then_some(number)
}

/// Makes the partitions of a multipath device those of its table, and waits for udev to name them.
pub(super) fn map_partitions(disk: &Path) -> Program {
    let program = Program::new("kpartx").args(["-u", "-s", "-p", "-part"]);
    program.arg(disk.display().to_string())
}

/// Asks where a partition lies.
pub(super) fn table(partition: &Path) -> Program {
    Program::new("dmsetup").args(["table"]).arg(partition.display().to_string())
}

/// Whether a partition lies on the device `disk` where it is planned, by the `found` table.
pub(super) fn check(
    partition: PathBuf,
    found: &str,
    disk: &str,
    planned: &PlannedPartition,
    layout: &DiskLayout,
) -> Result<(), SystemError> {
    // Device mapper counts in 512-byte sectors whatever the disk's own are.
    let per_sector = layout.sector_size().bytes() / 512;
    let (size, start) = (planned.sectors * per_sector, planned.first_sector * per_sector);
    let expected = format!("0 {size} linear {disk} {start}");
    if found.trim() == expected {
        return Ok(());
    }
    let detail = format!("{:?} instead of {expected:?}", found.trim());
    Err(SystemError::Partition { partition, detail })
}

#[cfg(test)]
mod tests {
    use image_formats::gpt::{Role, SectorSize};

    use super::*;
    use crate::plan::tests::ids;

    #[test]
    fn partitions_are_where_they_were_written() {
        let layout = DiskLayout::new(20_000_000_000, SectorSize::B4096, &ids().guids).unwrap();
        let esp = layout.partition(Role::Esp);
        let (start, size) = (esp.first_sector * 8, esp.sectors * 8);
        let check =
            |found: &str| check("/dev/mapper/3a-part2".into(), found, "253:0", esp, &layout);
        check(&format!("0 {size} linear 253:0 {start}\n")).unwrap();
        let error = check(&format!("0 {size} linear 253:1 {start}\n")).unwrap_err().to_string();
        assert!(error.starts_with("/dev/mapper/3a-part2 is not where it was written: "), "{error}");
        check("").unwrap_err();
    }

    #[test]
    fn what_is_no_multipath_device_has_no_number() {
        assert_eq!(number("/dev/null".as_ref()), None);
        assert_eq!(number("/dev/mapper/none-such".as_ref()), None);
    }
}
