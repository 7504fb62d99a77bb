// SPDX-License-Identifier: MIT OR Apache-2.0
//! Websockets (RFC 6455): a stream of bytes in frames, as web pages have it.
//!
//! What is sent is in binary frames; what comes counts for its bytes, in whatever frames.

use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{
    CONNECTION, HOST, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::request::Query;
use super::{Body, refuse};

/// The one version there is.
const VERSION: &str = "13";
/// The one subprotocol: bytes. What old clients offer beside it, `base64`, is for browsers without
/// binary frames.
const BINARY: &str = "binary";
/// What each key is hashed with.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of the largest message, and of the largest frame: what QEMU takes as a clipboard, and some.
const LARGEST: usize = 2 << 20;
/// Bytes that lie between the client and what it uses.
const BUFFER: usize = 64 << 10;
/// Bytes of a frame to the client.
const FRAME: usize = 16 << 10;
/// How long a client may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// Whether a header that is a list has a word in it.
fn lists<B>(request: &Request<B>, name: HeaderName, word: &str) -> bool {
    let values = request.headers().get_all(name);
    let texts = values.iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
}

/// Whether a request asks for a websocket.
pub(super) fn asked<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && request.version() >= Version::HTTP_11
        && lists(request, UPGRADE, "websocket")
        && lists(request, CONNECTION, "upgrade")
}

/// The answer that makes a connection a websocket.
pub(super) fn accept<B>(request: &Request<B>) -> Result<Response<Body>, Box<Response<Body>>> {
    let header = |name: HeaderName| request.headers().get(name)?.to_str().ok();
    if header(SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        let mut response = refuse(StatusCode::UPGRADE_REQUIRED, "websockets have version 13 here");
        let headers = response.headers_mut();
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        return Err(Box::new(response));
    }
    let bad = || Box::new(refuse(StatusCode::BAD_REQUEST, "a websocket's key is 16 bytes"));
    let key = header(SEC_WEBSOCKET_KEY).ok_or_else(bad)?.trim();
    Base64::decode_vec(key).ok().filter(|key| key.len() == 16).ok_or_else(bad)?;
    let proof = Base64::encode_string(&Sha1::digest([key, GUID].concat()));
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&proof).map_err(|_| bad())?);
    // One that was not offered would end the connection (RFC 6455, 4.1).
    if lists(request, SEC_WEBSOCKET_PROTOCOL, BINARY) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(BINARY));
    }
    Ok(response)
}

/// Whether a web page of elsewhere asks with what the browser knows by itself: a cookie, a password. No
/// browser asks first whether it may, as it does for other requests.
pub(super) fn foreign<B>(request: &Request<B>, query: &Query) -> bool {
    let header = |name: HeaderName| request.headers().get(name).map(HeaderValue::as_bytes);
    let (None, Some(origin)) = (query.get("session_id"), header(ORIGIN)) else { return false };
    let host = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        text.strip_suffix(":443").map(str::to_owned).unwrap_or(text)
    };
    let here = header(HOST).map(host);
    let page = origin.strip_prefix(b"https://").map(host);
    page.is_none() || page != here
}

/// Has `work` use a connection that became a websocket, as the stream of bytes in it.
pub(super) async fn serve<S, F>(stream: S, work: impl FnOnce(DuplexStream) -> F) -> F::Output
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(FRAME)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let (near, far) = tokio::io::duplex(BUFFER);
    tokio::join!(work(near), carry(socket, far)).0
}

/// Carries bytes both ways until one side ends.
async fn carry<S: AsyncRead + AsyncWrite + Unpin>(socket: WebSocketStream<S>, far: DuplexStream) {
    let (mut client, mut from_client) = socket.split();
    let (mut from_far, mut to_far) = tokio::io::split(far);
    let out = async {
        let mut buffer = vec![0; FRAME];
        loop {
            match from_far.read(&mut buffer).await {
                Ok(0) | Err(_) => return Ok(()),
                Ok(count) => {
                    let bytes = Bytes::copy_from_slice(&buffer[..count]);
                    client.send(Message::Binary(bytes)).await?;
                }
            }
        }
    };
    let back = async {
        // Pings are answered, and so is the goodbye, while this waits for what comes next.
        while let Some(message) = from_client.next().await {
            let bytes = match message? {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => text.into(),
                _ => continue,
            };
            // Nobody takes it when the other side has ended; `out` says so once all is sent.
            let _ = to_far.write_all(&bytes).await;
        }
        Ok(())
    };
    let ended = tokio::select! {
        ended = out => ended,
        ended = back => ended,
    };
    // Who uses the other end need not wait for the goodbye.
    drop((from_far, to_far));
    let Ok(mut socket) = client.reunite(from_client) else { return };
    let goodbye = async {
        if let Some(code) = code(&ended) {
            let _ = socket.close(Some(CloseFrame { code, reason: "".into() })).await;
        }
        while let Some(Ok(_)) = socket.next().await {}
        // Until the client has closed it too: else what it still sends takes the goodbye away from it.
        let stream = socket.get_mut();
        if stream.shutdown().await.is_ok() {
            let _ = tokio::io::copy(stream, &mut tokio::io::sink()).await;
        }
    };
    if tokio::time::timeout(GOODBYE, goodbye).await.is_err() {
        tracing::debug!("a websocket was closed without a goodbye");
    }
}

/// What to say at the end, if anything is to be said.
fn code(ended: &Result<(), Error>) -> Option<CloseCode> {
    match ended {
        Ok(()) => Some(CloseCode::Normal),
        Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => None,
        Err(Error::Protocol(_)) => Some(CloseCode::Protocol),
        Err(Error::Utf8(_)) => Some(CloseCode::Invalid),
        Err(Error::Capacity(_)) => Some(CloseCode::Size),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let all = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
        let mut request = Request::builder().uri("/console?ref=x");
        for (name, value) in all.iter().chain(headers) {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");

    #[test]
    fn a_key_is_answered_as_the_standard_has_it() {
        let asks = request(&[KEY, ("sec-websocket-version", "13")]);
        assert!(asked(&asks));
        let response = accept(&asks).unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let proof = &response.headers()[SEC_WEBSOCKET_ACCEPT];
        assert_eq!(proof, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn of_the_subprotocols_binary_is_taken() {
        let of = |offered: &[(&str, &str)]| {
            let version = ("sec-websocket-version", "13");
            let response = accept(&request(&[&[KEY, version], offered].concat())).unwrap();
            response.headers().get(SEC_WEBSOCKET_PROTOCOL).cloned()
        };
        let name = "sec-websocket-protocol";
        assert_eq!(of(&[(name, "binary")]).unwrap(), BINARY);
        assert_eq!(of(&[(name, "base64, binary")]).unwrap(), BINARY);
        assert_eq!(of(&[(name, "base64"), (name, "binary")]).unwrap(), BINARY);
        assert_eq!(of(&[(name, "base64")]), None);
    }

    #[test]
    fn what_is_no_websocket_is_none() {
        let plain = Request::builder().uri("/console").body(()).unwrap();
        assert!(!asked(&plain));
        let mut old = request(&[]);
        *old.version_mut() = Version::HTTP_10;
        assert!(!asked(&old));
        let mut other = request(&[]);
        other.headers_mut().insert(UPGRADE, HeaderValue::from_static("h2c"));
        assert!(!asked(&other));
        let mut passed_on = request(&[]);
        passed_on.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        assert!(!asked(&passed_on));
    }

    #[test]
    fn bad_handshakes_are_refused() {
        let of = |headers: &[(&str, &str)]| accept(&request(headers)).unwrap_err();
        for version in ["8", ""] {
            let response = of(&[KEY, ("sec-websocket-version", version)]);
            assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
            assert_eq!(response.headers()[SEC_WEBSOCKET_VERSION], VERSION);
        }
        for key in ["", "c2hvcnQ=", "no base64 at all!!!!!!!"] {
            let response = of(&[("sec-websocket-key", key), ("sec-websocket-version", VERSION)]);
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{key}");
        }
        assert_eq!(of(&[("sec-websocket-version", VERSION)]).status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn pages_of_elsewhere_need_the_session_itself() {
        let of = |uri: &str, headers: &[(&str, &str)]| {
            let mut request = request(headers);
            *request.uri_mut() = uri.parse().unwrap();
            foreign(&request, &Query::of(&request))
        };
        let (bare, full) = ("/console?ref=x", "/console?ref=x&session_id=y");
        let here = ("host", "Host.example");
        assert!(!of(bare, &[here]));
        assert!(!of(bare, &[here, ("origin", "https://host.example")]));
        assert!(!of(bare, &[("host", "10.0.0.1:443"), ("origin", "https://10.0.0.1")]));
        for origin in
            ["https://other.example", "http://host.example", "https://host.example:8", "null"]
        {
            assert!(of(bare, &[here, ("origin", origin)]), "{origin}");
            assert!(!of(full, &[here, ("origin", origin)]), "{origin}");
        }
        assert!(of(bare, &[("origin", "null")]));
    }
}
