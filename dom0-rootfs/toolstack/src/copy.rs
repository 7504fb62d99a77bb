// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copying disk contents without writing zeros over zeros.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use disk_format::is_zero;
use rustix::fs::FallocateFlags;
use xapi_model::ApiError;

/// Bytes that are read and written at once.
pub const CHUNK: usize = 256 * 1024;

/// A disk that is written front to back. A piece of zeros is only written where there are none yet,
/// so a sparse disk stays sparse.
#[derive(Debug)]
pub struct Writer {
    file: File,
    at: u64,
    size: u64,
    present: Vec<u8>,
}

impl Writer {
    /// Writes to a device of `size` bytes.
    pub fn open(path: &Path, size: u64) -> io::Result<Writer> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Writer { file, at: 0, size, present: Vec::new() })
    }

    /// Bytes written so far.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Writes on. More than the disk holds is an error, and nothing of it is written.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_at(self.at, bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Writes at a place; the same holds.
    pub fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.room(at, bytes.len() as u64)?;
        let pieces = (at..).step_by(CHUNK).zip(bytes.chunks(CHUNK));
        for (at, piece) in pieces {
            if !(is_zero(piece) && self.already_zero(at, piece.len())?) {
                self.file.write_all_at(piece, at)?;
            }
        }
        Ok(())
    }

    /// Makes so many bytes zero.
    pub fn zeros_at(&mut self, at: u64, length: u64) -> io::Result<()> {
        self.room(at, length)?;
        // Files and most devices can, and give the room back.
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if rustix::fs::fallocate(&self.file, hole, at, length).is_ok() {
            return Ok(());
        }
        let zeros = vec![0; CHUNK];
        let end = at + length;
        for at in (at..end).step_by(CHUNK) {
            let left = (end - at).min(CHUNK as u64) as usize;
            self.write_at(at, &zeros[..left])?;
        }
        Ok(())
    }

    fn room(&self, at: u64, length: u64) -> io::Result<()> {
        if at.checked_add(length).is_none_or(|end| end > self.size) {
            let text = format!("the contents are bigger than the disk of {} bytes", self.size);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        Ok(())
    }

    fn already_zero(&mut self, at: u64, length: usize) -> io::Result<bool> {
        self.present.resize(length, 0);
        self.file.read_exact_at(&mut self.present, at)?;
        Ok(is_zero(&self.present))
    }

    /// Returns once everything is on the disk.
    pub fn finish(self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Why a copy did not come to its end.
#[derive(Debug)]
pub enum Stopped {
    /// One of the devices failed.
    Device {
        /// A lower-case gerund with its object.
        doing: String,
        /// What the kernel says.
        error: io::Error,
    },
    /// Whoever hears of its progress stopped it.
    Asked(ApiError),
}

/// Copies `size` bytes from one device to another. `progress` hears of the bytes done and can
/// stop it.
pub fn device(
    from: &Path,
    to: &Path,
    size: u64,
    mut progress: impl FnMut(u64) -> Result<(), ApiError>,
) -> Result<(), Stopped> {
    let failed = |what: &str, path: &Path, error: io::Error| Stopped::Device {
        doing: format!("{what} {}", path.display()),
        error,
    };
    let source = File::open(from).map_err(|e| failed("opening", from, e))?;
    let mut writer = Writer::open(to, size).map_err(|e| failed("opening", to, e))?;
    let mut buffer = vec![0; CHUNK];
    let mut reported = 0;
    while writer.position() < size {
        let length = usize::try_from(size - writer.position()).unwrap_or(CHUNK).min(CHUNK);
        let piece = &mut buffer[..length];
        source.read_exact_at(piece, writer.position()).map_err(|e| failed("reading", from, e))?;
        writer.write(piece).map_err(|e| failed("writing", to, e))?;
        if writer.position() - reported >= 64 * CHUNK as u64 {
            reported = writer.position();
            progress(reported).map_err(Stopped::Asked)?;
        }
    }
    writer.finish().map_err(|e| failed("writing", to, e))?;
    progress(size).map_err(Stopped::Asked)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn copies_exactly_and_stays_sparse() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let size = 8 * CHUNK as u64 + 4096;
        let source = File::create(&from).unwrap();
        source.set_len(size).unwrap();
        source.write_all_at(b"data", 3 * CHUNK as u64 + 5).unwrap();
        let target = File::create(&to).unwrap();
        target.set_len(size).unwrap();
        // Something is there already where the source has zeros.
        target.write_all_at(b"old", 5 * CHUNK as u64).unwrap();
        device(&from, &to, size, |_| Ok(())).unwrap();
        assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap());
        assert!(fs::metadata(&to).unwrap().blocks() * 512 < size / 2);
    }

    #[test]
    fn no_room_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::write(&from, vec![1; 8192]).unwrap();
        let full = device(&from, Path::new("/dev/full"), 8192, |_| Ok(()));
        let Err(Stopped::Device { doing, error }) = full else { panic!("{full:?}") };
        assert_eq!((doing.as_str(), storage::is_full(&error)), ("writing /dev/full", true));
    }

    #[test]
    fn too_much_is_refused_before_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        File::create(&path).unwrap().set_len(10).unwrap();
        let mut writer = Writer::open(&path, 10).unwrap();
        writer.write(b"12345").unwrap();
        assert!(writer.write(b"678901").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"12345\0\0\0\0\0");
    }

    #[test]
    fn zeros_are_made_anywhere_and_nothing_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let size = 3 * CHUNK + 100;
        fs::write(&path, vec![7; size]).unwrap();
        let mut writer = Writer::open(&path, size as u64).unwrap();
        writer.zeros_at(10, 2 * CHUNK as u64).unwrap();
        writer.write_at(CHUNK as u64, b"x").unwrap();
        assert!(writer.zeros_at(3 * CHUNK as u64, 101).is_err());
        assert!(writer.write_at(u64::MAX, b"x").is_err());
        let mut expected = vec![7; size];
        expected[10..10 + 2 * CHUNK].fill(0);
        expected[CHUNK] = b'x';
        assert!(fs::read(&path).unwrap() == expected);
    }
}
