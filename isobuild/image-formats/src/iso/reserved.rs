// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file for which room was reserved when the medium was written: it is empty at first, and can be
//! filled and emptied in place, in an image as on a stick.
//!
//! Its contents lie in blocks of their own, behind one block that says how many bytes have room in
//! them; no tool that copies files to another medium copies that block, so what has it was written by
//! [`super::IsoWriter`]. Each tree has a record with the length, 0 while the file is empty. The
//! length is written when the contents are safe, and taken away before they change. A disk never
//! writes half a sector, and the writer refuses a layout with a length on the border of two. Thus an
//! interrupted write leaves, for each reader, the old contents, none, or the new ones.

use std::io::{self, SeekFrom};

use super::BLOCK;
use super::tree::{self, LENGTH, LOCATION, Record};
use crate::{BlockIo, mbr::SECTOR_SIZE};

/// How the block before the contents begins. The room follows, 2 bytes, least significant first.
const MAGIC: &[u8; 16] = b"XENITH RESERVED\n";

/// Why a file cannot be filled or emptied. Unless it is [`ReservedError::Write`] nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ReservedError {
    /// The image cannot be read.
    #[error("reading the image")]
    Read(#[source] io::Error),
    /// The image cannot be written. The file has its old contents or none, or even the new ones.
    #[error("writing to the image")]
    Write(#[source] io::Error),
    /// There are no volume descriptors, or none for Joliet.
    #[error("it is not an ISO image with Joliet names")]
    NotIso,
    /// The end is missing.
    #[error("it is cut off: it has {bytes} bytes of {volume}")]
    Truncated {
        /// That are there.
        bytes: u64,
        /// Of the volume, as it says itself.
        volume: u64,
    },
    /// One of the trees does not have the file.
    #[error("it is an ISO image without the file /{path}")]
    NotThere {
        /// The file.
        path: String,
    },
    /// The file is there, but whoever wrote the image reserved no room for it.
    #[error("no room was reserved for the file /{path} on it")]
    NotReserved {
        /// The file.
        path: String,
    },
    /// Not what [`super::IsoWriter`] writes.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// More than the room.
    #[error("{bytes} bytes are too many, there is room for {room}")]
    TooLong {
        /// That were to be written.
        bytes: usize,
        /// That can be written.
        room: u16,
    },
    /// Only [`super::IsoWriter`] says so: another name in the file's folder would help.
    #[error("its length would lie on the border of two sectors")]
    TwoSectors,
}

/// Such a file of an image, found and checked.
#[derive(Debug)]
pub struct ReservedFile {
    /// Where its contents begin, in bytes.
    contents: u64,
    room: u16,
    /// By Rock Ridge, then by Joliet.
    records: [Record; 2],
}

impl ReservedFile {
    /// Finds the file at `path` (no `/` in front) in an image from byte 0 of `image` on.
    ///
    /// # Errors
    /// See [`ReservedError`]: whatever [`super::IsoWriter::reserve`] has not put there.
    pub fn find<D: BlockIo>(image: &mut D, path: &str) -> Result<Self, ReservedError> {
        let found = tree::find(image, path)?;
        let [block, by_joliet] = found.both.map(|record| record.block);
        if block != by_joliet {
            return Err(ReservedError::Damaged("the file has other contents by its Joliet name"));
        }
        let not_reserved = || ReservedError::NotReserved { path: path.to_owned() };
        let outside = ReservedError::Damaged("the file lies outside it");
        let contents = u64::from(block) * BLOCK;
        let marker = contents.checked_sub(BLOCK).ok_or_else(not_reserved)?;
        if contents > found.volume {
            return Err(outside);
        }
        let marker = read(image, marker, MAGIC.len() + 2).map_err(ReservedError::Read)?;
        let Some([low, high]) = marker.strip_prefix(MAGIC) else {
            return Err(not_reserved());
        };
        let room = u16::from_le_bytes([*low, *high]);
        if contents + u64::from(room) > found.volume {
            return Err(outside);
        }
        let lengths = found.both.map(|record| record.length);
        // An interrupted write leaves one of them at 0.
        let [longer, shorter] = [lengths[0].max(lengths[1]), lengths[0].min(lengths[1])];
        if longer > u32::from(room) || (shorter != 0 && shorter != longer) {
            return Err(ReservedError::Damaged("the file's length cannot be"));
        }
        Ok(Self { contents, room, records: found.both })
    }

    /// How many bytes it can have.
    #[must_use]
    pub const fn room(&self) -> u16 {
        self.room
    }

    /// Whether it is empty to Linux and GRUB.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records[0].length == 0
    }

    /// What it has.
    ///
    /// # Errors
    /// [`ReservedError::Read`].
    pub fn read<D: BlockIo>(&self, image: &mut D) -> Result<Vec<u8>, ReservedError> {
        let length = self.records[0].length as usize;
        read(image, self.contents, length).map_err(ReservedError::Read)
    }

    /// Gives it these contents instead of what it has. `image.flush()` must not return before
    /// everything is where a power cut does not reach it.
    ///
    /// # Errors
    /// [`ReservedError::TooLong`] and [`ReservedError::Write`].
    pub fn fill<D: BlockIo>(self, image: &mut D, bytes: &[u8]) -> Result<(), ReservedError> {
        let room = self.room;
        let too_long = || ReservedError::TooLong { bytes: bytes.len(), room };
        let length = u16::try_from(bytes.len()).ok().filter(|length| *length <= room);
        let length = length.ok_or_else(too_long)?;
        self.replace(image, bytes, length).map_err(ReservedError::Write)
    }

    /// Empties it, and writes zeros over what it had. For `image` see [`ReservedFile::fill`].
    ///
    /// # Errors
    /// [`ReservedError::Write`].
    pub fn clear<D: BlockIo>(self, image: &mut D) -> Result<(), ReservedError> {
        self.replace(image, &[], 0).map_err(ReservedError::Write)
    }

    fn replace<D: BlockIo>(&self, image: &mut D, bytes: &[u8], length: u16) -> io::Result<()> {
        // Also if it is empty already: what one that was killed wrote may not be on the disk yet.
        self.set_lengths(image, 0)?;
        let mut contents = vec![0; usize::from(self.room)];
        contents[..bytes.len()].copy_from_slice(bytes);
        write(image, self.contents, &contents)?;
        image.flush()?;
        match length {
            0 => Ok(()),
            _ => self.set_lengths(image, length),
        }
    }

    fn set_lengths<D: BlockIo>(&self, image: &mut D, length: u16) -> io::Result<()> {
        for record in &self.records {
            write(image, record.at + LENGTH, &both_endian(length.into()))?;
        }
        image.flush()
    }
}

/// What the writer puts on the medium in the file's stead: the block before the contents, and room.
pub(super) fn stand_in(room: u16) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK as usize + usize::from(room)];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[MAGIC.len()..MAGIC.len() + 2].copy_from_slice(&room.to_le_bytes());
    bytes
}

/// Makes an empty file of the stand-in that was written.
pub(super) fn hide_stand_in<D: BlockIo>(image: &mut D, path: &str) -> Result<(), ReservedError> {
    for record in tree::find(image, path)?.both {
        let sector = |byte: u64| (record.at + LENGTH + byte) / SECTOR_SIZE as u64;
        if sector(0) != sector(7) {
            return Err(ReservedError::TwoSectors);
        }
        let mut fields = [0; 16];
        fields[..8].copy_from_slice(&both_endian(record.block + 1));
        write(image, record.at + LOCATION, &fields).map_err(ReservedError::Write)?;
    }
    Ok(())
}

/// A number as directory records have it (ECMA-119 7.3.3): least significant byte first, then last.
fn both_endian(number: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn read<D: BlockIo>(image: &mut D, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes];
    image.seek(SeekFrom::Start(at))?;
    image.read_exact(&mut buffer)?;
    Ok(buffer)
}

fn write<D: BlockIo>(image: &mut D, at: u64, bytes: &[u8]) -> io::Result<()> {
    image.seek(SeekFrom::Start(at))?;
    image.write_all(bytes)
}

#[cfg(test)]
mod tests;
