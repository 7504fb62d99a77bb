// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing below a folder as if it were the root.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::{Entry, EntryKind, UnpackError};

/// A folder that packages are unpacked into.
pub(super) struct Tree {
    root: OwnedFd,
    /// The root's path as the kernel names it.
    path: PathBuf,
}

/// A folder inside, and where it really is.
struct Parent {
    fd: OwnedFd,
    path: PathBuf,
}

impl Tree {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(dir, flags, Mode::empty())?;
        let path = place_of(&root)?;
        Ok(Self { root, path })
    }

    /// Unpacks the tar archive `data` of the package `deb`.
    pub(super) fn unpack(&self, deb: &Path, data: &[u8]) -> Result<Vec<Entry>, UnpackError> {
        let read =
            |source| UnpackError::Read { deb: deb.to_owned(), part: "data.tar".to_owned(), source };
        let mut entries = Vec::new();
        // The last folder: archives go folder by folder.
        let mut last: Option<(PathBuf, Parent)> = None;
        for member in tar::Archive::new(data).entries().map_err(read)? {
            let mut member = member.map_err(read)?;
            let path = member.path().map_err(read)?.into_owned();
            let Some((folder, name)) = split(&path).map_err(|what| UnpackError::Form {
                deb: deb.to_owned(),
                what: format!("{what}: {}", path.display()),
            })?
            else {
                continue;
            };
            let written = |source: io::Error| UnpackError::Write {
                deb: deb.to_owned(),
                path: path.clone(),
                source,
            };
            if last.as_ref().is_none_or(|(known, _)| *known != folder) {
                last = Some((folder.clone(), self.folder(&folder).map_err(written)?));
            }
            let Some((_, parent)) = &last else { continue };
            entries.extend(self.write(parent, &name, &mut member).map_err(written)?);
        }
        Ok(entries)
    }

    /// Opens a folder inside, making what is missing of it.
    fn folder(&self, path: &Path) -> io::Result<Parent> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |path: &Path| {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            rustix::fs::openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
        };
        let fd = match open(path) {
            Err(Errno::NOENT) => {
                let (parent, name) = split(path)
                    .ok()
                    .flatten()
                    .ok_or_else(|| io::Error::other("a path without a name"))?;
                let parent = self.folder(&parent)?;
                match rustix::fs::mkdirat(&parent.fd, &name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                open(path)?
            }
            other => other?,
        };
        let real = place_of(&fd)?;
        let path = real.strip_prefix(&self.path).map_err(io::Error::other)?.to_owned();
        Ok(Parent { fd, path })
    }

    fn write(
        &self,
        parent: &Parent,
        name: &OsStr,
        member: &mut tar::Entry<'_, &[u8]>,
    ) -> io::Result<Option<Entry>> {
        let header = member.header();
        let mode = header.mode()? & 0o7777;
        let number = |id: u64| u32::try_from(id).map_err(io::Error::other);
        let mut entry = Entry {
            path: parent.path.join(name),
            kind: EntryKind::File,
            mode,
            uid: number(header.uid()?)?,
            gid: number(header.gid()?)?,
            size: 0,
            mtime: header.mtime()?,
        };
        let target = member.link_name()?.map(|target| target.into_owned());
        let target = || target.ok_or_else(|| io::Error::other("a link without a target"));
        match member.header().entry_type() {
            tar::EntryType::Directory => {
                entry.kind = EntryKind::Folder;
                if !make_folder(parent, name, mode)? {
                    // It is there already, perhaps as a link to another one: that stays.
                    return self.existing_folder(entry);
                }
            }
            tar::EntryType::Symlink => {
                let target = target()?;
                if is_folder(parent, name) {
                    return Ok(None);
                }
                remove(parent, name)?;
                rustix::fs::symlinkat(&target, &parent.fd, name)?;
                entry.mode = 0o777;
                entry.kind = EntryKind::Link(target);
            }
            tar::EntryType::Link => {
                let (folder, old) = split(&target()?)
                    .map_err(io::Error::other)?
                    .ok_or_else(|| io::Error::other("a hard link to nothing"))?;
                let folder = self.folder(&folder)?;
                remove(parent, name)?;
                rustix::fs::linkat(&folder.fd, &old, &parent.fd, name, AtFlags::empty())?;
                entry.kind = EntryKind::HardLink(folder.path.join(old));
                return Ok(Some(entry));
            }
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                remove(parent, name)?;
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                let fd = rustix::fs::openat(&parent.fd, name, flags, Mode::from_raw_mode(0o600))?;
                let mut file = File::from(fd);
                entry.size = io::copy(member, &mut file)?;
                rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            }
            other => return Err(io::Error::other(format!("an entry of the kind {other:?}"))),
        }
        set_time(parent, name, entry.mtime)?;
        Ok(Some(entry))
    }

    /// The entry of a folder that is there already, under its real path.
    fn existing_folder(&self, mut entry: Entry) -> io::Result<Option<Entry>> {
        let real = self.folder(&entry.path)?;
        if real.path != entry.path {
            // A link to a folder: whose it is says the package that brought the folder.
            return Ok(None);
        }
        entry.path = real.path;
        Ok(Some(entry))
    }
}

/// Makes a folder; `false` where there is one, or a link to one.
fn make_folder(parent: &Parent, name: &OsStr, mode: u32) -> io::Result<bool> {
    match rustix::fs::mkdirat(&parent.fd, name, Mode::from_raw_mode(0o700)) {
        Ok(()) => {
            // The umask must not count; and who unpacks must be able to go on.
            let mode = Mode::from_raw_mode(mode | 0o700);
            rustix::fs::chmodat(&parent.fd, name, mode, AtFlags::empty())?;
            Ok(true)
        }
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_folder(parent: &Parent, name: &OsStr) -> bool {
    let stat = rustix::fs::statat(&parent.fd, name, AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Removes a file or link that another package brought.
fn remove(parent: &Parent, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(&parent.fd, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn set_time(parent: &Parent, name: &OsStr, mtime: u64) -> io::Result<()> {
    let seconds = i64::try_from(mtime).map_err(io::Error::other)?;
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(&parent.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Where an open folder really is.
fn place_of(fd: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// Splits a path of an archive into folder and name; `None` for the root itself.
fn split(path: &Path) -> Result<Option<(PathBuf, OsString)>, &'static str> {
    let mut folder = PathBuf::new();
    let mut name: Option<OsString> = None;
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => {
                folder.extend(name.replace(part.to_owned()));
            }
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                return Err("it has a path that leads out of it");
            }
        }
    }
    Ok(name.map(|name| (folder, name)))
}
