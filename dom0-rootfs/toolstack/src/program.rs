// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one way to run a program.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::toolstack::Power;

/// Bytes of a program's standard error that an error repeats.
const TAIL: usize = 2000;

/// Runs a program to its end and returns what it printed.
pub fn run(program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let line = [&[program], arguments].concat().join(" ");
    tracing::info!(line, "running");
    let output = command(program, arguments).with_context(|| format!("running {line}"))?;
    if !output.status.success() {
        let tail = &output.stderr[output.stderr.len().saturating_sub(TAIL)..];
        bail!("running {line}: {}: {}", output.status, String::from_utf8_lossy(tail).trim());
    }
    Ok(output.stdout)
}

#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
fn command<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> std::io::Result<Output> {
    Command::new(program).args(arguments).stdin(Stdio::null()).output()
}

/// The power of a machine that systemd runs.
#[derive(Debug)]
pub struct Systemd;

impl Power for Systemd {
    fn off(&self) -> Result<()> {
        run("systemctl", &["--no-block", "poweroff"]).map(drop)
    }

    fn reboot(&self) -> Result<()> {
        run("systemctl", &["--no-block", "reboot"]).map(drop)
    }
}
