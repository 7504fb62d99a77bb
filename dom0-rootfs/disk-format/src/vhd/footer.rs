// SPDX-License-Identifier: MIT OR Apache-2.0
//! The footer ("Hard Disk Footer Format"): what the disk is. A dynamic image has a copy in front.

use super::{LARGEST, SECTOR, VhdError, checksum, u32_at, u64_at};

pub(super) const COOKIE: &[u8; 8] = b"conectix";
const CHECKSUM: usize = 64;
const VERSION: u32 = 0x0001_0000;
/// Always set ("Reserved" of Features).
const FEATURES: u32 = 2;
const NOWHERE: u64 = u64::MAX;
/// Who wrote it. Readers take the size from this one's footers as it is, and from unknown ones
/// that of the geometry, which is mostly less.
const CREATOR: &[u8; 4] = b"tap\0";
/// Most sectors that the geometry can express ("CHS Calculation").
const MOST_OF_GEOMETRY: u64 = 65535 * 16 * 255;

/// What kind of image it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All of the disk, from front to back.
    Fixed,
    /// Blocks and a table.
    Dynamic,
    /// The same, over another image.
    Differencing,
}

/// A footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// What kind of image it is.
    pub kind: Kind,
    /// Size of the disk in bytes, of whole sectors.
    pub size: u64,
    /// Where the header lies, in bytes; a fixed image has none.
    pub header: u64,
    /// When it was made, in seconds since the beginning of 2000, UTC.
    pub time: u32,
    /// Identifier of the image.
    pub id: [u8; 16],
}

impl Footer {
    /// As it lies in the file.
    pub fn encode(&self) -> [u8; 512] {
        let mut bytes = [0; 512];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, COOKIE);
        put(8, &FEATURES.to_be_bytes());
        put(12, &VERSION.to_be_bytes());
        let (header, kind) = match self.kind {
            Kind::Fixed => (NOWHERE, 2u32),
            Kind::Dynamic => (self.header, 3),
            Kind::Differencing => (self.header, 4),
        };
        put(16, &header.to_be_bytes());
        put(24, &self.time.to_be_bytes());
        put(28, CREATOR);
        put(32, &VERSION.to_be_bytes());
        put(40, &self.size.to_be_bytes());
        put(48, &self.size.to_be_bytes());
        let (cylinders, heads, sectors) = geometry(self.size / SECTOR);
        put(56, &cylinders.to_be_bytes());
        put(58, &[heads, sectors]);
        put(60, &kind.to_be_bytes());
        put(68, &self.id);
        let sum = checksum(&bytes, CHECKSUM);
        bytes[CHECKSUM..CHECKSUM + 4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// Reads it.
    pub fn decode(bytes: &[u8; 512]) -> Result<Footer, VhdError> {
        if &bytes[..8] != COOKIE {
            return Err(VhdError::NotVhd("it has no footer that begins with \"conectix\""));
        }
        if u32_at(bytes, CHECKSUM) != checksum(bytes, CHECKSUM) {
            return Err(VhdError::Checksum("footer"));
        }
        let version = u32_at(bytes, 12);
        if version >> 16 != 1 {
            let text = format!("its version is {}.{}, not 1.0", version >> 16, version & 0xffff);
            return Err(VhdError::Invalid(text));
        }
        let kind = match u32_at(bytes, 60) {
            2 => Kind::Fixed,
            3 => Kind::Dynamic,
            4 => Kind::Differencing,
            other => return Err(VhdError::Invalid(format!("its type {other} is not known"))),
        };
        let size = u64_at(bytes, 48);
        if size == 0 || !size.is_multiple_of(SECTOR) {
            let text = format!("its disk of {size} bytes is not of whole sectors");
            return Err(VhdError::Invalid(text));
        }
        if kind != Kind::Fixed && size > LARGEST {
            return Err(VhdError::TooBig(size));
        }
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[68..84]);
        let header = if kind == Kind::Fixed { NOWHERE } else { u64_at(bytes, 16) };
        Ok(Footer { kind, size, header, time: u32_at(bytes, 24), id })
    }
}

/// Cylinders, heads and sectors of a track, as old BIOSes count a disk ("CHS Calculation").
fn geometry(sectors: u64) -> (u16, u8, u8) {
    let total = sectors.min(MOST_OF_GEOMETRY);
    let (track, heads) = if total >= 65535 * 16 * 63 {
        (255, 16)
    } else {
        let tracks = total / 17;
        let heads = tracks.div_ceil(1024).max(4);
        if tracks < heads * 1024 && heads <= 16 {
            (17, heads)
        } else if total / 31 < 16 * 1024 {
            (31, 16)
        } else {
            (63, 16)
        }
    };
    ((total / track / heads) as u16, heads as u8, track as u8)
}
