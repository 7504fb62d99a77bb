// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device with a position in it, for code that wants a file.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::{System, SystemError};
use crate::steps::chain;

/// A device of `size` bytes.
pub struct Device<'a> {
    system: &'a mut dyn System,
    path: &'a Path,
    size: u64,
    at: u64,
}

impl<'a> Device<'a> {
    /// At its start.
    pub fn new(system: &'a mut dyn System, path: &'a Path, size: u64) -> Self {
        Self { system, path, size, at: 0 }
    }

    fn room(&self, wanted: usize) -> usize {
        let left = self.size.saturating_sub(self.at);
        usize::try_from(left).unwrap_or(usize::MAX).min(wanted)
    }
}

/// Says everything in one text, because libraries in between drop causes.
fn other(error: SystemError) -> io::Error {
    io::Error::other(chain(&error))
}

impl Read for Device<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.room(buffer.len());
        self.system.read_at(self.path, self.at, &mut buffer[..length]).map_err(other)?;
        self.at += length as u64;
        Ok(length)
    }
}

impl Write for Device<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.room(bytes.len());
        self.system.write_at(self.path, self.at, &bytes[..length]).map_err(other)?;
        self.at += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Device<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
