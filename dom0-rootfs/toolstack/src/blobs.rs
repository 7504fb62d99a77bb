// SPDX-License-Identifier: MIT OR Apache-2.0
//! Contents of blobs: files that are called as their object.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use tempfile::NamedTempFile;
use uuid::Uuid;

/// Bytes that a blob may have: they share a partition with the database.
pub const BIGGEST: u64 = 16 << 20;

/// The folder of all blobs.
#[derive(Debug)]
pub struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    /// Blobs in a folder, which is made with the first one.
    pub fn new(folder: PathBuf) -> Blobs {
        Blobs { folder }
    }

    fn path(&self, blob: &Uuid) -> PathBuf {
        self.folder.join(blob.to_string())
    }

    /// A file for new contents; it goes unless it is [kept](Blobs::keep).
    pub fn begin(&self) -> io::Result<NamedTempFile> {
        fs::create_dir_all(&self.folder)?;
        NamedTempFile::new_in(&self.folder)
    }

    /// Makes new contents, whole on disk, those of a blob.
    pub fn keep(&self, blob: &Uuid, contents: NamedTempFile) -> io::Result<()> {
        contents.as_file().sync_all()?;
        contents.persist(self.path(blob)).map_err(|error| error.error)?;
        File::open(&self.folder)?.sync_all()
    }

    /// The contents; none if there never were any.
    pub fn open(&self, blob: &Uuid) -> io::Result<Option<File>> {
        match File::open(self.path(blob)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the contents; that there are none is no error.
    pub fn remove(&self, blob: &Uuid) -> io::Result<()> {
        match fs::remove_file(self.path(blob)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes what belongs to no blob: contents that were on their way when the daemon ended.
    pub fn sweep(&self, known: impl Fn(&str) -> bool) -> io::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if !known(&entry.file_name().to_string_lossy()) {
                tracing::warn!(file = %entry.path().display(), "removing contents of no blob");
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn contents_come_whole_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().join("blobs"));
        let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
        assert!(blobs.open(&one).unwrap().is_none());
        blobs.remove(&one).unwrap();
        let mut new = blobs.begin().unwrap();
        new.write_all(b"contents").unwrap();
        assert!(blobs.open(&one).unwrap().is_none(), "not yet");
        blobs.keep(&one, new).unwrap();
        let given_up = blobs.begin().unwrap();
        let (_, left) = given_up.keep().unwrap();
        blobs.keep(&other, blobs.begin().unwrap()).unwrap();
        blobs.sweep(|name| name == one.to_string()).unwrap();
        assert!(!left.exists());
        assert!(blobs.open(&other).unwrap().is_none());
        let mut text = String::new();
        blobs.open(&one).unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "contents");
    }
}
