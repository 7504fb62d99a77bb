// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers as streams that work writes which blocks, and what such work has in common with that of
//! [`super::upload`].

use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use xapi_model::http::Handler;
use xapi_model::{ApiError, Ref, Type, Value, errors};

use super::request::{Query, session};
use super::tasks::{begin, finish, with_task};
use super::{Body, Visit, refuse};
use crate::patience::within;
use crate::store::Objects;
use crate::task::Cancel;
use crate::toolstack::{Context, Toolstack};
use crate::transfer::{Failed, Work};

/// How long a client may pause in the middle.
const PAUSE: Duration = Duration::from_secs(120);
/// How often somebody who waits for the client looks whether the task is to stop.
const LOOK: Duration = Duration::from_millis(500);
/// Pieces on their way between network and disk.
pub(super) const UNDER_WAY: usize = 8;
/// Bytes of a piece on its way to the client.
const PIECE: usize = 256 << 10;

/// The status of an answer that tells of an error.
pub(super) fn refusal(error: &ApiError) -> Response<Body> {
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

/// Waits for the client, but not for ever, nor when the task is to stop.
pub(super) fn wait<F: Future>(cancel: &Cancel, future: F) -> io::Result<F::Output> {
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

/// What writes an answer.
type Give = dyn FnOnce(&mut Work, &mut (dyn Write + Send)) -> Result<(), Failed> + Send;

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
        let cancel = begin(&mut entered.context, &query, label)?.cancel;
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
