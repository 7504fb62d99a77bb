// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unpacks `.deb` files raw: no maintainer scripts, no database.
//!
//! Nobody but root can give files away, and the build is to be the same for everyone, so all files
//! belong to who unpacks. Whom they belong to *in the package* is what the returned [`Entry`]s say,
//! together with their modes; who packs the tree again (mksquashfs with a pseudo file, cpio) takes
//! owners from there. Modes, set-user-id bits too, are applied to the files as well.
//!
//! Paths cannot leave the folder: links that packages brought, absolute ones too, are followed as
//! if the folder were the root.

mod archive;
mod tree;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

pub(crate) use archive::unxz;
use tree::Tree;

/// One file, folder or link that a package brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it really is, below the folder, without a leading `/`; `lib/x` of a package is
    /// `usr/lib/x` where `lib` is a link.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Permissions with set-id and sticky bits, `0o4755`; 0o777 for links.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Size in bytes, of files.
    pub size: u64,
    /// Time of the last change in seconds since 1970.
    pub mtime: u64,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A further name of the file at this path.
    HardLink(PathBuf),
    /// A symbolic link with this target.
    Link(PathBuf),
}

/// A package that cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The `.deb` is not one, or is damaged.
    #[error("reading the package {}: {what}", deb.display())]
    Form {
        /// The file.
        deb: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The `.deb` cannot be read or unpacked from its compression.
    #[error("reading {part} of the package {}", deb.display())]
    Read {
        /// The file.
        deb: PathBuf,
        /// Which part.
        part: String,
        /// The cause.
        source: io::Error,
    },
    /// Something of it cannot be written.
    #[error("writing {} of the package {}", path.display(), deb.display())]
    Write {
        /// The package's file.
        deb: PathBuf,
        /// What was to be written.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The person asked to stop.
    #[error(transparent)]
    Interrupted(#[from] crate::interrupt::Interrupted),
}

/// Unpacks one package into a folder that may have others already.
///
/// # Errors
/// It cannot be read or written; then part of it may be there.
pub fn unpack(deb: &Path, dir: &Path) -> Result<Vec<Entry>, UnpackError> {
    let data = archive::data(deb)?;
    let tree = Tree::open(dir).map_err(|source| UnpackError::Write {
        deb: deb.to_owned(),
        path: dir.to_owned(),
        source,
    })?;
    tree.unpack(deb, &data)
}

/// Unpacks packages into a folder, in their order, decompressing ahead on `threads` threads; the
/// result does not depend on their number. `base-files` must be the first, because it brings the
/// links `bin`, `lib`, … into `usr`. Returns what is there by path: of a folder that several
/// packages have, the first one's mode and owner; of a file, the last one's.
///
/// # Errors
/// As [`unpack`]; and where `interrupt` is set.
pub fn unpack_all(
    debs: &[PathBuf],
    dir: &Path,
    threads: usize,
    interrupt: &crate::interrupt::Interrupt,
) -> Result<BTreeMap<PathBuf, Entry>, UnpackError> {
    let first = debs.first().cloned().unwrap_or_default();
    let tree = Tree::open(dir).map_err(|source| UnpackError::Write {
        deb: first,
        path: dir.to_owned(),
        source,
    })?;
    let ahead = Ahead { state: Mutex::default(), changed: Condvar::new() };
    let mut manifest: BTreeMap<PathBuf, Entry> = BTreeMap::new();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| ahead.work(debs));
        }
        let result = debs.iter().enumerate().try_for_each(|(number, deb)| {
            interrupt.check()?;
            let data = ahead.take(number)?;
            for entry in tree.unpack(deb, &data)? {
                let known = manifest.get(&entry.path);
                let folders = known.is_some_and(|k| k.kind == EntryKind::Folder)
                    && entry.kind == EntryKind::Folder;
                if !folders {
                    manifest.insert(entry.path.clone(), entry);
                }
            }
            Ok(())
        });
        ahead.stop();
        result
    })
    .map(|()| manifest)
}

/// Packages that are decompressed before it is their turn.
struct Ahead {
    state: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// The next package to decompress.
    next: usize,
    /// How many were taken.
    taken: usize,
    ready: BTreeMap<usize, Result<Vec<u8>, UnpackError>>,
    stopped: bool,
}

impl Ahead {
    /// How many packages may wait decompressed in memory.
    const WINDOW: usize = 6;

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, debs: &[PathBuf]) {
        let mut state = self.lock();
        loop {
            while !state.stopped && state.next >= state.taken + Self::WINDOW {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let Some(deb) = debs.get(state.next).filter(|_| !state.stopped) else { return };
            let number = state.next;
            state.next += 1;
            drop(state);
            let data = archive::data(deb);
            state = self.lock();
            state.ready.insert(number, data);
            self.changed.notify_all();
        }
    }

    fn take(&self, number: usize) -> Result<Vec<u8>, UnpackError> {
        let mut state = self.lock();
        loop {
            if let Some(data) = state.ready.remove(&number) {
                state.taken += 1;
                self.changed.notify_all();
                return data;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
