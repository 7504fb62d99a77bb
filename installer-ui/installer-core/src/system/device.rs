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
    held: Option<&'a mut Vec<u8>>,
}

impl<'a> Device<'a> {
    /// At its start.
    pub fn new(system: &'a mut dyn System, path: &'a Path, size: u64) -> Self {
        Self { system, path, size, at: 0, held: None }
    }

    /// Has `start`, if any, in the place of the device's first bytes.
    #[must_use]
    pub fn holding(self, start: Option<&'a mut Vec<u8>>) -> Self {
        Self { held: start, ..self }
    }

    /// How many of `wanted` bytes can be read or written at once from here.
    fn room(&self, wanted: usize) -> usize {
        let held = self.held.as_ref().map_or(0, |held| held.len() as u64);
        let end = if self.at < held { held } else { self.size };
        let left = end.saturating_sub(self.at);
        usize::try_from(left).unwrap_or(usize::MAX).min(wanted)
    }
}

impl Device<'_> {
    /// The next `length` bytes, if they are held.
    fn held(&mut self, length: usize) -> Option<&mut [u8]> {
        let at = usize::try_from(self.at).ok()?;
        self.held.as_mut()?.get_mut(at..at.checked_add(length)?).filter(|held| !held.is_empty())
    }
}

/// Says everything in one text, because libraries in between drop causes.
fn other(error: SystemError) -> io::Error {
    io::Error::other(chain(&error))
}

impl Read for Device<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.room(buffer.len());
        match self.held(length) {
            Some(held) => buffer[..length].copy_from_slice(held),
            None => {
                let buffer = &mut buffer[..length];
                self.system.read_at(self.path, self.at, buffer).map_err(other)?;
            }
        }
        self.at += length as u64;
        Ok(length)
    }
}

impl Write for Device<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.room(bytes.len());
        match self.held(length) {
            Some(held) => held.copy_from_slice(&bytes[..length]),
            None => {
                self.system.write_at(self.path, self.at, &bytes[..length]).map_err(other)?;
            }
        }
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
