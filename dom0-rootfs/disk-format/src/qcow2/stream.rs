// SPDX-License-Identifier: MIT OR Apache-2.0
//! A source that is read from front to back, of which the last part can be looked at again.

use std::io::Read;

use super::{Qcow2Error, invalid};

/// Bytes that are skipped at once.
const PIECE: u64 = 256 << 10;

/// What is read, and the end of what was read.
pub(super) struct Stream<R> {
    source: R,
    /// How much can be looked at again, at the least.
    back: u64,
    /// Where `window` begins.
    at: u64,
    window: Vec<u8>,
}

impl<R: Read> Stream<R> {
    pub(super) fn new(source: R) -> Stream<R> {
        Stream { source, back: 0, at: 0, window: Vec::new() }
    }

    /// Keeps so many bytes from here on.
    pub(super) fn keep(&mut self, back: u64) {
        self.back = back;
    }

    /// What lies at a place, as far as there is something: at the most so many bytes.
    pub(super) fn some(&mut self, at: u64, length: u64) -> Result<&[u8], Qcow2Error> {
        let back = || invalid(format!("what lies at {at} is told of behind it"));
        at.checked_sub(self.at).ok_or_else(back)?;
        while self.end() < at {
            if !self.fill((self.end() + PIECE).min(at))? {
                return Ok(&[]);
            }
            self.forget(self.end());
        }
        self.fill(at.saturating_add(length))?;
        self.forget(at);
        let from = (at - self.at) as usize;
        let to = (from as u64 + length).min(self.window.len() as u64) as usize;
        Ok(&self.window[from..to])
    }

    /// All of so many bytes at a place.
    pub(super) fn all(
        &mut self,
        at: u64,
        length: u64,
        what: &'static str,
    ) -> Result<&[u8], Qcow2Error> {
        let bytes = self.some(at, length)?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(Qcow2Error::CutOff(what)) }
    }

    /// How far it was read.
    fn end(&self) -> u64 {
        self.at + self.window.len() as u64
    }

    /// Reads up to a place; false where nothing is left before.
    fn fill(&mut self, to: u64) -> Result<bool, Qcow2Error> {
        let missing = to.saturating_sub(self.end());
        let read = self.source.by_ref().take(missing).read_to_end(&mut self.window);
        let read =
            read.map_err(|source| Qcow2Error::Io { doing: "reading the qcow2 image", source })?;
        Ok(read as u64 == missing)
    }

    /// Forgets what lies so far before a place that nobody looks at it again; not each time, as the rest moves.
    fn forget(&mut self, at: u64) {
        let old = at.saturating_sub(self.at + self.back);
        if old > self.back.max(PIECE) {
            self.window.drain(..old as usize);
            self.at += old;
        }
    }
}
