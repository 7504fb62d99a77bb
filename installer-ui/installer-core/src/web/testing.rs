// SPDX-License-Identifier: MIT OR Apache-2.0
//! Servers on the loopback address for tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use certificate_pin::Fingerprint;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Method and path, `GET /a`.
    pub(crate) line: String,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// A server that answers all requests alike, until the test ends.
pub(crate) struct Server {
    /// `http://127.0.0.1:1234`.
    pub(crate) url: String,
    /// Of its certificate, if it has one.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// What came, in its order.
    pub(crate) requests: Receiver<Request>,
}

/// Answers with that status line and body; with TLS from that version on.
pub(crate) fn serve(
    status: &str,
    body: &str,
    tls: Option<&'static rustls::SupportedProtocolVersion>,
) -> Server {
    serve_with(tls, status.to_owned(), body.to_owned())
}

fn serve_with(
    tls: Option<&'static rustls::SupportedProtocolVersion>,
    status: String,
    body: String,
) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tls = tls.map(|version| {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["another-name.example".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]);
        let config = config.unwrap().with_no_client_auth();
        let config = config.with_single_cert(vec![cert.der().clone()], key).unwrap();
        (Arc::new(config), Fingerprint::of(cert.der()))
    });
    let fingerprint = tls.as_ref().map(|(_, fingerprint)| *fingerprint);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let request = match &tls {
                None => answer(stream, &status, &body),
                Some((config, _)) => {
                    let connection = ServerConnection::new(config.clone()).unwrap();
                    answer(StreamOwned::new(connection, stream), &status, &body)
                }
            };
            // A client that hangs up in the middle has nothing to say.
            if let Ok(request) = request {
                let _ = sender.send(request);
            }
        }
    });
    Server { url: format!("{scheme}://{address}"), fingerprint, requests }
}

fn answer(stream: impl Read + Write, status: &str, body: &str) -> std::io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let field = |name: &str| {
        let mut fields = lines.iter().filter_map(|line| line.split_once(": "));
        fields
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    };
    let length = field("content-length").map_or(0, |length| length.parse().unwrap());
    let mut sent = vec![0; length];
    reader.read_exact(&mut sent)?;
    let stream = reader.get_mut();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
    stream.flush()?;
    Ok(Request {
        line: lines.first().map(|line| line.replace(" HTTP/1.1", "")).unwrap_or_default(),
        content_type: field("content-type").unwrap_or_default(),
        body: String::from_utf8(sent).unwrap(),
    })
}

/// A proxy for CONNECT: its address, and the heads of the requests that came.
pub(crate) fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = heads.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let target = head.split(' ').nth(1).unwrap().to_owned();
            seen.lock().unwrap().push(head);
            let mut server = TcpStream::connect(target).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut there, mut back) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut there, &mut back));
            std::thread::spawn(move || std::io::copy(&mut server, &mut client));
        }
    });
    (format!("http://me:secret@{address}"), heads)
}
