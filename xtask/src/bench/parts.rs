// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a recipe that only puts parts together builds in, outside of the job graph.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use appliance_model::Digest;
use appliance_model::lock::Lock;
use isobuild::interrupt::Interrupt;
use isobuild::recipe::{BoxError, BuildEnv, Recipe};
use isobuild::report::Report;
use isobuild::sandbox::Sandbox;

use crate::build::artifact;

/// The artifacts that a recipe needs, an empty folder to build in, and nothing else.
pub struct Parts<'a> {
    key: Digest,
    deps: BTreeMap<String, PathBuf>,
    out: PathBuf,
    scratch: PathBuf,
    lock: Lock,
    interrupt: &'a Interrupt,
}

impl<'a> Parts<'a> {
    /// Of `recipe`, which is in `report` with all that it needs; it builds below `folder`.
    pub fn of(
        recipe: &dyn Recipe,
        report: &Report,
        lock: Lock,
        folder: &Path,
        interrupt: &'a Interrupt,
    ) -> Result<Self> {
        let name = recipe.name();
        let step = report.steps.iter().find(|step| step.name == name);
        let key = step.with_context(|| format!("{name} is not in the build's report"))?.key;
        let mut deps = BTreeMap::new();
        for need in recipe.needs() {
            let folder = artifact(report, &need)?.to_owned();
            deps.insert(need, folder);
        }
        let (out, scratch) = (folder.join("out"), folder.join("scratch"));
        for dir in [&out, &scratch] {
            fs::create_dir(dir).with_context(|| format!("making {}", dir.display()))?;
        }
        Ok(Self { key, deps, out, scratch, lock, interrupt })
    }
}

impl BuildEnv for Parts<'_> {
    fn key(&self) -> &Digest {
        &self.key
    }

    fn out(&self) -> &Path {
        &self.out
    }

    fn scratch(&self) -> &Path {
        &self.scratch
    }

    fn dep(&self, name: &str) -> Result<&Path, BoxError> {
        self.deps.get(name).map(|path| &**path).ok_or_else(|| format!("{name} is no part").into())
    }

    fn locked_file(&self, sha256: &Digest) -> Result<PathBuf, BoxError> {
        Err(format!("the locked file {sha256} is no part").into())
    }

    fn sandbox(&self) -> Sandbox {
        Sandbox::unavailable("parts are put together without a sandbox")
    }

    fn status(&self, _what: &str) {}

    fn lock(&self) -> &Lock {
        &self.lock
    }

    fn source_date_epoch(&self) -> u64 {
        self.lock.source_date_epoch()
    }

    fn interrupt(&self) -> &Interrupt {
        self.interrupt
    }
}
