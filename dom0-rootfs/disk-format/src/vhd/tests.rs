// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::Target;

/// A disk in memory.
struct Memory {
    bytes: Vec<u8>,
    /// Bytes that the image said something about.
    told: u64,
}

impl Target for Memory {
    type Error = VhdError;

    fn data(&mut self, at: u64, bytes: &[u8]) -> Result<(), VhdError> {
        let at = at as usize;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.told += bytes.len() as u64;
        Ok(())
    }

    fn zeros(&mut self, at: u64, length: u64) -> Result<(), VhdError> {
        self.bytes[at as usize..(at + length) as usize].fill(0);
        self.told += length;
        Ok(())
    }
}

/// Reads an image over a disk that is full of something else.
fn decoded(image: &[u8], size: usize) -> Result<Vec<u8>, VhdError> {
    let mut memory = Memory { bytes: vec![0xee; size], told: 0 };
    let fits = |wanted: u64| match wanted <= size as u64 {
        true => Ok(()),
        false => Err(VhdError::Invalid(format!("{wanted} bytes do not fit"))),
    };
    let footer = read(image, &mut memory, fits)?;
    assert_eq!(memory.told, footer.size, "every byte once");
    Ok(memory.bytes)
}

fn disk() -> Vec<u8> {
    let mut disk = vec![0; 7 * 1024 * 1024 + 1536];
    disk[5] = 1;
    disk[4 << 20..(4 << 20) + 3000].fill(7);
    *disk.last_mut().unwrap() = 9;
    disk
}

fn dynamic(disk: &[u8]) -> Vec<u8> {
    let blocks: Vec<&[u8]> = disk.chunks(BLOCK as usize).collect();
    let present: Vec<bool> = blocks.iter().map(|block| !crate::is_zero(block)).collect();
    let mut writer =
        Writer::begin(Vec::new(), disk.len() as u64, 5, [3; 16], &present, None).unwrap();
    for (block, _) in blocks.iter().zip(present).filter(|(_, present)| *present) {
        writer.block(block).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn what_is_written_is_read_again() {
    let (disk, image) = (disk(), dynamic(&disk()));
    // Zeros take no room: three blocks of four are there.
    assert_eq!(image.len() as u64, 512 + 1024 + 512 + 3 * (512 + BLOCK) + 512);
    assert!(decoded(&image, disk.len()).unwrap() == disk);
    let fixed = [&disk[..], &fixed_footer(disk.len() as u64, 0, [1; 16])].concat();
    assert!(decoded(&fixed, disk.len()).unwrap() == disk);
    let empty = dynamic(&[0; 4096]);
    assert_eq!(empty.len(), 512 + 1024 + 512 + 512);
    assert_eq!(decoded(&empty, 4096).unwrap(), [0; 4096]);
    // A disk of half sectors is rounded up.
    assert_eq!(decoded(&dynamic(&[1; 700]), 1024).unwrap()[..700], [1; 700]);
}

#[test]
fn blocks_come_in_any_order_and_with_what_was_never_written() {
    let mut image = dynamic(&disk());
    let (first, second) = (0x600..0x604, 0x608..0x60c);
    let (a, b) = (image[first.clone()].to_vec(), image[second.clone()].to_vec());
    image[first].copy_from_slice(&b);
    image[second].copy_from_slice(&a);
    let mut expected = disk();
    let (low, high) = expected.split_at_mut(4 << 20);
    low[..2 << 20].swap_with_slice(&mut high[..2 << 20]);
    assert!(decoded(&image, expected.len()).unwrap() == expected);
    // The bitmap of the first block in the file, whose first sector was never written.
    image[0x800] = 0x7f;
    expected[4 << 20..(4 << 20) + 512].fill(0);
    assert!(decoded(&image, expected.len()).unwrap() == expected);
}

#[test]
fn a_differencing_image_leaves_the_rest_as_it_is() {
    let disk = disk();
    let present = [false, false, true, true];
    let parent = Parent { id: [7; 16], name: "größer.vhd".into() };
    let size = disk.len() as u64;
    let mut writer =
        Writer::begin(Vec::new(), size, 5, [3; 16], &present, Some(parent.clone())).unwrap();
    for (block, _) in disk.chunks(BLOCK as usize).zip(present).filter(|(_, present)| *present) {
        writer.block(block).unwrap();
    }
    let mut image = writer.finish().unwrap();
    // As the specification has it: type 4, the parent's identifier, its name in UTF-16.
    assert_eq!((image[63], &image[512 + 40..512 + 56]), (4, &[7; 16][..]));
    assert_eq!(image[512 + 64..512 + 70], [0, b'g', 0, b'r', 0, 0xf6]);
    let header = Header::decode(image[512..1536].try_into().unwrap()).unwrap();
    assert_eq!(header.parent, Some(parent));
    assert_eq!(image.len() as u64, 512 + 1024 + 512 + 2 * (512 + BLOCK) + 512);
    // Of the first block that is there four sectors were never written, and one at its end.
    image[0x800] = 0b1001_0011;
    image[0x800 + 511] = 0xfe;
    let mut memory = Memory { bytes: vec![0xee; disk.len()], told: 0 };
    let footer = read(&image[..], &mut memory, |_| Ok(())).unwrap();
    assert_eq!((footer.kind, footer.size), (Kind::Differencing, size));
    let mut expected = vec![0xee; disk.len()];
    expected[4 << 20..].copy_from_slice(&disk[4 << 20..]);
    for sector in [1, 2, 4, 5, 4095] {
        let at = (4 << 20) + sector * 512;
        expected[at..at + 512].fill(0xee);
    }
    assert!(memory.bytes == expected);
    assert_eq!(memory.told, size - (4 << 20) - 5 * 512);
}

#[test]
fn too_big_a_disk_is_refused() {
    let error = Writer::begin(Vec::new(), LARGEST + 1, 0, [0; 16], &[], None).unwrap_err();
    assert!(error.to_string().contains("at most 2040 GiB"), "{error}");
    let footer =
        Footer { kind: Kind::Dynamic, size: LARGEST + 512, header: 512, time: 0, id: [0; 16] };
    assert!(matches!(Footer::decode(&footer.encode()), Err(VhdError::TooBig(_))));
}

/// Sets bytes and makes the checksums of footer and header right again.
fn with(image: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = image.to_vec();
    image[at..at + bytes.len()].copy_from_slice(bytes);
    for (from, length, place) in [(0, 512, 64), (512, 1024, 36)] {
        let sum = checksum(&image[from..from + length], place);
        image[from + place..from + place + 4].copy_from_slice(&sum.to_be_bytes());
    }
    image
}

#[test]
fn what_cannot_be_read_says_why() {
    let image = dynamic(&disk());
    let size = disk().len();
    let says = |image: &[u8], expected: &str| {
        let error = decoded(image, size).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    };
    says(b"", "it has not even a footer");
    says(&[0; 2048], "no footer that begins with");
    says(&disk(), "no footer that begins with");
    says(&[7; 700], "ends within a sector");
    let mut damaged = image.clone();
    damaged[100] ^= 1;
    says(&damaged, "checksum of the VHD's footer is wrong");
    let mut damaged = image.clone();
    damaged[512 + 100] ^= 1;
    says(&damaged, "checksum of the VHD's header is wrong");
    says(&with(&image, 60, &9u32.to_be_bytes()), "its type 9 is not known");
    says(&with(&image, 12, &[0, 2, 0, 0]), "its version is 2.0");
    says(&with(&image, 48, &700u64.to_be_bytes()), "not of whole sectors");
    says(&with(&image, 48, &(1u64 << 30).to_be_bytes()), "1073741824 bytes do not fit");
    says(&with(&image, 60, &2u32.to_be_bytes()), "footer of a fixed image lies where");
    says(&with(&image, 16, &100u64.to_be_bytes()), "its header cannot be at 100");
    says(&with(&image, 512 + 32, &4096u32.to_be_bytes()), "its blocks have 4096 bytes");
    says(&with(&image, 512 + 28, &3u32.to_be_bytes()), "3 entries for 4 blocks");
    says(&with(&image, 512 + 16, &512u64.to_be_bytes()), "table lies before its header");
    says(&with(&image, 0x600, &2u32.to_be_bytes()), "block 0 at sector 2 lies within");
    says(&with(&image, 0x600, &6u32.to_be_bytes()), "lies within something else");
    says(&image[..0x604], "ends in the middle: within its table");
    says(&image[..0x900], "before all of block 0");
    says(&image[..image.len() - 512], "ends in the middle: before its footer");
    says(&image[..image.len() - 5], "ends in the middle: before its footer");
    let other = with(&image, 68, &[9; 16]);
    says(&other, "footers tell different things");
    let fixed = [&disk()[..4096], &fixed_footer(8192, 0, [1; 16])].concat();
    says(&fixed, "its footer tells of 8192 bytes, and it has 4096");
}

#[test]
fn geometry_is_that_of_the_specification() {
    // Sectors and what the specification's calculation gives.
    let size = |sectors: u64| {
        let footer =
            Footer { kind: Kind::Fixed, size: sectors * 512, header: 0, time: 0, id: [0; 16] };
        let bytes = footer.encode();
        (u16::from_be_bytes([bytes[56], bytes[57]]), bytes[58], bytes[59])
    };
    assert_eq!(size(2048), (30, 4, 17));
    assert_eq!(size(1 << 21), (2080, 16, 63));
    assert_eq!(size(1 << 18), (963, 16, 17));
    assert_eq!(size(1 << 40), (65535, 16, 255));
}
