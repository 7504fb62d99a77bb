// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header of a dynamic image ("Dynamic Disk Header Format"): where its table lies.

use super::{SECTOR, VhdError, checksum, u32_at, u64_at};

const COOKIE: &[u8; 8] = b"cxsparse";
const CHECKSUM: usize = 36;
/// Where the parent's name lies ("Parent Unicode Name").
const NAME: std::ops::Range<usize> = 64..576;
const VERSION: u32 = 0x0001_0000;
/// Sizes of blocks that are read, in bytes. Smaller ones would make a table that takes too much memory.
const BLOCKS: std::ops::RangeInclusive<u64> = 512 << 10..=256 << 20;

/// The image over which a differencing one is to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its identifier, which its footer has.
    pub id: [u8; 16],
    /// The name of its file; what does not fit into 256 letters of UTF-16 is left out.
    pub name: String,
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Where the table lies, in bytes.
    pub table: u64,
    /// Number of its entries.
    pub entries: u32,
    /// Bytes of a block, without its bitmap.
    pub block: u64,
    /// Of a differencing image.
    pub parent: Option<Parent>,
}

impl Header {
    /// Bytes that it takes.
    pub const LENGTH: usize = 1024;

    /// As it lies in the file.
    pub fn encode(&self) -> [u8; Header::LENGTH] {
        let mut bytes = [0; Header::LENGTH];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, COOKIE);
        put(8, &u64::MAX.to_be_bytes());
        put(16, &self.table.to_be_bytes());
        put(24, &VERSION.to_be_bytes());
        put(28, &self.entries.to_be_bytes());
        put(32, &(self.block as u32).to_be_bytes());
        if let Some(parent) = &self.parent {
            put(40, &parent.id);
            let letters = parent.name.encode_utf16().take(NAME.len() / 2);
            for (at, letter) in NAME.step_by(2).zip(letters) {
                put(at, &letter.to_be_bytes());
            }
        }
        let sum = checksum(&bytes, CHECKSUM);
        bytes[CHECKSUM..CHECKSUM + 4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// Reads it.
    pub fn decode(bytes: &[u8; Header::LENGTH]) -> Result<Header, VhdError> {
        let invalid = |text: String| Err(VhdError::Invalid(text));
        if &bytes[..8] != COOKIE {
            return Err(VhdError::NotVhd("its header does not begin with \"cxsparse\""));
        }
        if u32_at(bytes, CHECKSUM) != checksum(bytes, CHECKSUM) {
            return Err(VhdError::Checksum("header"));
        }
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[40..56]);
        let letters = bytes[NAME].chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        let letters: Vec<u16> = letters.take_while(|letter| *letter != 0).collect();
        let parent = Parent { id, name: String::from_utf16_lossy(&letters) };
        let header = Header {
            table: u64_at(bytes, 16),
            entries: u32_at(bytes, 28),
            block: u64::from(u32_at(bytes, 32)),
            parent: (parent.id != [0; 16]).then_some(parent),
        };
        if u32_at(bytes, 24) >> 16 != 1 {
            return invalid("its header has another version than 1.0".into());
        }
        if !header.block.is_power_of_two() || !BLOCKS.contains(&header.block) {
            return invalid(format!(
                "its blocks have {} bytes, not a power of two from 512 KiB to 256 MiB",
                header.block
            ));
        }
        if !header.table.is_multiple_of(SECTOR) {
            return invalid(format!("its table at {} is not on a sector", header.table));
        }
        Ok(header)
    }

    /// Bytes of the bitmap before each block, of whole sectors.
    pub fn bitmap(&self) -> u64 {
        (self.block / SECTOR / 8).next_multiple_of(SECTOR)
    }
}
