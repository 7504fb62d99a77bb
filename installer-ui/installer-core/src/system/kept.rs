// SPDX-License-Identifier: MIT OR Apache-2.0
//! The state partition of a host that is installed again.
//!
//! What stays is linked into a new tree beside the old one, so that it takes no room and is never in one
//! place only. The old tree is moved aside, the new one into its place, and the old one goes last:
//!
//! | at the root of the file system | |
//! |---|---|
//! | `.xenith-installing` | the new tree, until it is whole; its loss is none |
//! | `.xenith-before` | the old tree from the first move on, until the new one is in its place |
//! | `.xenith-trash` | what may go at any time |
//!
//! [`find`] knows where something is after a power cut between any two of these changes; ext4 keeps their
//! order.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Component, Path, PathBuf};

use appliance_model::records::{DATABASE, Records};

use super::stage::{io, remove, set_mode, stage};
use super::{RecordsError, SystemError};
use crate::layout::{Entry, POPULATED};
use crate::program::Program;

const NEW: &str = ".xenith-installing";
const OLD: &str = ".xenith-before";
const TRASH: &str = ".xenith-trash";
/// What a host has at the root of the file system; the one with the records is moved first.
const TOP: [&str; 4] = ["var", "etc", "root", POPULATED];
/// Where the toolstack has its database, its key, and kernels of guests.
const RECORDS: &str = "var/lib/xenith";
/// Where the partition is mounted meanwhile.
const MOUNT: &str = "/run/xenith/kept-state";
/// Where a copy of the database is looked into: in memory, root's only.
const COPY: &str = "/run/xenith/kept-records";

/// Brings a file system in order, as the initramfs does at each start.
pub(super) fn check_file_system(device: &Path) -> Result<(), RecordsError> {
    let program = Program::new("e2fsck").args(["-p"]).arg(device.display().to_string());
    let (status, said, complaint) = program.ask().map_err(SystemError::Program)?;
    match status {
        // Clean, or repaired: e2fsck(8).
        Some(0..=3) => Ok(()),
        _ => {
            let said = format!("{said} {complaint}").replace(char::is_control, " ");
            Err(RecordsError::FileSystem {
                device: device.to_owned(),
                said: said.trim().to_owned(),
            })
        }
    }
}

/// Does something with a mounted partition, and unmounts it again whatever came of it.
pub(super) fn mounted<T, E: From<SystemError>>(
    device: &Path,
    mode: &str,
    work: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    let run = |program: Program| program.run().map(drop).map_err(SystemError::Program);
    run(Program::new("mkdir").args(["-p", MOUNT]))?;
    let options = format!("{mode},nosuid,nodev");
    let mount = Program::new("mount").args(["-t", "ext4", "-o", &options]);
    run(mount.arg(device.display().to_string()).arg(MOUNT))?;
    let result = work(Path::new(MOUNT));
    let unmounted = run(Program::new("umount").args([MOUNT]));
    let result = result?;
    unmounted?;
    Ok(result)
}

/// Asks the toolstack what the database says, of a copy of it: to open a database is to write.
pub(super) fn read(device: &Path, root: &Path) -> Result<Records, RecordsError> {
    let folder = find(root, Path::new(RECORDS))?;
    let device = device.to_owned();
    if !exists(&folder.join(DATABASE))? {
        return Err(RecordsError::Missing { device, folder: RECORDS.to_owned() });
    }
    let copy = Path::new(COPY);
    remove(copy)?;
    let asked = copy_database(&folder, copy).map_err(RecordsError::from).and_then(|()| {
        let path = copy.join(DATABASE).display().to_string();
        let program = Program::new("xenith-toolstack").args(["--inspect", &path]);
        program.run().map_err(|source| RecordsError::Database { device, source })
    });
    remove(copy)?;
    serde_json::from_str(&asked?).map_err(RecordsError::Malformed)
}

fn copy_database(from: &Path, to: &Path) -> Result<(), SystemError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(to).map_err(io("creating", to))?;
    for name in names(from)? {
        // SQLite's log and index lie beside it.
        if name.to_string_lossy().starts_with(DATABASE) {
            let path = from.join(&name);
            fs::copy(&path, to.join(&name)).map_err(io("copying", &path))?;
        }
    }
    Ok(())
}

/// Where something of the host that was there is now.
fn find(root: &Path, path: &Path) -> Result<PathBuf, SystemError> {
    let aside = root.join(OLD);
    let top = path.components().next().map(|first| aside.join(first));
    match top {
        Some(top) if exists(&top)? => Ok(aside.join(path)),
        _ => Ok(root.join(path)),
    }
}

/// Where a folder of the running host is on the state partition, if it is there.
fn on_state(folder: &str) -> Option<PathBuf> {
    let path = Path::new(folder);
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    if !path.components().all(plain) {
        return None;
    }
    let places = [("/var", "var"), ("/root", "root"), ("/etc", "etc/upper")];
    let mut places = places.into_iter();
    places.find_map(|(top, place)| Some(Path::new(place).join(path.strip_prefix(top).ok()?)))
}

/// See [`super::System::replace_state`]. `before` is called before each change, and may forbid it.
pub(super) fn replace(
    root: &Path,
    entries: &[Entry],
    folders: &[String],
    before: &mut dyn FnMut() -> Result<(), SystemError>,
) -> Result<(), SystemError> {
    let (new, old, trash) = (root.join(NEW), root.join(OLD), root.join(TRASH));
    for left in [&trash, &new] {
        before()?;
        remove(left)?;
    }
    for entry in entries {
        before()?;
        stage(&new, entry)?;
    }
    let folders = folders.iter().filter_map(|folder| on_state(folder));
    for kept in folders.chain([PathBuf::from(RECORDS)]) {
        let (from, to) = (find(root, &kept)?, new.join(&kept));
        if exists(&from)? {
            let above = to.parent().unwrap_or(&new);
            fs::create_dir_all(above).map_err(io("creating", above))?;
            link(&from, &to, before)?;
        }
    }
    for folder in [&old, &trash] {
        before()?;
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder).map_err(io("creating", folder))?;
    }
    sync(root)?;
    let mut rename = |from: PathBuf, to: PathBuf| {
        before()?;
        fs::rename(&from, to).map_err(io("moving", &from))
    };
    for name in TOP {
        let (here, aside) = (root.join(name), old.join(name));
        if exists(&here)? {
            // What is here beside one that was moved is of an earlier try.
            let to = if exists(&aside)? { trash.join(name) } else { aside };
            rename(here, to)?;
        }
    }
    sync(root)?;
    for name in TOP {
        if exists(&new.join(name))? {
            rename(new.join(name), root.join(name))?;
        }
    }
    sync(root)?;
    rename(old, trash.join("before"))?;
    sync(root)?;
    for left in [&trash, &new] {
        before()?;
        remove(left)?;
    }
    sync(root)
}

/// Gives everything below a folder a second name below another, where that has nothing of that name.
fn link(
    from: &Path,
    to: &Path,
    before: &mut dyn FnMut() -> Result<(), SystemError>,
) -> Result<(), SystemError> {
    let data = fs::symlink_metadata(from).map_err(io("looking at", from))?;
    if !data.is_dir() {
        if !exists(to)? {
            before()?;
            fs::hard_link(from, to).map_err(io("linking", from))?;
        }
        return Ok(());
    }
    if !exists(to)? {
        before()?;
        fs::create_dir(to).map_err(io("creating", to))?;
        lchown(to, Some(data.uid()), Some(data.gid())).map_err(io("changing the owner of", to))?;
        set_mode(to, data.permissions().mode() & 0o7777)?;
    }
    names(from)?.iter().try_for_each(|name| link(&from.join(name), &to.join(name), before))
}

fn names(folder: &Path) -> Result<Vec<std::ffi::OsString>, SystemError> {
    let entries = fs::read_dir(folder).map_err(io("reading", folder))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    names.collect::<Result<_, _>>().map_err(io("reading", folder))
}

fn exists(path: &Path) -> Result<bool, SystemError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(io("looking at", path)(error)),
    }
}

/// Returns once all changes are on the device.
fn sync(root: &Path) -> Result<(), SystemError> {
    let file = File::open(root).map_err(io("opening", root))?;
    rustix::fs::syncfs(file).map_err(|error| io("flushing", root)(error.into()))
}

#[cfg(test)]
mod tests;
