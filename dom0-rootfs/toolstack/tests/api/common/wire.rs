// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connections that become something else than HTTP: consoles, plain and by websocket (RFC 6455).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::Served;

pub type Connection = StreamOwned<ClientConnection, TcpStream>;

impl Served {
    /// Connects, past TLS.
    pub fn dial(&self) -> Connection {
        let certificate = std::fs::read(self.folder.path().join("tls/cert.pem")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&certificate).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.url.trim_start_matches("https://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
    }

    /// Connects and asks; returns the head of the answer too.
    pub fn ask(&self, request: &str) -> (Connection, String) {
        let mut connection = self.dial();
        connection.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(bytes::<1>(&mut connection));
        }
        (connection, String::from_utf8(head).unwrap())
    }

    /// Connects to what a CONNECT request is for: a path with its query.
    pub fn tunnel(&self, target: &str) -> (Connection, String) {
        self.ask(&format!("CONNECT {target} HTTP/1.0\r\n\r\n"))
    }

    /// Asks for a websocket with some more headers.
    pub fn ask_socket(&self, target: &str, headers: &[&str]) -> (Connection, String) {
        let usual = [
            "Host: 127.0.0.1",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        let lines = usual.iter().chain(headers).map(|line| format!("{line}\r\n"));
        self.ask(&format!("GET {target} HTTP/1.1\r\n{}\r\n", lines.collect::<String>()))
    }

    /// Opens one.
    pub fn socket(&self, target: &str) -> Socket {
        let (connection, head) = self.ask_socket(target, &[]);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Socket { connection, had: Vec::new() }
    }
}

/// The status in the head of an answer.
pub fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Reads so many bytes.
pub fn bytes<const N: usize>(from: &mut impl Read) -> [u8; N] {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).unwrap();
    bytes
}

/// Reads text until a word was in it.
pub fn until(from: &mut impl Read, word: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(word) {
        seen.extend(bytes::<1>(from));
    }
    String::from_utf8_lossy(&seen).into_owned()
}

pub const CONTINUES: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;
/// Set in the first byte of a message's last frame.
pub const LAST: u8 = 0x80;

/// A client of a websocket. Read and written as a stream, it is bytes in binary frames.
pub struct Socket {
    pub connection: Connection,
    /// Of the last frame, what was not read yet.
    had: Vec<u8>,
}

impl Socket {
    /// Sends a frame.
    pub fn send(&mut self, first: u8, payload: &[u8]) {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut frame = vec![first];
        match u16::try_from(payload.len()) {
            Ok(length @ ..126) => frame.push(0x80 | u8::try_from(length).unwrap()),
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend(u64::try_from(payload.len()).unwrap().to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.connection.write_all(&frame).unwrap();
    }

    /// The first byte of the next frame, and its payload.
    pub fn frame(&mut self) -> (u8, Vec<u8>) {
        let [first, length] = bytes(&mut self.connection);
        let length = match length {
            126 => u64::from(u16::from_be_bytes(bytes(&mut self.connection))),
            127 => u64::from_be_bytes(bytes(&mut self.connection)),
            masked @ 128.. => panic!("the server masks: {masked}"),
            length => length.into(),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.connection.read_exact(&mut payload).unwrap();
        (first, payload)
    }

    /// Waits for the goodbye; returns its code. After it, the connection is closed.
    pub fn goodbye(mut self) -> u16 {
        loop {
            let (first, payload) = self.frame();
            if first == LAST | CLOSE {
                self.send(first, &payload);
                assert_eq!(self.connection.read(&mut [0]).unwrap(), 0);
                return u16::from_be_bytes(payload[..2].try_into().unwrap());
            }
            assert_eq!(first, LAST | BINARY);
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.had.is_empty() {
            let (first, payload) = self.frame();
            assert_eq!(first, LAST | BINARY, "{payload:?}");
            self.had = payload;
        }
        let count = buffer.len().min(self.had.len());
        buffer[..count].copy_from_slice(&self.had[..count]);
        self.had.drain(..count);
        Ok(count)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.send(LAST | BINARY, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.connection.flush()
    }
}
