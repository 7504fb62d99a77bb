// SPDX-License-Identifier: MIT OR Apache-2.0
//! `xenith-screen`: what a person sees on a host's monitor and serial line, and whoever is logged in as
//! root, on any terminal of 80x24 characters.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use screen::client::Toolstack;
use screen::state::Leave;
use screen::terminal;

const USAGE: &str = "xenith-screen [--console | --login-prompt] [--socket FILE] [--https ADDR:PORT]

Shows what this host is like, its network, storage and virtual machines; changes need root's password.
  --console          cannot be left, as on the monitor of a host
  --login-prompt     whoever leaves comes to a login prompt, as on its serial line
  --socket FILE      socket of the toolstack [default: /run/xenith/xapi.sock]
  --https ADDR:PORT  its HTTPS on this host, which checks the password [default: 127.0.0.1:443]
";

fn main() -> Result<()> {
    let mut toolstack = Toolstack {
        socket: PathBuf::from(xapi_client::SOCKET),
        https: SocketAddr::from(([127, 0, 0, 1], 443)),
    };
    let mut leave = Leave::Caller;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--console" => leave = Leave::Never,
            "--login-prompt" => leave = Leave::LoginPrompt,
            "--socket" => toolstack.socket = value()?.into(),
            "--https" => {
                let text = value()?;
                toolstack.https =
                    text.parse().with_context(|| format!("{text:?} is no address with a port"))?;
            }
            "--help" | "-h" => {
                print!("{USAGE}");
                return Ok(());
            }
            "--version" => {
                println!("xenith-screen {}", env!("CARGO_PKG_VERSION"));
                return Ok(());
            }
            _ => bail!("{word:?} is not known; --help says what is"),
        }
    }
    terminal::run(toolstack, leave)
}
