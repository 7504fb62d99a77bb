// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks of the repository itself that no compiler makes.

mod arrows;
mod sources;

use anyhow::{Result, bail};

/// Runs every check and reports every finding, not only the first.
pub fn run() -> Result<()> {
    let mut findings = arrows::check()?;
    findings.extend(sources::check()?);
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    match findings.len() {
        0 => Ok(()),
        n => bail!("tidy: {n} findings"),
    }
}
