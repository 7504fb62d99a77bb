// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small HTTP server on the loopback address: files of one folder, whole or from a byte on.
//!
//! Machines see the loopback address as 10.0.2.2.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Holds a server back in the middle of a file.
#[derive(Clone)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    /// How the file's path ends; and after how many of its bytes its answer is held back, until it is
    /// none.
    file: PathBuf,
    at: Option<u64>,
    reached: bool,
    /// Every connection is closed at once.
    closed: bool,
    /// From which byte on the file was asked for.
    asked: Vec<u64>,
}

impl Gate {
    /// For `file`, after `at` bytes.
    pub fn new(file: &str, at: u64) -> Self {
        let state = State { file: file.into(), at: Some(at), ..State::default() };
        Self(Arc::new((Mutex::new(state), Condvar::new())))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.0.lock().expect("gate"));
        self.0.1.notify_all();
    }

    /// Waits until the server is held back.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        let state = self.0.0.lock().expect("gate");
        let waited = self.0.1.wait_timeout_while(state, limit, |state| !state.reached);
        let (state, _) = waited.expect("gate");
        ensure!(state.reached, "{} was not asked for within {limit:?}", state.file.display());
        Ok(())
    }

    /// Lets the server go on.
    pub fn open(&self) {
        self.change(|state| state.at = None);
    }

    /// Ends every connection, and those that come.
    pub fn close(&self) {
        self.change(|state| (state.closed, state.at) = (true, None));
    }

    /// From which byte on the file was asked for, each time.
    pub fn asked(&self) -> Vec<u64> {
        self.0.0.lock().expect("gate").asked.clone()
    }

    fn is_closed(&self) -> bool {
        self.0.0.lock().expect("gate").closed
    }

    /// How many bytes of a file's answer may be sent before [`Gate::hold`] is asked.
    fn note(&self, request: &Request) -> Option<u64> {
        let mut state = self.0.0.lock().expect("gate");
        if !request.path.ends_with(&state.file) || request.head {
            return None;
        }
        state.asked.push(request.from);
        state.at.map(|at| at.saturating_sub(request.from))
    }

    /// Waits until the gate is opened or closed.
    fn hold(&self) {
        self.change(|state| state.reached = true);
        let state = self.0.0.lock().expect("gate");
        drop(self.0.1.wait_while(state, |state| state.at.is_some()).expect("gate"));
    }
}

/// Serves until the process ends; returns the port.
pub fn serve(folder: &Path) -> Result<u16> {
    serve_with(folder, None)
}

/// [`serve`] with a gate.
pub fn serve_with(folder: &Path, gate: Option<Gate>) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening for HTTP")?;
    let port = listener.local_addr().context("listening for HTTP")?.port();
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (folder, gate) = (folder.clone(), gate.clone());
            // Whoever hangs up in the middle asks again.
            std::thread::spawn(move || answer_all(&folder, stream, gate.as_ref()));
        }
    });
    Ok(port)
}

fn answer_all(folder: &Path, mut stream: TcpStream, gate: Option<&Gate>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = Request::read(&mut reader)? {
        if gate.is_some_and(Gate::is_closed) {
            break;
        }
        answer(folder, &request, &mut stream, gate)?;
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

fn answer(
    folder: &Path,
    request: &Request,
    stream: &mut TcpStream,
    gate: Option<&Gate>,
) -> std::io::Result<()> {
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
        let mut rest = file.take(length);
        if let Some((gate, first)) = gate.and_then(|gate| Some((gate, gate.note(request)?))) {
            std::io::copy(&mut (&mut rest).take(first), stream)?;
            gate.hold();
            if gate.is_closed() {
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
        }
        std::io::copy(&mut rest, stream)?;
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

    #[test]
    fn a_gate_holds_a_file_back_until_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "0123456789").unwrap();
        let gate = Gate::new("file", 4);
        let port = serve_with(dir.path(), Some(gate.clone())).unwrap();
        let ask = |range: &str| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            write!(stream, "GET /file HTTP/1.1\r\n{range}\r\n").unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            stream
        };
        let mut stream = ask("");
        gate.wait(Duration::from_secs(60)).unwrap();
        let mut answer = vec![0; 43];
        stream.read_exact(&mut answer).unwrap();
        assert!(answer.ends_with(b"\r\n\r\n0123"), "{answer:?}");
        gate.open();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.ends_with(b"0123456789"), "{answer:?}");
        ask("Range: bytes=7-\r\n").read_to_end(&mut answer).unwrap();
        assert_eq!(gate.asked(), [0, 7]);
        gate.close();
        answer.clear();
        let _ = ask("").read_to_end(&mut answer);
        assert!(answer.is_empty(), "{answer:?}");
    }
}
