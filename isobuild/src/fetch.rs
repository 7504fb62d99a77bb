// SPDX-License-Identifier: MIT OR Apache-2.0
//! Brings locked files into the store: in parallel, resumable, every byte hashed.

mod apt;
mod config;
mod download;
mod http;
mod mirror;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use appliance_model::lock::LockedFile;

pub use apt::{AptError, bases_in};
pub use config::{Config, ConfigError};
pub use download::{FetchError, Trouble, Try};
pub use http::{Http, HttpError};
pub use mirror::{MIRROR, Mirror, MirrorError, Mirrors, OFFLINE, is_offline};

pub(crate) use mirror::NO_MIRROR;

use crate::graph::Fetcher;
use crate::interrupt::Interrupt;
use crate::progress::Reporter;
use crate::recipe::BoxError;
use crate::store::Store;

/// How many files are downloaded at once.
const PARALLEL: usize = 4;

/// Downloads from mirrors.
pub struct Downloader<'a> {
    store: &'a Store,
    mirrors: Mirrors,
    reporter: &'a dyn Reporter,
    interrupt: Interrupt,
    http: Http,
    offline: bool,
}

impl<'a> Downloader<'a> {
    /// One that tries `mirrors` in their order; `offline`: none at all.
    pub fn new(
        store: &'a Store,
        mirrors: Mirrors,
        offline: bool,
        reporter: &'a dyn Reporter,
        interrupt: Interrupt,
    ) -> Self {
        Self { store, mirrors, reporter, interrupt, http: Http::new(), offline }
    }

    /// Brings all `files` and returns how many bytes were downloaded.
    ///
    /// # Errors
    /// The first file that cannot be had, after the downloads that were under way have ended.
    pub fn fetch_all(&self, files: &[LockedFile]) -> Result<u64, FetchError> {
        let missing: Vec<&LockedFile> =
            files.iter().filter(|file| !self.store.has_object(&file.sha256)).collect();
        let Some(first) = missing.first() else { return Ok(0) };
        if self.offline {
            let (path, count) = (first.path.clone(), missing.len());
            return Err(FetchError::Offline { path, count });
        }
        if self.mirrors.0.is_empty() {
            return Err(FetchError::NoMirror { path: first.path.clone() });
        }
        let total = missing.iter().map(|file| file.size).sum();
        let progress = self.reporter.begin("fetching", Some(total));
        progress.status(&format!("{} files", missing.len()));
        let (next, fetched) = (AtomicUsize::new(0), AtomicU64::new(0));
        let error: Mutex<Option<FetchError>> = Mutex::new(None);
        let failed = || error.lock().map_or(true, |error| error.is_some());
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(missing.len()) {
                scope.spawn(|| {
                    let job = download::Job {
                        store: self.store,
                        mirrors: &self.mirrors,
                        http: &self.http,
                        interrupt: &self.interrupt,
                        progress: &*progress,
                    };
                    while let Some(file) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if failed() {
                            return;
                        }
                        match job.fetch(file) {
                            Ok(bytes) => drop(fetched.fetch_add(bytes, Ordering::Relaxed)),
                            Err(e) => {
                                if let Ok(mut error) = error.lock() {
                                    error.get_or_insert(e);
                                }
                                return;
                            }
                        }
                    }
                });
            }
        });
        match error.into_inner().ok().flatten() {
            Some(error) => {
                progress.finish("failed");
                Err(error)
            }
            None => {
                progress.finish(&format!("{} files fetched", missing.len()));
                Ok(fetched.into_inner())
            }
        }
    }
}

impl Fetcher for Downloader<'_> {
    fn fetch(&self, files: &[LockedFile]) -> Result<u64, BoxError> {
        Ok(self.fetch_all(files)?)
    }
}
