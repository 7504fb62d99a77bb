// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing archives.

use std::io::Write;

use tar::{EntryType, Header};

use super::{DESCRIPTION, PIECE, XvaError, xxhash};
use crate::is_zero;

/// Writes an archive: [`Writer::describe`], each disk from front to back, [`Writer::finish`].
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
    time: u64,
}

/// The place of a disk's piece, and its length; none behind the end of the disk.
pub fn piece(size: u64, number: u64) -> Option<(u64, usize)> {
    let at = number.checked_mul(PIECE).filter(|at| *at < size)?;
    Some((at, (size - at).min(PIECE) as usize))
}

impl<W: Write> Writer<W> {
    /// Begins an archive whose files are of a time in seconds since 1970.
    pub fn new(sink: W, time: u64) -> Writer<W> {
        Writer { sink, time }
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), XvaError> {
        let failed = |source| XvaError::Io { doing: format!("writing {name}"), source };
        let mut header = Header::new_ustar();
        header.set_path(name).map_err(failed)?;
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(self.time);
        header.set_entry_type(EntryType::Regular);
        header.set_cksum();
        self.sink.write_all(header.as_bytes()).map_err(failed)?;
        self.sink.write_all(bytes).map_err(failed)?;
        let rest = [0; 512];
        let rest = &rest[..bytes.len().next_multiple_of(512) - bytes.len()];
        self.sink.write_all(rest).map_err(failed)
    }

    /// Writes the description.
    pub fn describe(&mut self, description: &str) -> Result<(), XvaError> {
        self.file(DESCRIPTION, description.as_bytes())
    }

    /// Writes the next piece of a disk of `size` bytes, unless it is zeros that are left out.
    pub fn piece(
        &mut self,
        disk: &str,
        size: u64,
        number: u64,
        bytes: &[u8],
    ) -> Result<(), XvaError> {
        let ends = number == 0 || (number + 1) * PIECE >= size;
        if !ends && is_zero(bytes) {
            return Ok(());
        }
        let name = format!("{disk}/{number:08}");
        self.file(&name, bytes)?;
        self.file(&format!("{name}.xxhash"), xxhash(bytes).as_bytes())
    }

    /// Ends the archive, and gives back what it was written to.
    pub fn finish(mut self) -> Result<W, XvaError> {
        let failed = |source| XvaError::Io { doing: "writing the end".into(), source };
        self.sink.write_all(&[0; 1024]).map_err(failed)?;
        Ok(self.sink)
    }
}
