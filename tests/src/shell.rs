// SPDX-License-Identifier: MIT OR Apache-2.0
//! A root shell on the host's serial console.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::serial::Serial;

const LIMIT: Duration = Duration::from_secs(300);

/// Logs in as root, as a person at the console does.
pub fn log_in(serial: &mut Serial, password: &str) -> Result<()> {
    serial.send("\n")?;
    serial.wait("login:", LIMIT).context("waiting for the login prompt")?;
    serial.send("root\n")?;
    serial.wait("assword:", LIMIT).context("waiting for the password prompt")?;
    serial.send(&format!("{password}\n"))?;
    serial.wait("#", LIMIT).context("waiting for the shell")?;
    // No colours, no bracketed paste, nothing that breaks lines.
    run(serial, "export TERM=dumb; stty cols 500").map(drop)
}

/// Runs a command line and returns what it printed; a status other than 0 is an error.
pub fn run(serial: &mut Serial, command: &str) -> Result<String> {
    // The markers are split so that the echo of the typed line does not have them.
    serial.send(&format!("echo be''gin; {command}; echo en''d:$?:\n"))?;
    // A terminal line discipline on either side of the hypervisor adds its own carriage return.
    serial.wait("begin\r", LIMIT).with_context(|| format!("running {command}"))?;
    let from = serial.heard();
    serial.wait("end:", LIMIT).with_context(|| format!("running {command}"))?;
    let output = serial.between(from, "end:");
    if serial.wait_any(&["0:", ":"], LIMIT)? != 0 {
        bail!("{command} failed:\n{output}");
    }
    Ok(output)
}
