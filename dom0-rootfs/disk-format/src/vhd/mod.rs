// SPDX-License-Identifier: MIT OR Apache-2.0
//! Virtual Hard Disk images: "Virtual Hard Disk Image Format Specification", version 1.0, Microsoft,
//! October 2006.
//!
//! A fixed image is the disk with a footer behind it. A dynamic one has blocks, in any order, and a
//! table that says where each lies; blocks that are not there are zeros. A differencing one has only what
//! differs from another image, its parent, over which it is to be put.

mod footer;
mod header;
mod read;
mod write;

pub use footer::{Footer, Kind};
pub use header::{Header, Parent};
pub use read::read;
pub use write::{Writer, fixed_footer};

/// Bytes of a sector: everything in the file lies on whole ones.
pub const SECTOR: u64 = 512;

/// Bytes of a block of the images that are written.
pub const BLOCK: u64 = 2 << 20;

/// Biggest disk in bytes that a dynamic image can hold: 2040 GiB, as sectors are counted in 32 bits.
pub const LARGEST: u64 = 2040 << 30;

/// Why something is no image, or none that can be made.
#[derive(Debug, thiserror::Error)]
pub enum VhdError {
    /// It is something else.
    #[error("this is no VHD image: {0}")]
    NotVhd(&'static str),
    /// A structure was damaged.
    #[error("the checksum of the VHD's {0} is wrong: the image is damaged")]
    Checksum(&'static str),
    /// It says what the format does not allow, or what is not understood.
    #[error("the VHD image cannot be read: {0}")]
    Invalid(String),
    /// The disk does not fit into the format.
    #[error("a VHD holds at most 2040 GiB, and the disk has {0} bytes: use the format raw")]
    TooBig(u64),
    /// It ends too early.
    #[error("the VHD image ends in the middle: {0}")]
    CutOff(String),
    /// Reading or writing failed.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// The checksum of a structure: the one's complement of the sum of its bytes, without the four where
/// it lies.
fn checksum(bytes: &[u8], place: usize) -> u32 {
    let counted = bytes.iter().enumerate().filter(|(at, _)| !(place..place + 4).contains(at));
    !counted.fold(0u32, |sum, (_, byte)| sum.wrapping_add(u32::from(*byte)))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) << 32 | u64::from(u32_at(bytes, at + 4))
}

#[cfg(test)]
mod tests;
