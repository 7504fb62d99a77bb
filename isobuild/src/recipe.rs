// SPDX-License-Identifier: MIT OR Apache-2.0
//! A component of the image: a function from declared inputs to a folder of artifacts.
//!
//! A recipe is keyed by its name, its revision, everything it declares in [`Recipe::declare`] and
//! the keys of the recipes it needs. The same key means the same bytes, so an artifact that the
//! store already has is not built again.

use std::path::Path;

use crate::inputs::Inputs;
use crate::sandbox::Sandbox;

/// Any error of a recipe; the graph adds the recipe's name and the log file's path to it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One node of the job graph.
pub trait Recipe: Send + Sync {
    /// Short name, unique in the graph: `xen`, `rootfs-default`. Names the artifact and its log.
    fn name(&self) -> String;

    /// Names of the recipes whose artifacts this one reads.
    fn needs(&self) -> Vec<String>;

    /// Declares everything that decides the output, apart from what [`Recipe::needs`] names:
    /// the recipe's own revision, options, files and folders of this repository, locked packages.
    ///
    /// # Errors
    /// A declared file that cannot be read.
    fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError>;

    /// Writes the artifact into [`BuildEnv::out`]. Nothing else is kept.
    ///
    /// # Errors
    /// Whatever stops the build; the half-written folder is thrown away.
    fn build(&self, build: &Build<'_>) -> Result<(), BoxError>;
}

/// What a running recipe may use.
pub trait BuildEnv: Sync {
    /// The key of what is being built: it stands for all of its inputs, those of what it needs
    /// included.
    fn key(&self) -> &appliance_model::Digest;
    /// The empty folder that becomes the artifact.
    fn out(&self) -> &Path;
    /// An empty folder that is removed after the build.
    fn scratch(&self) -> &Path;
    /// The artifact folder of a recipe named in [`Recipe::needs`].
    ///
    /// # Errors
    /// The name is not among those that the recipe needs.
    fn dep(&self, name: &str) -> Result<&Path, BoxError>;
    /// The path of a locked file (package or source) in the store, fetched and verified before the build.
    ///
    /// # Errors
    /// The file was not declared with [`Inputs`].
    fn locked_file(&self, sha256: &appliance_model::Digest)
    -> Result<std::path::PathBuf, BoxError>;
    /// A sandbox over the tools tree whose output goes to this recipe's log. `/out` and `/build`
    /// are [`BuildEnv::out`] and [`BuildEnv::scratch`], writable; all else is read-only.
    fn sandbox(&self) -> Sandbox;
    /// Tells the person what is going on, in a few words: "compiling", "packing".
    fn status(&self, what: &str);
    /// The lock that the recipe's inputs were declared from.
    fn lock(&self) -> &appliance_model::lock::Lock;
    /// Seconds since 1970 that every file of every artifact is clamped to.
    fn source_date_epoch(&self) -> u64;
    /// Whether the person asked to stop; long loops outside the sandbox should look now and then.
    fn interrupt(&self) -> &crate::interrupt::Interrupt;
}

/// See [`BuildEnv`].
pub type Build<'a> = dyn BuildEnv + 'a;
