// SPDX-License-Identifier: MIT OR Apache-2.0
//! A root shell on the host's serial console.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::serial::Serial;

const LIMIT: Duration = Duration::from_secs(300);

/// Bytes typed at once: Xen keeps 128 until Dom0 takes them, and drops what comes then.
const AT_ONCE: usize = 48;

/// Logs in as root, as a person at the console does: by the login prompt, which is behind the host's screen.
pub fn log_in(serial: &mut Serial, password: &str) -> Result<()> {
    // Ctrl-L: what was drawn before is not seen any more.
    serial.send("\x0c")?;
    serial.wait("q login prompt", LIMIT).context("waiting for the host's screen")?;
    serial.send("q")?;
    serial.wait("login:", LIMIT).context("waiting for the login prompt")?;
    serial.send("root\n")?;
    serial.wait("assword:", LIMIT).context("waiting for the password prompt")?;
    serial.send(&format!("{password}\n"))?;
    serial.wait("# ", LIMIT).context("waiting for the shell")?;
    // No colours, no bracketed paste, nothing that breaks lines.
    run(serial, "export TERM=dumb; stty cols 2000").map(drop)
}

/// Types a line at the shell's prompt, waiting for the echo.
fn type_line(serial: &mut Serial, line: &str) -> Result<()> {
    let mut rest = line;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.floor_char_boundary(AT_ONCE.min(rest.len())));
        serial.send(now)?;
        serial.wait(&now[now.floor_char_boundary(now.len().saturating_sub(4))..], LIMIT)?;
        rest = later;
    }
    serial.send("\n")
}

/// Runs a command line at the prompt and returns what it printed, when the next prompt is there; a
/// status other than 0 is an error.
pub fn run(serial: &mut Serial, command: &str) -> Result<String> {
    // The markers are split so that the echo of the typed line does not have them.
    type_line(serial, &format!("echo be''gin; {command}; echo en''d:$?:"))
        .with_context(|| format!("typing {command}"))?;
    // A terminal line discipline on either side of the hypervisor adds its own carriage return.
    serial.wait("begin\r", LIMIT).with_context(|| format!("running {command}"))?;
    let from = serial.heard();
    serial.wait("end:", LIMIT).with_context(|| format!("running {command}"))?;
    let output = serial.between(from, "end:");
    let from = serial.heard();
    serial.wait(":", LIMIT).with_context(|| format!("running {command}"))?;
    let status = serial.between(from, ":");
    serial.wait("# ", LIMIT).with_context(|| format!("waiting for the prompt after {command}"))?;
    match status.as_str() {
        "0" => Ok(output),
        status => bail!("{command} ended with status {status}:\n{output}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Runs `true` on a line whose other end prints something and ends it with `status`.
    fn run_on_line(status: u8) -> Result<String> {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut serial = Serial::new(ours, File::create(dir.path().join("log")).unwrap()).unwrap();
        let machine = std::thread::spawn(move || {
            let mut typed = [0];
            while typed != *b"\n" {
                (&theirs).read_exact(&mut typed).unwrap();
                (&theirs).write_all(&typed).unwrap();
            }
            let answer = format!("begin\r\nwords\r\nend:{status}:\r\n# ");
            (&theirs).write_all(answer.as_bytes()).unwrap();
            theirs
        });
        let said = run(&mut serial, "true");
        drop(machine.join().unwrap());
        said
    }

    #[test]
    fn only_the_status_zero_is_a_success() {
        assert_eq!(run_on_line(0).unwrap(), "words");
        for status in [1, 10, 130] {
            let error = run_on_line(status).unwrap_err().to_string();
            assert!(error.contains(&format!("status {status}:\nwords")), "{error}");
        }
    }
}
