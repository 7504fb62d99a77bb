// SPDX-License-Identifier: MIT OR Apache-2.0
//! A folder of raw VDIs: one sparse file `<uuid>.raw` each.
//!
//! A file gets its name only once it is whole and on the disk. Until then it is called
//! `<uuid>.partial` and locked by its writer, so what an interrupted call left behind can be told
//! from work in progress.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use uuid::Uuid;

use crate::driver::{SrStat, VdiInfo};
use crate::error::{StorageError, is_full};
use crate::format::ImageFormat;
use crate::program::io as failing;
use crate::qcow2;

/// Sizes of VDIs are multiples of this many bytes: the largest sector that guests see.
pub(crate) const GRAIN: u64 = 4096;

/// VDIs in a folder.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of a VDI.
    pub(crate) fn file(&self, vdi: Uuid) -> PathBuf {
        self.path.join(format!("{vdi}.raw"))
    }

    /// The VDI, or [`StorageError::NoSuchVdi`].
    pub(crate) fn info(&self, vdi: Uuid) -> Result<VdiInfo, StorageError> {
        let file = self.file(vdi);
        match fs::metadata(&file) {
            Ok(metadata) => Ok(describe(vdi, &metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StorageError::NoSuchVdi(vdi))
            }
            Err(error) => Err(failing(format!("looking at {}", file.display()))(error)),
        }
    }

    pub(crate) fn scan(&self) -> Result<Vec<VdiInfo>, StorageError> {
        self.clean()?;
        let mut found = Vec::new();
        for (uuid, path) in self.names("raw")? {
            match fs::metadata(&path) {
                Ok(metadata) => found.push(describe(uuid, &metadata)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failing(format!("looking at {}", path.display()))(error)),
            }
        }
        found.sort_by_key(|vdi| vdi.uuid);
        Ok(found)
    }

    /// Removes what interrupted calls left.
    pub(crate) fn clean(&self) -> Result<(), StorageError> {
        for (_, path) in self.names("partial")? {
            let doing = || format!("removing the leftover {}", path.display());
            let file = match OpenOptions::new().write(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failing(doing())(error)),
            };
            // A writer is at work on a locked one.
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                tracing::info!(file = %path.display(), "removing what an interrupted call left");
                remove(&path).map_err(failing(doing()))?;
            }
        }
        Ok(())
    }

    pub(crate) fn create(&self, vdi: Uuid, size: u64) -> Result<VdiInfo, StorageError> {
        let size = rounded(size)?;
        match self.info(vdi) {
            Ok(info) if info.virtual_size == size => return Ok(info),
            Ok(info) => {
                return Err(StorageError::Failed {
                    doing: format!("creating VDI {vdi} of {size} bytes"),
                    detail: format!("it exists with {} bytes", info.virtual_size),
                });
            }
            Err(StorageError::NoSuchVdi(_)) => {}
            Err(error) => return Err(error),
        }
        self.write(vdi, size, |file| file.set_len(size))
    }

    pub(crate) fn copy(&self, from: Uuid, to: Uuid) -> Result<VdiInfo, StorageError> {
        let source = self.info(from)?;
        match self.info(to) {
            Err(StorageError::NoSuchVdi(_)) => {}
            done_or_error => return done_or_error,
        }
        let path = self.file(from);
        let original = File::open(&path).map_err(failing(format!("opening {}", path.display())))?;
        self.write(to, source.physical_utilisation, |file| crate::sparse::copy(&original, file))
    }

    /// Grows a VDI; one that is large enough stays as it is.
    pub(crate) fn grow(&self, vdi: Uuid, size: u64) -> Result<VdiInfo, StorageError> {
        let size = rounded(size)?;
        if self.info(vdi)?.virtual_size < size {
            let path = self.file(vdi);
            let doing = || format!("growing {}", path.display());
            let file = OpenOptions::new().write(true).open(&path).map_err(failing(doing()))?;
            let grown = file.set_len(size).and_then(|()| file.sync_all());
            grown.map_err(|error| self.unwritten(doing(), GRAIN, error))?;
        }
        self.info(vdi)
    }

    pub(crate) fn destroy(&self, vdi: Uuid) -> Result<(), StorageError> {
        let path = self.file(vdi);
        remove(&path)
            .and_then(|()| sync_folder(&self.path))
            .map_err(failing(format!("removing {}", path.display())))
    }

    /// Removes every VDI, and nothing else.
    pub(crate) fn destroy_all(&self) -> Result<(), StorageError> {
        self.clean()?;
        for ending in ["raw"].iter().chain(&qcow2::ENDINGS) {
            for (_, path) in self.names(ending)? {
                remove(&path).map_err(failing(format!("removing {}", path.display())))?;
            }
        }
        Ok(())
    }

    pub(crate) fn stat(&self) -> Result<SrStat, StorageError> {
        let doing = format!("measuring {}", self.path.display());
        let stat = rustix::fs::statvfs(&self.path).map_err(|e| failing(doing)(e.into()))?;
        Ok(SrStat {
            physical_size: stat.f_blocks * stat.f_frsize,
            physical_utilisation: (stat.f_blocks - stat.f_bfree) * stat.f_frsize,
        })
    }

    /// Bytes that are free.
    pub(crate) fn free(&self) -> Result<u64, StorageError> {
        let stat = self.stat()?;
        Ok(stat.physical_size - stat.physical_utilisation)
    }

    /// Makes the file of a VDI with `fill`; `needed` is what it will take at most, for the error.
    fn write(
        &self,
        vdi: Uuid,
        needed: u64,
        fill: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<VdiInfo, StorageError> {
        let partial = self.path.join(format!("{vdi}.partial"));
        let made = (|| {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&partial)?;
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            fill(&file)?;
            file.sync_all()?;
            fs::rename(&partial, self.file(vdi))?;
            sync_folder(&self.path)
        })();
        if let Err(error) = made {
            // Best effort: the next scan removes it too.
            let _ = remove(&partial);
            return Err(self.unwritten(format!("writing {}", partial.display()), needed, error));
        }
        self.info(vdi)
    }

    /// The error for something of at most `needed` bytes that could not be written: also whether there is no
    /// room for it.
    pub(crate) fn unwritten(&self, doing: String, needed: u64, error: io::Error) -> StorageError {
        if !is_full(&error) {
            return failing(doing)(error);
        }
        match self.free() {
            Ok(free) => StorageError::NoSpace { free, needed },
            Err(error) => error,
        }
    }

    /// Files called `<uuid>.<extension>`.
    fn names(&self, extension: &str) -> Result<Vec<(Uuid, PathBuf)>, StorageError> {
        let doing = || format!("listing {}", self.path.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failing(doing()))? {
            let path = entry.map_err(failing(doing()))?.path();
            let uuid = path.file_stem().and_then(|stem| stem.to_str()?.parse::<Uuid>().ok());
            if let (Some(uuid), true) = (uuid, path.extension().is_some_and(|e| e == extension)) {
                names.push((uuid, path));
            }
        }
        Ok(names)
    }
}

fn describe(uuid: Uuid, metadata: &fs::Metadata) -> VdiInfo {
    VdiInfo {
        uuid,
        virtual_size: metadata.len(),
        physical_utilisation: metadata.blocks() * 512,
        image: None,
        format: Some(ImageFormat::Raw),
    }
}

/// The size of a VDI that has room for `size` bytes.
pub(crate) fn rounded(size: u64) -> Result<u64, StorageError> {
    size.checked_next_multiple_of(GRAIN).filter(|size| (1..=1 << 60).contains(size)).ok_or_else(
        || StorageError::Failed {
            doing: format!("sizing a VDI of {size} bytes"),
            detail: "a VDI has at least 1 byte and at most 1 EiB".to_owned(),
        },
    )
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().to_owned());
        (dir, folder)
    }

    #[test]
    fn create_rounds_up_and_repeats() {
        let (_dir, folder) = folder();
        let vdi = Uuid::from_u128(1);
        let made = folder.create(vdi, 5000).unwrap();
        assert_eq!((made.virtual_size, made.physical_utilisation), (8192, 0));
        assert_eq!(folder.create(vdi, 5000).unwrap(), made);
        let error = folder.create(vdi, 50_000).unwrap_err();
        assert!(error.to_string().contains("exists with 8192 bytes"), "{error}");
        assert!(folder.create(Uuid::from_u128(2), 0).is_err());
        assert!(folder.create(Uuid::from_u128(2), u64::MAX).is_err());
        assert_eq!(folder.scan().unwrap(), [made]);
    }

    #[test]
    fn leftovers_go_but_work_in_progress_and_strangers_stay() {
        let (dir, folder) = folder();
        let left = dir.path().join(format!("{}.partial", Uuid::from_u128(1)));
        let busy = dir.path().join(format!("{}.partial", Uuid::from_u128(2)));
        let stranger = dir.path().join("notes.partial");
        fs::write(&left, "half").unwrap();
        fs::write(&stranger, "mine").unwrap();
        let writer = File::create(&busy).unwrap();
        rustix::fs::flock(&writer, FlockOperation::LockExclusive).unwrap();
        assert_eq!(folder.scan().unwrap(), []);
        assert!(!left.exists() && busy.exists() && stranger.exists());
        drop(writer);
        assert_eq!(folder.scan().unwrap(), []);
        assert!(!busy.exists());
    }

    #[test]
    fn a_copy_is_whole_independent_and_repeatable() {
        let (_dir, folder) = folder();
        let (from, to) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(matches!(folder.copy(from, to), Err(StorageError::NoSuchVdi(v)) if v == from));
        folder.create(from, 1 << 20).unwrap();
        fs::OpenOptions::new()
            .write(true)
            .open(folder.file(from))
            .and_then(|f| std::os::unix::fs::FileExt::write_all_at(&f, b"boot", 4096))
            .unwrap();
        let made = folder.copy(from, to).unwrap();
        assert_eq!(made.virtual_size, 1 << 20);
        let content = fs::read(folder.file(to)).unwrap();
        assert_eq!(&content[4096..4100], b"boot");
        folder.destroy(from).unwrap();
        folder.destroy(from).unwrap();
        assert_eq!(folder.scan().unwrap(), [folder.info(to).unwrap()]);
    }

    #[test]
    fn grow_never_shrinks() {
        let (_dir, folder) = folder();
        let vdi = Uuid::from_u128(1);
        assert!(matches!(folder.grow(vdi, 1), Err(StorageError::NoSuchVdi(_))));
        folder.create(vdi, 1 << 20).unwrap();
        assert_eq!(folder.grow(vdi, 2 << 20).unwrap().virtual_size, 2 << 20);
        assert_eq!(folder.grow(vdi, 1 << 20).unwrap().virtual_size, 2 << 20);
    }
}
