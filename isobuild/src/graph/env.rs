// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a running recipe gets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use appliance_model::Digest;
use appliance_model::lock::{Lock, LockedFile};

use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::recipe::{BoxError, BuildEnv};
use crate::sandbox::Sandbox;
use crate::store::Store;
use crate::tools;

/// The environment of one recipe's build.
pub(super) struct Env<'a> {
    pub(super) name: &'a str,
    pub(super) key: &'a Digest,
    pub(super) out: PathBuf,
    pub(super) scratch: PathBuf,
    pub(super) log: PathBuf,
    pub(super) deps: BTreeMap<String, PathBuf>,
    pub(super) locked: &'a BTreeMap<Digest, LockedFile>,
    pub(super) store: &'a Store,
    pub(super) lock: &'a Lock,
    pub(super) progress: &'a dyn Progress,
    pub(super) interrupt: &'a Interrupt,
}

impl BuildEnv for Env<'_> {
    fn key(&self) -> &Digest {
        self.key
    }

    fn out(&self) -> &Path {
        &self.out
    }

    fn scratch(&self) -> &Path {
        &self.scratch
    }

    fn dep(&self, name: &str) -> Result<&Path, BoxError> {
        let found = self.deps.get(name).map(|path| &**path);
        found.ok_or_else(|| format!("{} reads {name} without needing it", self.name).into())
    }

    fn locked_file(&self, sha256: &Digest) -> Result<PathBuf, BoxError> {
        if self.locked.contains_key(sha256) {
            Ok(self.store.object(sha256))
        } else {
            Err(format!("{} reads the locked file {sha256} undeclared", self.name).into())
        }
    }

    fn sandbox(&self) -> Sandbox {
        let sandbox = match self.deps.get(tools::NAME) {
            Some(tree) => Sandbox::over(tree.join(tools::ROOT)),
            None => Sandbox::unavailable(format!("{} does not need the tools", self.name)),
        };
        sandbox
            .log(&self.log)
            .interrupt(self.interrupt)
            .bind_rw(&self.out, "/out")
            .bind_rw(&self.scratch, "/build")
            .env("SOURCE_DATE_EPOCH", self.source_date_epoch().to_string())
    }

    fn status(&self, what: &str) {
        self.progress.status(what);
    }

    fn lock(&self) -> &Lock {
        self.lock
    }

    fn source_date_epoch(&self) -> u64 {
        self.lock.source_date_epoch()
    }

    fn interrupt(&self) -> &Interrupt {
        self.interrupt
    }
}
