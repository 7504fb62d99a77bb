// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to the server: its socket on this host, TLS to another one.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use certificate_pin::Verifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use xapi_model::{Call, Reply, xmlrpc};

use crate::certificates::Trust;
use crate::console;
use crate::failure::Failure;
use crate::http::{Connection, Stream};
use crate::options::{Options, home};

/// Where the toolstack listens for root of its own host.
const SOCKET: &str = "/run/xenith/xapi.sock";

/// Carries calls and files.
pub(crate) trait Transport {
    /// Sends a call and waits for the answer.
    fn call(&mut self, call: &Call) -> Result<Reply>;
    /// Sends a file of `length` bytes.
    fn put(&mut self, path: &str, length: u64, file: &mut dyn Read) -> Result<()>;
    /// Fetches into a file.
    fn get(&mut self, path: &str, file: &mut dyn Write) -> Result<()>;
    /// Connects a console to standard input and output until it ends.
    fn console(&mut self, path: &str) -> Result<()>;
}

/// A server.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// This host.
    Socket(PathBuf),
    /// Another one.
    Tls { server: String, port: u16, trust: Trust },
}

impl Target {
    /// The server that the options name.
    pub(crate) fn of(options: &Options) -> Result<Target, Failure> {
        let socket = std::env::var_os("XE_SOCKET").map_or_else(|| SOCKET.into(), PathBuf::from);
        let here = |name: &str| name == "localhost" || name == "127.0.0.1";
        match &options.server {
            None => Ok(Target::Socket(socket)),
            // XenServer's scripts name the host they run on so.
            Some(name) if here(name) && options.port.is_none() && is_socket(&socket) => {
                Ok(Target::Socket(socket))
            }
            Some(server) => {
                let trust = match (options.unverified, home()) {
                    (true, _) => Trust::Any,
                    (false, Some(home)) => Trust::File(home.join(".xe-known-hosts")),
                    (false, None) => {
                        return Err(Failure::plain(
                            "HOME is not set, so no certificate is known; --no-ssl-verify takes any",
                        ));
                    }
                };
                let port = options.port.unwrap_or(443);
                Ok(Target::Tls { server: server.clone(), port, trust })
            }
        }
    }

    fn open(&self) -> Result<Connection> {
        match self {
            Target::Socket(path) => {
                let stream = UnixStream::connect(path).with_context(|| {
                    format!("connecting to the toolstack of this host at {}", path.display())
                })?;
                Ok(Connection::new(Box::new(stream), "localhost".to_owned()))
            }
            Target::Tls { server, port, trust } => {
                let stream = open_tls(server, *port, trust)
                    .with_context(|| format!("connecting to {server} port {port}"))?;
                Ok(Connection::new(stream, server.clone()))
            }
        }
    }
}

fn is_socket(path: &PathBuf) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

fn open_tls(server: &str, port: u16, trust: &Trust) -> Result<Box<dyn Stream>> {
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
    trust.check(&format!("{server}:{port}"), shown)?;
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

/// Connects.
pub(crate) fn connect(target: Target) -> Result<Box<dyn Transport>, Failure> {
    let connection = target.open().map_err(Failure::Contact)?;
    Ok(Box::new(Remote { target, connection }))
}

struct Remote {
    target: Target,
    connection: Connection,
}

impl Transport for Remote {
    fn call(&mut self, call: &Call) -> Result<Reply> {
        let text = xmlrpc::encode_call(call);
        let length = text.len() as u64;
        let answer = self.connection.exchange("POST", "/", length, &mut text.as_bytes())?;
        let answer = String::from_utf8(answer).context("reading an answer")?;
        xmlrpc::decode_reply(&answer).context("reading an answer")
    }

    fn put(&mut self, path: &str, length: u64, file: &mut dyn Read) -> Result<()> {
        // A connection of its own: a server that refuses early leaves this one in the middle.
        self.target.open()?.exchange("PUT", path, length, file).map(drop)
    }

    fn get(&mut self, path: &str, file: &mut dyn Write) -> Result<()> {
        self.target.open()?.get(path, file)
    }

    fn console(&mut self, path: &str) -> Result<()> {
        let (begun, mut stream) = self.target.open()?.upgrade(path)?;
        let mut screen = std::io::stdout().lock();
        // Not through the standard library's buffer, which would hide what is typed from poll.
        let mut keys = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        console::relay(&begun, &mut *stream, &mut keys, &mut screen)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ServerConfig, ServerConnection};
    use xapi_model::Value;

    use super::*;

    /// A TLS server with a certificate of its own that answers every call with "pong".
    fn serve(connections: usize) -> u16 {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], der)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().take(connections) {
                let tls = ServerConnection::new(config.clone()).unwrap();
                let mut stream = StreamOwned::new(tls, stream.unwrap());
                // The whole request, as hanging up on the rest of it would take the answer along. A
                // client that does not trust the certificate goes away instead.
                let mut request = Vec::new();
                let mut piece = [0; 4096];
                while !request.ends_with(b"</methodCall>") {
                    match stream.read(&mut piece) {
                        Ok(bytes) if bytes > 0 => request.extend_from_slice(&piece[..bytes]),
                        _ => break,
                    }
                }
                if request.ends_with(b"</methodCall>") {
                    let body = xmlrpc::encode_reply(&Ok(Value::from("pong")));
                    let length = body.len();
                    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}")
                        .unwrap();
                }
            }
        });
        port
    }

    fn ping(port: u16, trust: &Trust) -> Result<Reply, Failure> {
        let trust = trust.clone();
        let mut transport = connect(Target::Tls { server: "127.0.0.1".into(), port, trust })?;
        let call = Call { method: "system.ping".into(), params: vec![] };
        transport.call(&call).map_err(Failure::Contact)
    }

    #[test]
    fn calls_go_over_tls_to_the_server_that_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let known = dir.path().join("known");
        let trust = Trust::File(known.clone());
        let port = serve(2);
        assert_eq!(ping(port, &trust).unwrap(), Ok(Value::from("pong")));
        assert_eq!(ping(port, &trust).unwrap(), Ok(Value::from("pong")));

        // Another server at the same address.
        let other = serve(2);
        let text = std::fs::read_to_string(&known).unwrap();
        std::fs::write(&known, text.replace(&port.to_string(), &other.to_string())).unwrap();
        let text = ping(other, &trust).unwrap_err().render();
        assert!(text.contains("shows another certificate than before"), "{text}");
        assert_eq!(ping(other, &Trust::Any).unwrap(), Ok(Value::from("pong")));
    }

    #[test]
    fn a_socket_that_is_not_there_is_named() {
        let error = connect(Target::Socket("/nope/xapi.sock".into())).err().unwrap().render();
        assert!(
            error.starts_with("Error: connecting to the toolstack of this host at /nope/"),
            "{error}"
        );
    }
}
