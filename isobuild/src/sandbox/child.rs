// SPDX-License-Identifier: MIT OR Apache-2.0
//! The caller's side: starts the helper, keeps its output, waits for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};

use super::error::{SandboxError, status_text};
use super::spec::{OUTER, SETUP_FAILED, SETUP_WORDS, Spec};
use super::{HELPER, enter};
use crate::interrupt::Interrupt;

/// How much of a failed program's output an error repeats, in bytes.
const TAIL: u64 = 4096;

/// Where a long-lived program's standard streams go.
#[derive(Debug)]
pub struct Streams {
    /// Standard input.
    pub stdin: Stdio,
    /// Standard output.
    pub stdout: Stdio,
    /// Standard error; none: the sandbox's log, or a file that only errors are read from.
    pub stderr: Option<Stdio>,
}

impl Streams {
    /// Pipes for input and output, standard error to the log.
    pub fn piped() -> Self {
        Self { stdin: Stdio::piped(), stdout: Stdio::piped(), stderr: None }
    }

    /// No input, no output, standard error to the log.
    pub fn silent() -> Self {
        Self { stdin: Stdio::null(), stdout: Stdio::null(), stderr: None }
    }

    /// The caller's own terminal.
    pub fn inherited() -> Self {
        Self { stdin: Stdio::inherit(), stdout: Stdio::inherit(), stderr: Some(Stdio::inherit()) }
    }
}

/// A program running in a sandbox. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    /// While this end of the pipe is open the helper keeps the program alive.
    lifeline: Option<OwnedFd>,
    command: String,
    errors: Tail,
    /// The program's standard input, where it was asked to be a pipe.
    pub stdin: Option<ChildStdin>,
    /// The program's standard output, where it was asked to be a pipe.
    pub stdout: Option<ChildStdout>,
    /// The program's standard error, where it was asked to be a pipe.
    pub stderr: Option<ChildStderr>,
}

impl Child {
    /// Process id of the helper on the host.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the program to end with status 0.
    ///
    /// # Errors
    /// It ended otherwise, or never started.
    pub fn wait(&mut self) -> Result<(), SandboxError> {
        let status = self.process.wait().map_err(|source| self.pipe(source))?;
        self.judge(status)
    }

    /// Whether the program has ended: `None` while it runs.
    ///
    /// # Errors
    /// The process cannot be asked.
    pub fn try_wait(&mut self) -> Result<Option<Result<(), SandboxError>>, SandboxError> {
        let status = self.process.try_wait().map_err(|source| self.pipe(source))?;
        Ok(status.map(|status| self.judge(status)))
    }

    /// Kills the program and everything that it started, and waits until they are gone.
    pub fn kill(&mut self) {
        // The helper ends when the last of them has: a signal to itself would end it before them,
        // while their files and ports were still in use.
        self.lifeline = None;
        // Fails only when it has been waited for already.
        let _ = self.process.wait();
    }

    fn pipe(&self, source: io::Error) -> SandboxError {
        SandboxError::Pipe { command: self.command.clone(), source }
    }

    fn judge(&mut self, status: ExitStatus) -> Result<(), SandboxError> {
        if status.success() {
            return Ok(());
        }
        let command = self.command.clone();
        let tail = self.errors.read();
        if status.code() == Some(SETUP_FAILED)
            && let Some(at) = tail.rfind(SETUP_WORDS)
        {
            let why = tail[at + SETUP_WORDS.len()..].trim_end().to_owned();
            return Err(SandboxError::Setup { command, why });
        }
        let status = status_text(status.code(), status.signal());
        Err(SandboxError::Program { command, status, tail })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The place that a program's errors are read back from.
#[derive(Debug)]
struct Tail(Option<(File, u64)>);

impl Tail {
    fn read(&mut self) -> String {
        let Some((file, start)) = &mut self.0 else { return String::new() };
        let mut read = || -> io::Result<Vec<u8>> {
            let end = file.seek(SeekFrom::End(0))?;
            file.seek(SeekFrom::Start((*start).max(end.saturating_sub(TAIL))))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => String::from_utf8_lossy(&bytes).trim_end().to_owned(),
            Err(error) => format!("(cannot be read: {error})"),
        }
    }
}

/// Opens the log for appending and notes the command line in it.
fn open_log(spec: &Spec, log: Option<&Path>) -> Result<File, SandboxError> {
    let named = |path: &Path| {
        let path = PathBuf::from(path);
        move |source| SandboxError::Log { path, source }
    };
    let Some(path) = log else {
        return tempfile::tempfile().map_err(named(&std::env::temp_dir()));
    };
    let mut file =
        OpenOptions::new().create(true).append(true).read(true).open(path).map_err(named(path))?;
    writeln!(file, "$ {}", spec.command_line()).map_err(named(path))?;
    Ok(file)
}

pub(super) fn run(
    spec: Spec,
    log: Option<&Path>,
    interrupt: Option<&Interrupt>,
) -> Result<(), SandboxError> {
    let file = open_log(&spec, log)?;
    let (out, errors) = (share(&file, &spec)?.into(), share(&file, &spec)?.into());
    let mut child = start(&spec, Stdio::null(), out, errors, Some(file))?;
    let (id, lifeline) = (child.id(), child.lifeline.take());
    watched(id, lifeline, interrupt, || child.wait()).map_err(|error| stopped(error, interrupt))
}

pub(super) fn output(
    spec: Spec,
    log: Option<&Path>,
    input: Option<&[u8]>,
    interrupt: Option<&Interrupt>,
) -> Result<Vec<u8>, SandboxError> {
    let mut file = open_log(&spec, log)?;
    let errors = share(&file, &spec)?;
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = start(&spec, stdin, Stdio::piped(), errors.into(), Some(share(&file, &spec)?))?;
    let mut bytes = Vec::new();
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (id, lifeline) = (child.id(), child.lifeline.take());
    let result = watched(id, lifeline, interrupt, || {
        std::thread::scope(|scope| {
            scope.spawn(move || {
                if let (Some(mut stdin), Some(input)) = (stdin, input) {
                    // A program that does not read all of its input says so with its status.
                    let _ = stdin.write_all(input);
                }
            });
            stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut bytes))
        })
        .map_err(|source| child.pipe(source))?;
        child.wait()
    });
    result.map_err(|error| stopped(error, interrupt))?;
    if let Some(path) = log {
        file.write_all(&bytes)
            .map_err(|source| SandboxError::Log { path: path.to_owned(), source })?;
    }
    Ok(bytes)
}

/// Does `work`, which ends when the helper `id` does; has the helper end on an interrupt, as
/// [`Child::kill`] does: one that is killed while it starts leaves what it has started.
fn watched<T>(
    id: u32,
    lifeline: Option<OwnedFd>,
    interrupt: Option<&Interrupt>,
    work: impl FnOnce() -> T,
) -> T {
    let pid = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw);
    let helper = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let (Some(wake), Some(helper)) = (interrupt.and_then(Interrupt::wake), helper) else {
        let result = work();
        drop(lifeline);
        return result;
    };
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Closed when this returns.
            let _lifeline = lifeline;
            let mut fds = [PollFd::new(&helper, PollFlags::IN), PollFd::new(&wake, PollFlags::IN)];
            while poll(&mut fds, None).is_err_and(|error| error == Errno::INTR) {}
        });
        work()
    })
}

/// After an interrupt, how a program ended says nothing about it.
fn stopped(error: SandboxError, interrupt: Option<&Interrupt>) -> SandboxError {
    match error {
        SandboxError::Program { command, .. } | SandboxError::Setup { command, .. }
            if interrupt.is_some_and(Interrupt::is_set) =>
        {
            SandboxError::Interrupted { command }
        }
        error => error,
    }
}

pub(super) fn spawn(
    spec: &Spec,
    streams: Streams,
    log: Option<&Path>,
) -> Result<Child, SandboxError> {
    let file = open_log(spec, log)?;
    match streams.stderr {
        Some(stderr) => start(spec, streams.stdin, streams.stdout, stderr, None),
        None => {
            let stderr = share(&file, spec)?.into();
            start(spec, streams.stdin, streams.stdout, stderr, Some(file))
        }
    }
}

fn share(file: &File, spec: &Spec) -> Result<File, SandboxError> {
    file.try_clone().map_err(|source| SandboxError::Start { command: spec.command_line(), source })
}

/// Starts the helper: but for `rust::host`, the one place of this crate where a process is started
/// outside a sandbox.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
fn start(
    spec: &Spec,
    stdin: Stdio,
    stdout: Stdio,
    stderr: Stdio,
    errors: Option<File>,
) -> Result<Child, SandboxError> {
    let command = spec.command_line();
    let failed = |source| SandboxError::Start { command: command.clone(), source };
    let helper = match HELPER.get() {
        Some(helper) => helper.clone(),
        None if enter::prepared() => PathBuf::from("/proc/self/exe"),
        None => return Err(SandboxError::NotPrepared),
    };
    let json = serde_json::to_string(spec).map_err(|error| failed(io::Error::other(error)))?;
    let mut errors = errors;
    let start = match &mut errors {
        Some(file) => file.seek(SeekFrom::End(0)).map_err(failed)?,
        None => 0,
    };

    let (theirs, ours) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
    // Another thread's child may inherit this end too; it is the reading one, so that is harmless.
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).map_err(|e| failed(e.into()))?;
    let mut process = Command::new(helper)
        .arg(OUTER)
        .arg(theirs.as_raw_fd().to_string())
        .arg(json)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .map_err(failed)?;
    Ok(Child {
        stdin: process.stdin.take(),
        stdout: process.stdout.take(),
        stderr: process.stderr.take(),
        process,
        lifeline: Some(ours),
        command,
        errors: Tail(errors.map(|file| (file, start))),
    })
}
