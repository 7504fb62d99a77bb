// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bodies of requests as streams for work that blocks, and when such a request is answered.
//!
//! An answer at the end has the true status. Who names a task learns the outcome from that and is
//! answered before the body, as by XAPI; so is who cannot wait: clients that send nothing before they
//! have the head of the answer, and those that promise a body without end and hang up when they have
//! sent what they have.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap, HeaderValue, TRANSFER_ENCODING,
};
use hyper::{Request, Response, StatusCode};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use xapi_model::http::Handler;
use xapi_model::{ApiError, Ref, Reply, Type, Value, errors};

use super::head::UNTOLD;
use super::request::{Entered, Query, session};
use super::tasks::{Begun, begin, claimed, finish, with_task};
use super::transfer::{UNDER_WAY, refusal, wait};
use super::{Body, Visit, answer, refuse};
use crate::task::Cancel;
use crate::toolstack::{Context, Toolstack};
use crate::transfer::{End, Failed, Work};

/// No body is so long: a client that does not know the length has made one up, as XAPI takes no chunked
/// coding. The connection is cut when all is sent.
const ENDLESS: u64 = 1 << 50;
/// A client that has sent nothing for so long waits for the head of the answer.
const WAITS: Duration = Duration::from_millis(500);
/// What is read of a body that nobody wants: in bytes, in all, and without a pause.
const UNWANTED: usize = 64 << 20;
const UNWANTED_TIME: Duration = Duration::from_secs(10);
const UNWANTED_PAUSE: Duration = Duration::from_secs(2);

/// Contents come: the client's, or what went wrong with it.
type Piece = Result<Bytes, String>;

/// What takes a body, which ends as told.
type Take<P> = fn(&mut Work, P, &mut dyn Read, End) -> Result<Value, Failed>;

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
    /// Does it.
    pub(super) work: Take<P>,
}

/// Where the body ends; none if nobody can know.
fn end(headers: &HeaderMap) -> Option<End> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Some(End::Told);
    }
    let length = headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    Some(if length < ENDLESS { End::After(length) } else { End::Open })
}

/// Takes the body of a request.
pub(super) async fn take<P: Send + 'static>(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
    taking: Taking<P>,
) -> Response<Body> {
    let (head, mut body) = request.into_parts();
    let request = Request::from_parts(head, ());
    let expects = request.headers().contains_key(EXPECT);
    match prepare(toolstack, visit, &request, taking).await {
        Ok(ready) => ready.run(body, expects).await,
        Err(response) => {
            // Who waits to be told to go on is not told to.
            if !expects && !response.status().is_success() {
                discard(&mut body).await;
            }
            *response
        }
    }
}

/// An import that may begin.
struct Ready<P> {
    entered: Entered,
    taking: Taking<P>,
    prepared: P,
    begun: Begun,
    end: End,
    /// Answered whatever the body is: its length was made up.
    made_up: bool,
}

async fn prepare<P: Send + 'static>(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: &Request<()>,
    taking: Taking<P>,
) -> Result<Ready<P>, Box<Response<Body>>> {
    let query = Query::of(request);
    let mut entered = session(toolstack, visit, request, &query, taking.handler).await?;
    let end = end(request.headers());
    let untold = request.headers().get(CONTENT_LENGTH).is_some_and(|value| value == UNTOLD);
    let preparing = tokio::task::spawn_blocking(move || {
        // Sent to see where a request with contents would go.
        let probe = end == Some(End::After(0)) && claimed(&entered.context, &query).is_none();
        if probe {
            let looked = (taking.prepare)(&entered.context, &query);
            return looked.map(|_| None).map_err(|error| Box::new(refusal(&error)));
        }
        let begun = begin(&mut entered.context, &query, taking.label);
        let begun = begun.map_err(|error| Box::new(refusal(&error)))?;
        let prepared = (taking.prepare)(&entered.context, &query);
        let ready = prepared.and_then(|prepared| Ok((prepared, end.ok_or_else(no_length)?)));
        match ready {
            Ok((prepared, end)) => {
                let made_up = end == End::Open && !untold;
                Ok(Some(Ready { entered, taking, prepared, begun, end, made_up }))
            }
            Err(error) => {
                finish(&entered.context, &taking.result, &Err(error.clone()));
                let response = match end {
                    None => refuse(StatusCode::LENGTH_REQUIRED, error.to_string()),
                    Some(_) => refusal(&error),
                };
                Err(Box::new(with_task(response, entered.context.task.clone())))
            }
        }
    });
    match preparing.await {
        Ok(Ok(Some(ready))) => Ok(ready),
        Ok(Ok(None)) => Err(Box::new(answer(StatusCode::OK, "text/plain", ""))),
        Ok(Err(response)) => Err(response),
        Err(error) => Err(Box::new(refusal(&errors::INTERNAL_ERROR.with([error.to_string()])))),
    }
}

fn no_length() -> ApiError {
    errors::IMPORT_ERROR_GENERIC.with(["the request has no Content-Length"])
}

impl<P: Send + 'static> Ready<P> {
    async fn run(self, body: Incoming, expects: bool) -> Response<Body> {
        let (task, clients) = (self.entered.context.task.clone(), self.begun.clients);
        let at_once = clients || self.made_up;
        let (sender, pieces) = mpsc::channel(UNDER_WAY);
        let (first, came) = oneshot::channel();
        let receiving = tokio::spawn(receive(body, sender, first, self.end == End::Open));
        let mut working = tokio::task::spawn_blocking(move || self.work(pieces));
        // Who expects to be told to go on is told by somebody asking for the body, before the answer.
        let early = if at_once && !expects {
            true
        } else {
            tokio::select! {
                biased;
                done = &mut working => return at_end(done, receiving, task).await,
                came = timeout(WAITS, came) => at_once || came.is_err(),
            }
        };
        if early {
            with_task(before(working, receiving, clients), task)
        } else {
            at_end(working.await, receiving, task).await
        }
    }

    /// Does the work, and ends the task.
    fn work(self, pieces: mpsc::Receiver<Piece>) -> Reply {
        let Ready { entered, taking, prepared, begun: Begun { cancel, clients }, end, .. } = self;
        let mut body = Received { pieces, rest: Bytes::new(), cancel: cancel.clone() };
        let mut work = Work::new(entered.context.clone(), cancel);
        // Nothing is touched for a client that sends nothing: that, too, is how some look where a
        // request would go.
        let done = match body.fill() {
            Ok(false) if end == End::Open && !clients => Err(Failed(cancelled(&entered.context))),
            Ok(_) => (taking.work)(&mut work, prepared, &mut body, end),
            Err(error) => Err(error.into()),
        };
        let reply = done.map_err(|error| work.reason(error));
        finish(&entered.context, &taking.result, &reply);
        reply
    }
}

fn cancelled(context: &Context) -> ApiError {
    let task = context.task.as_ref().map(Ref::as_str).unwrap_or_default();
    errors::TASK_CANCELLED.with([task])
}

type Worked = Result<Reply, tokio::task::JoinError>;

/// The answer when all is done.
async fn at_end(worked: Worked, receiving: JoinHandle<()>, task: Option<Ref>) -> Response<Body> {
    // Closed with something unread, the connection would be reset, and most clients send all before
    // they look for an answer: it would be lost.
    if let Err(error) = receiving.await {
        tracing::error!(%error, "receiving a body");
    }
    match worked {
        Ok(Ok(_)) => with_task(answer(StatusCode::OK, "text/plain", ""), task),
        Ok(Err(error)) => with_task(refusal(&error), task),
        Err(error) => refusal(&errors::INTERNAL_ERROR.with([error.to_string()])),
    }
}

/// The answer before it is done. It ends when the work does; if that fails and no task of the client's
/// tells, it breaks off.
fn before(working: JoinHandle<Reply>, receiving: JoinHandle<()>, clients: bool) -> Response<Body> {
    let (sender, body) = Channel::<Bytes, io::Error>::new(1);
    tokio::spawn(async move {
        let failed = !matches!(working.await, Ok(Ok(_)));
        if failed && !clients {
            let _ = receiving.await;
            sender.abort(io::Error::other("the import failed"));
        }
    });
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// The body of a request.
struct Received {
    pieces: mpsc::Receiver<Piece>,
    rest: Bytes,
    cancel: Cancel,
}

impl Received {
    /// Waits until there is something; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        while self.rest.is_empty() {
            match wait(&self.cancel, self.pieces.recv())? {
                None => return Ok(false),
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(problem)) => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, problem));
                }
            }
        }
        Ok(true)
    }
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.fill()? {
            return Ok(0);
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

/// Passes the body on, piece by piece, until it ends or nobody listens; then what is left of it is
/// read. `first` hears of the first piece. A body that is `open` ends where the connection does.
async fn receive(
    mut body: Incoming,
    sender: mpsc::Sender<Piece>,
    first: oneshot::Sender<()>,
    open: bool,
) {
    let mut first = Some(first);
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = sender.closed() => break,
        };
        let piece = match frame {
            None => return,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => Ok(bytes),
                Err(_trailers) => continue,
            },
            Some(Err(error)) if open => {
                tracing::debug!(%error, "a body of no known length ends");
                return;
            }
            Some(Err(error)) => Err(error.to_string()),
        };
        if let Some(first) = first.take() {
            // Nobody hears it who has answered already.
            let _ = first.send(());
        }
        let last = piece.is_err();
        if sender.send(piece).await.is_err() {
            break;
        }
        if last {
            return;
        }
    }
    discard(&mut body).await;
}

/// Reads on to the end, but not for ever.
async fn discard(body: &mut Incoming) {
    let reading = async {
        let (mut left, mut pause) = (UNWANTED, WAITS);
        while let Ok(Some(Ok(frame))) = timeout(pause, body.frame()).await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else { return };
            (left, pause) = (rest, UNWANTED_PAUSE);
        }
    };
    let all = timeout(UNWANTED_TIME, reading).await;
    tracing::debug!(all = all.is_ok(), "read what is left of a body");
}
