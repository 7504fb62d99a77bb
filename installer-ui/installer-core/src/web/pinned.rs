// SPDX-License-Identifier: MIT OR Apache-2.0
//! TLS for `ureq` to a server whose certificate is known. `ureq` itself asks authorities only.

use std::io::{self, Read, Write};
use std::sync::Arc;

use certificate_pin::{Fingerprint, Verifier};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

/// Puts TLS around connections to `https` addresses, and accepts a single certificate.
#[derive(Debug)]
pub(super) struct PinnedTls(Arc<ClientConfig>);

impl PinnedTls {
    pub(super) fn new(expected: Fingerprint) -> Result<Self, Error> {
        Ok(Self(Arc::new(Verifier::only(expected).client()?)))
    }
}

impl<In: Transport> Connector<In> for PinnedTls {
    type Out = Either<In, PinnedStream>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name =
            ServerName::try_from(host).map_err(|_| Error::Tls("that is no server's name"))?;
        let mut connection = ClientConnection::new(self.0.clone(), name)?;
        let current_time = details.current_time.clone();
        let mut transport = TransportAdapter::new(transport.boxed(), current_time);
        transport.set_timeout(details.timeout);
        while connection.is_handshaking() {
            connection.complete_io(&mut transport).map_err(refused)?;
        }
        let (input, output) =
            (details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(PinnedStream {
            buffers: LazyBuffers::new(input, output),
            stream: StreamOwned::new(connection, transport),
        })))
    }
}

/// The verifier's reason, where it is in there, without the words that rustls and io put before it.
fn refused(error: io::Error) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::Other(reason)) => Error::Other(reason.0.to_string().into()),
        Some(other) => Error::Rustls(other.clone()),
        None => Error::from(error),
    }
}

/// A connection with TLS around it.
pub(super) struct PinnedStream {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for PinnedStream {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        self.stream.flush()?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for PinnedStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinnedStream").field("below", &self.stream.sock.inner()).finish()
    }
}
