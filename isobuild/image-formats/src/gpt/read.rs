// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading the partition table that a disk has.

use std::io::{self, Read, Seek, SeekFrom};

use gpt::GptConfig;
use uuid::Uuid;

use super::{Opaque, SectorSize};

const SIGNATURE: &[u8; 8] = b"EFI PART";
/// The `gpt` crate reads entries of this size only, and panics at others.
const ENTRY_BYTES: u32 = 128;
/// Real tables have 128.
const MAX_ENTRIES: u32 = 4096;

/// Why a disk's table cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk cannot be read.
    #[error("reading the partition table")]
    Io(#[source] io::Error),
    /// There is a header, at the start or the end, but no whole table.
    #[error("the GUID partition table is damaged")]
    Damaged(#[source] gpt::GptError),
    /// The entries are of a shape that nothing in use writes.
    #[error(
        "the GUID partition table has {count} entries of {bytes} bytes, which is not supported"
    )]
    Unsupported {
        /// Number of entries.
        count: u32,
        /// Bytes of each.
        bytes: u32,
    },
}

/// A partition of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPartition {
    /// Counted from 1, as Linux does.
    pub number: u32,
    /// Its name, such as `xenith-state`.
    pub name: String,
    /// Its id, `PARTUUID` to Linux.
    pub guid: Uuid,
    /// What it says it is for.
    pub type_guid: Uuid,
    /// In logical sectors from the start of the disk.
    pub first_sector: u64,
    /// The last that belongs to it, in logical sectors.
    pub last_sector: u64,
}

/// The table of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The disk's id.
    pub guid: Uuid,
    /// In the order of their numbers.
    pub partitions: Vec<FoundPartition>,
}

/// Reads a disk's table, `None` if it has none. One of the two copies is enough.
///
/// # Errors
/// See [`ReadError`].
pub fn read<D: Read + Seek>(
    disk: &mut D,
    sector_size: SectorSize,
) -> Result<Option<Table>, ReadError> {
    let bytes = disk.seek(SeekFrom::End(0)).map_err(ReadError::Io)?;
    let sectors = bytes / sector_size.bytes();
    if sectors < 3 {
        return Ok(None);
    }
    let mut any = false;
    for sector in [1, sectors - 1] {
        any |= looks_like_header(disk, sector * sector_size.bytes())?;
    }
    if !any {
        return Ok(None);
    }
    let config = GptConfig::new().logical_block_size(sector_size.into());
    let table = config.open_from_device(ReadOnly(Opaque(disk))).map_err(ReadError::Damaged)?;
    let found = table.partitions().iter().map(|(number, found)| FoundPartition {
        number: *number,
        name: found.name.clone(),
        guid: found.part_guid,
        type_guid: found.part_type_guid.guid,
        first_sector: found.first_lba,
        last_sector: found.last_lba,
    });
    Ok(Some(Table { guid: *table.guid(), partitions: found.collect() }))
}

fn looks_like_header<D: Read + Seek>(disk: &mut D, at: u64) -> Result<bool, ReadError> {
    let mut header = [0; 92];
    disk.seek(SeekFrom::Start(at))
        .and_then(|_| disk.read_exact(&mut header))
        .map_err(ReadError::Io)?;
    if !header.starts_with(SIGNATURE) {
        return Ok(false);
    }
    let field = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let (count, bytes) = (field(80), field(84));
    if bytes != ENTRY_BYTES || count > MAX_ENTRIES {
        return Err(ReadError::Unsupported { count, bytes });
    }
    Ok(true)
}

/// The `gpt` crate asks for a device that can be written, also to read it.
#[derive(Debug)]
struct ReadOnly<T>(T);

impl<T: Read> Read for ReadOnly<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<T: Seek> Seek for ReadOnly<T> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl<T> io::Write for ReadOnly<T> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
