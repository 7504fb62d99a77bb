// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header: how big the disk and its clusters are, and where the first table lies.

use super::{Qcow2Error, invalid};

const MAGIC: &[u8; 4] = b"QFI\xfb";
/// Sizes of clusters that the format allows, in bits.
const CLUSTERS: std::ops::RangeInclusive<u32> = 9..=21;
/// Longest header that is looked at, in bytes.
const LONGEST: usize = 4096;
/// Biggest first table, in bytes, as QEMU has it.
const LARGEST_TABLE: u64 = 32 << 20;
/// Features without which an image cannot be read.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const SUBCLUSTERS: u64 = 1 << 4;

/// How compressed clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Deflate,
    Zstd,
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Size of the disk in bytes.
    pub(super) size: u64,
    /// Bytes of a cluster, in bits.
    pub(super) bits: u32,
    /// Where the first table lies, in bytes.
    pub(super) table: u64,
    pub(super) compression: Compression,
    /// Clusters can be said to be zeros.
    pub(super) zeros: bool,
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap_or_default())
}

fn short(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap_or_default())
}

impl Header {
    /// Bytes that each version has.
    pub(super) const SHORTEST: usize = 72;
    /// Bytes of the one that is written.
    pub(super) const LENGTH: usize = 112;

    /// Bytes of the header that begins so.
    pub(super) fn length(first: &[u8; Header::SHORTEST]) -> Result<usize, Qcow2Error> {
        if &first[..4] != MAGIC {
            return Err(Qcow2Error::NotQcow2);
        }
        match short(first, 4) {
            2 => Ok(Header::SHORTEST),
            // What is behind is only known from there on.
            3 => Ok(104),
            _ => Err(Qcow2Error::Unsupported("is of another version than 2 and 3")),
        }
    }

    /// Reads it. `bytes` are those that [`Header::length`] tells, and more where there is more.
    pub(super) fn decode(bytes: &[u8]) -> Result<Header, Qcow2Error> {
        let newer = bytes.len() > Header::SHORTEST;
        let (bits, size) = (short(bytes, 20), number(bytes, 24));
        let (entries, table) = (u64::from(short(bytes, 36)), number(bytes, 40));
        if number(bytes, 8) != 0 {
            return Err(Qcow2Error::Unsupported("is only what differs from another image"));
        }
        if short(bytes, 32) != 0 {
            return Err(Qcow2Error::Unsupported("is encrypted"));
        }
        if !CLUSTERS.contains(&bits) {
            return Err(invalid(format!("its clusters have 2^{bits} bytes")));
        }
        let features = if newer { number(bytes, 72) } else { 0 };
        if features & CORRUPT != 0 {
            return Err(invalid("it is marked as corrupt"));
        }
        if features & EXTERNAL != 0 {
            return Err(Qcow2Error::Unsupported("has its data in another file"));
        }
        if features & SUBCLUSTERS != 0 {
            return Err(Qcow2Error::Unsupported("has clusters in parts (extended_l2)"));
        }
        if features & !(DIRTY | COMPRESSION) != 0 {
            return Err(Qcow2Error::Unsupported("has features that are not known here"));
        }
        let kind = bytes.get(104).copied().unwrap_or_default();
        let compression = match if features & COMPRESSION == 0 { 0 } else { kind } {
            0 => Compression::Deflate,
            1 => Compression::Zstd,
            _ => return Err(Qcow2Error::Unsupported("is compressed in another way")),
        };
        let header = Header { size, bits, table, compression, zeros: newer };
        if entries < header.entries() {
            return Err(invalid(format!("its first table has {entries} entries")));
        }
        if header.entries() * 8 > LARGEST_TABLE {
            return Err(invalid(format!("its disk of {size} bytes is too big for its clusters")));
        }
        if table % header.cluster() != 0 {
            return Err(invalid(format!("its first table at {table} is not on a cluster")));
        }
        Ok(header)
    }

    /// How much of the image is to be read for a header of version 3 whose beginning is there.
    pub(super) fn whole(bytes: &[u8]) -> Result<usize, Qcow2Error> {
        let length = short(bytes, 100) as usize;
        match length {
            104..=LONGEST => Ok(length),
            _ => Err(invalid(format!("its header has {length} bytes"))),
        }
    }

    /// As it lies in the file, of version 3, with the end of its extensions.
    pub(super) fn encode(&self, refcounts: (u64, u32)) -> [u8; Header::LENGTH] {
        let mut bytes = [0; Header::LENGTH];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, MAGIC);
        put(4, &3u32.to_be_bytes());
        put(20, &self.bits.to_be_bytes());
        put(24, &self.size.to_be_bytes());
        put(36, &(self.entries() as u32).to_be_bytes());
        put(40, &self.table.to_be_bytes());
        put(48, &refcounts.0.to_be_bytes());
        put(56, &refcounts.1.to_be_bytes());
        // 2^4 bits for each count.
        put(96, &4u32.to_be_bytes());
        put(100, &104u32.to_be_bytes());
        bytes
    }

    /// Bytes of a cluster.
    pub(super) fn cluster(&self) -> u64 {
        1 << self.bits
    }

    /// Clusters that a table of the second level leads to.
    pub(super) fn fan(&self) -> u64 {
        self.cluster() / 8
    }

    /// Clusters of the disk.
    pub(super) fn clusters(&self) -> u64 {
        self.size.div_ceil(self.cluster())
    }

    /// Entries of the first table that the disk needs.
    pub(super) fn entries(&self) -> u64 {
        self.clusters().div_ceil(self.fan())
    }
}
