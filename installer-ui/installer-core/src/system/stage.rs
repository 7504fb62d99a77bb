// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes [`Entry`]s in a folder.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, symlink,
};
use std::path::Path;

use super::SystemError;
use crate::layout::{Entry, EntryKind};

/// An error of the file system with what was done.
pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SystemError {
    let path = path.to_owned();
    move |source| SystemError::Io { doing, path, source }
}

/// Removes a folder with everything in it, if it is there.
pub(super) fn remove(staging: &Path) -> Result<(), SystemError> {
    match fs::remove_dir_all(staging) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("removing", staging)(error)),
        _ => Ok(()),
    }
}

/// Makes one entry; folders above it that are missing get 0755.
pub(super) fn stage(staging: &Path, entry: &Entry) -> Result<(), SystemError> {
    let path = staging.join(&entry.path);
    let folder = path.parent().unwrap_or(staging);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o755).create(folder).map_err(io("creating", folder))?;
    match &entry.kind {
        EntryKind::Folder { mode } => {
            builder.create(&path).map_err(io("creating", &path))?;
            set_mode(&path, *mode)
        }
        EntryKind::File { bytes, mode, group } => {
            let mut options = OpenOptions::new();
            let file = options.write(true).create_new(true).mode(0o600).open(&path);
            let file = file.map_err(io("creating", &path))?;
            file.write_all_at(bytes, 0).map_err(io("writing", &path))?;
            if *group != 0 {
                chown(&path, None, Some(*group)).map_err(io("changing the group of", &path))?;
            }
            set_mode(&path, *mode)
        }
        EntryKind::Link { target } => symlink(target, &path).map_err(io("linking", &path)),
    }
}

/// Permission bits.
pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), SystemError> {
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, permissions).map_err(io("setting the permissions of", path))
}
