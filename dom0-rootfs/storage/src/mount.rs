// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the filesystem of an SR is mounted: `/run/sr-mount/<uuid>`.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use uuid::Uuid;

use crate::device;
use crate::error::StorageError;
use crate::folder::Folder;
use crate::program::{self, System, failed, io};

/// Seconds that a server may take until its folder is mounted.
const MOUNTED_WITHIN: u32 = 60;

fn options_of(more: &str) -> String {
    format!("noatime,nodev,nosuid,noexec{more}")
}

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

    /// Fails if a server's folder is mounted and the server does not answer.
    pub(crate) fn reach(&self) -> Result<(), StorageError> {
        match !self.mounted()? || self.system.answers(&self.path()) {
            true => Ok(()),
            false => Err(StorageError::NoAnswer(self.sr)),
        }
    }

    /// Mounts `what` of a kind that mount(8) knows. Nothing in it is a device or is run.
    pub(crate) fn mount(&self, kind: &str, options: &str, what: &str) -> Result<(), StorageError> {
        self.begin()?;
        let options = options_of(options);
        let doing = format!("mounting SR {}", self.sr);
        self.system.must(&doing, "mount", &["-t", kind, "-o", &options, what, &self.path])?;
        Ok(())
    }

    /// Mounts a folder of an NFS server, which may be one that takes connections and says nothing.
    pub(crate) fn mount_nfs(&self, options: &str, what: &str) -> Result<(), StorageError> {
        self.begin()?;
        let options = options_of(options);
        let args = ["-t", "nfs", "-o", &options, what, &self.path];
        match program::within(self.system, MOUNTED_WITHIN, "mount", &args)? {
            Some(ran) if ran.code == 0 => Ok(()),
            Some(ran) => Err(failed(&format!("mounting SR {}", self.sr), "mount", &ran)),
            None => {
                // Its last moment may have been that of success.
                self.let_go(&["--lazy", &self.path])?;
                Err(StorageError::NoAnswer(self.sr))
            }
        }
    }

    fn begin(&self) -> Result<(), StorageError> {
        fs::create_dir_all(self.path()).map_err(io(format!("creating {}", self.path)))
    }

    /// The reverse; nothing mounted is no error.
    pub(crate) fn unmount(&self) -> Result<(), StorageError> {
        self.let_go(&[&self.path])
    }

    /// The reverse of [`Mount::mount_nfs`]. Of a server that does not answer the kernel lets go later, when whoever
    /// waits for it has been answered. What others wait for is not ended with an error: guests may use another
    /// folder of the same server.
    pub(crate) fn unmount_nfs(&self) -> Result<(), StorageError> {
        match self.reach() {
            Err(StorageError::NoAnswer(_)) => self.let_go(&["--lazy", &self.path]),
            reached => reached.and_then(|()| self.unmount()),
        }
    }

    fn let_go(&self, args: &[&str]) -> Result<(), StorageError> {
        if self.mounted()? {
            self.system.must(&format!("unmounting SR {}", self.sr), "umount", args)?;
        }
        match fs::remove_dir(self.path()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(io(format!("removing {}", self.path))(error))
            }
            _ => Ok(()),
        }
    }
}
