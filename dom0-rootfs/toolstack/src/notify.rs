// SPDX-License-Identifier: MIT OR Apache-2.0
//! Telling the world that the daemon is ready.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The line that says so.
pub const READY: &str = "xenith: toolstack ready";

/// Tells systemd, the console and standard output. A console that is not there is no error.
pub fn ready() {
    if let Err(error) = systemd("READY=1") {
        tracing::warn!(%error, "telling systemd that the daemon is ready");
    }
    let console = OpenOptions::new().write(true).open("/dev/console");
    if let Err(error) = console.and_then(|mut console| console.write_all(line().as_bytes())) {
        tracing::debug!(%error, "writing to the console");
    }
}

/// The ready line for standard output and the console.
pub fn line() -> String {
    format!("{READY}\r\n")
}

/// Sends a message to systemd, if it started the daemon.
fn systemd(message: &str) -> io::Result<()> {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let path = socket.to_string_lossy();
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name.as_bytes())?,
        None => SocketAddr::from_pathname(&*path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}
