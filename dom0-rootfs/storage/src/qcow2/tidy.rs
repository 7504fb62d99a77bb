// SPDX-License-Identifier: MIT OR Apache-2.0
//! Giving back room: what no VDI needs is removed, and bases that one image needs are merged with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use super::Qcow2;
use super::daemon::{self, Daemon, Job, Progress};
use super::tree::{Garbage, Image, Name, Tree, Work};
use crate::error::StorageError;
use crate::program::io;

/// What images of SRs are built on, as programs that say it take their time. It is written when an image
/// is made, and a merge writes the same name again.
static BASES: Mutex<BTreeMap<Uuid, BTreeMap<Uuid, Option<Uuid>>>> = Mutex::new(BTreeMap::new());

impl Qcow2<'_> {
    /// One step; whether there is more to do soon. A merge runs in the program of a VDI, which is
    /// started for it if need be, and ends when the VDI, or another one on the same base, is opened.
    pub(crate) fn tidy(&self) -> Result<bool, StorageError> {
        let _lock = self.lock()?;
        self.files.clean()?;
        let (mut open, mut merging, mut more) = (BTreeSet::new(), false, false);
        for vdi in daemon::all(self.files.system, self.sr)? {
            let daemon = self.daemon(vdi);
            if !daemon.runs()? {
                // It was killed. A device that is still there fails until its guest lets go of it.
                if !daemon.in_use()? {
                    daemon.sweep()?;
                }
                continue;
            }
            if !self.has(vdi)? {
                // Somebody took its name away.
                if !daemon.in_use()? {
                    daemon.stop()?;
                }
                continue;
            }
            self.catch_up(vdi)?;
            self.settle(&daemon)?;
            if self.reap(&daemon)? {
                open.insert(vdi);
                merging |= !daemon.jobs()?.is_empty();
                more |= daemon.is_going()?;
            }
        }
        let mut tree = self.tree()?;
        for vdi in &open {
            let daemon = self.daemon(*vdi);
            if daemon.jobs()?.is_empty()
                && let Ok(images) = tree.chain(*vdi)
            {
                daemon.keep_only(&images)?;
            }
        }
        for garbage in tree.garbage() {
            match garbage {
                Garbage::Name(name) => {
                    self.files.drop_name(name)?;
                    tree.names.remove(&name);
                }
                Garbage::Image(image) => {
                    self.files.drop_image(image)?;
                    tree.images.remove(&image);
                }
            }
        }
        if merging {
            return Ok(true);
        }
        for image in tree.weighed() {
            tree.images.insert(image, self.look(image)?);
        }
        match tree.next(&open) {
            None => return Ok(more),
            Some(Work::Freeze(vdi)) => {
                self.freeze(vdi)?;
            }
            Some(Work::Merge { through, top, into }) => {
                self.open(through)?;
                let images = [Name::Base(top), Name::Base(into)].map(|name| tree.names[&name]);
                let own = self.image_of(through)?;
                tracing::info!(%top, %into, %through, "merging a base");
                self.daemon(through).merge(own, Job { top, into }, images)?;
            }
        }
        Ok(true)
    }

    /// Everything in the folder, without sizes: the base of an image never changes, so most are known.
    fn tree(&self) -> Result<Tree, StorageError> {
        let (names, images) = self.files.list()?;
        let all = || BASES.lock().unwrap_or_else(PoisonError::into_inner);
        // Not held while programs run: a server may make them last.
        let known = all().get(&self.sr).cloned().unwrap_or_default();
        let mut tree = Tree { names, ..Tree::default() };
        for image in images {
            let backing = match known.get(&image) {
                Some(backing) => *backing,
                None => self.look(image)?.backing,
            };
            tree.images.insert(image, Image { backing, size: 0, used: 0 });
        }
        let found = tree.images.iter().map(|(image, found)| (*image, found.backing));
        all().insert(self.sr, found.collect());
        Ok(tree)
    }

    /// Finishes merges that are over, or have only the chain to change.
    fn settle(&self, daemon: &Daemon<'_>) -> Result<(), StorageError> {
        for (job, progress) in daemon.jobs()? {
            match progress {
                Progress::Ready => daemon.finalize(job)?,
                Progress::Cancelled => daemon.dismiss(job)?,
                _ => {}
            }
        }
        self.finish(daemon)?;
        for (job, progress) in daemon.jobs()? {
            if let Progress::Failed(detail) = progress {
                daemon.dismiss(job)?;
                self.reap(daemon)?;
                return Err(StorageError::Failed {
                    doing: format!("merging base {} into {}", job.top, job.into),
                    detail,
                });
            }
        }
        Ok(())
    }

    /// The upper base's name leads to what the lower one has become; the rest is garbage then.
    pub(super) fn merged(&self, job: Job) -> Result<(), StorageError> {
        let image = |base: Uuid| self.files.target(Name::Base(base));
        let (Some(above), Some(below)) = (image(job.top)?, image(job.into)?) else {
            // Of a call that was cut off: it was done, and cleared up, but for the job.
            return Ok(());
        };
        if above == below {
            return Ok(());
        }
        let path = self.files.image(below);
        let synced = File::open(&path).and_then(|file| file.sync_all());
        synced.map_err(io(format!("writing {}", path.display())))?;
        self.files.point(Name::Base(job.top), below)
    }
}
