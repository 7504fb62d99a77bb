// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the filesystem of an SR is mounted: `/run/sr-mount/<uuid>`.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use uuid::Uuid;

use crate::device;
use crate::error::StorageError;
use crate::folder::Folder;
use crate::program::{System, io};

/// The mount point of an SR.
pub(crate) struct Mount<'a> {
    system: &'a dyn System,
    sr: Uuid,
    path: String,
}

impl<'a> Mount<'a> {
    pub(crate) fn of(system: &'a dyn System, sr: Uuid) -> Self {
        Self { system, sr, path: format!("/run/sr-mount/{sr}") }
    }

    pub(crate) fn mounted(&self) -> Result<bool, StorageError> {
        device::mounted(self.system, &self.path)
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> PathBuf {
        self.system.path(&self.path)
    }

    /// What is mounted, if anything is.
    pub(crate) fn folder(&self) -> Result<Option<Folder>, StorageError> {
        Ok(self.mounted()?.then(|| Folder::new(self.path())))
    }

    /// Mounts `what` of a kind that mount(8) knows. Nothing in it is a device or is run.
    pub(crate) fn mount(&self, kind: &str, options: &str, what: &str) -> Result<(), StorageError> {
        fs::create_dir_all(self.path()).map_err(io(format!("creating {}", self.path)))?;
        let options = format!("noatime,nodev,nosuid,noexec{options}");
        let doing = format!("mounting SR {}", self.sr);
        self.system.must(&doing, "mount", &["-t", kind, "-o", &options, what, &self.path])?;
        Ok(())
    }

    /// The reverse; nothing mounted is no error.
    pub(crate) fn unmount(&self) -> Result<(), StorageError> {
        if self.mounted()? {
            self.system.must(&format!("unmounting SR {}", self.sr), "umount", &[&self.path])?;
        }
        match fs::remove_dir(self.path()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(io(format!("removing {}", self.path))(error))
            }
            _ => Ok(()),
        }
    }
}
