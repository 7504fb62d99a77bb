// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon over a made-up host.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Root's password.
const PASSWORD: &str = "correct horse";

/// What the daemon says when it serves: its address, and that it is ready.
const LINES: usize = 2;

/// A daemon that serves on a loopback port until it is dropped.
pub struct Simulator {
    child: Child,
    /// Its address: `https://127.0.0.1:…`.
    pub url: String,
    /// Its certificate.
    pub certificate: PathBuf,
}

impl Simulator {
    /// Root's password.
    pub const PASSWORD: &str = PASSWORD;

    /// Starts `program`; its log and database go into `folder`.
    #[expect(
        clippy::disallowed_methods,
        reason = "a program of this workspace, made for this host"
    )]
    pub fn start(program: &Path, folder: &Path) -> Result<Self> {
        let log = folder.join("toolstack.log");
        let log = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let mut child = Command::new(program)
            .args(["--simulate", "--password", PASSWORD, "--listen", "127.0.0.1:0", "--database"])
            .arg(folder.join("state.db"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let output = child.stdout.take().context("hearing the daemon")?;
        // It is killed when this is dropped, whatever it says.
        let mut simulator =
            Self { child, url: String::new(), certificate: folder.join("tls/cert.pem") };
        let said = BufReader::new(output).lines().take(LINES).collect::<Result<Vec<_>, _>>();
        let said = said.context("hearing the daemon")?;
        ensure!(said.len() == LINES, "the daemon ended instead of serving; see its log");
        simulator.url.clone_from(&said[0]);
        Ok(simulator)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("warning: ending the daemon: {error}");
        }
    }
}
