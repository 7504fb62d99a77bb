// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams through TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use certificate_pin::Verifier;
pub use rustls::pki_types::CertificateDer as Certificate;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::Stream;

/// Connects by TLS. `check` decides on the certificate that the server shows, whose key it has.
///
/// # Errors
/// There is no connection, no TLS in common, or `check` refused.
pub fn open_tls(
    server: &str,
    port: u16,
    check: &dyn Fn(&Certificate<'_>) -> Result<()>,
) -> Result<Box<dyn Stream>> {
    let bare = server.trim_start_matches('[').trim_end_matches(']');
    let config = Verifier::any().client()?;
    let name = ServerName::try_from(bare.to_owned())?;
    let mut tcp = TcpStream::connect((bare, port))?;
    tcp.set_nodelay(true)?;
    let mut tls = ClientConnection::new(Arc::new(config), name)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp)?;
    }
    let shown = tls.peer_certificates().and_then(|all| all.first());
    let shown = shown.ok_or_else(|| anyhow!("the server showed no certificate"))?;
    check(shown)?;
    Ok(Box::new(Tls(StreamOwned::new(tls, tcp))))
}

/// A TLS connection that tells its socket.
struct Tls(StreamOwned<ClientConnection, TcpStream>);

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl AsFd for Tls {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.sock.as_fd()
    }
}
