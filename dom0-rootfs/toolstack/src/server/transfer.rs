// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bodies of requests and answers as streams for work that blocks, and the task that shows how far it
//! is: the client's, which the query names, or one of its own.

use std::io::{self, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::sync::mpsc;
use xapi_model::http::Handler;
use xapi_model::{ApiError, Ref, Reply, Role, Type, Value, errors};

use super::request::{Entered, Query, session};
use super::{Body, Visit, answer, refuse};
use crate::patience::within;
use crate::store::Objects;
use crate::task::{self, Cancel};
use crate::toolstack::{Context, Toolstack};
use crate::transfer::{Failed, Work};

/// How long a client may pause in the middle.
const PAUSE: Duration = Duration::from_secs(120);
/// How often somebody who waits for the client looks whether the task is to stop.
const LOOK: Duration = Duration::from_millis(500);
/// Pieces on their way between network and disk.
const UNDER_WAY: usize = 8;
/// Bytes of a piece on its way to the client.
const PIECE: usize = 256 << 10;
/// What is read of a body that nobody wants, in bytes and time.
const UNWANTED: usize = 64 << 20;
const UNWANTED_TIME: Duration = Duration::from_secs(10);

/// Contents come: the client's, or what went wrong with it.
type Piece = Result<Bytes, String>;

/// The status of an answer that tells of an error.
fn refusal(error: &ApiError) -> Response<Body> {
    let is = |codes: &[&xapi_model::ErrorCode]| codes.iter().any(|code| error.is(code));
    let status = if is(&[&errors::HANDLE_INVALID, &errors::UUID_INVALID]) {
        StatusCode::NOT_FOUND
    } else if is(&[&errors::VALUE_NOT_SUPPORTED, &errors::INVALID_VALUE]) {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    refuse(status, error.to_string())
}

/// The object of a class that a text names by reference or uuid.
pub(super) fn named(objects: &Objects, class: &'static str, name: &str) -> Result<Ref, ApiError> {
    let by_reference = objects.get(class, &Ref::new(name)).ok();
    let found = by_reference.or_else(|| objects.by_uuid(class, name));
    let found = found.map(|object| object.reference().clone());
    found.ok_or_else(|| errors::HANDLE_INVALID.with([class, name]))
}

/// Gives a context its task: the client's that the query names, if that is under way and not driven by
/// somebody else, or a new one.
fn begin(context: &mut Context, query: &Query, label: &str) -> Result<Cancel, ApiError> {
    let (user, owners) = (context.user(), &context.toolstack.task_owners);
    let clients = context.store().read(|objects| {
        let task = named(objects, "task", query.get("task_id")?).ok()?;
        let object = objects.find(&task)?;
        let free = !task::is_servers(object) && object.text("status") == "pending";
        let own = context.role.may(Role::PoolOperator) || owners.is(&task, &user);
        (free && own).then_some(task)
    });
    let task = match clients {
        Some(task) => task,
        None => {
            let toolstack = &context.toolstack;
            let task = task::create(&toolstack.store, &toolstack.host(), label, "")?;
            toolstack.task_owners.note(&toolstack.store, &task, &user);
            task
        }
    };
    context.task = Some(task);
    context.cancellable()
}

/// Ends the task, as the work ended.
fn finish(context: &Context, result: &Type, reply: &Reply) {
    if let Err(error) = reply {
        tracing::info!(%error, "a transfer failed");
    }
    if let Some(task) = &context.task {
        task::finish(context.store(), &context.toolstack.cancels, task, result, reply);
    }
}

/// Waits for the client, but not for ever, nor when the task is to stop.
fn wait<F: Future>(cancel: &Cancel, future: F) -> io::Result<F::Output> {
    let begun = Instant::now();
    let mut future = pin!(future);
    loop {
        if cancel.wanted() {
            return Err(io::Error::other("the task was cancelled"));
        }
        if let Some(output) = within(LOOK, future.as_mut()) {
            return Ok(output);
        }
        if begun.elapsed() > PAUSE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the client paused for too long"));
        }
    }
}

/// The body of a request.
struct Received {
    pieces: mpsc::Receiver<Piece>,
    rest: Bytes,
    cancel: Cancel,
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match wait(&self.cancel, self.pieces.recv())? {
                None => return Ok(0),
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(problem)) => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, problem));
                }
            }
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

/// The body of an answer.
struct Sent {
    sender: Sender<Bytes, io::Error>,
    buffer: Vec<u8>,
    cancel: Cancel,
}

impl Sent {
    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        let sent = wait(&self.cancel, self.sender.send_data(piece.into()))?;
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client hung up"))
    }
}

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        if self.buffer.len() == PIECE {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.send() }
    }
}

/// Reads on to the end, but not for ever.
async fn discard(body: &mut Incoming) {
    let mut left = UNWANTED;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(length) else { return };
        left = rest;
    }
}

/// Passes the body on, piece by piece, until it ends or nobody listens.
async fn receive(body: &mut Incoming, sender: mpsc::Sender<Piece>) {
    loop {
        let piece = match body.frame().await {
            None => return,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => Ok(bytes),
                Err(_trailers) => continue,
            },
            Some(Err(error)) => Err(error.to_string()),
        };
        let last = piece.is_err();
        if sender.send(piece).await.is_err() || last {
            return;
        }
    }
}

/// What takes a body, of the given length where that is known.
type Take<P> = fn(&mut Work, P, &mut dyn Read, Option<u64>) -> Result<Value, Failed>;
/// What writes an answer.
type Give = dyn FnOnce(&mut Work, &mut (dyn Write + Send)) -> Result<(), Failed> + Send;

/// A kind of import.
pub(super) struct Taking<P> {
    /// Who may.
    pub(super) handler: Handler,
    /// Name of its task.
    pub(super) label: &'static str,
    /// What its task results in.
    pub(super) result: Type,
    /// Looks at the query, before any of the body is asked for.
    pub(super) prepare: fn(&Context, &Query) -> Result<P, ApiError>,
    /// Does it, with the body and its length.
    pub(super) work: Take<P>,
}

/// Takes the body of a request.
pub(super) async fn take<P: Send + 'static>(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    mut request: Request<Incoming>,
    taking: Taking<P>,
) -> Response<Body> {
    let waits = request.headers().contains_key(EXPECT);
    let mut begun = false;
    let response = take_body(toolstack, visit, &mut request, taking, &mut begun).await;
    // Who waits to be told to go on is not told to.
    if !response.status().is_success() && (begun || !waits) {
        // Closed with something unread, the connection would be reset, and most clients send all
        // before they look for an answer: the reason would be lost.
        let all = tokio::time::timeout(UNWANTED_TIME, discard(request.body_mut())).await;
        tracing::debug!(all = all.is_ok(), "refused an import");
    }
    response
}

async fn take_body<P: Send + 'static>(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: &mut Request<Incoming>,
    taking: Taking<P>,
    begun: &mut bool,
) -> Response<Body> {
    let query = Query::of(request);
    let mut entered = match session(toolstack, visit, request, &query, taking.handler).await {
        Ok(entered) => entered,
        Err(refused) => return *refused,
    };
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let prepare = move || {
        let cancel = begin(&mut entered.context, &query, taking.label)?;
        match (taking.prepare)(&entered.context, &query) {
            Ok(prepared) => Ok((entered, cancel, prepared)),
            Err(error) => {
                finish(&entered.context, &taking.result, &Err(error.clone()));
                Err(error)
            }
        }
    };
    let prepared = match tokio::task::spawn_blocking(prepare).await {
        Ok(Ok(prepared)) => prepared,
        Ok(Err(error)) => return refusal(&error),
        Err(error) => return refusal(&errors::INTERNAL_ERROR.with([error.to_string()])),
    };
    let (entered, cancel, prepared): (Entered, _, _) = prepared;
    *begun = true;
    let task = entered.context.task.clone();
    let (sender, pieces) = mpsc::channel(UNDER_WAY);
    let working = tokio::task::spawn_blocking(move || {
        let mut body = Received { pieces, rest: Bytes::new(), cancel: cancel.clone() };
        let mut work = Work::new(entered.context.clone(), cancel);
        let done = (taking.work)(&mut work, prepared, &mut body, length);
        let reply = done.map_err(|error| work.reason(error));
        finish(&entered.context, &taking.result, &reply);
        reply
    });
    receive(request.body_mut(), sender).await;
    match working.await {
        Ok(Ok(_)) => with_task(answer(StatusCode::OK, "text/plain", ""), task),
        Ok(Err(error)) => with_task(refusal(&error), task),
        Err(error) => refusal(&errors::INTERNAL_ERROR.with([error.to_string()])),
    }
}

/// Names the task of an answer, as XAPI does.
fn with_task(mut response: Response<Body>, task: Option<Ref>) -> Response<Body> {
    let value = task.and_then(|task| HeaderValue::from_str(task.as_str()).ok());
    if let Some(value) = value {
        response.headers_mut().insert("task-id", value);
    }
    response
}

/// An answer that is to be written.
pub(super) struct Prepared {
    /// Its length in bytes, where that is known.
    pub(super) length: Option<u64>,
    /// Writes it.
    pub(super) write: Box<Give>,
}

/// Answers with a stream. `prepare` opens what is to be read, so that nothing is promised that is not
/// there.
pub(super) async fn give(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
    (handler, label): (Handler, &'static str),
    prepare: fn(&Context, &Query) -> Result<Prepared, ApiError>,
) -> Response<Body> {
    let query = Query::of(&request);
    let mut entered = match session(toolstack, visit, &request, &query, handler).await {
        Ok(entered) => entered,
        Err(refused) => return *refused,
    };
    let preparing = tokio::task::spawn_blocking(move || {
        let cancel = begin(&mut entered.context, &query, label)?;
        match prepare(&entered.context, &query) {
            Ok(prepared) => Ok((entered, cancel, prepared)),
            Err(error) => {
                finish(&entered.context, &Type::Void, &Err(error.clone()));
                Err(error)
            }
        }
    });
    let (entered, cancel, prepared) = match preparing.await {
        Ok(Ok(prepared)) => prepared,
        Ok(Err(error)) => return refusal(&error),
        Err(error) => return refusal(&errors::INTERNAL_ERROR.with([error.to_string()])),
    };
    let (sender, body) = Channel::<Bytes, io::Error>::new(UNDER_WAY);
    let (length, task) = (prepared.length, entered.context.task.clone());
    tokio::task::spawn_blocking(move || {
        let mut sent = Sent { sender, buffer: Vec::new(), cancel: cancel.clone() };
        let mut work = Work::new(entered.context.clone(), cancel);
        let written = (prepared.write)(&mut work, &mut sent);
        let reply = match written.and_then(|()| Ok(sent.flush()?)) {
            Ok(()) => Ok(Value::Void),
            Err(error) => {
                // The head of the answer is with the client already: all that is left is to hang up.
                sent.sender.abort(io::Error::other("the export failed"));
                Err(work.reason(error))
            }
        };
        finish(&entered.context, &Type::Void, &reply);
    });
    let mut response = Response::new(body.boxed_unsync());
    let headers = response.headers_mut();
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    with_task(response, task)
}
