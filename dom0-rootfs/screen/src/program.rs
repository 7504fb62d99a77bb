// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that take over the terminal.

use std::io::stdin;
use std::process::Command;

use anyhow::{Context as _, Result};

/// Gives the person a shell on this terminal until they leave it.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
pub fn shell() -> Result<()> {
    println!("A root shell. \"exit\" goes back.");
    let shell = Command::new("/bin/bash").arg("-l").status();
    shell.context("starting /bin/bash").map(drop)
}

/// Shows what of the network works, until Enter.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
pub fn test_network() -> Result<()> {
    println!("Trying the network ...");
    let test = Command::new("/usr/sbin/xenith-installer").arg("network-test").status();
    let test = test.context("starting xenith-installer");
    if test.is_ok() {
        println!("Press Enter to go back.");
        stdin().read_line(&mut String::new()).context("waiting for Enter")?;
    }
    test.map(drop)
}
