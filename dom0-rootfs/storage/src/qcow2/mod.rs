// SPDX-License-Identifier: MIT OR Apache-2.0
//! VDIs of format qcow2 in a folder: snapshots and clones share what they have in common.
//!
//! An image has the differences to a base, which may be built on another one. A snapshot makes a base of
//! what a VDI has and gives it a new, empty image on it (`freeze`); the snapshot gets another one. A base
//! that only one image needs is merged with it later ([`Qcow2::tidy`]), also while that is written to.
//!
//! Each step leaves every VDI readable, and what its guest wrote last in the image that its name leads
//! to or below it. What a cut-off call left is no VDI's, and is removed by the next `tidy`; a program
//! that was not told of its VDI's new image yet is told by whoever works with the VDI next.

mod daemon;
mod files;
mod image;
#[cfg(test)]
mod interruption;
mod tidy;
mod tree;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use uuid::Uuid;

use crate::driver::{Mode, SrSpec, VdiInfo};
use crate::error::StorageError;
use crate::folder::rounded;
use crate::format::ImageFormat;
use crate::loops;
use crate::program::{System, io};

use daemon::{Daemon, Progress};
pub(crate) use files::ENDINGS;
use files::Files;
use tree::{Image, Name, Tree};

/// The program without which there are no such VDIs.
pub(crate) const PROGRAM: &str = "/usr/bin/qemu-storage-daemon";

/// The qcow2 VDIs of an attached SR.
pub(crate) struct Qcow2<'a> {
    files: Files<'a>,
    sr: Uuid,
}

impl<'a> Qcow2<'a> {
    /// Those in `folder`.
    pub(crate) fn new(system: &'a dyn System, sr: &SrSpec, folder: &'a Path) -> Self {
        Self { files: Files { system, folder }, sr: sr.uuid }
    }

    fn daemon(&self, vdi: Uuid) -> Daemon<'_> {
        Daemon::new(&self.files, self.sr, vdi)
    }

    /// Held by whoever changes anything: names, images, or programs of the SR.
    fn lock(&self) -> Result<File, StorageError> {
        let folder = self.files.system.path(&daemon::folder_of(self.sr));
        let path = folder.join("lock");
        let doing = || format!("locking {}", path.display());
        loop {
            fs::create_dir_all(&folder).map_err(io(doing()))?;
            let file = match File::options().create(true).append(true).open(&path) {
                // Somebody detaches the SR.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.map_err(io(doing()))?,
            };
            rustix::fs::flock(&file, FlockOperation::LockExclusive)
                .map_err(|error| io(doing())(error.into()))?;
            // It may have gone while it was waited for.
            let own = file.metadata().map_err(io(doing()))?;
            if fs::metadata(&path).is_ok_and(|now| now.ino() == own.ino()) {
                return Ok(file);
            }
        }
    }

    /// Whether a VDI is of this format.
    pub(crate) fn has(&self, vdi: Uuid) -> Result<bool, StorageError> {
        Ok(self.files.target(Name::Vdi(vdi))?.is_some())
    }

    fn image_of(&self, vdi: Uuid) -> Result<Uuid, StorageError> {
        self.files.target(Name::Vdi(vdi))?.ok_or(StorageError::NoSuchVdi(vdi))
    }

    fn look(&self, image: Uuid) -> Result<Image, StorageError> {
        image::info(self.files.system, &self.files.image(image))
    }

    /// The VDI, or [`StorageError::NoSuchVdi`].
    pub(crate) fn info(&self, vdi: Uuid) -> Result<VdiInfo, StorageError> {
        let image = self.image_of(vdi)?;
        Ok(describe(vdi, &self.look(image)?))
    }

    pub(crate) fn scan(&self) -> Result<Vec<VdiInfo>, StorageError> {
        let (names, _) = self.files.list()?;
        let vdis = names.into_iter().filter_map(|(name, image)| match name {
            Name::Vdi(vdi) => Some((vdi, image)),
            Name::Base(_) => None,
        });
        vdis.map(|(vdi, image)| Ok(describe(vdi, &self.look(image)?))).collect()
    }

    pub(crate) fn create(&self, vdi: Uuid, size: u64) -> Result<VdiInfo, StorageError> {
        let size = rounded(size)?;
        let _lock = self.lock()?;
        if self.has(vdi)? {
            let info = self.info(vdi)?;
            if info.virtual_size == size {
                return Ok(info);
            }
            return Err(StorageError::Failed {
                doing: format!("creating VDI {vdi} of {size} bytes"),
                detail: format!("it exists with {} bytes", info.virtual_size),
            });
        }
        self.add(vdi, None, size)
    }

    /// A VDI that is empty, or as a base.
    fn add(&self, vdi: Uuid, base: Option<Uuid>, size: u64) -> Result<VdiInfo, StorageError> {
        let image = Uuid::new_v4();
        image::create(&self.files, image, base, size)?;
        self.files.point(Name::Vdi(vdi), image)?;
        self.info(vdi)
    }

    /// Removes a VDI. What it shared with others stays for them, and what it shared with nobody goes with
    /// the next [`Qcow2::tidy`].
    pub(crate) fn destroy(&self, vdi: Uuid) -> Result<(), StorageError> {
        let _lock = self.lock()?;
        let Some(image) = self.files.target(Name::Vdi(vdi))? else { return Ok(()) };
        let daemon = self.daemon(vdi);
        if daemon.in_use()? {
            return Err(StorageError::VdiInUse(vdi));
        }
        daemon.stop()?;
        self.files.drop_name(Name::Vdi(vdi))?;
        let (names, _) = self.files.list()?;
        if names.values().any(|named| *named == image) {
            return Ok(());
        }
        self.files.drop_image(image)
    }

    /// A new VDI with the contents of another, which may be written to meanwhile: those of one moment.
    pub(crate) fn clone(&self, from: Uuid, to: Uuid) -> Result<VdiInfo, StorageError> {
        let _lock = self.lock()?;
        let image = self.image_of(from)?;
        if self.has(to)? {
            return self.info(to);
        }
        let runs = self.catch_up(from)?;
        let info = self.look(image)?;
        let path = self.files.image(image);
        let base = match info.backing {
            // A snapshot as it was taken, for example.
            Some(base) if !runs && image::is_empty(self.files.system, &path, &info)? => base,
            _ => self.freeze(from)?,
        };
        self.add(to, Some(base), info.size)
    }

    /// Makes a base of what a VDI has. Its name leads to the new image before that is written to, which
    /// until then has what the one below it gets.
    fn freeze(&self, vdi: Uuid) -> Result<Uuid, StorageError> {
        let runs = self.catch_up(vdi)?;
        let now = self.image_of(vdi)?;
        let size = self.look(now)?.size;
        let (base, new) = (Uuid::new_v4(), Uuid::new_v4());
        self.files.point(Name::Base(base), now)?;
        image::create(&self.files, new, Some(base), size)?;
        self.files.point(Name::Vdi(vdi), new)?;
        if runs {
            let daemon = self.daemon(vdi);
            self.make_way(&daemon)?;
            daemon.put_over(now, new)?;
        }
        Ok(base)
    }

    /// Tells a VDI's program of the image that the VDI has now, if it does not know; whether it runs.
    fn catch_up(&self, vdi: Uuid) -> Result<bool, StorageError> {
        let daemon = self.daemon(vdi);
        let image = self.image_of(vdi)?;
        match daemon.serves(image)? {
            None => Ok(false),
            Some(true) => Ok(true),
            Some(false) => {
                let base = self.look(image)?.backing.map(Name::Base);
                let before = base.map(|base| self.files.target(base)).transpose()?.flatten();
                let lost = || StorageError::Failed {
                    doing: format!("looking for what serves VDI {vdi}"),
                    detail: "it has another disk open".to_owned(),
                };
                let before = before.ok_or_else(lost)?;
                if daemon.serves(before)? != Some(true) {
                    return Err(lost());
                }
                tracing::info!(%vdi, "going on with a snapshot that was cut off");
                self.make_way(&daemon)?;
                daemon.put_over(before, image)?;
                Ok(true)
            }
        }
    }

    /// Ends a program's merges, as it changes nothing of a disk meanwhile. They begin anew later.
    fn make_way(&self, daemon: &Daemon<'_>) -> Result<(), StorageError> {
        for (job, _) in daemon.jobs()? {
            daemon.cancel(job)?;
        }
        self.finish(daemon)
    }

    /// Does what is left to do of merges that are over.
    fn finish(&self, daemon: &Daemon<'_>) -> Result<(), StorageError> {
        for (job, progress) in daemon.jobs()? {
            if progress == Progress::Done {
                self.merged(job)?;
                daemon.dismiss(job)?;
            }
        }
        Ok(())
    }

    /// Grows a VDI; one that is large enough stays as it is.
    pub(crate) fn grow(&self, vdi: Uuid, size: u64) -> Result<VdiInfo, StorageError> {
        let size = rounded(size)?;
        let _lock = self.lock()?;
        let image = self.image_of(vdi)?;
        let runs = self.catch_up(vdi)?;
        let now = self.look(image)?.size;
        if runs {
            let daemon = self.daemon(vdi);
            self.make_way(&daemon)?;
            // Also when it has the size: the devices may not have learned of it.
            daemon.grow(image, size.max(now))?;
        } else if now < size {
            image::grow(self.files.system, &self.files.image(image), size)?;
        }
        self.info(vdi)
    }

    pub(crate) fn activate(&self, vdi: Uuid, mode: Mode) -> Result<PathBuf, StorageError> {
        let _lock = self.lock()?;
        self.open(vdi)?;
        loops::activate(self.files.system, vdi, &self.daemon(vdi).disk(), mode)
    }

    /// Starts a VDI's program if it does not run.
    fn open(&self, vdi: Uuid) -> Result<(), StorageError> {
        if self.catch_up(vdi)? {
            return Ok(());
        }
        let bases = self.chain(vdi)?.bases;
        for other in daemon::all(self.files.system, self.sr)? {
            let daemon = self.daemon(other);
            for (job, progress) in daemon.jobs()? {
                // Who merges has what it merges into for itself.
                if progress.is_under_way() && bases.contains(&job.into) {
                    tracing::info!(%vdi, by = %other, "a merge gives way");
                    daemon.cancel(job)?;
                }
            }
            // What was merged is not opened any more.
            self.finish(&daemon)?;
        }
        self.daemon(vdi).start(&self.chain(vdi)?.images)
    }

    /// What a VDI is made of, with nothing looked at but that.
    fn chain(&self, vdi: Uuid) -> Result<Chain, StorageError> {
        let mut tree = Tree::default();
        let mut name = Some(Name::Vdi(vdi));
        while let Some(now) = name.filter(|now| !tree.names.contains_key(now)) {
            let Some(image) = self.files.target(now)? else { break };
            let found = self.look(image)?;
            tree.names.insert(now, image);
            tree.images.insert(image, found);
            name = found.backing.map(Name::Base);
        }
        let images = tree.chain(vdi).map_err(|name| match name {
            Name::Vdi(vdi) => StorageError::NoSuchVdi(vdi),
            Name::Base(base) => StorageError::Failed {
                doing: format!("opening VDI {vdi}"),
                detail: format!("it is built on {}, which is missing", files::base_name(base)),
            },
        })?;
        Ok(Chain { images, bases: tree.bases(vdi) })
    }

    pub(crate) fn deactivate(&self, vdi: Uuid) -> Result<(), StorageError> {
        let _lock = self.lock()?;
        let daemon = self.daemon(vdi);
        loops::detach(self.files.system, &daemon.disk())?;
        self.reap(&daemon).map(drop)
    }

    /// Ends a program that nobody needs; whether it is still there. A guest may have the device open for
    /// a moment longer.
    fn reap(&self, daemon: &Daemon<'_>) -> Result<bool, StorageError> {
        if daemon.in_use()? || !daemon.jobs()?.is_empty() {
            return Ok(true);
        }
        daemon.stop()?;
        Ok(false)
    }
}

/// Refuses when any qcow2 VDI of an SR is a block device now, and ends all its programs otherwise.
pub(crate) fn close(system: &dyn System, sr: &SrSpec) -> Result<(), StorageError> {
    // Its files are not looked at.
    let qcow2 = Qcow2::new(system, sr, Path::new("/"));
    let folder = system.path(&daemon::folder_of(sr.uuid));
    if !folder.exists() {
        return Ok(());
    }
    let _lock = qcow2.lock()?;
    let all = daemon::all(system, sr.uuid)?;
    for vdi in &all {
        if qcow2.daemon(*vdi).in_use()? {
            return Err(StorageError::VdiInUse(*vdi));
        }
    }
    all.into_iter().try_for_each(|vdi| qcow2.daemon(vdi).stop())?;
    fs::remove_dir_all(&folder).map_err(io(format!("removing {}", folder.display())))
}

/// The disk of an open VDI, which is this host's own.
pub(crate) fn disk(system: &dyn System, sr: &SrSpec, vdi: Uuid) -> PathBuf {
    Qcow2::new(system, sr, Path::new("/")).daemon(vdi).disk()
}

/// Lets go of an open VDI whose server does not answer. Its program ends when the server is back: until then it has
/// what it could not write yet.
pub(crate) fn let_go(system: &dyn System, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError> {
    let qcow2 = Qcow2::new(system, sr, Path::new("/"));
    if !daemon::all(system, sr.uuid)?.contains(&vdi) {
        return Ok(());
    }
    loops::detach(system, &qcow2.daemon(vdi).disk())?;
    Err(StorageError::NoAnswer(sr.uuid))
}

/// Images of a VDI, the topmost first, and the bases that it is built on.
struct Chain {
    images: Vec<Uuid>,
    bases: Vec<Uuid>,
}

fn describe(uuid: Uuid, image: &Image) -> VdiInfo {
    VdiInfo {
        uuid,
        virtual_size: image.size,
        physical_utilisation: image.used,
        image: None,
        format: Some(ImageFormat::Qcow2),
    }
}

/// Whether the host has the programs for such VDIs.
pub(crate) fn is_possible(system: &dyn System) -> bool {
    system.path(PROGRAM).exists()
}
