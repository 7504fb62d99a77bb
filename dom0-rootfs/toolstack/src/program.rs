// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one way to run a program.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufReader, Write as _};
use std::process::{ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::toolstack::Power;

/// Bytes of a program's standard error that an error repeats.
const TAIL: usize = 2000;

/// The daemon's unit.
const UNIT: &str = "xenith-toolstack.service";
/// How long the daemon goes on when a client asked for its end, as `host.restart_agent` and
/// `host.shutdown_agent` of XenServer's data model say: the client is answered.
const BEFORE_END: Duration = Duration::from_secs(10);
/// Where systemd finds the host name at the next start (hostname(5)).
const HOSTNAME: &str = "/etc/hostname";
/// Lines of the log that are shown.
const LINES: usize = 1000;

/// Has systemd do something with the daemon after a pause.
fn after_the_answer(verb: &'static str) {
    std::thread::spawn(move || {
        std::thread::park_timeout(BEFORE_END);
        if let Err(error) = run("systemctl", &["--no-block", verb, UNIT]) {
            tracing::error!("having systemd {verb} the daemon: {error:#}");
        }
    });
}

/// Runs a program to its end and returns what it printed.
pub fn run(program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    finish(program, arguments, [&[program], arguments].concat().join(" "))
}

/// The same for a program whose arguments hold a session or other secrets: they are not logged.
pub fn run_quietly(program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    finish(program, arguments, program.to_owned())
}

fn finish(program: &str, arguments: &[&str], line: String) -> Result<Vec<u8>> {
    tracing::info!(line, "running");
    let output = command(program, arguments).with_context(|| format!("running {line}"))?;
    check(output, &line)
}

fn check(output: Output, line: &str) -> Result<Vec<u8>> {
    if !output.status.success() {
        let tail = &output.stderr[output.stderr.len().saturating_sub(TAIL)..];
        bail!("running {line}: {}: {}", output.status, String::from_utf8_lossy(tail).trim());
    }
    Ok(output.stdout)
}

/// The same for a program that reads `input` to its end; what it is told is not logged.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
pub fn run_with_input(program: &str, arguments: &[&str], input: String) -> Result<Vec<u8>> {
    tracing::info!(program, "running");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("running {program}"))?;
    let stdin = child.stdin.take();
    // On a thread of its own, as it may say much before it has read all.
    let writer = std::thread::spawn(move || {
        // One that does not read is none of ours.
        stdin.is_some_and(|mut stdin| stdin.write_all(input.as_bytes()).is_ok())
    });
    let output = child.wait_with_output().with_context(|| format!("running {program}"))?;
    if writer.join().is_err() {
        bail!("running {program}: telling it what to do failed");
    }
    check(output, program)
}

/// Begins a program that goes on, and hands over what it prints. It ends when nobody reads that any more,
/// and with the unit that this program runs in.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
pub fn follow(program: &str, arguments: &[&str]) -> Result<BufReader<ChildStdout>> {
    let line = [&[program], arguments].concat().join(" ");
    tracing::info!(line, "running");
    let mut command = Command::new(program);
    let begun = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let child = begun.with_context(|| format!("running {line}"))?;
    child.stdout.map(BufReader::new).with_context(|| format!("reading what {program} prints"))
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

    fn is_ending(&self) -> Result<bool> {
        // org.freedesktop.systemd1(5), `SystemState`.
        let state = run("systemctl", &["show", "--property=SystemState", "--value"])?;
        Ok(state.trim_ascii() == b"stopping")
    }

    fn restart_daemon(&self) -> Result<()> {
        after_the_answer("restart");
        Ok(())
    }

    fn stop_daemon(&self) -> Result<()> {
        after_the_answer("stop");
        Ok(())
    }

    fn set_hostname(&self, name: &str) -> Result<()> {
        fs::write(HOSTNAME, format!("{name}\n")).with_context(|| format!("writing {HOSTNAME}"))?;
        rustix::system::sethostname(name.as_bytes()).context("telling the kernel the host name")
    }

    fn log(&self) -> Result<String> {
        let lines = format!("--lines={LINES}");
        let log = run("journalctl", &["--no-pager", "--unit", UNIT, &lines])?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }
}
