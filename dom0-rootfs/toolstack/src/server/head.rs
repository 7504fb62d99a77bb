// SPDX-License-Identifier: MIT OR Apache-2.0
//! Heads of uploads that tell no length.
//!
//! HTTP/1.1 takes a request without one for one without a body; what `Connection: close` and the end of
//! the connection mean in answers does not hold there. Clients made for XAPI send such uploads, which
//! it reads to their end, and taken for empty they would be lost without a word.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The length that such a head gets; there is no end that it could name.
pub(super) const UNTOLD: &str = "4611686018427387904";
/// How the head of an upload begins that may be without a length.
const UPLOAD: &[u8] = b"PUT /import";
/// Longest head in bytes that is looked at.
const LONGEST: usize = 16 << 10;

/// A connection whose first request has a length if it is an upload.
pub(super) struct Heads<S> {
    stream: S,
    /// What was read and is still to be handed out.
    kept: Vec<u8>,
    /// What was read may still be the beginning of such a head.
    looking: bool,
}

impl<S> Heads<S> {
    /// One that nothing was read from.
    pub(super) fn new(stream: S) -> Heads<S> {
        Heads { stream, kept: Vec::new(), looking: true }
    }
}

/// Where the line ends that is the last of the head.
fn length(bytes: &[u8]) -> Option<usize> {
    let ends = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 2);
    let short = bytes.windows(2).position(|two| two == b"\n\n").map(|at| at + 1);
    [ends, short].into_iter().flatten().min()
}

/// Whether a head tells where its body ends.
fn tells(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').any(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let named = |known: &[u8]| name.trim_ascii().eq_ignore_ascii_case(known);
        named(b"content-length") || named(b"transfer-encoding")
    })
}

/// Looks at what has come of the first request; false if more of it has to come.
fn looked_at(bytes: &mut Vec<u8>) -> bool {
    let common = bytes.len().min(UPLOAD.len());
    if bytes[..common] != UPLOAD[..common] || bytes.len() > LONGEST {
        return true;
    }
    let Some(end) = length(bytes) else { return false };
    if !tells(&bytes[..end]) {
        let line = format!("Content-Length: {UNTOLD}\r\n");
        bytes.splice(end..end, line.into_bytes());
    }
    true
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.looking {
            let mut bytes = [0; 4096];
            let mut piece = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut piece))?;
            this.kept.extend_from_slice(piece.filled());
            this.looking = !piece.filled().is_empty() && !looked_at(&mut this.kept);
        }
        if this.kept.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, into);
        }
        let count = this.kept.len().min(into.remaining());
        into.put_slice(&this.kept[..count]);
        this.kept.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heads<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(head: &str) -> (bool, String) {
        let mut bytes = head.as_bytes().to_vec();
        let done = looked_at(&mut bytes);
        (done, String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn uploads_get_a_length_and_nothing_else_changes() {
        let line = format!("Content-Length: {UNTOLD}\r\n");
        for (begins, ends) in [
            ("PUT /import HTTP/1.0\r\n", "\r\n"),
            ("PUT /import_raw_vdi?vdi=1 HTTP/1.0\r\nConnection: close\r\n", "\r\nbody\r\n\r\n"),
            ("PUT /import HTTP/1.1\nHost: x\n", "\nbody"),
        ] {
            assert_eq!(seen(&format!("{begins}{ends}")), (true, format!("{begins}{line}{ends}")));
            for until in 0..begins.len() {
                assert_eq!(seen(&begins[..until]), (false, begins[..until].to_owned()));
            }
        }
        for other in [
            "PUT /import HTTP/1.0\r\ncontent-LENGTH: 5\r\n\r\n",
            "PUT /import HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "PUT /blob HTTP/1.0\r\n\r\n",
            "GET /import HTTP/1.0\r\n\r\n",
            "G",
            "PRI * HTTP/2.0",
        ] {
            assert_eq!(seen(other), (true, other.to_owned()));
        }
        let long = format!("PUT /import?{}", "a".repeat(LONGEST));
        assert_eq!(seen(&long), (true, long.clone()));
    }

    #[tokio::test]
    async fn what_follows_comes_through() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut client, server) = tokio::io::duplex(64);
        let mut heads = Heads::new(server);
        let sending = tokio::spawn(async move {
            client.write_all(b"PUT /import HTTP/1.0\r\n").await.unwrap();
            tokio::task::yield_now().await;
            client.write_all(b"\r\n").await.unwrap();
            client.write_all(&[7; 9000]).await.unwrap();
        });
        let mut all = Vec::new();
        heads.read_to_end(&mut all).await.unwrap();
        sending.await.unwrap();
        let head = format!("PUT /import HTTP/1.0\r\nContent-Length: {UNTOLD}\r\n\r\n");
        assert_eq!(all, [head.as_bytes(), &[7; 9000]].concat());
    }
}
