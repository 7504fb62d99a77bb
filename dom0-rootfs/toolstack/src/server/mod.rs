// SPDX-License-Identifier: MIT OR Apache-2.0
//! HTTPS on the network, plain HTTP on a socket for this host.

mod archive;
mod audit_log;
mod blob;
pub mod certificate;
mod console;
mod disk;
mod figures;
mod head;
mod identity;
mod places;
mod prometheus;
mod request;
mod rpc;
mod tasks;
mod transfer;
mod upload;
mod websocket;

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_TYPE, HeaderValue,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use crate::toolstack::Toolstack;

use head::Heads;
pub use identity::Identity;
pub use places::origin;
use places::{Places, Visit};

/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// How long a connection may stand idle, or take for the head of a request, once it is known.
const IDLE: Duration = Duration::from_secs(300);
/// How long a connection is kept open for further requests without having shown a session.
const STRANGE: Duration = Duration::from_secs(30);
/// How much longer the request may take that is under way then.
const GRACE: Duration = Duration::from_secs(60);
/// Pause after accepting failed, for want of descriptors or memory.
const BREATH: Duration = Duration::from_millis(100);

/// The header that calls of pages may have in any case.
const PAGES: &str = "X-Requested-With";

/// A body of an answer. Its error breaks the connection off, so that nobody takes a part for the whole.
type Body = UnsyncBoxBody<Bytes, std::io::Error>;

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn answer(
    status: StatusCode,
    content_type: &'static str,
    bytes: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn refuse(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    answer(status, "text/plain", text.into() + "\n")
}

/// Where the daemon listens.
pub struct Listeners {
    network: TcpListener,
    local: Option<UnixListener>,
}

impl Listeners {
    /// Begins to listen. The socket's folder is made if it is not there.
    pub async fn bind(address: SocketAddr, socket: Option<&Path>) -> Result<Listeners> {
        let network =
            TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        let local = match socket {
            None => None,
            Some(path) => {
                Some(bind_local(path).with_context(|| format!("listening on {}", path.display()))?)
            }
        };
        Ok(Listeners { network, local })
    }

    /// The address on the network, with the port that was chosen for port 0.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.network.local_addr()
    }

    /// Serves for ever.
    pub async fn serve(self, toolstack: Arc<Toolstack>) {
        let local = async {
            match self.local {
                Some(listener) => serve_local(listener, toolstack.clone()).await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(serve_network(self.network, toolstack.clone()), local);
    }
}

fn bind_local(path: &Path) -> std::io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // Who may do what is decided by who connects, but only root has business here.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn serve_network(listener: TcpListener, toolstack: Arc<Toolstack>) {
    let places = Places::new();
    let acceptor = TlsAcceptor::from(toolstack.identity.tls());
    loop {
        let Ok(free) = places.free().await else { return };
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let Some(visit) = places.enter(free, address.ip()) else {
            tracing::warn!(%address, "too many connections without a session");
            continue;
        };
        let (acceptor, toolstack) = (acceptor.clone(), toolstack.clone());
        tokio::spawn(async move {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, %address, "setting up a connection");
            }
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => serve(stream, visit, toolstack, (STRANGE, GRACE)).await,
                Ok(Err(error)) => tracing::debug!(%error, %address, "TLS handshake"),
                Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
            }
        });
    }
}

async fn serve_local(listener: UnixListener, toolstack: Arc<Toolstack>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accepting a local connection");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let toolstack = toolstack.clone();
        tokio::spawn(async move {
            match stream.peer_cred() {
                Ok(peer) => {
                    serve(stream, Visit::local(peer.uid()), toolstack, (STRANGE, GRACE)).await;
                }
                Err(error) => tracing::warn!(%error, "asking who connects"),
            }
        });
    }
}

/// Serves one connection of a stranger from `address` who is past TLS, to its end, as
/// [`Listeners::serve`] does: for fuzz targets, which have no network.
pub async fn serve_stranger<S>(stream: S, address: IpAddr, toolstack: Arc<Toolstack>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let places = Places::new();
    let Ok(free) = places.free().await else { return };
    let Some(visit) = places.enter(free, address) else { return };
    serve(stream, visit, toolstack, (STRANGE, GRACE)).await;
}

/// Serves a connection. `patience`: how long with a stranger's next request, and with the last one.
async fn serve<S>(
    stream: S,
    visit: Visit,
    toolstack: Arc<Toolstack>,
    patience: (Duration, Duration),
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let (toolstack, visit) = (&toolstack, &visit);
        async move { Ok::<_, std::convert::Infallible>(route(toolstack, visit, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(Heads::new(stream)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = visit.overstays(patience.0) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = &mut connection => served,
                () = visit.overstays(patience.1) => Ok(()),
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, peer = ?visit.peer(), "a connection ended");
    }
}

/// A path without the slash that some clients write behind it; XAPI looks only how a path begins.
fn trimmed(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some(short) if !short.is_empty() => short,
        _ => path,
    }
}

/// Which origins' pages may call (CORS): any, as with XAPI. They need a session like everybody.
fn preflight<B>(request: &Request<B>) -> Response<Body> {
    let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS);
    let asked = asked.and_then(|names| names.to_str().ok());
    let names = asked.map_or(PAGES.to_owned(), |asked| format!("{asked}, {PAGES}"));
    let mut response = Response::new(full(Bytes::new()));
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("PUT"));
    if let Ok(names) = HeaderValue::from_str(&names) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    response
}

async fn route(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    let path = trimmed(request.uri().path()).to_owned();
    match (request.method(), path.as_str()) {
        (&Method::POST, "/" | "/RPC2" | "/xmlrpc") => {
            rpc::answer_call(toolstack, visit, request, rpc::Wire::Xml).await
        }
        (&Method::POST, "/jsonrpc" | "/json") => {
            rpc::answer_call(toolstack, visit, request, rpc::Wire::Json).await
        }
        (&Method::PUT, "/import_raw_vdi") => disk::import(toolstack, visit, request).await,
        (&Method::GET, "/export_raw_vdi") => disk::export(toolstack, visit, request).await,
        (&Method::PUT, "/import") => archive::import(toolstack, visit, request).await,
        (&Method::GET, "/export") => archive::export(toolstack, visit, request).await,
        (&Method::PUT, "/import_metadata") => {
            archive::import_metadata(toolstack, visit, request).await
        }
        (&Method::GET, "/export_metadata") => {
            archive::export_metadata(toolstack, visit, request).await
        }
        (&Method::GET | &Method::CONNECT, "/console") => {
            console::open(toolstack, visit, request).await
        }
        (&Method::GET, "/blob") => blob::get(toolstack, visit, request).await,
        (&Method::PUT, "/blob") => blob::put(toolstack, visit, request).await,
        (&Method::GET, "/audit_log") => audit_log::get(toolstack, visit, request).await,
        (&Method::GET, "/rrd_updates") => figures::updates(toolstack, visit, request).await,
        (&Method::GET, "/host_rrd") => figures::host(toolstack, visit, request).await,
        (&Method::GET, "/vm_rrd") => figures::vm(toolstack, visit, request).await,
        (&Method::GET, "/metrics") => prometheus::get(toolstack, visit, request).await,
        (&Method::OPTIONS, "/" | "/jsonrpc" | "/json") => preflight(&request),
        (&Method::GET, "/") => {
            let text = "Xenith: the XenAPI is at / (XML-RPC) and /jsonrpc (JSON-RPC), by POST";
            answer(StatusCode::OK, "text/plain", format!("{text}\n"))
        }
        (
            _,
            "/" | "/RPC2" | "/xmlrpc" | "/jsonrpc" | "/json" | "/import_raw_vdi"
            | "/export_raw_vdi" | "/import" | "/export" | "/import_metadata" | "/export_metadata"
            | "/console" | "/blob" | "/audit_log" | "/rrd_updates" | "/host_rrd" | "/vm_rrd"
            | "/metrics",
        ) => refuse(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method"),
        _ => refuse(StatusCode::NOT_FOUND, "nothing is here"),
    }
}

#[cfg(test)]
mod tests;
