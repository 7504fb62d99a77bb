// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copying disk contents without writing zeros over zeros.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use xapi_model::{ApiError, errors};

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
        let end = self.at + bytes.len() as u64;
        if end > self.size {
            let text = format!("the contents are bigger than the disk of {} bytes", self.size);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        for piece in bytes.chunks(CHUNK) {
            if !(is_zero(piece) && self.already_zero(piece.len())?) {
                self.file.write_all_at(piece, self.at)?;
            }
            self.at += piece.len() as u64;
        }
        Ok(())
    }

    fn already_zero(&mut self, length: usize) -> io::Result<bool> {
        self.present.resize(length, 0);
        self.file.read_exact_at(&mut self.present, self.at)?;
        Ok(is_zero(&self.present))
    }

    /// Returns once everything is on the disk.
    pub fn finish(self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    // Words first: a byte at a time is slow in builds for size.
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|b| *b == 0)
}

/// Copies `size` bytes from one device to another. `progress` hears of the bytes done and can
/// stop it.
pub fn device(
    from: &Path,
    to: &Path,
    size: u64,
    mut progress: impl FnMut(u64) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let failed = |what: &str, path: &Path, error: io::Error| {
        let text = format!("{what} {}: {error}", path.display());
        errors::SR_BACKEND_FAILURE.with(["", "", &text])
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
            progress(reported)?;
        }
    }
    writer.finish().map_err(|e| failed("writing", to, e))?;
    progress(size)
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
    fn zeros_are_told_apart_at_any_length() {
        for length in 0..50 {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes));
            for at in 0..length {
                bytes[at] = 1;
                assert!(!is_zero(&bytes), "{length} {at}");
                bytes[at] = 0;
            }
        }
    }
}
