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
use crate::program::{self, System, failed, io};

/// Seconds that it may take until a device over a file of a server that is gone is detached.
const DETACHED_WITHIN: u32 = 10;

/// The loop device over a file, if there is one that is not going away.
fn find(system: &dyn System, file: &Path) -> Result<Option<Active>, StorageError> {
    Ok(block::loops(system, file)?.into_iter().find(|found| !found.going))
}

/// The device of a VDI that has one already, in the same mode, without a look at what it lies over.
pub(crate) fn active(
    system: &dyn System,
    vdi: Uuid,
    file: &Path,
    mode: Mode,
) -> Result<Option<PathBuf>, StorageError> {
    let all = block::loops_over(system, &file.to_string_lossy())?;
    let Some(found) = all.into_iter().find(|found| !found.going) else { return Ok(None) };
    if found.read_only == (mode == Mode::ReadOnly) {
        Ok(Some(found.node))
    } else {
        Err(StorageError::VdiInUse(vdi))
    }
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
    let all = block::loops_over(system, &file.to_string_lossy())?;
    all.iter().filter(|found| !found.going).try_for_each(|found| {
        let node = found.node.to_string_lossy();
        system.must(&format!("detaching {node}"), "losetup", &["--detach", &node]).map(drop)
    })
}

/// Detaches what lies over the file of a server that does not answer: the kernel closes the file, and has whoever
/// detaches it wait for the server to hear of that.
pub(crate) fn detach_unseen(system: &dyn System, file: &Path) -> Result<(), StorageError> {
    let path = file.to_string_lossy();
    let attached = |found: &Active| !found.going;
    for found in block::loops_over(system, &path)?.into_iter().filter(attached) {
        let node = found.node.to_string_lossy();
        let doing = format!("detaching {node}");
        let ended = program::within(system, DETACHED_WITHIN, "losetup", &["--detach", &node])?;
        match ended {
            Some(ran) if ran.code != 0 => return Err(failed(&doing, "losetup", &ran)),
            // It was detached before it waited.
            None if block::loops_over(system, &path)?.iter().any(attached) => {
                let detail = format!("losetup does not end within {DETACHED_WITHIN} s");
                return Err(StorageError::Failed { doing, detail });
            }
            _ => {}
        }
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
