// SPDX-License-Identifier: MIT OR Apache-2.0
//! The folder that benches work in: beside the user's store, gone when they are done.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use isobuild::store::{Claim, Store, remove_tree};

use crate::pipeline::Pipeline;
use crate::repro;

/// An empty folder on the file system of the store, as artifacts are hard links of each other.
/// Dropping it removes it.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    _claim: Claim,
}

impl Place {
    /// Waits while another run has it. What a killed run left there is removed.
    pub fn new(user: &Store) -> Result<Self> {
        let waiting = || eprintln!("waiting for another bench");
        let claim = user.claim("bench", waiting).context("claiming the benches' folder")?;
        let folder = user.folder().with_file_name("bench");
        remove_tree(&folder).context("removing what an earlier bench left")?;
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Self { folder, _claim: claim })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// A copy of the repository that `pipeline` is over, as it is now.
    pub fn copy_repository(&self, pipeline: &Pipeline) -> Result<PathBuf> {
        let copy = self.folder.join("repository");
        repro::copy_repository(&pipeline.repository, &copy)
            .with_context(|| format!("copying the repository to {}", copy.display()))?;
        Ok(copy)
    }

    /// A pipeline over such a copy.
    pub fn pipeline(&self, first: &Pipeline, copy: &Path, store: Store) -> Result<Pipeline> {
        Pipeline::elsewhere(first, copy.to_owned(), self.folder.join("output"), store)
    }

    /// An empty store, but for the folders `shared` of the user's.
    pub fn store(&self, user: &Store, shared: &[&str]) -> Result<Store> {
        let store = Store::at(&self.folder.join("cache")).context("making a second cache")?;
        for name in shared {
            repro::share_folder(user, &store, name)?;
        }
        Ok(store)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.folder) {
            eprintln!("warning: {:#}", anyhow::Error::from(error));
        }
    }
}
