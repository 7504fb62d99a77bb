// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to the server: its socket on this host, TLS to another one.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context, Result};
use xapi_client::{Connection, SOCKET, open_tls, relay};
use xapi_model::{Call, Reply};

use crate::certificates::Trust;
use crate::failure::Failure;
use crate::options::{Options, home};

/// What the server is told of this program.
const AGENT: &str = concat!("xe/", env!("CARGO_PKG_VERSION"));

/// Carries calls and files.
pub(crate) trait Transport {
    /// Sends a call and waits for the answer.
    fn call(&mut self, call: &Call) -> Result<Reply>;
    /// Sends a file of `length` bytes, or to its end where nobody knows that before.
    fn put(&mut self, path: &str, length: Option<u64>, file: &mut dyn Read) -> Result<()>;
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

    /// Whether it is this host.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self, Target::Socket(_))
    }

    /// Whether nothing new would have to be trusted.
    pub(crate) fn is_known(&self) -> bool {
        match self {
            Target::Socket(_) => true,
            Target::Tls { server, port, trust } => trust.knows(&format!("{server}:{port}")),
        }
    }

    fn open(&self) -> Result<Connection> {
        match self {
            Target::Socket(path) => {
                let stream = UnixStream::connect(path).with_context(|| {
                    format!("connecting to the toolstack of this host at {}", path.display())
                })?;
                Ok(Connection::new(Box::new(stream), "localhost".to_owned(), AGENT))
            }
            Target::Tls { server, port, trust } => {
                let stream = open_tls(server, *port, &|shown| {
                    trust.check(&format!("{server}:{port}"), shown)
                })
                .with_context(|| format!("connecting to {server} port {port}"))?;
                Ok(Connection::new(stream, server.clone(), AGENT))
            }
        }
    }
}

fn is_socket(path: &PathBuf) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
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
        self.connection.call(call)
    }

    fn put(&mut self, path: &str, length: Option<u64>, file: &mut dyn Read) -> Result<()> {
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
        relay(&begun, &mut *stream, &mut keys, &mut screen)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::thread;

    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use xapi_model::{Value, xmlrpc};

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
