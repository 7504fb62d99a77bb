// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one way in which xtask runs a program of the host: cargo.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The workspace's root folder.
pub fn workspace_root() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}

/// A call of cargo in the workspace's root, its output going to the terminal.
pub struct Cargo {
    command: Command,
}

impl Cargo {
    /// `cargo SUBCOMMAND`.
    #[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
    pub fn new(subcommand: &str) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(workspace_root()).arg(subcommand);
        Self { command }
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Result<()> {
        let line = self.line();
        eprintln!("$ {line}");
        let status = self.command.status().with_context(|| format!("starting {line}"))?;
        if !status.success() {
            bail!("{line}: {status}");
        }
        Ok(())
    }

    /// Runs it to its end and returns its standard output.
    pub fn output(mut self) -> Result<Vec<u8>> {
        let line = self.line();
        let output = self
            .command
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("starting {line}"))?;
        if !output.status.success() {
            bail!("{line}: {}", output.status);
        }
        Ok(output.stdout)
    }

    fn line(&self) -> String {
        let words = self.command.get_args().map(|arg| arg.to_string_lossy().into_owned());
        std::iter::once("cargo".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
    }
}
