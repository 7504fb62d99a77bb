// SPDX-License-Identifier: MIT OR Apache-2.0
//! A [`BlockIo`] as the block device that `hadris-iso` writes to and reads.

use std::io::{self, SeekFrom};

use hadris_io::{Error, ErrorType};
use hadris_storage::sync::BlockDevice;
use hadris_storage::{BlockIndex, BlockSize};

use crate::BlockIo;

const BLOCK: BlockSize = match BlockSize::new(2048) {
    Some(size) => size,
    None => panic!("2048 is a power of two"),
};

pub(super) struct Blocks<'a, D> {
    inner: &'a mut D,
    /// Bytes up to which `inner` was written.
    end: u64,
    /// Where `inner` stands, to seek only when it must.
    at: Option<u64>,
}

impl<'a, D: BlockIo> Blocks<'a, D> {
    pub(super) fn new(inner: &'a mut D) -> Self {
        Self { inner, end: 0, at: None }
    }

    /// Over what has been written already, to be read.
    pub(super) fn existing(inner: &'a mut D) -> io::Result<Self> {
        let end = inner.seek(SeekFrom::End(0))?;
        Ok(Self { inner, end, at: None })
    }

    /// How many there are.
    pub(super) const fn bytes(&self) -> u64 {
        self.end
    }

    fn seek(&mut self, block: BlockIndex) -> io::Result<()> {
        let to = block.get() * super::BLOCK;
        if self.at.take() != Some(to) {
            self.inner.seek(SeekFrom::Start(to))?;
        }
        self.at = Some(to);
        Ok(())
    }
}

impl<D> ErrorType for Blocks<'_, D> {
    type Error = io::Error;
}

impl<D: BlockIo> BlockDevice for Blocks<'_, D> {
    fn block_size(&self) -> BlockSize {
        BLOCK
    }

    fn block_count(&self) -> u64 {
        self.end / super::BLOCK
    }

    fn max_block_count(&self) -> u64 {
        u64::MAX / super::BLOCK
    }

    fn writable(&self) -> bool {
        true
    }

    fn read_blocks(&mut self, first: BlockIndex, buf: &mut [u8]) -> Result<(), Error<io::Error>> {
        self.seek(first)
            .and_then(|()| {
                self.at = None;
                self.inner.read_exact(buf)
            })
            .map_err(|error| Error::device(error, "cannot read the image"))
    }

    fn write_blocks(&mut self, first: BlockIndex, buf: &[u8]) -> Result<(), Error<io::Error>> {
        self.seek(first)
            .and_then(|()| {
                let at = self.at.take();
                self.inner.write_all(buf)?;
                self.at = at.map(|at| at + buf.len() as u64);
                self.end = self.end.max(self.at.unwrap_or(0));
                Ok(())
            })
            .map_err(|error| Error::device(error, "cannot write the image"))
    }

    fn flush(&mut self) -> Result<(), Error<io::Error>> {
        self.inner.flush().map_err(|error| Error::device(error, "cannot flush the image"))
    }
}
