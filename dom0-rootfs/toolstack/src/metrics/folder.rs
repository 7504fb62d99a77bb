// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures on disk: a file for the host and each VM, called as its uuid.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rrd::{Rrd, SHAPES};
use tempfile::NamedTempFile;
use uuid::Uuid;

/// The folder of all files, which is made with the first one.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Held by who writes, or takes away what it does not know.
    writing: Mutex<()>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Folder {
        Folder { path, writing: Mutex::default() }
    }

    /// The folder itself.
    pub(super) fn folder(&self) -> &Path {
        &self.path
    }

    fn path(&self, owner: &Uuid) -> PathBuf {
        self.path.join(owner.to_string())
    }

    /// The figures of a host or VM; none if there are none, or what is there cannot be read.
    pub(super) fn load(&self, owner: &Uuid) -> Option<Rrd> {
        let path = self.path(owner);
        let mut bytes = Vec::new();
        let file =
            File::open(&path).and_then(|file| file.take(rrd::BIGGEST).read_to_end(&mut bytes));
        match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => tracing::warn!(%error, path = %path.display(), "reading figures"),
            Ok(_) => match Rrd::decode(&SHAPES, &bytes) {
                Ok(rrd) => return Some(rrd),
                Err(error) => tracing::warn!(%error, path = %path.display(), "figures are lost"),
            },
        }
        None
    }

    /// Writes figures in the place of those of before, whole or not at all.
    pub(super) fn save(&self, owner: &Uuid, bytes: &[u8]) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let write = || {
            fs::create_dir_all(&self.path)?;
            let mut file = NamedTempFile::new_in(&self.path)?;
            file.write_all(bytes)?;
            file.as_file().sync_data()?;
            file.persist(self.path(owner)).map_err(|error| error.error)
        };
        if let Err(error) = write() {
            tracing::warn!(%error, %owner, "writing figures to disk");
        }
    }

    /// Removes the figures of a VM that is gone.
    pub(super) fn remove(&self, owner: &Uuid) {
        match fs::remove_file(self.path(owner)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, %owner, "removing figures");
            }
            _ => {}
        }
    }

    /// Removes what belongs to nobody.
    pub(super) fn sweep(&self, known: impl Fn(&str) -> bool) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if !known(&entry.file_name().to_string_lossy())
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::warn!(%error, path = %entry.path().display(), "removing figures");
            }
        }
    }
}
