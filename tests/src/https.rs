// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small HTTPS server on the loopback address, with a certificate of its own: gives fixed texts, and
//! keeps what is posted to it.
//!
//! Machines see the loopback address as 10.0.2.2.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use certificate_pin::Fingerprint;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A body that is longer is none of a case's, in bytes.
const LONGEST: usize = 4 << 20;

/// What was posted.
#[derive(Debug, PartialEq, Eq)]
pub struct Posted {
    /// Where to, `/answers`.
    pub path: String,
    /// The body.
    pub body: String,
}

/// A server that runs until the process ends.
pub struct Server {
    /// Where it listens.
    pub port: u16,
    /// Of its certificate.
    pub fingerprint: Fingerprint,
    /// What is posted, in its order.
    pub posted: Receiver<Posted>,
    texts: Arc<Mutex<BTreeMap<String, String>>>,
}

/// A certificate that no authority knows, with another name than any server's.
pub fn certificate() -> Result<CertifiedKey<KeyPair>> {
    let names = vec!["not-the-name-of-this-server.example".to_owned()];
    generate_simple_self_signed(names).context("making a certificate")
}

impl Server {
    /// Listens, and has nothing to give yet.
    pub fn start() -> Result<Self> {
        let CertifiedKey { cert, signing_key } = certificate()?;
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("setting TLS up")?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .context("setting TLS up")?;
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").context("listening for HTTPS")?;
        let port = listener.local_addr().context("listening for HTTPS")?.port();
        let texts = Arc::new(Mutex::new(BTreeMap::new()));
        let (sender, posted) = channel();
        let shared = texts.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, texts, sender) = (config.clone(), shared.clone(), sender.clone());
                // Whoever hangs up in the middle asks again.
                std::thread::spawn(move || answer(config, stream, &texts, &sender));
            }
        });
        Ok(Self { port, fingerprint: Fingerprint::of(cert.der()), posted, texts })
    }

    /// Gives `text` to whoever asks for `path`, by GET or POST.
    pub fn give(&self, path: &str, text: &str) {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.insert(path.to_owned(), text.to_owned());
    }
}

fn answer(
    config: Arc<ServerConfig>,
    stream: TcpStream,
    texts: &Mutex<BTreeMap<String, String>>,
    posted: &Sender<Posted>,
) -> Result<()> {
    let connection = ServerConnection::new(config)?;
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_ascii_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().context("reading the length of a body")?;
        }
    }
    anyhow::ensure!(length <= LONGEST, "{path} is sent {length} bytes");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let text = texts.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
    let (status, text) = match text {
        Some(text) => ("200 OK", text),
        None => ("404 Not Found", String::new()),
    };
    if method == "POST" {
        let body = String::from_utf8(body).context("reading a body")?;
        posted.send(Posted { path: path.to_owned(), body })?;
    }
    let stream = reader.get_mut();
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use certificate_pin::Verifier;
    use rustls::ClientConnection;
    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn texts_are_given_and_bodies_kept() {
        let server = Server::start().unwrap();
        server.give("/a", "hello");
        let ask = |request: &str| {
            let config = Arc::new(Verifier::only(server.fingerprint).client().unwrap());
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let connection = ClientConnection::new(config, name).unwrap();
            let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            write!(stream, "{request}").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        let got = ask("GET /a HTTP/1.1\r\n\r\n");
        assert!(got.starts_with("HTTP/1.1 200 ") && got.ends_with("\r\n\r\nhello"), "{got}");
        assert!(ask("GET /b HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
        ask("POST /a HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}");
        let posted = server.posted.try_recv().unwrap();
        assert_eq!(posted, Posted { path: "/a".into(), body: "{}".into() });
        assert!(server.posted.try_recv().is_err(), "nothing else was posted");
    }
}
