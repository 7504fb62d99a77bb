// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that take over the terminal.

use std::io::stdin;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result};

/// Gives the person a shell on this terminal until they leave it.
pub fn shell() -> Result<()> {
    println!("A root shell. \"exit\" goes back.");
    run("/bin/bash", "-l").map(drop)
}

/// Shows what of the network works, until Enter.
pub fn test_network() -> Result<()> {
    println!("Trying the network ...");
    let test = run("/usr/sbin/xenith-installer", "network-test");
    if test.is_ok() {
        println!("Press Enter to go back.");
        stdin().read_line(&mut String::new()).context("waiting for Enter")?;
    }
    test.map(drop)
}

/// Runs a program with all that it says on this terminal. On a monitor what we say ourselves as an error goes to the
/// journal, and a shell that finds such a place for its prompt has none.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
fn run(program: &str, word: &str) -> Result<ExitStatus> {
    let terminal = rustix::io::dup(rustix::stdio::stdout()).context("opening the terminal")?;
    let status = Command::new(program).arg(word).stderr(Stdio::from(terminal)).status();
    status.with_context(|| format!("starting {program}"))
}
