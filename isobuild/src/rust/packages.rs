// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a recipe compiles.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use appliance_model::Digest;

use super::cargo::Cargo;
use super::host;
use super::stage::{self, Sources};
use super::workspace::Workspace;
use crate::digest::Hasher;
use crate::inputs::Inputs;
use crate::recipe::{BoxError, Build};
use crate::store::Store;

/// Raised when folders kept by an older generation of this code must not be used.
const KEPT: &str = "1";

/// Packages of the workspace that a recipe compiles programs of.
#[derive(Debug)]
pub struct Packages {
    repository: PathBuf,
    store: Store,
    offline: bool,
    names: Vec<&'static str>,
    /// The sources that the key was made from.
    declared: Mutex<Option<Digest>>,
}

impl Packages {
    /// The packages `names` of the workspace at `repository`; `store` keeps cargo's target folder.
    /// `offline`: crates are not fetched, they must be there.
    pub fn new(repository: &Path, store: &Store, offline: bool, names: Vec<&'static str>) -> Self {
        let (repository, store) = (repository.to_owned(), store.clone());
        Self { repository, store, offline, names, declared: Mutex::new(None) }
    }

    /// Their names.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The workspace's folder.
    pub fn repository(&self) -> &Path {
        &self.repository
    }

    fn sources(&self) -> Result<Sources, BoxError> {
        stage::sources(&Workspace::read(&self.repository)?, &self.names)
    }

    /// Declares the compiler, and every source that the packages are compiled from.
    ///
    /// # Errors
    /// There is no compiler, or a source cannot be read.
    pub fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError> {
        inputs.value("rustc", host::rustc_version(&self.repository)?);
        let digest = self.sources()?.digest()?;
        inputs.value("sources", digest.to_string());
        *self.declared.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest);
        Ok(())
    }

    /// Fetches crates and copies the sources, for programs that are linked with what the recipes
    /// `dependencies` made. `name` begins the name of the folder that is kept.
    ///
    /// # Errors
    /// The toolchain or a crate is missing, or the sources changed since they were declared.
    pub fn prepare(
        &self,
        build: &Build<'_>,
        name: &str,
        dependencies: &[&str],
    ) -> Result<Cargo, BoxError> {
        let version = host::rustc_version(&self.repository)?;
        let toolchain = host::sysroot(&self.repository)?;
        build.status("fetching crates");
        let crates =
            host::fetch_crates(&self.repository, self.offline, &|line| build.status(line))?;

        let name = kept(name, &version, build, dependencies)?;
        let kept = self.store.kept(&name)?;
        let claim = self.store.claim(&name, || build.status("waiting for another build"))?;
        let cargo = Cargo { version, toolchain, crates, kept, _claim: claim };
        let sources = self.sources()?;
        sources.copy_to(&cargo.sources())?;
        // Minutes may lie between the two: other recipes may have been built first.
        let declared = *self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        if declared != Some(sources.digest_of_copy(&cargo.sources())?) {
            return Err("the programs' sources were changed while the build was running; \
                        run the same command again"
                .into());
        }
        Ok(cargo)
    }
}

/// Name of the folder for this compiler and these artifacts. Cargo does not notice when a C compiler,
/// a header or a library changes, so each combination has its own.
fn kept(
    name: &str,
    version: &str,
    build: &Build<'_>,
    dependencies: &[&str],
) -> Result<String, BoxError> {
    let mut hasher = Hasher::default();
    hasher.field(KEPT.as_bytes());
    hasher.field(version.as_bytes());
    for dependency in dependencies {
        // Ends in the key.
        let artifact = build.dep(dependency)?.file_name().unwrap_or_default();
        hasher.field(artifact.as_encoded_bytes());
    }
    Ok(format!("{name}-{}", &hasher.finish().to_string()[..16]))
}
