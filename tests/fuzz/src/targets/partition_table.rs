// SPDX-License-Identifier: MIT OR Apache-2.0
//! No partition table of a disk that is plugged in makes its reader panic or take much memory. What is
//! taken for a host's layout lies on the disk, in order.
//!
//! The input is the header (UEFI 2.10, 5.3.2), then the entries. Checksums are made right, as no chance
//! would find them.

use std::io::Cursor;

use flate2::Crc;
use image_formats::gpt::{DiskLayout, SectorSize, read};

const SECTOR: usize = 512;
/// As many as two copies of a usual table need, and some between them.
const SECTORS: usize = 100;
const HEADER: usize = 92;

fn number(bytes: &[u8], at: usize) -> usize {
    let field = bytes[at..at + 4].iter().rev();
    field.fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum.sum().to_le_bytes()
}

/// Makes both checksums of the header right.
fn mend(disk: &mut [u8]) {
    let header = &disk[SECTOR..SECTOR + HEADER];
    let entries = number(header, 72).saturating_mul(SECTOR);
    let length = number(header, 80).saturating_mul(number(header, 84));
    let entries = disk.get(entries..entries.saturating_add(length)).map(checksum);
    let header = &mut disk[SECTOR..SECTOR + HEADER];
    if let Some(sum) = entries {
        header[88..92].copy_from_slice(&sum);
    }
    header[16..20].fill(0);
    let sum = checksum(header);
    header[16..20].copy_from_slice(&sum);
}

pub(crate) fn run(data: &[u8]) {
    let mut disk = vec![0; SECTORS * SECTOR];
    let (header, entries) = data.split_at(HEADER.min(data.len()));
    disk[SECTOR..SECTOR + header.len()].copy_from_slice(header);
    let entries = &entries[..entries.len().min((SECTORS - 2) * SECTOR)];
    disk[2 * SECTOR..2 * SECTOR + entries.len()].copy_from_slice(entries);
    mend(&mut disk);
    let size = SectorSize::B512;
    if let Ok(Some(table)) = read(&mut Cursor::new(disk), size)
        && let Ok(layout) = DiskLayout::of_table(&table, size, SECTORS as u64)
    {
        let mut end = 0;
        for partition in layout.partitions() {
            assert!(partition.first_sector >= end && partition.sectors > 0);
            end = partition.first_sector + partition.sectors;
        }
        assert!(end <= SECTORS as u64);
    }
}
