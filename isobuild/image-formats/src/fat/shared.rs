// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device below `fatfs`, still reachable beside it.

use std::cell::RefCell;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

use crate::BlockIo;

const ENTRY: usize = 32;
/// Attributes of a long name's entry.
const LONG_NAME: u8 = 0x0f;

struct Inner<D> {
    device: D,
    /// The byte behind the last one that was written.
    written_to: u64,
}

/// A device that `fatfs` owns and we reach too.
pub(super) struct Shared<D>(Rc<RefCell<Inner<D>>>);

impl<D> Clone for Shared<D> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<D: BlockIo> Shared<D> {
    pub(super) fn new(device: D) -> Self {
        Self(Rc::new(RefCell::new(Inner { device, written_to: 0 })))
    }

    /// Corrects the folder that `fatfs` has just made: version 0.3.6 puts a long name before each
    /// of `.` and `..`, which must be the first two entries and have none, and on FAT32 it lets the
    /// `..` of a folder `in_root` name the root's cluster, which must be 0 there. `..` is what it
    /// writes last, as the fourth entry.
    pub(super) fn correct_new_folder(&self, in_root: bool) -> io::Result<()> {
        let Inner { device, written_to } = &mut *self.0.borrow_mut();
        let mut entries = [0; 4 * ENTRY];
        let start = written_to.saturating_sub(entries.len() as u64);
        device.seek(SeekFrom::Start(start))?;
        device.read_exact(&mut entries)?;
        let (long_dot, rest) = entries.split_at(ENTRY);
        let (dot, rest) = rest.split_at(ENTRY);
        let (long_dots, dots) = rest.split_at(ENTRY);
        let expected = long_dot[11] == LONG_NAME
            && long_dots[11] == LONG_NAME
            && dot.starts_with(b".          ")
            && dots.starts_with(b"..         ");
        if !expected {
            return Err(io::Error::other("fatfs wrote a new folder in an unknown form"));
        }
        let mut corrected = [dot, dots, &[0; 2 * ENTRY]].concat();
        if in_root {
            corrected[ENTRY + 20..ENTRY + 22].fill(0);
            corrected[ENTRY + 26..ENTRY + 28].fill(0);
        }
        device.seek(SeekFrom::Start(start))?;
        device.write_all(&corrected)
    }
}

impl<D: BlockIo> Read for Shared<D> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().device.read(buf)
    }
}

impl<D: BlockIo> Write for Shared<D> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let inner = &mut *self.0.borrow_mut();
        let count = inner.device.write(buf)?;
        inner.written_to = inner.device.stream_position()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().device.flush()
    }
}

impl<D: BlockIo> Seek for Shared<D> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.borrow_mut().device.seek(to)
    }
}
