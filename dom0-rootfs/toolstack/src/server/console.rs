// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/console`: the text console of a running VM, or its screen (VNC).
//!
//! `CONNECT /console?uuid=…&session_id=…` turns the connection into the console, both ways; a `GET` that
//! asks for a websocket does so in frames. A plain `GET` answers what the text console has said and goes
//! on with what it says, one way. A VM stands for its screen where it has one, as with XAPI, and for its text
//! to who only reads.

use std::io;
use std::sync::Arc;

use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::broadcast::error::RecvError;
use xapi_model::{Ref, http};

use super::request::{Query, session};
use super::{Body, Visit, full, refuse, websocket};
use crate::console_users::ConsoleUse;
use crate::consoles::Listening;
use crate::store::{Object, Objects};
use crate::toolstack::Toolstack;
use crate::vm::start::note;

/// What a query asks for.
enum Wanted {
    /// Text console of this VM.
    Text(Ref),
    /// VNC server of this VM at this socket.
    Screen(Ref, String),
}

/// The console that `uuid` or `ref` names: a console object, or a VM.
fn wanted(objects: &Objects, query: &Query, reads: bool) -> Option<Wanted> {
    let find = |class: &'static str| match (query.get("uuid"), query.get("ref")) {
        (Some(uuid), _) => objects.by_uuid(class, uuid),
        (None, Some(reference)) => objects.get(class, &Ref::new(reference)).ok(),
        (None, None) => None,
    };
    if let Some(vm) = find("VM") {
        let text = || Wanted::Text(vm.reference().clone());
        let screen = if reads { None } else { screen(objects, vm) };
        return Some(screen.unwrap_or_else(text));
    }
    let console = find("console")?;
    let vm = objects.find(&console.to("VM"))?;
    match console.text("protocol") {
        "vt100" => Some(Wanted::Text(vm.reference().clone())),
        _ => screen(objects, vm),
    }
}

/// The screen of a VM that has one.
fn screen(objects: &Objects, vm: &Object) -> Option<Wanted> {
    let note = objects.note(&note(vm.uuid()))?;
    let note: serde_json::Value = serde_json::from_str(note).ok()?;
    let vm = vm.reference().clone();
    note["vnc"].as_str().map(|socket| Wanted::Screen(vm, socket.to_owned()))
}

/// Connects a client to a console.
pub(super) async fn open(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    let query = Query::of(&request);
    let entered = match session(toolstack, visit, &request, &query, http::CONSOLE).await {
        Ok(entered) => entered,
        Err(refused) => return *refused,
    };
    let response = connect(toolstack, &query, request).await;
    entered.answer(&query, response)
}

async fn connect(
    toolstack: &Arc<Toolstack>,
    query: &Query,
    request: Request<Incoming>,
) -> Response<Body> {
    let way = match Way::of(&request, query) {
        Ok(way) => way,
        Err(refused) => return *refused,
    };
    let nothing = || refuse(StatusCode::NOT_FOUND, "no running VM has this console");
    let (wanted, alone) = toolstack.store.read(|objects| {
        let alone = objects.all("pool").any(|pool| pool.bool("limit_console_sessions"));
        (wanted(objects, query, matches!(way, Way::Reads)), alone)
    });
    let Some(wanted) = wanted else { return nothing() };
    let (Wanted::Text(vm) | Wanted::Screen(vm, _)) = &wanted;
    let Some(used) = toolstack.console_users.begin(vm, alone) else {
        return refuse(StatusCode::CONFLICT, "somebody uses a console of this VM");
    };
    match wanted {
        Wanted::Text(vm) => match (toolstack.consoles.listen(&vm), way) {
            (None, _) => nothing(),
            (Some(listening), Way::Reads) => follow(listening, used),
            (Some(listening), Way::Uses(answer, framing)) => {
                let toolstack = toolstack.clone();
                let work = move |client| text(toolstack, vm, listening, client);
                upgrade(request, framing, used, work);
                answer
            }
        },
        Wanted::Screen(_, socket) => match way {
            Way::Reads => {
                refuse(StatusCode::METHOD_NOT_ALLOWED, "a screen needs CONNECT or a websocket")
            }
            Way::Uses(answer, framing) => match UnixStream::connect(&socket).await {
                Ok(screen) => {
                    upgrade(request, framing, used, move |client| relay(screen, client));
                    answer
                }
                Err(error) => {
                    refuse(StatusCode::BAD_GATEWAY, format!("connecting to VNC: {error}"))
                }
            },
        },
    }
}

/// How a client gets at a console.
enum Way {
    /// It only reads it, in the answer.
    Reads,
    /// It uses it, with this answer, after which the connection is the console.
    Uses(Response<Body>, Framing),
}

/// How a connection that became a console carries its bytes.
#[derive(Clone, Copy)]
enum Framing {
    /// As they are.
    None,
    /// In a websocket's frames.
    Websocket,
}

impl Way {
    fn of<B>(request: &Request<B>, query: &Query) -> Result<Way, Box<Response<Body>>> {
        if request.method() == Method::CONNECT {
            return Ok(Way::Uses(Response::new(full(Bytes::new())), Framing::None));
        }
        if !websocket::asked(request) {
            return Ok(Way::Reads);
        }
        if websocket::foreign(request, query) {
            let text = "a page of another host has to name a session";
            return Err(Box::new(refuse(StatusCode::FORBIDDEN, text)));
        }
        Ok(Way::Uses(websocket::accept(request)?, Framing::Websocket))
    }
}

/// A connection that became a console.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Client = Box<dyn Stream>;

/// Lets `work` have the connection, once it was answered.
fn upgrade<F>(
    request: Request<Incoming>,
    framing: Framing,
    used: ConsoleUse,
    work: impl FnOnce(Client) -> F + Send + 'static,
) where
    F: Future<Output = io::Result<()>> + Send,
{
    tokio::spawn(async move {
        let stream = match hyper::upgrade::on(request).await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => {
                tracing::debug!(%error, "a console connection was not made");
                return;
            }
        };
        let work = async move |client: Client| {
            let _used = used;
            work(client).await
        };
        let ended = match framing {
            Framing::None => work(Box::new(stream)).await,
            Framing::Websocket => {
                websocket::serve(stream, async |bytes| work(Box::new(bytes)).await).await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a console connection ended");
        }
    });
}

async fn relay(mut screen: UnixStream, mut client: Client) -> io::Result<()> {
    tokio::io::copy_bidirectional(&mut screen, &mut client).await.map(drop)
}

async fn text(
    toolstack: Arc<Toolstack>,
    vm: Ref,
    (kept, mut live): Listening,
    client: Client,
) -> io::Result<()> {
    let (mut typed, mut shown) = tokio::io::split(client);
    shown.write_all(&kept).await?;
    shown.flush().await?;
    let mut buffer = [0; 1024];
    loop {
        tokio::select! {
            output = live.recv() => match output {
                Ok(bytes) => {
                    shown.write_all(&bytes).await?;
                    shown.flush().await?;
                }
                // A client that is too slow loses some; the guest is not held up for it.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
            count = typed.read(&mut buffer) => match count? {
                0 => return Ok(()),
                count => {
                    let (toolstack, vm) = (toolstack.clone(), vm.clone());
                    let typed = buffer[..count].to_vec();
                    tokio::task::spawn_blocking(move || toolstack.consoles.write(&vm, &typed))
                        .await??;
                }
            },
        }
    }
}

fn follow((kept, mut live): Listening, used: ConsoleUse) -> Response<Body> {
    let (mut sender, body) = Channel::<Bytes, io::Error>::new(8);
    tokio::spawn(async move {
        let _used = used;
        let mut next = Ok(kept);
        loop {
            match next {
                Ok(bytes) => {
                    if sender.send_data(bytes.into()).await.is_err() {
                        return;
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
            next = live.recv().await;
        }
    });
    let mut response = Response::new(body.boxed_unsync());
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
