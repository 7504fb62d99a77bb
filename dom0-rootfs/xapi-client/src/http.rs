// SPDX-License-Identifier: MIT OR Apache-2.0
//! As much of HTTP/1.1 as a client of one server needs.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsFd;

use anyhow::{Context, Result, bail};
use rustix::net::{Shutdown, shutdown};
use xapi_model::{Call, Reply, xmlrpc};

/// How much of a body without a length goes at once.
const CHUNK: usize = 64 << 10;

/// Anything that bytes go through both ways, with the descriptor that they go through.
pub trait Stream: Read + Write + AsFd {}

impl<T: Read + Write + AsFd> Stream for T {}

/// The server answered, but not what was asked for.
#[derive(Debug)]
struct Refused {
    status: u16,
    reason: String,
    text: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server answered {} {}: {}", self.status, self.reason, self.text)
    }
}

impl std::error::Error for Refused {}

/// A connection, kept open from one request to the next.
pub struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    host: String,
    agent: &'static str,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("host", &self.host).finish_non_exhaustive()
    }
}

/// How the length of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(u64),
    Chunked,
    ToTheEnd,
}

impl Connection {
    /// Over a stream to the server `host`; `agent` is the client's name and version.
    pub fn new(stream: Box<dyn Stream>, host: String, agent: &'static str) -> Self {
        Self { stream: BufReader::new(stream), host, agent }
    }

    /// Sends a call and waits for the answer.
    ///
    /// # Errors
    /// The connection broke, or what came is no answer.
    pub fn call(&mut self, call: &Call) -> Result<Reply> {
        let text = xmlrpc::encode_call(call);
        let length = text.len() as u64;
        let answer = self.exchange("POST", "/", Some(length), &mut text.as_bytes())?;
        let answer = String::from_utf8(answer).context("reading an answer")?;
        xmlrpc::decode_reply(&answer).context("reading an answer")
    }

    /// Sends a request with a body and reads the answer's body whole. A body without a length goes in
    /// chunks, to where it ends.
    ///
    /// # Errors
    /// The connection broke, the server refused, or the body could not be read.
    pub fn exchange(
        &mut self,
        method: &str,
        path: &str,
        length: Option<u64>,
        body: &mut dyn Read,
    ) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        let sent = self.send(method, path, length, body);
        if sent.is_err() {
            // Otherwise the server would wait for the rest, and this for its answer.
            let _ = shutdown(self.stream.get_ref().as_fd(), Shutdown::Write);
        }
        let received = self.receive(&mut answer);
        match (sent, received) {
            (Ok(()), Ok(())) => Ok(answer),
            // A server that refuses says why before it hangs up in the middle of a body.
            (_, Err(refused)) if refused.is::<Refused>() => Err(refused),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// Asks for something and writes the answer's body to `sink`.
    ///
    /// # Errors
    /// The connection broke, the server refused, or `sink` did.
    pub fn get(&mut self, path: &str, sink: &mut dyn Write) -> Result<()> {
        self.send("GET", path, Some(0), &mut std::io::empty())?;
        self.receive(sink)
    }

    /// Asks for the connection itself. Gives what came already, and the connection.
    ///
    /// # Errors
    /// The connection broke, or the server refused.
    pub fn upgrade(mut self, path: &str) -> Result<(Vec<u8>, Box<dyn Stream>)> {
        self.send("CONNECT", path, Some(0), &mut std::io::empty())?;
        let (status, reason, length) = self.head()?;
        if status != 200 {
            let mut text = Vec::new();
            self.body(length, &mut text)?;
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            return Err(Refused { status, reason, text }.into());
        }
        let begun = self.stream.buffer().to_vec();
        Ok((begun, self.stream.into_inner()))
    }

    fn send(
        &mut self,
        method: &str,
        path: &str,
        length: Option<u64>,
        body: &mut dyn Read,
    ) -> Result<()> {
        let ends = match length {
            Some(length) => format!("Content-Length: {length}"),
            None => "Transfer-Encoding: chunked".to_owned(),
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nContent-Type: text/xml\r\n\
             {ends}\r\n\r\n",
            self.host, self.agent,
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes()).context("sending a request")?;
        let Some(length) = length else {
            return chunks(body, stream).context("sending a request");
        };
        let sent = std::io::copy(&mut body.take(length), stream).context("sending a request")?;
        if sent != length {
            bail!("sending a request: the file became shorter while it was read");
        }
        stream.flush().context("sending a request")
    }

    fn receive(&mut self, sink: &mut dyn Write) -> Result<()> {
        let (status, reason, length) = self.head()?;
        if status == 200 {
            return self.body(length, sink);
        }
        let mut text = Vec::new();
        self.body(length, &mut text)?;
        let text = String::from_utf8_lossy(&text);
        Err(Refused { status, reason, text: text.trim().to_owned() }.into())
    }

    fn head(&mut self) -> Result<(u16, String, Length)> {
        let status_line = self.line()?;
        let mut words = status_line.splitn(3, ' ');
        let (version, status) = (words.next().unwrap_or_default(), words.next());
        let status = status.and_then(|code| code.parse().ok());
        let (true, Some(status)) = (version.starts_with("HTTP/1."), status) else {
            bail!("the server does not speak HTTP: {status_line:?}");
        };
        let reason = words.next().unwrap_or_default().to_owned();
        let mut length = Length::ToTheEnd;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok((status, reason, length));
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.trim();
            if name.eq_ignore_ascii_case("transfer-encoding")
                && value.eq_ignore_ascii_case("chunked")
            {
                length = Length::Chunked;
            } else if name.eq_ignore_ascii_case("content-length") && length != Length::Chunked {
                length = Length::Known(value.parse().context("reading the length of an answer")?);
            }
        }
    }

    fn body(&mut self, length: Length, sink: &mut dyn Write) -> Result<()> {
        match length {
            Length::Known(bytes) => self.copy(bytes, sink),
            Length::ToTheEnd => {
                std::io::copy(&mut self.stream, sink).context("reading an answer")?;
                Ok(())
            }
            Length::Chunked => loop {
                let line = self.line()?;
                let digits = line.split(';').next().unwrap_or_default().trim();
                let bytes = u64::from_str_radix(digits, 16)
                    .with_context(|| format!("reading an answer: {line:?} is no chunk"))?;
                if bytes == 0 {
                    while !self.line()?.is_empty() {}
                    return Ok(());
                }
                self.copy(bytes, sink)?;
                self.line()?;
            },
        }
    }

    fn copy(&mut self, bytes: u64, sink: &mut dyn Write) -> Result<()> {
        let copied = std::io::copy(&mut (&mut self.stream).take(bytes), sink)
            .context("reading an answer")?;
        if copied != bytes {
            bail!("Lost connection to the server.");
        }
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let limit = 64 << 10;
        (&mut self.stream).take(limit).read_until(b'\n', &mut line).context("reading an answer")?;
        if line.pop() != Some(b'\n') {
            bail!("Lost connection to the server.");
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

/// Sends a body in chunks (RFC 9112, section 7.1).
fn chunks(body: &mut dyn Read, stream: &mut dyn Write) -> std::io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = match body.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        write!(stream, "{count:x}\r\n")?;
        stream.write_all(&chunk[..count])?;
        stream.write_all(b"\r\n")?;
    }
    stream.write_all(b"0\r\n\r\n")?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A server that has its answers ready.
    struct Ready {
        answers: Cursor<Vec<u8>>,
        sent: std::rc::Rc<std::cell::RefCell<Vec<u8>>>,
        /// Only for its descriptor.
        socket: UnixStream,
    }

    impl Read for Ready {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.answers.read(buffer)
        }
    }

    impl Write for Ready {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.sent.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl AsFd for Ready {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            self.socket.as_fd()
        }
    }

    fn connection(answers: &str) -> (Connection, std::rc::Rc<std::cell::RefCell<Vec<u8>>>) {
        let sent = std::rc::Rc::default();
        let answers = Cursor::new(answers.as_bytes().to_vec());
        let (socket, _) = UnixStream::pair().unwrap();
        let ready = Ready { answers, sent: std::rc::Rc::clone(&sent), socket };
        (Connection::new(Box::new(ready), "host".into(), "test/1"), sent)
    }

    #[test]
    fn one_connection_carries_several_requests() {
        let (mut connection, sent) = connection(concat!(
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\ntw\r\n1\r\no\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nthree",
        ));
        let mut ask = |text: &str| {
            let length = Some(text.len() as u64);
            let body = connection.exchange("POST", "/", length, &mut text.as_bytes());
            String::from_utf8(body.unwrap()).unwrap()
        };
        assert_eq!((ask("a"), ask("bc"), ask("")), ("one".into(), "two".into(), "three".into()));
        let sent = String::from_utf8(sent.borrow().clone()).unwrap();
        assert!(sent.starts_with("POST / HTTP/1.1\r\nHost: host\r\n"), "{sent}");
        assert!(sent.contains("Content-Length: 2\r\n\r\nbc"), "{sent}");
    }

    #[test]
    fn a_body_without_a_length_goes_in_chunks() {
        let (mut connection, sent) = connection("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let mut body = "abc".as_bytes().chain(&[b'x'; 26][..]);
        connection.exchange("PUT", "/", None, &mut body).unwrap();
        let sent = String::from_utf8(sent.borrow().clone()).unwrap();
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with("\r\nTransfer-Encoding: chunked"), "{head}");
        assert!(!head.contains("Content-Length"), "{head}");
        assert_eq!(body, format!("3\r\nabc\r\n1a\r\n{}\r\n0\r\n\r\n", "x".repeat(26)));
    }

    #[test]
    fn a_body_that_cannot_be_read_leaves_nobody_waiting() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("bad sector"))
            }
        }
        for length in [Some(5), None] {
            let (near, mut far) = UnixStream::pair().unwrap();
            let mut connection = Connection::new(Box::new(near), "host".into(), "test/1");
            // A server that answers once it has all that comes.
            let server = std::thread::spawn(move || far.read_to_end(&mut Vec::new()).unwrap());
            let error = connection.exchange("PUT", "/", length, &mut Broken).unwrap_err();
            assert!(format!("{error:#}").contains("bad sector"), "{error:#}");
            server.join().unwrap();
        }
    }

    #[test]
    fn what_breaks_off_or_is_refused_is_an_error() {
        for (answer, expected) in [
            ("", "Lost connection to the server."),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", "Lost connection to the server."),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "is no chunk"),
            ("SSH-2.0-x\r\n", "does not speak HTTP"),
            ("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", "answered 403 Forbidden: no"),
        ] {
            let error = connection(answer).0.get("/", &mut Vec::new()).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
        let (mut connection, _) = connection("");
        let error = connection.exchange("PUT", "/", Some(5), &mut "abc".as_bytes()).unwrap_err();
        assert!(error.to_string().contains("became shorter"), "{error}");
    }

    #[test]
    fn a_connection_can_be_taken_over() {
        let (begun, _) = connection("HTTP/1.1 200 OK\r\n\r\nlogin:").0.upgrade("/x").unwrap();
        assert_eq!(begun, b"login:");
        let refused = connection("HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnone");
        let error = refused.0.upgrade("/x").err().unwrap().to_string();
        assert_eq!(error, "the server answered 404 Not Found: none");
    }

    #[test]
    fn a_refusal_in_the_middle_of_a_body_is_told() {
        let answer = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\nfull";
        let error = connection(answer).0.exchange("PUT", "/", Some(5), &mut "abc".as_bytes());
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "the server answered 500 Internal Server Error: full");
    }
}
