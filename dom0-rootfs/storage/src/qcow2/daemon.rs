// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program that serves a qcow2 VDI: one `qemu-storage-daemon` for each that is open, with its disk as
//! a file through FUSE, over which a loop device lies. It belongs to nobody: the toolstack may end and be
//! started again meanwhile.
//!
//! `/run/xenith-disks/<sr>/<vdi>/` has the file `disk` and the socket `qmp`, at which it takes commands.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, StatxFlags};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::files::{self, Files};
use crate::block;
use crate::device;
use crate::error::StorageError;
use crate::loops;
use crate::program::{System, io};
use crate::qmp::Until;

const PROGRAM: &str = "qemu-storage-daemon";

/// Room for the tables of an image, of which 8 GiB of disk take 2 MiB. QEMU's own limit would let a
/// few large disks take Dom0's memory.
const CACHE: u64 = 8 << 20;

/// Seconds after which tables that nobody looked at leave the memory.
const CACHE_SECONDS: u64 = 120;

/// How it says that an image is not to be closed.
const IN_USE: [&str; 3] = ["is busy", "is in use", "is not owned by the monitor"];

/// The program of a VDI, whether it runs or not.
pub(super) struct Daemon<'a> {
    files: &'a Files<'a>,
    vdi: Uuid,
    /// Its folder as the host has it.
    folder: String,
}

/// The merge of a base into the one below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) top: Uuid,
    pub(super) into: Uuid,
}

/// How far a merge is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    Running,
    /// All is copied; the program waits to be told to change the chain.
    Ready,
    Done,
    /// It was ended before its time, by a call that was cut off before it forgot it.
    Cancelled,
    Failed(String),
}

/// What QEMU says of a job that was cancelled (strerror(3)).
const CANCELLED: &str = "Operation canceled";

impl Progress {
    /// Whether the merge can end before its time.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self, Self::Running | Self::Ready)
    }
}

#[derive(Deserialize)]
struct Export {
    id: String,
    #[serde(rename = "node-name")]
    node: String,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    status: String,
    error: Option<String>,
}

impl Job {
    fn id(self) -> String {
        format!("merge-{}-{}", self.top.simple(), self.into.simple())
    }

    fn parse(id: &str) -> Option<Job> {
        let (top, into) = id.strip_prefix("merge-")?.split_once('-')?;
        Some(Job { top: top.parse().ok()?, into: into.parse().ok()? })
    }
}

/// The name that an image has inside, of which QEMU takes 31 letters.
fn node(image: Uuid) -> String {
    format!("i{}", &image.simple().to_string()[..30])
}

/// Where programs of an SR's VDIs have their folders.
pub(super) fn folder_of(sr: Uuid) -> String {
    format!("/run/xenith-disks/{sr}")
}

/// VDIs of an SR that have a program, or had one that ended by itself.
pub(super) fn all(system: &dyn System, sr: Uuid) -> Result<Vec<Uuid>, StorageError> {
    let folder = folder_of(sr);
    let entries = match fs::read_dir(system.path(&folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(format!("listing {folder}"))(error)),
    };
    let mut vdis = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io(format!("listing {folder}")))?;
        vdis.extend(entry.file_name().to_str().and_then(|name| name.parse::<Uuid>().ok()));
    }
    vdis.sort();
    Ok(vdis)
}

impl<'a> Daemon<'a> {
    pub(super) fn new(files: &'a Files<'a>, sr: Uuid, vdi: Uuid) -> Self {
        Self { files, vdi, folder: format!("{}/{vdi}", folder_of(sr)) }
    }

    /// The disk, while the program runs.
    pub(super) fn disk(&self) -> PathBuf {
        self.files.system.path(&format!("{}/disk", self.folder))
    }

    fn socket(&self) -> PathBuf {
        self.files.system.path(&format!("{}/qmp", self.folder))
    }

    fn ask(
        &self,
        command: &str,
        arguments: Value,
        until: Until<'_>,
    ) -> Result<Option<Value>, StorageError> {
        self.files.system.qmp(&self.socket(), command, &arguments, until)
    }

    /// A command to a program that has to run.
    fn must(&self, command: &str, arguments: Value) -> Result<Value, StorageError> {
        let answer = self.ask(command, arguments, Until::Answered)?;
        answer.ok_or_else(|| self.failed(command, "it runs no more"))
    }

    fn failed(&self, doing: &str, detail: impl ToString) -> StorageError {
        StorageError::Failed {
            doing: format!("{doing} by {PROGRAM} of VDI {}", self.vdi),
            detail: detail.to_string(),
        }
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        command: &str,
        answer: Value,
    ) -> Result<T, StorageError> {
        serde_json::from_value(answer).map_err(|error| self.failed(command, error))
    }

    /// Whether it serves an image; none if it does not run.
    pub(super) fn serves(&self, image: Uuid) -> Result<Option<bool>, StorageError> {
        Ok(self.top()?.map(|top| top == node(image)))
    }

    pub(super) fn runs(&self) -> Result<bool, StorageError> {
        Ok(self.top()?.is_some())
    }

    /// The node that is the disk; none if the program does not run.
    fn top(&self) -> Result<Option<String>, StorageError> {
        let command = "query-block-exports";
        let Some(answer) = self.ask(command, json!({}), Until::Answered)? else { return Ok(None) };
        let exports: Vec<Export> = self.read(command, answer)?;
        let disk = exports.into_iter().find(|export| export.id == "disk");
        disk.map(|disk| Some(disk.node)).ok_or_else(|| self.failed(command, "it has no disk"))
    }

    /// An image as the program opens it: by name, with what is below it, so that nothing which an image
    /// says of itself decides what is opened.
    fn image(&self, image: Uuid, backing: &Value) -> Result<Value, StorageError> {
        let path = self.files.image(image);
        // Past the page cache where that can be, as Dom0 is small.
        let direct = loops::takes_direct_io(&path)?;
        Ok(json!({
            "driver": "qcow2",
            "node-name": node(image),
            "discard": "unmap",
            "l2-cache-size": CACHE,
            "cache-clean-interval": CACHE_SECONDS,
            "backing": backing,
            "file": {
                "driver": "file",
                "filename": path.to_string_lossy(),
                "cache": { "direct": direct },
                "discard": "unmap",
            },
        }))
    }

    /// Starts it, with the images of its VDI, the topmost first.
    pub(super) fn start(&self, chain: &[Uuid]) -> Result<(), StorageError> {
        self.sweep()?;
        let folder = self.files.system.path(&self.folder);
        let doing = || format!("creating {}", folder.display());
        fs::create_dir_all(&folder).map_err(io(doing()))?;
        // The disk is mounted over a file.
        fs::write(self.disk(), "").map_err(io(doing()))?;
        let mut below = Value::Null;
        for image in chain.iter().rev() {
            let top = Some(image) == chain.first();
            let mut opened = self.image(*image, &below)?;
            opened["read-only"] = json!(!top);
            // Writable once a merge needs it.
            opened["file"]["auto-read-only"] = json!(!top);
            below = opened;
        }
        let top = chain.first().copied().unwrap_or_default();
        let (socket, disk) = (self.socket(), self.disk());
        let chardev = format!("socket,id=qmp,path={},server=on,wait=off", socket.display());
        let export = format!(
            "type=fuse,id=disk,node-name={},mountpoint={},writable=on,growable=off,allow-other=off",
            node(top),
            disk.display()
        );
        let args = ["--daemonize", "--chardev", &chardev, "--monitor", "chardev=qmp"];
        let below = below.to_string();
        let args = [&args[..], &["--blockdev", &below, "--export", &export]].concat();
        let doing = format!("opening VDI {}", self.vdi);
        self.files.system.must(&doing, PROGRAM, &args).map(drop)
    }

    /// Lets the guest write to a new image from now on, which has the differences to the one so far.
    pub(super) fn put_over(&self, now: Uuid, new: Uuid) -> Result<(), StorageError> {
        // Of an attempt that was cut off.
        if !self.knows(new)? {
            self.must("blockdev-add", self.image(new, &Value::Null)?)?;
        }
        let arguments = json!({ "node": node(now), "overlay": node(new) });
        self.must("blockdev-snapshot", arguments).map(drop)
    }

    fn knows(&self, image: Uuid) -> Result<bool, StorageError> {
        Ok(self.nodes()?.contains(&node(image)))
    }

    fn nodes(&self) -> Result<Vec<String>, StorageError> {
        #[derive(Deserialize)]
        struct Listed {
            #[serde(rename = "node-name")]
            name: String,
        }
        let command = "query-named-block-nodes";
        let nodes = self.must(command, json!({ "flat": true }))?;
        let nodes: Vec<Listed> = self.read(command, nodes)?;
        Ok(nodes.into_iter().map(|node| node.name).collect())
    }

    /// Closes images that its VDI is not made of any more. One that was opened by a command stays open
    /// after a merge, and its room taken though its file is removed.
    pub(super) fn keep_only(&self, images: &[Uuid]) -> Result<(), StorageError> {
        let kept: Vec<String> = images.iter().map(|image| node(*image)).collect();
        let ours = |name: &String| name.starts_with('i') && name.len() == node(Uuid::nil()).len();
        for name in self.nodes()?.into_iter().filter(|name| ours(name) && !kept.contains(name)) {
            let closed = self.ask("blockdev-del", json!({ "node-name": name }), Until::Answered);
            match closed {
                // A part of its chain still, or of something that is under way.
                Err(StorageError::Failed { detail, .. })
                    if IN_USE.iter().any(|words| detail.contains(words)) =>
                {
                    tracing::debug!(vdi = %self.vdi, detail, "an image is read still");
                }
                closed => drop(closed?),
            }
        }
        Ok(())
    }

    /// Grows the disk and returns when everybody sees it.
    pub(super) fn grow(&self, image: Uuid, size: u64) -> Result<(), StorageError> {
        self.must("block_resize", json!({ "node-name": node(image), "size": size }))?;
        let disk = self.disk();
        // The kernel may remember the size of before for a moment, and the loop device asks only it.
        let asked = rustix::fs::statx(CWD, &disk, AtFlags::STATX_FORCE_SYNC, StatxFlags::SIZE);
        asked.map_err(|error| io(format!("looking at {}", disk.display()))(error.into()))?;
        loops::grown(self.files.system, &disk)
    }

    /// Begins to merge; `images` are those of top and into. What refers to the upper base refers to it
    /// afterwards, too, by the same name.
    pub(super) fn merge(&self, vdi: Uuid, job: Job, images: [Uuid; 2]) -> Result<(), StorageError> {
        let arguments = json!({
            "job-id": job.id(),
            "device": node(vdi),
            "top-node": node(images[0]),
            "base-node": node(images[1]),
            "backing-file": files::base_name(job.top),
            "auto-dismiss": false,
            // By itself QEMU 10 changes the chain also in the middle of what it does for the disk, where it waits
            // for itself and hangs, with the guest. A command comes between.
            "auto-finalize": false,
        });
        self.must("block-commit", arguments).map(drop)
    }

    /// Changes the chain after a merge that is ready.
    pub(super) fn finalize(&self, job: Job) -> Result<(), StorageError> {
        self.ask("job-finalize", json!({ "id": job.id() }), Until::Concluded(&job.id())).map(drop)
    }

    /// Merges that are under way or over and not yet dismissed.
    pub(super) fn jobs(&self) -> Result<Vec<(Job, Progress)>, StorageError> {
        let command = "query-jobs";
        let Some(answer) = self.ask(command, json!({}), Until::Answered)? else {
            return Ok(Vec::new());
        };
        let listed: Vec<Listed> = self.read(command, answer)?;
        let jobs = listed.into_iter().filter_map(|listed| {
            let progress = match (&*listed.status, listed.error) {
                ("pending", _) => Progress::Ready,
                ("concluded", None) => Progress::Done,
                ("concluded", Some(error)) if error == CANCELLED => Progress::Cancelled,
                ("concluded", Some(error)) => Progress::Failed(error),
                _ => Progress::Running,
            };
            Some((Job::parse(&listed.id)?, progress))
        });
        Ok(jobs.collect())
    }

    /// Ends a merge before its time, waits for that, and forgets it. One that was over before stays.
    pub(super) fn cancel(&self, job: Job) -> Result<(), StorageError> {
        match self.jobs()?.into_iter().find(|(known, _)| *known == job) {
            Some((_, Progress::Cancelled)) => return self.dismiss(job),
            Some((_, Progress::Done | Progress::Failed(_))) => return Ok(()),
            _ => {}
        }
        let asked = self.ask("job-cancel", json!({ "id": job.id() }), Until::Concluded(&job.id()));
        match self.jobs()?.into_iter().find(|(known, _)| *known == job) {
            Some((_, Progress::Cancelled | Progress::Failed(_))) => {
                self.dismiss(job).and(asked.map(drop))
            }
            Some((_, Progress::Done)) => Ok(()),
            Some((_, Progress::Running | Progress::Ready)) | None => asked.map(drop),
        }
    }

    /// Forgets a merge that is over.
    pub(super) fn dismiss(&self, job: Job) -> Result<(), StorageError> {
        self.must("job-dismiss", json!({ "id": job.id() })).map(drop)
    }

    /// Whether a loop device lies over the disk, also one that is going away.
    pub(super) fn in_use(&self) -> Result<bool, StorageError> {
        Ok(!block::loops_over(self.files.system, &self.disk().to_string_lossy())?.is_empty())
    }

    /// Whether only a loop device lies over it that is going away with its last user.
    pub(super) fn is_going(&self) -> Result<bool, StorageError> {
        let loops = block::loops_over(self.files.system, &self.disk().to_string_lossy())?;
        Ok(loops.iter().any(|found| found.going))
    }

    /// Ends it, when nothing lies over its disk, with its merges.
    pub(super) fn stop(&self) -> Result<(), StorageError> {
        for (job, _) in self.jobs()? {
            self.cancel(job)?;
        }
        // What is over and not finished is merged again.
        for (job, _) in self.jobs()? {
            self.dismiss(job)?;
        }
        self.ask("quit", json!({}), Until::Gone)?;
        self.sweep()
    }

    /// Removes what a program left that does not run.
    pub(super) fn sweep(&self) -> Result<(), StorageError> {
        let (system, disk) = (self.files.system, format!("{}/disk", self.folder));
        loops::detach(system, &self.disk())?;
        if device::mounted(system, &disk)? {
            let path = self.disk();
            let doing = format!("unmounting {disk}");
            system.must(&doing, "umount", &["--lazy", &path.to_string_lossy()])?;
        }
        let folder = system.path(&self.folder);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(io(format!("removing {}", folder.display()))(error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_as_it_is_named() {
        let job = Job { top: Uuid::from_u128(1 << 100), into: Uuid::from_u128(2) };
        assert_eq!(Job::parse(&job.id()), Some(job));
        for other in ["", "merge-", "merge-1-2", "commit0"] {
            assert_eq!(Job::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_node_has_a_name_that_qemu_takes() {
        let name = node(Uuid::max());
        assert!(name.len() == 31 && name.starts_with('i'), "{name}");
    }
}
