// SPDX-License-Identifier: MIT OR Apache-2.0

use std::io::{Cursor, Seek, Write};

use uuid::Uuid;

use super::*;

const DISK_BYTES: u64 = 20_000_000_512;

fn guids() -> DiskGuids {
    let partitions = std::array::from_fn(|at| Uuid::from_u128(at as u128 + 1));
    DiskGuids { disk: Uuid::from_u128(0xabcd), partitions }
}

/// A disk of which only what is written takes memory, in pages of 4096 bytes.
#[derive(Default)]
struct SparseDisk {
    pages: BTreeMap<u64, [u8; 4096]>,
    at: u64,
}

impl std::io::Read for SparseDisk {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let (page, offset) = (self.at / 4096, (self.at % 4096) as usize);
        let left = usize::try_from(DISK_BYTES.saturating_sub(self.at)).unwrap();
        let take = buf.len().min(4096 - offset).min(left);
        match self.pages.get(&page) {
            Some(bytes) => buf[..take].copy_from_slice(&bytes[offset..offset + take]),
            None => buf[..take].fill(0),
        }
        self.at += take as u64;
        Ok(take)
    }
}

impl std::io::Write for SparseDisk {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let (page, offset) = (self.at / 4096, (self.at % 4096) as usize);
        let left = usize::try_from(DISK_BYTES.saturating_sub(self.at)).unwrap();
        let take = buf.len().min(4096 - offset).min(left);
        let bytes = self.pages.entry(page).or_insert([0; 4096]);
        bytes[offset..offset + take].copy_from_slice(&buf[..take]);
        self.at += take as u64;
        Ok(take)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::io::Seek for SparseDisk {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => DISK_BYTES.checked_add_signed(by),
        };
        self.at = to.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

fn written() -> SparseDisk {
    let mut disk = SparseDisk::default();
    let layout = DiskLayout::new(DISK_BYTES, SectorSize::B512, &guids()).unwrap();
    layout.write(&mut disk, &[0x90; BOOT_CODE_SIZE]).unwrap();
    disk
}

#[test]
fn a_disk_too_small_is_refused() {
    let layout = DiskLayout::new(15_999_999_999, SectorSize::B512, &guids());
    assert_eq!(layout, Err(LayoutError::TooSmall { bytes: 15_999_999_999 }));
}

#[test]
fn partitions_follow_each_other_at_whole_mib() {
    for sector_size in [SectorSize::B512, SectorSize::B4096] {
        let layout = DiskLayout::new(DISK_BYTES, sector_size, &guids()).unwrap();
        let mib = 1024 * 1024 / sector_size.bytes();
        let mut next = mib;
        for partition in layout.partitions() {
            assert_eq!(partition.first_sector, next, "{:?}", partition.role);
            assert_eq!(partition.sectors % mib, 0);
            next = partition.last_sector() + 1;
        }
        assert!(next + 33 < layout.sectors());
        assert!(layout.partition(Role::Sr).sectors * sector_size.bytes() > 12_000_000_000);
    }
    assert_eq!(Role::Esp.number(), 2);
}

#[test]
fn what_was_written_is_read() {
    let table = read(&mut written(), SectorSize::B512).unwrap().unwrap();
    assert_eq!(table.guid, guids().disk);
    let names: Vec<_> = table.partitions.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, Role::ALL.map(Role::name));
    assert_eq!(table.partitions[1].first_sector, 4096);
    assert_eq!(table.partitions[1].guid, guids().partitions[1]);
    assert_eq!(table.partitions[1].number, 2);
}

#[test]
fn the_same_twice() {
    assert_eq!(written().pages, written().pages);
}

#[test]
fn the_backup_serves_when_the_first_copy_is_gone() {
    let mut disk = written();
    disk.seek(SeekFrom::Start(512)).unwrap();
    disk.write_all(&[0; 512]).unwrap();
    assert_eq!(read(&mut disk, SectorSize::B512).unwrap().unwrap().partitions.len(), 6);
}

#[test]
fn a_disk_without_a_table_has_none() {
    assert_eq!(read(&mut Cursor::new(vec![0; 1 << 20]), SectorSize::B512).unwrap(), None);
    assert_eq!(read(&mut Cursor::new(vec![0; 100]), SectorSize::B512).unwrap(), None);
}

#[test]
fn a_damaged_table_is_an_error() {
    let mut disk = vec![0; 1 << 20];
    disk[512..520].copy_from_slice(b"EFI PART");
    disk[512 + 80] = 128;
    disk[512 + 84] = 128;
    let error = read(&mut Cursor::new(&mut disk), SectorSize::B512).unwrap_err();
    assert!(matches!(error, ReadError::Damaged(_)), "{error:?}");
    disk[512 + 85] = 1;
    let error = read(&mut Cursor::new(&mut disk), SectorSize::B512).unwrap_err();
    assert!(matches!(error, ReadError::Unsupported { count: 128, bytes: 384 }), "{error:?}");
}

#[test]
fn mirrored_disks_have_the_same_partitions_though_one_is_larger() {
    let other = DiskGuids {
        disk: Uuid::from_u128(0xef01),
        partitions: std::array::from_fn(|at| Uuid::from_u128(at as u128 + 0x100)),
    };
    let smaller = DISK_BYTES - 3_000_000_000;
    let one = DiskLayout::mirrored(DISK_BYTES, smaller, SectorSize::B512, &guids()).unwrap();
    let two = DiskLayout::mirrored(smaller, smaller, SectorSize::B512, &other).unwrap();
    let places = |layout: &DiskLayout| -> Vec<(u64, u64)> {
        layout.partitions().iter().map(|found| (found.first_sector, found.sectors)).collect()
    };
    assert_eq!(places(&one), places(&two));
    assert!(one.sectors() > two.sectors());
    // Firmware must see its own partitions as such.
    let mut disk = SparseDisk::default();
    one.write(&mut disk, &[0x90; BOOT_CODE_SIZE]).unwrap();
    let types: Vec<_> = read(&mut disk, SectorSize::B512).unwrap().unwrap().partitions;
    let types: Vec<String> =
        types.iter().map(|found| found.type_guid.to_string()[..8].to_owned()).collect();
    assert_eq!(types, ["21686148", "c12a7328", "a19d880f", "a19d880f", "a19d880f", "a19d880f"]);
    let error = DiskLayout::mirrored(DISK_BYTES, 15_999_999_999, SectorSize::B512, &other);
    assert_eq!(error, Err(LayoutError::TooSmall { bytes: 15_999_999_999 }));
}

#[test]
fn what_was_laid_out_is_recognised() {
    let sectors = DISK_BYTES / 512;
    let recognise = |table: &Table| DiskLayout::of_table(table, SectorSize::B512, sectors);
    let one = DiskLayout::new(DISK_BYTES, SectorSize::B512, &guids()).unwrap();
    let two = DiskLayout::mirrored(DISK_BYTES, DISK_BYTES, SectorSize::B512, &guids()).unwrap();
    for layout in [one, two] {
        let mut disk = SparseDisk::default();
        layout.write(&mut disk, &[0x90; BOOT_CODE_SIZE]).unwrap();
        let table = read(&mut disk, SectorSize::B512).unwrap().unwrap();
        assert!(table.is_ours());
        assert_eq!(recognise(&table), Ok(layout));
    }
}

#[test]
fn other_layouts_are_told() {
    let table = || read(&mut written(), SectorSize::B512).unwrap().unwrap();
    let refused = |change: fn(&mut Table), sectors: u64| {
        let mut table = table();
        change(&mut table);
        DiskLayout::of_table(&table, SectorSize::B512, sectors).unwrap_err().0
    };
    let sectors = DISK_BYTES / 512;
    for (change, expected) in [
        ((|t| drop(t.partitions.pop())) as fn(&mut Table), "there are 5 partitions instead of 6"),
        (
            |t| t.partitions[2].name = "xenith-root".into(),
            "partition 3 is \"xenith-root\", and \"xenith-a\" should be 3",
        ),
        (
            |t| t.partitions[5].number = 7,
            "partition 7 is \"xenith-sr\", and \"xenith-sr\" should be 6",
        ),
        (
            |t| t.partitions[4].type_guid = Uuid::nil(),
            "\"xenith-state\" has the type 00000000-0000-0000-0000-000000000000",
        ),
        (
            |t| t.partitions[1].first_sector = 2048,
            "\"xenith-esp\" lies at the sectors 2048 to 1052671",
        ),
        (|t| t.partitions[1].last_sector = 4000, "\"xenith-esp\" lies at the sectors 4096 to 4000"),
    ] {
        assert_eq!(refused(change, sectors), expected);
    }
    assert!(refused(|_| {}, 30_000_000).starts_with("\"xenith-sr\" lies at "));
    let mut other = table();
    other.partitions.iter_mut().for_each(|found| found.name = "root".into());
    assert!(!other.is_ours());
}
