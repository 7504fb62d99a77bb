// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mends the parent links of folders on a FAT32 volume.
//!
//! The entry `..` of a folder in the root must name cluster 0 (FAT specification, 6.5). fatfs 0.3
//! writes the root's own cluster number there. Nothing that starts a host looks at it, but every
//! check of the file system complains.

use std::io::{self, Read, Seek, SeekFrom, Write};

const ENTRY: usize = 32;
const FOLDER: u8 = 0x10;
const LONG_NAME: u8 = 0x0f;

/// Mends all folders in the root, as far as its first cluster lists them.
pub(super) fn mend(volume: &mut (impl Read + Write + Seek)) -> io::Result<()> {
    let mut boot = [0; 512];
    volume.seek(SeekFrom::Start(0))?;
    volume.read_exact(&mut boot)?;
    let half = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
    let word = |at: usize| half(at) | half(at + 2) << 16;
    let (sector, cluster) = (half(11), half(11) * u64::from(boot[13]));
    if half(22) != 0 {
        // FAT12 and FAT16 have the size of a table here; their root is no cluster.
        return Ok(());
    }
    let data = (half(14) + u64::from(boot[16]) * word(36)) * sector;
    let place = |number: u64| data + number.saturating_sub(2) * cluster;
    let mut root = vec![0; usize::try_from(cluster).unwrap_or(0)];
    volume.seek(SeekFrom::Start(place(word(44))))?;
    volume.read_exact(&mut root)?;
    for entry in root.chunks_exact(ENTRY).take_while(|entry| entry[0] != 0) {
        let folder = entry[11] != LONG_NAME && entry[11] & FOLDER != 0 && entry[0] != 0xe5;
        if !folder {
            continue;
        }
        let low = u64::from(u16::from_le_bytes([entry[26], entry[27]]));
        let high = u64::from(u16::from_le_bytes([entry[20], entry[21]]));
        let parent = place(high << 16 | low) + ENTRY as u64;
        for field in [20, 26] {
            volume.seek(SeekFrom::Start(parent + field))?;
            volume.write_all(&[0, 0])?;
        }
    }
    Ok(())
}
