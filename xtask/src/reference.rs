// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask reference`: the API as pages for people.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::pipeline::VERSION;
use crate::program::{Cargo, workspace_root};

/// Writes the pages into `target/xenith`, in the place of those that were there; returns the folder.
pub fn run() -> Result<PathBuf> {
    let folder = workspace_root().join(format!("target/xenith/xenith-{VERSION}-reference"));
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    write(&folder)?;
    Ok(folder)
}

fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let write = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))
    };
    for page in xapi_reference::pages(VERSION) {
        write(&page.name, page.content.as_bytes())?;
    }
    // What xe has is known to xe alone.
    let xe = Cargo::new("run").args(["--quiet", "--locked", "--package", "xe", "--"]);
    write("xe.1", &xe.args(["help", "--man"]).output()?)
}
