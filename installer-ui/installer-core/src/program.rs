// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one way in which this crate runs programs.

use std::fmt;
use std::io;
use std::process::{Command, Stdio};

/// How much of standard error goes into an error, in bytes.
const STDERR_TAIL: usize = 2000;

/// A program with its arguments, looked up in `PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Name without a folder.
    pub name: String,
    /// Arguments.
    pub args: Vec<String>,
}

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It could not be started.
    #[error("starting `{command}`")]
    Start {
        /// The whole command line.
        command: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It ended with a failure.
    #[error("`{command}` failed ({status}): {stderr}")]
    Failed {
        /// The whole command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
}

impl Program {
    /// A program without arguments.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), args: Vec::new() }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.args.extend(args.map(str::to_owned));
        self
    }

    /// Runs it to its end and returns what it wrote to standard output.
    ///
    /// # Errors
    /// It cannot be started, or ends with another status than 0.
    pub fn run(&self) -> Result<String, ProgramError> {
        let (status, stdout, stderr) = self.outcome()?;
        if status.success() {
            return Ok(stdout);
        }
        let mut from = stderr.len().saturating_sub(STDERR_TAIL);
        while !stderr.is_char_boundary(from) {
            from += 1;
        }
        let stderr = match stderr[from..].trim() {
            "" => "it wrote nothing to standard error".to_owned(),
            text => text.to_owned(),
        };
        Err(ProgramError::Failed { command: self.to_string(), status: status.to_string(), stderr })
    }

    /// Runs it and returns its status, standard output and standard error, whatever the status was:
    /// for programs that answer with their status, such as blkid on an empty disk.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn ask(&self) -> Result<(Option<i32>, String, String), ProgramError> {
        let (status, stdout, stderr) = self.outcome()?;
        Ok((status.code(), stdout, stderr))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
    fn outcome(&self) -> Result<(std::process::ExitStatus, String, String), ProgramError> {
        let start = |source| ProgramError::Start { command: self.to_string(), source };
        tracing::info!("running `{self}`");
        let child = Command::new(&self.name)
            .args(&self.args)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output();
        let output = child.map_err(start)?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        for line in stderr.lines() {
            tracing::info!("{}: {line}", self.name);
        }
        tracing::info!("`{}` ended: {}", self.name, output.status);
        Ok((output.status, stdout, stderr))
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.args.iter().try_for_each(|arg| match arg.contains([' ', '\'', '"']) {
            true => write!(f, " {arg:?}"),
            false => write!(f, " {arg}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_status_and_stderr_are_kept() {
        let ok = Program::new("sh").args(["-c", "echo out; echo err >&2"]);
        assert_eq!(ok.run().unwrap(), "out\n");
        let bad = Program::new("sh").args(["-c", "echo broken >&2; exit 3"]);
        let text = bad.run().unwrap_err().to_string();
        assert_eq!(text, "`sh -c \"echo broken >&2; exit 3\"` failed (exit status: 3): broken");
        assert_eq!(bad.ask().unwrap().0, Some(3));
        assert!(matches!(
            Program::new("no-such-program-here").run(),
            Err(ProgramError::Start { .. })
        ));
    }
}
