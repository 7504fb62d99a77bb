// SPDX-License-Identifier: MIT OR Apache-2.0
//! Only one of several consoles may install.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// Held while one console owns the installation; released when the process ends.
#[derive(Debug)]
pub struct Owner {
    _file: File,
}

/// Why the installation is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another console has it.
    #[error("the installer is in use on {0}")]
    Taken(String),
    /// The lock file.
    #[error("locking {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl Owner {
    /// Takes the installation for the console `name`.
    ///
    /// # Errors
    /// Another process has it, or the file cannot be used.
    pub fn take(path: &Path, name: &str) -> Result<Self, LockError> {
        let error = |source| LockError::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(error)?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(error)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let owner = fs::read_to_string(path).map_err(error)?;
                return Err(LockError::Taken(owner.trim().to_owned()));
            }
            Err(errno) => return Err(error(errno.into())),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{name}")).map_err(error)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_console_is_told_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/installer.lock");
        let owner = Owner::take(&path, "hvc0").unwrap();
        let error = Owner::take(&path, "tty1").unwrap_err();
        assert_eq!(error.to_string(), "the installer is in use on hvc0");
        drop(owner);
        assert!(Owner::take(&path, "tty1").is_ok());
    }
}
