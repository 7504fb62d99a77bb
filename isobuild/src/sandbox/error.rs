// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong with a program in a sandbox.

use std::io;
use std::path::PathBuf;

/// An error of a sandbox or of a program in it.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There is no tools tree to run in.
    #[error("no sandbox here: {why}")]
    Unavailable {
        /// The reason.
        why: String,
    },
    /// The process that asks cannot enter sandboxes.
    #[error(
        "this program cannot start a sandbox: its main does not begin with \
         sandbox::enter_if_asked()"
    )]
    NotPrepared,
    /// An argument that is not UTF-8.
    #[error("an argument for a program in the sandbox is not UTF-8: {text:?}")]
    NotUtf8 {
        /// The argument, approximately.
        text: String,
    },
    /// The log file cannot be written.
    #[error("writing the log {}", path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The helper process cannot be started.
    #[error("starting the sandbox for: {command}")]
    Start {
        /// The command line inside.
        command: String,
        /// The cause.
        source: io::Error,
    },
    /// The sandbox itself could not be set up, or the program not be started in it.
    #[error("setting up the sandbox for: {command}\n{why}")]
    Setup {
        /// The command line inside.
        command: String,
        /// What the helper said, with a hint where there is one.
        why: String,
    },
    /// The program ended with an error.
    #[error("{command}\nended with {status}{}", tail_text(tail))]
    Program {
        /// The command line inside.
        command: String,
        /// Exit status or signal, in words.
        status: String,
        /// Its last lines of output.
        tail: String,
    },
    /// The person asked to stop while it ran.
    #[error("interrupted: {command}")]
    Interrupted {
        /// The command line inside.
        command: String,
    },
    /// Its input or output could not be passed on.
    #[error("talking to: {command}")]
    Pipe {
        /// The command line inside.
        command: String,
        /// The cause.
        source: io::Error,
    },
}

fn tail_text(tail: &str) -> String {
    if tail.is_empty() { String::new() } else { format!("; its last words were:\n{tail}") }
}

/// A status of the helper in words: it passes a signal on as 128 + number.
pub(super) fn status_text(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (Some(code), _) if code > 128 => format!("signal {}", code - 128),
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}
