// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask clean`.

use anyhow::{Context, Result};
use isobuild::store::Store;

use crate::program::workspace_root;

/// What to remove beside the results.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Also every built artifact in the user's cache.
    #[arg(long)]
    artifacts: bool,
    /// Also every download in the user's cache.
    #[arg(long)]
    downloads: bool,
}

/// Removes `target/xenith`, and what the options name.
pub fn run(options: &Options) -> Result<()> {
    let output = workspace_root().join("target/xenith");
    if output.exists() {
        isobuild::store::remove_tree(&output).context("removing the results")?;
        eprintln!("removed {}", output.display());
    }
    if options.artifacts || options.downloads {
        let store = Store::of_user().context("opening the cache")?;
        store.clean(options.artifacts, options.downloads).context("cleaning the cache")?;
        eprintln!("cleaned {}", store.folder().display());
    }
    Ok(())
}
