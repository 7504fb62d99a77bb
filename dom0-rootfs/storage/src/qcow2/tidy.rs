// SPDX-License-Identifier: MIT OR Apache-2.0
//! Giving back room: what no VDI needs is removed, and bases that one image needs are merged with it.

use std::collections::BTreeSet;
use std::fs::File;

use uuid::Uuid;

use super::Qcow2;
use super::daemon::{self, Daemon, Job, Progress};
use super::tree::{Garbage, Name, Tree, Work};
use crate::error::StorageError;
use crate::program::io;

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

    /// Everything in the folder.
    fn tree(&self) -> Result<Tree, StorageError> {
        let (names, images) = self.files.list()?;
        let images = images.into_iter().map(|image| Ok((image, self.look(image)?)));
        Ok(Tree { names, images: images.collect::<Result<_, StorageError>>()? })
    }

    /// Finishes merges that are over.
    fn settle(&self, daemon: &Daemon<'_>) -> Result<(), StorageError> {
        for (job, progress) in daemon.jobs()? {
            match progress {
                Progress::Running => {}
                Progress::Done => {
                    self.merged(job)?;
                    daemon.dismiss(job)?;
                }
                Progress::Failed(detail) => {
                    daemon.dismiss(job)?;
                    self.reap(daemon)?;
                    return Err(StorageError::Failed {
                        doing: format!("merging base {} into {}", job.top, job.into),
                        detail,
                    });
                }
            }
        }
        Ok(())
    }

    /// The upper base's name leads to what the lower one has become; the rest is garbage then.
    fn merged(&self, job: Job) -> Result<(), StorageError> {
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
