// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loop devices: VDI files as block devices of Dom0.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use uuid::Uuid;

use crate::block::{self, Active};
use crate::driver::Mode;
use crate::error::StorageError;
use crate::program::{System, io};

/// The loop device over a file, if there is one that is not going away.
fn find(system: &dyn System, file: &Path) -> Result<Option<Active>, StorageError> {
    Ok(block::loops(system, file)?.into_iter().find(|found| !found.going))
}

/// Makes a VDI's file a block device. One that is a block device already in the same mode stays it.
pub(crate) fn activate(
    system: &dyn System,
    vdi: Uuid,
    file: &Path,
    mode: Mode,
) -> Result<PathBuf, StorageError> {
    if let Some(found) = find(system, file)? {
        return if found.read_only == (mode == Mode::ReadOnly) {
            Ok(found.node)
        } else {
            Err(StorageError::VdiInUse(vdi))
        };
    }
    let path = file.to_string_lossy();
    // Past the page cache where the filesystem lets us: data would lie in Dom0's small memory twice.
    let direct = if takes_direct_io(file)? { "--direct-io=on" } else { "--direct-io=off" };
    let mut args = vec!["--find", "--show", direct];
    if mode == Mode::ReadOnly {
        args.push("--read-only");
    }
    args.push(&path);
    let out = system.must(&format!("activating {path}"), "losetup", &args)?;
    Ok(PathBuf::from(out.trim()))
}

/// The reverse. While a guest still has the device open, the kernel lets go of it with the last close.
pub(crate) fn deactivate(system: &dyn System, file: &Path) -> Result<(), StorageError> {
    if let Some(found) = find(system, file)? {
        let doing = format!("deactivating {}", file.display());
        system.must(&doing, "losetup", &["--detach", &found.node.to_string_lossy()])?;
    }
    Ok(())
}

/// Detaches what lies over a file that may have stopped to answer.
pub(crate) fn detach(system: &dyn System, file: &Path) -> Result<(), StorageError> {
    let path = file.to_string_lossy();
    for found in block::loops_over(system, &path)?.into_iter().filter(|found| !found.going) {
        let doing = format!("detaching what lies over {path}");
        system.must(&doing, "losetup", &["--detach", &found.node.to_string_lossy()])?;
    }
    Ok(())
}

/// Tells the loop device of a file, if there is one, that the file has grown.
pub(crate) fn grown(system: &dyn System, file: &Path) -> Result<(), StorageError> {
    if let Some(found) = find(system, file)? {
        let doing = format!("growing the device of {}", file.display());
        system.must(&doing, "losetup", &["--set-capacity", &found.node.to_string_lossy()])?;
    }
    Ok(())
}

/// Refuses a VDI whose file is a block device now, or still until its last user lets go of it.
pub(crate) fn refuse_active(
    system: &dyn System,
    vdi: Uuid,
    file: &Path,
) -> Result<(), StorageError> {
    if block::loops(system, file)?.is_empty() { Ok(()) } else { Err(StorageError::VdiInUse(vdi)) }
}

/// Whether the file's filesystem can go past the page cache.
pub(crate) fn takes_direct_io(file: &Path) -> Result<bool, StorageError> {
    let flags = i32::try_from(OFlags::DIRECT.bits()).unwrap_or_default();
    match OpenOptions::new().read(true).custom_flags(flags).open(file) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => Ok(false),
        Err(error) => Err(io(format!("opening {}", file.display()))(error)),
    }
}
