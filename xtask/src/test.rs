// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask test`: every check, cheapest first.

use anyhow::Result;

use crate::program::Cargo;
use crate::tidy;

/// Stops at the first check that fails.
pub fn run() -> Result<()> {
    Cargo::new("fmt").args(["--all", "--check"]).run()?;
    tidy::run()?;
    Cargo::new("clippy")
        .args(["--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
        .run()?;
    Cargo::new("test").args(["--workspace", "--locked"]).run()
}
