// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing images from front to back.

use std::io::Write;

use super::{BLOCK, Footer, Header, Kind, LARGEST, Parent, SECTOR, VhdError};

/// Where the header lies: behind the copy of the footer.
const HEADER: u64 = SECTOR;
/// Where the table lies: behind the header.
const TABLE: u64 = HEADER + Header::LENGTH as u64;
/// Entry of a block that is not there.
pub(super) const ABSENT: u32 = u32::MAX;

/// The footer that makes a fixed image of the disk before it; `size` is rounded up to whole sectors.
pub fn fixed_footer(size: u64, time: u32, id: [u8; 16]) -> [u8; 512] {
    let size = size.next_multiple_of(SECTOR);
    Footer { kind: Kind::Fixed, size, header: u64::MAX, time, id }.encode()
}

/// Writes a dynamic or differencing image without ever seeking. The table comes before the blocks, so which of them
/// there are has to be known before.
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
    footer: Footer,
    /// Blocks that are to come.
    left: u64,
    bitmap: Vec<u8>,
}

fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> VhdError {
    move |source| VhdError::Io { doing, source }
}

impl<W: Write> Writer<W> {
    /// Begins an image of a disk of `size` bytes, made `time` seconds after the beginning of 2000.
    /// `present` says of each [`BLOCK`] of the disk whether it comes; those that do not are zeros, or as the
    /// `parent` has them.
    ///
    /// # Errors
    /// [`VhdError::TooBig`], and what `sink` fails with.
    pub fn begin(
        mut sink: W,
        size: u64,
        time: u32,
        id: [u8; 16],
        present: &[bool],
        parent: Option<Parent>,
    ) -> Result<Writer<W>, VhdError> {
        let size = size.next_multiple_of(SECTOR);
        if size > LARGEST {
            return Err(VhdError::TooBig(size));
        }
        let count = size.div_ceil(BLOCK);
        assert_eq!(present.len() as u64, count, "each block is there or not");
        let kind = if parent.is_some() { Kind::Differencing } else { Kind::Dynamic };
        let footer = Footer { kind, size, header: HEADER, time, id };
        let header = Header { table: TABLE, entries: count as u32, block: BLOCK, parent };
        let bitmap = header.bitmap();
        sink.write_all(&footer.encode()).map_err(io("writing the copy of the footer"))?;
        sink.write_all(&header.encode()).map_err(io("writing the header"))?;
        let mut next = (TABLE + count * 4).div_ceil(SECTOR);
        let mut table = Vec::with_capacity((count as usize * 4).next_multiple_of(SECTOR as usize));
        for present in present {
            let entry = if *present { next as u32 } else { ABSENT };
            table.extend_from_slice(&entry.to_be_bytes());
            next += if *present { (bitmap + BLOCK) / SECTOR } else { 0 };
        }
        table.resize(table.len().next_multiple_of(SECTOR as usize), 0xff);
        sink.write_all(&table).map_err(io("writing the table"))?;
        let left = present.iter().filter(|present| **present).count() as u64;
        Ok(Writer { sink, footer, left, bitmap: vec![0xff; bitmap as usize] })
    }

    /// Writes the next block that is there; the disk's last one may be shorter.
    pub fn block(&mut self, bytes: &[u8]) -> Result<(), VhdError> {
        assert!(self.left > 0 && bytes.len() as u64 <= BLOCK, "as many blocks as were announced");
        self.left -= 1;
        self.sink.write_all(&self.bitmap).map_err(io("writing a block"))?;
        self.sink.write_all(bytes).map_err(io("writing a block"))?;
        let rest = vec![0; (BLOCK - bytes.len() as u64) as usize];
        self.sink.write_all(&rest).map_err(io("writing a block"))
    }

    /// Writes the footer, and gives back what it was written to.
    pub fn finish(mut self) -> Result<W, VhdError> {
        assert_eq!(self.left, 0, "as many blocks as were announced");
        self.sink.write_all(&self.footer.encode()).map_err(io("writing the footer"))?;
        Ok(self.sink)
    }
}
