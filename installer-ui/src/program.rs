// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that take over the terminal. All others run through `installer_core::program`.

use std::io;
use std::process::Command;

use anyhow::{Context as _, Result};
use installer_core::program::Program;

/// Gives the person a shell on this terminal until they leave it.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
pub fn shell() -> Result<()> {
    println!("A root shell. \"exit\" goes back to the installer.");
    tracing::info!("a shell was opened");
    let status = Command::new("/bin/bash").arg("-l").status().context("starting /bin/bash")?;
    tracing::info!("the shell ended: {status}");
    Ok(())
}

/// Runs a program that talks with the person on this terminal; whether it was a success.
///
/// # Errors
/// It cannot be started.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
pub fn on_terminal(program: &Program) -> io::Result<bool> {
    println!("{program}");
    tracing::info!("running `{program}` on the terminal");
    let status = Command::new(&program.name).args(&program.args).status()?;
    tracing::info!("`{}` ended: {status}", program.name);
    Ok(status.success())
}
