// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that take over the terminal. All others run through `installer_core::program`.

use std::process::Command;

use anyhow::{Context as _, Result};

/// Gives the person a shell on this terminal until they leave it.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
pub fn shell() -> Result<()> {
    println!("A root shell. \"exit\" goes back to the installer.");
    tracing::info!("a shell was opened");
    let status = Command::new("/bin/bash").arg("-l").status().context("starting /bin/bash")?;
    tracing::info!("the shell ended: {status}");
    Ok(())
}
