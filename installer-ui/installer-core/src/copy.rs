// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copies a large file onto a device, and reads it back, as fast as the device takes and gives it.
//!
//! Reading and writing, and reading back and hashing, have a thread each. What is written passes the page
//! cache: there it would only wait, until the end, for a device that had nothing to do before. It is not
//! hashed on its way, as many disks are faster than that: what was read back is.

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use appliance_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::medium::fill;
use crate::system::{System, SystemError};

/// Bytes that are read and written at once.
pub const PIECE: usize = 1 << 20;
/// Direct writes start and end at multiples of this: the largest sector and the page.
pub const ALIGNMENT: usize = 4096;
/// Pieces in memory: one is read, one is written or hashed, and one is on its way.
const PIECES: usize = 3;

/// Why something was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Reading the source.
    #[error("reading what is to be copied")]
    Read(#[source] io::Error),
    /// The source has another size.
    #[error("the source has {found} bytes instead of {expected}")]
    Size {
        /// As it should be.
        expected: u64,
        /// As far as it was read.
        found: u64,
    },
    /// Writing.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// Memory for a piece, aligned for direct reads and writes.
#[derive(Debug)]
pub struct Piece {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Default for Piece {
    fn default() -> Self {
        let memory = vec![0; PIECE + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        Self { memory, start, length: 0 }
    }
}

impl Piece {
    /// All of it, filled or not.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + PIECE]
    }

    /// The same, to be read.
    pub fn whole(&self) -> &[u8] {
        &self.memory[self.start..self.start + PIECE]
    }

    /// What it was filled with.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }
}

/// Copies the `total` bytes of `from` to the start of a device. They are on the device itself after
/// [`System::sync`].
///
/// # Errors
/// See [`CopyError`].
pub fn copy(
    system: &mut dyn System,
    from: Box<dyn Read + Send>,
    to: &Path,
    total: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<(), CopyError> {
    thread::scope(|scope| {
        let (empty, empties) = empty_pieces();
        let (full, fulls) = sync_channel(PIECES);
        scope.spawn(move || read_all(from, &empties, &full));
        let mut done = 0;
        for piece in fulls {
            let piece: Piece = piece.map_err(CopyError::Read)?;
            let bytes = piece.bytes();
            let found = done + bytes.len() as u64;
            if found > total {
                return Err(CopyError::Size { expected: total, found });
            }
            system.write_direct(to, done, bytes)?;
            done = found;
            progress(done);
            // The reader may have come to its end.
            let _ = empty.send(piece);
        }
        match done == total {
            true => Ok(()),
            false => Err(CopyError::Size { expected: total, found: done }),
        }
    })
}

/// Reads `total` bytes of a device from the byte `start` on and gives their SHA-256.
///
/// # Errors
/// Reading.
pub fn read_back(
    system: &mut dyn System,
    from: &Path,
    start: u64,
    total: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<Digest, SystemError> {
    thread::scope(|scope| {
        let (empty, empties) = empty_pieces();
        let (full, fulls) = sync_channel::<Piece>(PIECES);
        let hasher = scope.spawn(move || {
            let mut digest = Sha256::new();
            for piece in fulls {
                digest.update(piece.bytes());
                // The other side may have come to its end.
                let _ = empty.send(piece);
            }
            digest
        });
        let mut done = 0;
        while done < total {
            // It is there unless the hasher panicked, which the end of the scope tells.
            let mut piece = empties.recv().unwrap_or_default();
            piece.length = usize::try_from(total - done).map_or(PIECE, |left| left.min(PIECE));
            let length = piece.length;
            system.read_at(from, start + done, &mut piece.room()[..length])?;
            done += length as u64;
            let _ = full.send(piece);
            progress(done);
        }
        drop(full);
        Ok(digest(hasher))
    })
}

fn empty_pieces() -> (SyncSender<Piece>, Receiver<Piece>) {
    let (sender, receiver) = sync_channel(PIECES);
    for _ in 0..PIECES {
        // There is room for all of them.
        let _ = sender.send(Piece::default());
    }
    (sender, receiver)
}

/// Fills pieces until the source ends or nobody takes them any more.
fn read_all(
    mut from: Box<dyn Read + Send>,
    empty: &Receiver<Piece>,
    full: &SyncSender<io::Result<Piece>>,
) {
    for mut piece in empty {
        let read = fill(&mut from, piece.room());
        let ended = !matches!(read, Ok(1..));
        let sent = match read {
            Ok(0) => return,
            Ok(read) => {
                piece.length = read;
                full.send(Ok(piece))
            }
            Err(error) => full.send(Err(error)),
        };
        if ended || sent.is_err() {
            return;
        }
    }
}

fn digest(hasher: ScopedJoinHandle<'_, Sha256>) -> Digest {
    match hasher.join() {
        Ok(digest) => Digest::new(digest.finalize().into()),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::system::fake::Fake;

    const DISK: &str = "/dev/sda";

    fn copied(bytes: Vec<u8>, total: u64) -> (Fake, Result<(), CopyError>, Vec<u64>) {
        let mut fake = Fake::new(DISK.as_ref(), 100 << 20);
        let mut told = Vec::new();
        let from = Box::new(Cursor::new(bytes));
        let copied = copy(&mut fake, from, DISK.as_ref(), total, &mut |done| told.push(done));
        (fake, copied, told)
    }

    #[test]
    fn what_was_copied_is_read_back() {
        for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 4095] {
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let expected = Digest::new(Sha256::digest(&bytes).into());
            let (mut fake, copied, told) = copied(bytes.clone(), size as u64);
            copied.unwrap();
            assert_eq!(told.last().copied().unwrap_or(0), size as u64);
            assert_eq!(fake.get(0, size), bytes);
            let mut told = 0;
            let size = size as u64;
            let again = read_back(&mut fake, DISK.as_ref(), 0, size, &mut |done| told = done);
            assert_eq!((again.unwrap(), told), (expected, size));
            if let Some((_, rest)) = bytes.split_first() {
                let rest = Digest::new(Sha256::digest(rest).into());
                let again = read_back(&mut fake, DISK.as_ref(), 1, size - 1, &mut |_| {});
                assert_eq!(again.unwrap(), rest);
            }
        }
    }

    #[test]
    fn another_size_is_an_error_and_nothing_is_written_beyond() {
        let (fake, result, _) = copied(vec![7; 3 * PIECE], 2 * PIECE as u64);
        let (expected, found) = (2 * PIECE as u64, 3 * PIECE as u64);
        assert!(matches!(result, Err(CopyError::Size { expected: e, found: f })
            if (e, f) == (expected, found)));
        assert_eq!(fake.get(expected, 1), [0]);
        let (_, result, _) = copied(vec![7; 10], 11);
        assert!(matches!(result, Err(CopyError::Size { expected: 11, found: 10 })));
    }

    /// Fails after its first piece.
    struct Broken(usize);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("bad contact"));
            }
            let read = buffer.len().min(self.0);
            self.0 -= read;
            Ok(read)
        }
    }

    #[test]
    fn failures_of_either_side_end_it() {
        let mut fake = Fake::new(DISK.as_ref(), 100 << 20);
        let total = 10 * PIECE as u64;
        let from = Box::new(Broken(PIECE));
        let result = copy(&mut fake, from, DISK.as_ref(), total, &mut |_| {});
        assert!(
            matches!(result, Err(CopyError::Read(error)) if error.to_string() == "bad contact")
        );
        fake.fail_at = Some(fake.operations + 2);
        let from = Box::new(Broken(10 * PIECE));
        let result = copy(&mut fake, from, DISK.as_ref(), total, &mut |_| {});
        assert!(matches!(result, Err(CopyError::System(_))));
        fake.fail_at = Some(fake.operations + 2);
        assert!(read_back(&mut fake, DISK.as_ref(), 0, total, &mut |_| {}).is_err());
    }
}
