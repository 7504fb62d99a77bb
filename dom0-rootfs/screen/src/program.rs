// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that take over the terminal.

use std::io::stdin;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Error, Result};

/// Seconds after which a login prompt that nobody answers gives the line back to the screens.
const NAMELESS: &str = "300";
/// Those of systemd's own serial lines.
const BAUD_RATES: &str = "115200,57600,38400,9600";

/// Gives the person a shell on this terminal until they leave it.
pub fn shell() -> Result<()> {
    println!("A root shell. \"exit\" goes back.");
    run("/bin/bash", "-l").map(drop)
}

/// Puts a login prompt in the place of this program. It ends with the person's shell, or after some time without a
/// name. Returns only what went wrong.
#[expect(clippy::disallowed_methods, reason = "nothing of this program is left to wrap it")]
pub fn become_login_prompt() -> Error {
    let words = ["--noreset", "--noclear", "--keep-baud", "--timeout", NAMELESS, BAUD_RATES, "-"];
    // Without it agetty finds out itself.
    let terminal = std::env::var_os("TERM");
    let error = Command::new("/sbin/agetty").args(words).args(terminal).exec();
    Error::from(error).context("starting /sbin/agetty")
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
