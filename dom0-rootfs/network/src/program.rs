// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one way in which the backend reaches the host: its programs, its `/sys` and `/etc`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::error::NetworkError;
use crate::{links, ovsdb};

/// Where the database of Open vSwitch answers.
const DATABASE: &str = "/run/openvswitch/db.sock";

/// How long a link is looked at before Open vSwitch is asked why it is no port yet.
const JOINED_WITHIN: Duration = Duration::from_secs(2);

/// How a program ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// Exit code; a program ended by a signal has -1.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// The standard output of a `program` that had to succeed.
    pub(crate) fn must(self, doing: &str, program: &str) -> Result<String, NetworkError> {
        if self.code == 0 {
            return Ok(self.stdout);
        }
        let said = self.stderr.trim();
        let skip = said.char_indices().rev().nth(400).map_or(0, |(at, _)| at);
        Err(NetworkError::Failed {
            doing: doing.to_owned(),
            detail: format!("{program} ended with code {}: {}", self.code, &said[skip..]),
        })
    }
}

/// What the backend needs of the host.
pub trait System: Send + Sync {
    /// Runs a program to its end. An exit code other than zero is no error here.
    fn run(&self, program: &str, args: &[&str]) -> Result<Ran, NetworkError>;
    /// Performs operations on Open vSwitch's database, all or none; see [`crate::transact`].
    fn transact(&self, operations: &[Value]) -> Result<Vec<Value>, String>;
    /// Gives a link an MTU in bytes, if one is said, and sets it up.
    fn raise(&self, link: &str, mtu: Option<u32>) -> std::io::Result<()>;
    /// Whether a link is a port of the kernel's switch, which is waited for a moment.
    fn joined(&self, link: &str) -> std::io::Result<bool>;
    /// Where `/sys` and `/etc` of this host are found: `/`.
    fn root(&self) -> &Path;
}

impl dyn System + '_ {
    /// Runs a program that has to succeed and returns its standard output. `doing` is a lower-case
    /// gerund with its object.
    pub(crate) fn must(
        &self,
        doing: &str,
        program: &str,
        args: &[&str],
    ) -> Result<String, NetworkError> {
        self.run(program, args)?.must(doing, program)
    }

    /// A file of the host below [`System::root`].
    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        self.root().join(absolute.trim_start_matches('/'))
    }
}

/// The error for a system call that failed.
pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> NetworkError {
    let doing = doing.into();
    move |source| NetworkError::Failed { doing, detail: source.to_string() }
}

/// The host that this process runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl System for Host {
    #[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
    fn run(&self, program: &str, args: &[&str]) -> Result<Ran, NetworkError> {
        tracing::debug!(program, ?args, "running");
        let output = Command::new(program)
            .args(args)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .map_err(io(format!("starting {program}")))?;
        let ran = Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        tracing::debug!(program, code = ran.code, stderr = ran.stderr.trim(), "ended");
        Ok(ran)
    }

    fn transact(&self, operations: &[Value]) -> Result<Vec<Value>, String> {
        tracing::debug!(?operations, "asking Open vSwitch");
        ovsdb::transact(Path::new(DATABASE), operations)
    }

    fn raise(&self, link: &str, mtu: Option<u32>) -> std::io::Result<()> {
        let index = std::fs::read_to_string(format!("/sys/class/net/{link}/ifindex"))?;
        let index = index.trim().parse().map_err(std::io::Error::other)?;
        links::raise(index, mtu)
    }

    fn joined(&self, link: &str) -> std::io::Result<bool> {
        links::joined(link, JOINED_WITHIN)
    }

    fn root(&self) -> &Path {
        Path::new("/")
    }
}
