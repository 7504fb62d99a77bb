// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks of the repository itself that no compiler makes.

mod arrows;
mod profiles;
mod sources;

use anyhow::{Result, bail};

use crate::program::workspace_root;

/// Runs every check and reports every finding, not only the first.
pub fn run() -> Result<()> {
    let root = workspace_root();
    let mut findings = arrows::check(&root)?;
    findings.extend(sources::check(&root)?);
    findings.extend(profiles::check(&root)?);
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    match findings.len() {
        0 => Ok(()),
        n => bail!("tidy: {n} findings"),
    }
}
