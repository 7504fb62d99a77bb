// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one way in which drivers reach the host: its programs, its device numbers, its `/proc`.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::StorageError;
use crate::folder::{Folder, GRAIN};
use crate::qmp::{self, Until};
use crate::silence;

/// A block device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its node with symbolic links resolved.
    pub path: PathBuf,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// How a program ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// Exit code; a program ended by a signal has -1.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A change to what a folder has, which is made at once or not at all.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// A new symbolic link.
    Link {
        /// What it says.
        target: &'a str,
        /// Where it lies.
        at: &'a Path,
    },
    /// A file or link gets another name in its folder, in place of what is called so.
    Rename {
        /// Its name.
        from: &'a Path,
        /// The new one.
        to: &'a Path,
    },
    /// A file or link goes; one that is not there is no error.
    Remove(&'a Path),
}

impl Change<'_> {
    /// Makes the change, and has it written to the disk.
    pub fn make(self) -> Result<(), StorageError> {
        let (done, doing, path) = match self {
            Change::Link { target, at } => {
                (std::os::unix::fs::symlink(target, at), format!("linking {}", at.display()), at)
            }
            Change::Rename { from, to } => {
                let doing = format!("renaming {} to {}", from.display(), to.display());
                (fs::rename(from, to), doing, to)
            }
            Change::Remove(path) => {
                let done = match fs::remove_file(path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                    done => done,
                };
                (done, format!("removing {}", path.display()), path)
            }
        };
        let folder = path.parent().unwrap_or(path);
        done.and_then(|()| fs::File::open(folder)?.sync_all())
            .map_err(|error| Folder::new(folder.to_owned()).unwritten(doing, GRAIN, error))
    }
}

/// What drivers need of the host.
pub trait System: Send + Sync {
    /// Runs a program to its end. An exit code other than zero is no error here.
    fn run(&self, program: &str, args: &[&str]) -> Result<Ran, StorageError>;
    /// Runs a command of QMP at a socket and returns its answer; none if nobody listens there.
    fn qmp(
        &self,
        socket: &Path,
        command: &str,
        arguments: &Value,
        until: Until<'_>,
    ) -> Result<Option<Value>, StorageError>;
    /// Changes what a folder has; done when it is on the disk.
    fn alter(&self, change: Change<'_>) -> Result<(), StorageError>;
    /// The block device at a path, if there is one.
    fn device(&self, path: &Path) -> Option<Device>;
    /// Whether whoever serves what is mounted at a folder answers; waits for a while at most.
    fn answers(&self, folder: &Path) -> bool;
    /// Where `/proc`, `/sys` and `/run` of this host are found: `/`.
    fn root(&self) -> &Path;
}

impl dyn System + '_ {
    /// Runs a program that has to succeed and returns its standard output. `doing` is a lower-case
    /// gerund with its object.
    pub(crate) fn must(
        &self,
        doing: &str,
        program: &str,
        args: &[&str],
    ) -> Result<String, StorageError> {
        let ran = self.run(program, args)?;
        if ran.code == 0 { Ok(ran.stdout) } else { Err(failed(doing, program, &ran)) }
    }

    /// A file of the host below [`System::root`].
    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        self.root().join(absolute.trim_start_matches('/'))
    }
}

/// How timeout(1) ends when the time is over: by the signal that it sends to all.
const KILLED: i32 = -1;

/// Runs a program for so many seconds at most; none if it was killed then, with all that it started.
pub(crate) fn within(
    system: &dyn System,
    seconds: u32,
    program: &str,
    args: &[&str],
) -> Result<Option<Ran>, StorageError> {
    let seconds = seconds.to_string();
    let limit = ["--signal=KILL", &*seconds, program];
    let args: Vec<_> = limit.iter().chain(args).copied().collect();
    let ran = system.run("timeout", &args)?;
    Ok((ran.code != KILLED).then_some(ran))
}

/// The error for a program that failed: its name, its code and the end of what it said.
pub(crate) fn failed(doing: &str, program: &str, ran: &Ran) -> StorageError {
    let said = ran.stderr.trim();
    let skip = said.char_indices().rev().nth(400).map_or(0, |(at, _)| at);
    StorageError::Failed {
        doing: doing.to_owned(),
        detail: format!("{program} ended with code {}: {}", ran.code, &said[skip..]),
    }
}

/// The error for a system call that failed.
pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> StorageError {
    let doing = doing.into();
    move |source| StorageError::Failed { doing, detail: source.to_string() }
}

/// The host that this process runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl System for Host {
    #[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
    fn run(&self, program: &str, args: &[&str]) -> Result<Ran, StorageError> {
        tracing::debug!(program, ?args, "running");
        let output = Command::new(program)
            .args(args)
            .env("LC_ALL", "C")
            .env("LVM_SUPPRESS_FD_WARNINGS", "1")
            .stdin(Stdio::null())
            .output()
            .map_err(io(format!("starting {program}")))?;
        let ran = Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        tracing::debug!(program, code = ran.code, stderr = ran.stderr.trim(), "ended");
        Ok(ran)
    }

    fn qmp(
        &self,
        socket: &Path,
        command: &str,
        arguments: &Value,
        until: Until<'_>,
    ) -> Result<Option<Value>, StorageError> {
        tracing::debug!(socket = %socket.display(), command, %arguments, "asking");
        let answer = qmp::run(socket, command, arguments, until);
        tracing::debug!(command, ?answer, "answered");
        answer
    }

    fn alter(&self, change: Change<'_>) -> Result<(), StorageError> {
        tracing::debug!(?change, "changing");
        change.make()
    }

    fn device(&self, path: &Path) -> Option<Device> {
        let path = path.canonicalize().ok()?;
        let metadata = path.metadata().ok()?;
        metadata.file_type().is_block_device().then(|| Device {
            path,
            major: rustix::fs::major(metadata.rdev()),
            minor: rustix::fs::minor(metadata.rdev()),
        })
    }

    fn answers(&self, folder: &Path) -> bool {
        silence::answers(folder)
    }

    fn root(&self) -> &Path {
        Path::new("/")
    }
}
