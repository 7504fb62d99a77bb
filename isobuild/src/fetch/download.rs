// SPDX-License-Identifier: MIT OR Apache-2.0
//! One file: from the first mirror that has it, resumed where an earlier try stopped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use appliance_model::lock::LockedFile;

use super::{Http, HttpError, Mirrors};
use crate::digest::Hasher;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::store::{Store, StoreError, failed};

/// How often one mirror is asked for one file before the next mirror is.
const TRIES: usize = 3;

/// What was tried, and how it went.
#[derive(Debug)]
pub struct Try {
    /// The address.
    pub url: String,
    /// What was wrong.
    pub trouble: Trouble,
}

/// What can be wrong with a download.
#[derive(Debug)]
pub enum Trouble {
    /// The server does not have the file.
    Missing,
    /// The server does not answer, or not properly.
    Http(HttpError),
    /// The body ended early.
    Short {
        /// How many bytes came.
        got: u64,
        /// What was wrong with the connection; none: it was closed.
        source: Option<io::Error>,
    },
    /// There is more of it than the lock says.
    Long,
    /// All bytes came, and they are others.
    Changed,
}

/// A file that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No mirror has it, as it is locked.
    #[error("{path} ({size} bytes) cannot be had:{}\n{}", tries_text(tries), advice(tries))]
    Unavailable {
        /// The path in the archive.
        path: String,
        /// The size in bytes.
        size: u64,
        /// What was tried.
        tries: Vec<Try>,
    },
    /// It would have to be downloaded, and that was forbidden.
    #[error(
        "{path} is not in the cache{}, and --offline forbids to fetch: run once without it",
        if *count > 1 { format!(", nor are {} other files", count - 1) } else { String::new() }
    )]
    Offline {
        /// The path of the first one.
        path: String,
        /// How many there are.
        count: usize,
    },
    /// Nobody names a mirror.
    #[error("fetching {path}: {}", super::mirror::NO_MIRROR)]
    NoMirror {
        /// The path of the first file.
        path: String,
    },
    /// The person stopped it.
    #[error("interrupted while fetching {path}; the same command goes on where it stopped")]
    Interrupted {
        /// The path in the archive.
        path: String,
    },
    /// It cannot be stored.
    #[error("storing {path}")]
    Store {
        /// The path in the archive.
        path: String,
        /// The cause.
        source: StoreError,
    },
}

fn tries_text(tries: &[Try]) -> String {
    let mut text = String::new();
    for Try { url, trouble } in tries {
        let what = match trouble {
            Trouble::Missing => "is not there".to_owned(),
            Trouble::Http(error) => chain(error),
            Trouble::Short { got, source: None } => format!("ended after {got} bytes"),
            Trouble::Short { got, source: Some(error) } => {
                format!("ended after {got} bytes: {}", chain(error))
            }
            Trouble::Long => "has more bytes than the lock says".to_owned(),
            Trouble::Changed => "has other contents than the lock says (SHA-256)".to_owned(),
        };
        text.push_str(&format!("\n  {url}: {what}"));
    }
    if tries.is_empty() {
        text.push_str("\n  no mirror serves this archive");
    }
    text
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or(error.to_string(), |cause| format!("{error}: {}", chain(cause)))
}

fn advice(tries: &[Try]) -> &'static str {
    let missing = |t: &Try| matches!(t.trouble, Trouble::Missing);
    let changed = |t: &Try| matches!(t.trouble, Trouble::Changed | Trouble::Long);
    if tries.iter().any(changed) {
        "hint: a mirror, or something on the way to it, changes files; use another one with \
         --mirror. Nothing of it was kept."
    } else if tries.iter().all(missing) {
        "hint: archives drop old versions; lock what they serve now with: cargo xtask lock. Or \
         name a mirror or a snapshot archive that has it: --mirror, XENITH_SNAPSHOT."
    } else {
        "hint: run the same command again; it goes on where it stopped. Or use another mirror \
         with --mirror."
    }
}

/// What downloading one file needs.
pub(super) struct Job<'a> {
    pub(super) store: &'a Store,
    pub(super) mirrors: &'a Mirrors,
    pub(super) http: &'a Http,
    pub(super) interrupt: &'a Interrupt,
    pub(super) progress: &'a dyn Progress,
}

/// Why one try ended.
enum End {
    Whole,
    Trouble(Trouble),
    Fatal(FetchError),
}

impl Job<'_> {
    /// Brings the file into the store; returns how many bytes were downloaded for it.
    pub(super) fn fetch(&self, file: &LockedFile) -> Result<u64, FetchError> {
        let name = file.sha256.to_string();
        let _claim = self.store.claim(&name, || ()).map_err(|e| stored(file, e))?;
        let target = self.store.object(&file.sha256);
        if target.is_file() {
            self.progress.advance(file.size);
            return Ok(0);
        }
        if let Some(folder) = target.parent() {
            let created = fs::create_dir_all(folder).map_err(failed("creating", folder));
            created.map_err(|e| stored(file, e))?;
        }
        let part = target.with_extension("part");
        let mut fetched = 0;
        let mut tries = Vec::new();
        for url in self.mirrors.urls(file.archive, &file.path) {
            let mut last = None;
            for _ in 0..TRIES {
                match self.attempt(file, &url, &part, &mut fetched) {
                    End::Whole => {
                        let renamed = fs::rename(&part, &target);
                        let renamed = renamed.map_err(failed("finishing", &target));
                        renamed.map_err(|e| stored(file, e))?;
                        return Ok(fetched);
                    }
                    End::Fatal(error) => return Err(error),
                    End::Trouble(trouble) => {
                        let again = matches!(&trouble, Trouble::Short { .. } | Trouble::Http(_));
                        last = Some(trouble);
                        if !again {
                            break;
                        }
                    }
                }
            }
            tries.extend(last.map(|trouble| Try { url, trouble }));
        }
        Err(FetchError::Unavailable { path: file.path.clone(), size: file.size, tries })
    }

    /// One request.
    fn attempt(&self, file: &LockedFile, url: &str, part: &Path, fetched: &mut u64) -> End {
        let interrupted = || End::Fatal(FetchError::Interrupted { path: file.path.clone() });
        if self.interrupt.is_set() {
            return interrupted();
        }
        let fatal = |what, error| End::Fatal(stored(file, failed(what, part)(error)));
        let (mut output, mut hasher, mut have) = match reopen(part, file.size) {
            Ok(opened) => opened,
            Err(error) => return fatal("opening", error),
        };
        if have < file.size || file.size == 0 {
            let mut answer = match self.http.request(url, have) {
                Ok(answer) => answer,
                Err(error) if error.is_missing() => return End::Trouble(Trouble::Missing),
                Err(HttpError::Status { status: 416, .. }) => {
                    // The server has less of it than we do: what we have is not of this file.
                    return match restart(part) {
                        Ok(()) => End::Trouble(Trouble::Changed),
                        Err(error) => fatal("emptying", error),
                    };
                }
                Err(error) => return End::Trouble(Trouble::Http(error)),
            };
            if answer.start != have {
                // The server does not resume.
                if answer.start != 0 {
                    return End::Trouble(Trouble::Changed);
                }
                match restart(part).and_then(|()| reopen(part, file.size)) {
                    Ok(opened) => (output, hasher, have) = opened,
                    Err(error) => return fatal("emptying", error),
                }
            }
            let mut buffer = vec![0; 1 << 16];
            let mut source = None;
            loop {
                if self.interrupt.is_set() {
                    return interrupted();
                }
                let count = match answer.body.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    // A broken connection: an early end, but the person should know why.
                    Err(error) => {
                        source = Some(error);
                        break;
                    }
                };
                have += count as u64;
                if have > file.size {
                    return match restart(part) {
                        Ok(()) => End::Trouble(Trouble::Long),
                        Err(error) => fatal("emptying", error),
                    };
                }
                if let Err(error) = output.write_all(&buffer[..count]) {
                    return fatal("writing", error);
                }
                hasher.update(&buffer[..count]);
                *fetched += count as u64;
                self.progress.advance(count as u64);
            }
            if have < file.size {
                return End::Trouble(Trouble::Short { got: have, source });
            }
        }
        if hasher.finish() != file.sha256 {
            return match restart(part) {
                Ok(()) => End::Trouble(Trouble::Changed),
                Err(error) => fatal("emptying", error),
            };
        }
        match output.sync_data() {
            Ok(()) => End::Whole,
            Err(error) => fatal("writing to the disk", error),
        }
    }
}

fn stored(file: &LockedFile, source: StoreError) -> FetchError {
    FetchError::Store { path: file.path.clone(), source }
}

/// Opens what an earlier try left, hashed, with its size.
fn reopen(part: &Path, size: u64) -> io::Result<(File, Hasher, u64)> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(part)?;
    let mut hasher = Hasher::default();
    let have = file.metadata()?.len();
    if have > size {
        file.set_len(0)?;
        return Ok((file, hasher, 0));
    }
    let mut buffer = vec![0; 1 << 16];
    let mut left = have;
    while left > 0 {
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = file.read(&mut buffer[..want])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&buffer[..count]);
        left -= count as u64;
    }
    Ok((file, hasher, have))
}

/// Forgets what an earlier try left.
fn restart(part: &Path) -> io::Result<()> {
    fs::remove_file(PathBuf::from(part))
}

#[cfg(test)]
mod tests;
