// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small HTTP server on the loopback address: files of one folder, whole or from a byte on.
//!
//! Machines see the loopback address as 10.0.2.2.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

/// Serves until the process ends; returns the port.
pub fn serve(folder: &Path) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening for HTTP")?;
    let port = listener.local_addr().context("listening for HTTP")?.port();
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let folder = folder.clone();
            // Whoever hangs up in the middle asks again.
            std::thread::spawn(move || answer_all(&folder, stream));
        }
    });
    Ok(port)
}

fn answer_all(folder: &Path, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = Request::read(&mut reader)? {
        answer(folder, &request, &mut stream)?;
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    head: bool,
    path: PathBuf,
    from: u64,
}

impl Request {
    /// The next one of a connection; none at its end and where there is something else.
    fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Self>> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_ascii_whitespace();
        let head = match words.next() {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => return Ok(None),
        };
        let path = Path::new(words.next().unwrap_or_default()).components();
        let mut request = Self {
            head,
            path: path.filter(|part| matches!(part, Component::Normal(_))).collect(),
            from: 0,
        };
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                return Ok(Some(request));
            }
            let line = line.to_ascii_lowercase();
            if let Some(range) = line.strip_prefix("range: bytes=") {
                let first = range.split('-').next().unwrap_or_default();
                request.from = first.parse().unwrap_or(0);
            }
        }
    }
}

fn answer(folder: &Path, request: &Request, stream: &mut TcpStream) -> std::io::Result<()> {
    let opened = File::open(folder.join(&request.path));
    let Some((mut file, size)) = opened.ok().and_then(|file| {
        let data = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((file, data.len()))
    }) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let from = request.from.min(size);
    let length = size - from;
    match request.from {
        0 => write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?,
        _ => write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\n\
             Content-Range: bytes {from}-{}/{size}\r\n\r\n",
            size.saturating_sub(1)
        )?,
    }
    if !request.head {
        file.seek(SeekFrom::Start(from))?;
        std::io::copy(&mut file.take(length), stream)?;
    }
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_served_whole_and_in_part_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/file"), "0123456789").unwrap();
        let port = serve(dir.path()).unwrap();
        let ask = |request: &str| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            write!(stream, "{request}\r\n\r\n").unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        let whole = ask("GET /a/file HTTP/1.1");
        assert!(whole.starts_with("HTTP/1.1 200 ") && whole.ends_with("\r\n\r\n0123456789"));
        let rest = ask("GET //a/file HTTP/1.1\r\nRange: bytes=7-");
        assert!(rest.starts_with("HTTP/1.1 206 ") && rest.ends_with("\r\n\r\n789"), "{rest}");
        let head = ask("HEAD /a/file HTTP/1.1");
        assert!(head.contains("Content-Length: 10\r\n") && head.ends_with("\r\n\r\n"));
        for other in ["/a", "/", "/b", "/a/../../etc/passwd"] {
            assert!(ask(&format!("GET {other} HTTP/1.1")).starts_with("HTTP/1.1 404 "), "{other}");
        }
    }
}
