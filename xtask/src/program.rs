// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one way in which xtask runs a program of the host: cargo.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use isobuild::fetch;

use crate::pipeline::SourceOptions;

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

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Tells what it runs where files come from, as this program was told.
    pub fn sources(mut self, sources: &SourceOptions) -> Self {
        if let Some(mirror) = &sources.mirror {
            self.command.env(fetch::MIRROR, mirror);
        }
        if sources.offline {
            self.command.env(fetch::OFFLINE, "1").env("CARGO_NET_OFFLINE", "true");
        }
        self
    }

    /// Keeps standard output for the result of xtask itself.
    pub fn output_to_stderr(mut self) -> Self {
        self.command.stdout(std::io::stderr());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_told_where_files_come_from() {
        let told = |mirror: Option<&str>, offline| {
            let sources = SourceOptions { mirror: mirror.map(str::to_owned), offline };
            let call = Cargo::new("test").sources(&sources);
            let pair = |(name, value): (&OsStr, Option<&OsStr>)| {
                format!("{}={}", name.display(), value.unwrap_or_default().display())
            };
            call.command.get_envs().map(pair).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told(None, false), "");
        assert_eq!(told(Some("http://a/debian"), false), "XENITH_MIRROR=http://a/debian");
        assert_eq!(told(None, true), "CARGO_NET_OFFLINE=true XENITH_OFFLINE=1");
    }
}
