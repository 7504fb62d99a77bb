// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one way in which this crate runs programs.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How much of standard error goes into an error, in bytes.
const STDERR_TAIL: usize = 2000;

/// A program with its arguments, looked up in `PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Name without a folder.
    pub name: String,
    /// Arguments.
    pub args: Vec<String>,
    /// Variables that are added to the environment.
    pub env: Vec<(String, String)>,
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
        Self { name: name.to_owned(), args: Vec::new(), env: Vec::new() }
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

    /// Adds variables to its environment.
    #[must_use]
    pub fn envs(mut self, env: &[(String, String)]) -> Self {
        self.env.extend_from_slice(env);
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
        Err(self.failed(status, &stderr, "it wrote nothing to standard error"))
    }

    fn failed(&self, status: ExitStatus, said: &str, nothing: &str) -> ProgramError {
        let mut from = said.len().saturating_sub(STDERR_TAIL);
        while !said.is_char_boundary(from) {
            from += 1;
        }
        let stderr = match said[from..].trim() {
            "" => nothing.to_owned(),
            text => text.to_owned(),
        };
        ProgramError::Failed { command: self.to_string(), status: status.to_string(), stderr }
    }

    /// Runs it to its end and gives each line that it writes, to standard output or standard error, to
    /// `said` at once. What it leaves in the background is not waited for.
    ///
    /// # Errors
    /// It cannot be started, or ends with another status than 0; the end of what it wrote is in there.
    #[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
    pub fn follow(&self, said: &mut dyn FnMut(&str)) -> Result<(), ProgramError> {
        /// How long lines of what is left in the background are taken.
        const REST: Duration = Duration::from_secs(2);
        /// A longer line is given in pieces, in bytes.
        const LONGEST: u64 = 4096;
        let start = |source| ProgramError::Start { command: self.to_string(), source };
        tracing::info!("running `{self}`");
        let (reader, writer) = io::pipe().map_err(start)?;
        let mut command = Command::new(&self.name);
        command.args(&self.args).env("LC_ALL", "C").stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdout(writer.try_clone().map_err(start)?).stderr(writer);
        let mut child = command.spawn().map_err(start)?;
        // It holds the other end of the pipe.
        drop(command);
        let (lines, came) = channel();
        let ended = lines.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            while (&mut reader).take(LONGEST).read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                if lines.send(Ok(text)).is_err() {
                    return;
                }
            }
        });
        thread::spawn(move || ended.send(Err(child.wait())));
        let mut status: Option<(ExitStatus, Instant)> = None;
        let mut tail = String::new();
        loop {
            // Nobody sends any more once the program and the end of its output were seen.
            let next = match status {
                None => came.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some((_, until)) => {
                    came.recv_timeout(until.saturating_duration_since(Instant::now()))
                }
            };
            match next {
                Ok(Ok(line)) => {
                    let line = line.replace(char::is_control, " ");
                    said(&line);
                    tail.push_str(&line);
                    tail.push('\n');
                    if tail.len() > 4 * STDERR_TAIL {
                        let keep = tail.ceil_char_boundary(tail.len() - 2 * STDERR_TAIL);
                        tail.drain(..keep);
                    }
                }
                Ok(Err(ended)) => status = Some((ended.map_err(start)?, Instant::now() + REST)),
                Err(_) => break,
            }
        }
        let Some((status, _)) = status else {
            return Err(start(io::Error::other("it was lost")));
        };
        tracing::info!("`{}` ended: {status}", self.name);
        match status.success() {
            true => Ok(()),
            false => Err(self.failed(status, &tail, "it wrote nothing")),
        }
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
    fn outcome(&self) -> Result<(ExitStatus, String, String), ProgramError> {
        let start = |source| ProgramError::Start { command: self.to_string(), source };
        tracing::info!("running `{self}`");
        let child = Command::new(&self.name)
            .args(&self.args)
            .env("LC_ALL", "C")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
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
        let long = Program::new("sh").args(["-c", "yes line | head -n 5000 >&2; exit 1"]);
        assert!(long.run().unwrap_err().to_string().len() < STDERR_TAIL + 200);
        assert!(matches!(
            Program::new("no-such-program-here").run(),
            Err(ProgramError::Start { .. })
        ));
    }

    #[test]
    fn lines_come_as_they_are_written() {
        let mut lines = Vec::new();
        let mut follow = |text: &str| {
            lines.clear();
            let program = Program::new("sh").args(["-c", text]);
            let env = [("WHAT".to_owned(), "three".to_owned())];
            let result = program.envs(&env).follow(&mut |line| lines.push(line.to_owned()));
            (lines.clone(), result)
        };
        let (lines, result) = follow("echo one; echo two >&2; printf $WHAT");
        result.unwrap();
        assert_eq!(lines, ["one", "two", "three"]);
        let (_, result) = follow("echo broken; exit 3");
        assert!(result.unwrap_err().to_string().ends_with("failed (exit status: 3): broken"));
        let (lines, result) = follow("printf 'a\\033[2Jb\\n\\377\\n'; exit 1");
        assert!(result.is_err());
        assert_eq!(lines, ["a [2Jb", "\u{fffd}"]);
        // The shell in the background holds the output, and waits for a pipe that nobody opens.
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe").display().to_string();
        let (lines, result) = follow(&format!("mkfifo {pipe}; cat {pipe} & echo $!"));
        result.unwrap();
        assert_eq!(lines.len(), 1);
        Program::new("kill").arg(&lines[0]).run().unwrap();
    }

    #[test]
    fn a_program_without_an_end_is_ended() {
        let program =
            Program::new("timeout").args(["1", "sh", "-c", "echo begun; tail -f /dev/null"]);
        let error = program.follow(&mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("(exit status: 124)"), "{error}");
    }
}
