// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes cpio archives in the "newc" format, the one that Linux unpacks as its initramfs.
//!
//! The same entries in the same order give the same bytes: inode numbers are counted from 1, owner
//! is root, the time is one parameter for all. Linux drops an entry whose folder is not there yet
//! without a word, so the writer refuses it instead. Several archives may follow each other in one
//! initramfs, each perhaps compressed; [`CpioWriter::finish`] pads to a multiple of 512 bytes so
//! that the next can follow directly.
//!
//! The format is described in the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

const TRAILER: &str = "TRAILER!!!";
const KIND_DIRECTORY: u32 = 0o040_000;
const KIND_FILE: u32 = 0o100_000;
const KIND_SYMLINK: u32 = 0o120_000;
const KIND_CHARACTER: u32 = 0o020_000;
const KIND_BLOCK: u32 = 0o060_000;

/// Why an archive cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum CpioError {
    /// The path is absolute, empty, or has a part that is empty, `.` or `..`.
    #[error("cpio entry {path:?} is not a plain relative path")]
    BadPath {
        /// As it was given.
        path: String,
    },
    /// Linux would drop this entry.
    #[error("cpio entry {path:?} comes before its folder")]
    FolderMissing {
        /// The entry.
        path: String,
    },
    /// Written before.
    #[error("cpio entry {path:?} is there twice")]
    Twice {
        /// The entry.
        path: String,
    },
    /// A file of 4 GiB or more.
    #[error("cpio entry {path:?} is too large: {size} bytes")]
    TooLarge {
        /// The entry.
        path: String,
        /// Bytes.
        size: u64,
    },
    /// The reader of a file gave fewer bytes than were announced.
    #[error("cpio entry {path:?} ended after {got} of {size} bytes")]
    Short {
        /// The entry.
        path: String,
        /// Bytes announced.
        size: u64,
        /// Bytes read.
        got: u64,
    },
    /// Reading a file's bytes or writing the archive.
    #[error("writing cpio entry {path:?}")]
    Io {
        /// The entry.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Which table of device numbers a device node belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// Such as `/dev/console`.
    Character,
    /// Such as `/dev/sda`.
    Block,
}

/// Writes one archive; see the module's text.
pub struct CpioWriter<W> {
    out: W,
    mtime: u32,
    next_inode: u32,
    written: u64,
    folders: BTreeSet<String>,
    others: BTreeSet<String>,
}

struct Header<'a> {
    path: &'a str,
    inode: u32,
    mode: u32,
    links: u32,
    mtime: u32,
    size: u32,
    device: (u32, u32),
}

impl<W: Write> CpioWriter<W> {
    /// Starts an archive in which every entry carries `mtime`, in seconds since 1970.
    pub fn new(out: W, mtime: u32) -> Self {
        Self {
            out,
            mtime,
            next_inode: 1,
            written: 0,
            folders: BTreeSet::new(),
            others: BTreeSet::new(),
        }
    }

    /// Adds a folder with these permission bits.
    ///
    /// # Errors
    /// See [`CpioError`].
    pub fn folder(&mut self, path: &str, permissions: u32) -> Result<(), CpioError> {
        self.claim(path)?;
        self.entry(path, KIND_DIRECTORY | (permissions & 0o7777), 2, (0, 0), 0)?;
        self.folders.insert(path.to_owned());
        Ok(())
    }

    /// Adds a folder and those above it that are not there yet, all with the permissions 0755.
    ///
    /// # Errors
    /// See [`CpioError`].
    pub fn folders(&mut self, path: &str) -> Result<(), CpioError> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let part = &path[..end];
            if !self.folders.contains(part) {
                self.folder(part, 0o755)?;
            }
        }
        Ok(())
    }

    /// Adds a file of exactly `size` bytes, read from `content`.
    ///
    /// # Errors
    /// See [`CpioError`].
    pub fn file(
        &mut self,
        path: &str,
        permissions: u32,
        size: u64,
        content: impl Read,
    ) -> Result<(), CpioError> {
        self.claim(path)?;
        let short_size =
            u32::try_from(size).map_err(|_| CpioError::TooLarge { path: path.to_owned(), size })?;
        self.entry(path, KIND_FILE | (permissions & 0o7777), 1, (0, 0), short_size)?;
        let got = io::copy(&mut content.take(size), &mut self.out)
            .map_err(|source| CpioError::Io { path: path.to_owned(), source })?;
        if got != size {
            return Err(CpioError::Short { path: path.to_owned(), size, got });
        }
        self.written += got;
        self.pad(path, 4)
    }

    /// Adds a symbolic link; `target` is stored as it is.
    ///
    /// # Errors
    /// See [`CpioError`].
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<(), CpioError> {
        self.claim(path)?;
        let size = u32::try_from(target.len()).map_err(|_| CpioError::TooLarge {
            path: path.to_owned(),
            size: target.len() as u64,
        })?;
        self.entry(path, KIND_SYMLINK | 0o777, 1, (0, 0), size)?;
        self.bytes(path, target.as_bytes())?;
        self.pad(path, 4)
    }

    /// Adds a device node with these permission bits.
    ///
    /// # Errors
    /// See [`CpioError`].
    pub fn device(
        &mut self,
        path: &str,
        permissions: u32,
        kind: DeviceKind,
        major: u32,
        minor: u32,
    ) -> Result<(), CpioError> {
        self.claim(path)?;
        let kind = match kind {
            DeviceKind::Character => KIND_CHARACTER,
            DeviceKind::Block => KIND_BLOCK,
        };
        self.entry(path, kind | (permissions & 0o7777), 1, (major, minor), 0)
    }

    /// Ends the archive, padded to a multiple of 512 bytes, and gives back the writer.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(mut self) -> Result<W, CpioError> {
        let (path, inode, mtime) = (TRAILER, 0, 0);
        self.header(&Header { path, inode, mode: 0, links: 1, mtime, size: 0, device: (0, 0) })?;
        self.pad(TRAILER, 512)?;
        self.out.flush().map_err(|source| CpioError::Io { path: TRAILER.to_owned(), source })?;
        Ok(self.out)
    }

    fn claim(&mut self, path: &str) -> Result<(), CpioError> {
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        if !path.split('/').all(plain) || path == TRAILER {
            return Err(CpioError::BadPath { path: path.to_owned() });
        }
        if let Some((folder, _)) = path.rsplit_once('/')
            && !self.folders.contains(folder)
        {
            return Err(CpioError::FolderMissing { path: path.to_owned() });
        }
        if self.folders.contains(path) || !self.others.insert(path.to_owned()) {
            return Err(CpioError::Twice { path: path.to_owned() });
        }
        Ok(())
    }

    fn entry(
        &mut self,
        path: &str,
        mode: u32,
        links: u32,
        device: (u32, u32),
        size: u32,
    ) -> Result<(), CpioError> {
        let (inode, mtime) = (self.next_inode, self.mtime);
        self.next_inode += 1;
        self.header(&Header { path, inode, mode, links, mtime, size, device })
    }

    fn header(&mut self, header: &Header<'_>) -> Result<(), CpioError> {
        let Header { path, inode, mode, links, mtime, size, device } = *header;
        let name_size = path.len() + 1;
        let text = format!(
            "070701{inode:08X}{mode:08X}{:08X}{:08X}{links:08X}{mtime:08X}{size:08X}{:08X}{:08X}\
             {:08X}{:08X}{name_size:08X}{:08X}{path}\0",
            0, 0, 0, 0, device.0, device.1, 0
        );
        self.bytes(path, text.as_bytes())?;
        self.pad(path, 4)
    }

    fn bytes(&mut self, path: &str, bytes: &[u8]) -> Result<(), CpioError> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|source| CpioError::Io { path: path.to_owned(), source })
    }

    fn pad(&mut self, path: &str, to: u64) -> Result<(), CpioError> {
        let zeros = [0; 512];
        let missing = (to - self.written % to) % to;
        self.bytes(path, &zeros[..missing as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut cpio = CpioWriter::new(Vec::new(), 1_700_000_000);
        cpio.folders("usr/lib/modules").unwrap();
        cpio.folder("dev", 0o755).unwrap();
        cpio.device("dev/console", 0o600, DeviceKind::Character, 5, 1).unwrap();
        cpio.file("init", 0o755, 5, &b"#!/x\n"[..]).unwrap();
        cpio.symlink("bin", "usr/bin").unwrap();
        cpio.finish().unwrap()
    }

    #[test]
    fn bytes_are_those_of_the_format() {
        let mut cpio = CpioWriter::new(Vec::new(), 0x10);
        cpio.file("a", 0o644, 2, &b"hi"[..]).unwrap();
        let bytes = cpio.finish().unwrap();
        let expected = "070701000000010000\
                        81A4000000000000000000000001000000100000000200000000000000000000000000000000\
                        0000000200000000a\0hi\0\x00070701";
        assert_eq!(String::from_utf8_lossy(&bytes[..expected.len()]), expected);
        assert_eq!(bytes.len() % 512, 0);
    }

    #[test]
    fn the_same_twice() {
        assert_eq!(sample(), sample());
    }

    #[test]
    fn what_linux_would_drop_is_refused() {
        let mut cpio = CpioWriter::new(Vec::new(), 0);
        assert!(matches!(cpio.symlink("a/b", "c"), Err(CpioError::FolderMissing { .. })));
        cpio.folder("a", 0o700).unwrap();
        cpio.symlink("a/b", "c").unwrap();
        assert!(matches!(cpio.symlink("a/b", "c"), Err(CpioError::Twice { .. })));
        assert!(matches!(cpio.folder("a", 0o700), Err(CpioError::Twice { .. })));
        for path in ["", "/a", "a/", "a//b", "./a", "../a", "TRAILER!!!"] {
            assert!(matches!(cpio.folder(path, 0), Err(CpioError::BadPath { .. })), "{path}");
        }
    }

    #[test]
    fn a_short_file_is_an_error() {
        let mut cpio = CpioWriter::new(Vec::new(), 0);
        let error = cpio.file("a", 0o644, 3, &b"hi"[..]).unwrap_err();
        assert_eq!(error.to_string(), "cpio entry \"a\" ended after 2 of 3 bytes");
    }
}
