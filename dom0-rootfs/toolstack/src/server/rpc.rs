// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls over HTTP.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::USER_AGENT;
use hyper::{Request, Response, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinError;
use xapi_model::{Call, Ref, Reply, Value, jsonrpc, xmlrpc};

use super::{Body, Visit, answer, refuse};
use crate::dispatch;
use crate::toolstack::Toolstack;

/// Biggest call in bytes.
const BIGGEST: usize = 8 << 20;
/// Biggest call in bytes that needs no turn: as many as there may be connections must fit into Dom0.
const SMALL: usize = 16 << 10;
/// Bigger ones at a time of those who name a session, and of all others, who only keep each other
/// waiting.
static BIG: Semaphore = Semaphore::const_new(4);
static BIG_STRANGE: Semaphore = Semaphore::const_new(2);
/// Entries up to which an answer is written at once.
const SHORT: usize = 32;
/// How long a client may take to send a call.
const SLOWEST: Duration = Duration::from_secs(60);

/// How references begin, followed by a uuid of so many characters; and how many are looked at.
const REFERENCE: &str = "OpaqueRef:";
const UUID: usize = 36;
const REFERENCES: usize = 8;

/// How a call is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// XML-RPC.
    Xml,
    /// JSON-RPC.
    Json,
}

/// The body of a call, and the turn that a big one has taken.
async fn collect(
    toolstack: &Toolstack,
    mut body: Incoming,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'static>>), String> {
    let too_big = || format!("a call has at most {BIGGEST} bytes");
    if body.size_hint().lower() > BIGGEST as u64 {
        return Err(too_big());
    }
    let (mut bytes, mut turn) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        let Some(piece) = frame.data_ref() else { continue };
        let length = bytes.len() + piece.len();
        if length > BIGGEST {
            return Err(too_big());
        }
        if length > SMALL && turn.is_none() {
            let known = names_session(toolstack, &bytes) || names_session(toolstack, piece);
            let turns = if known { &BIG } else { &BIG_STRANGE };
            turn = Some(turns.acquire().await.map_err(|error| error.to_string())?);
        }
        bytes.extend_from_slice(piece);
    }
    Ok((bytes, turn))
}

/// Whether the beginning of a call names a session: it is a call's first parameter.
fn names_session(toolstack: &Toolstack, beginning: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&beginning[..beginning.len().min(SMALL)]);
    let mut references = text.match_indices(REFERENCE).take(REFERENCES);
    references.any(|(at, _)| {
        let reference = text.get(at..at + REFERENCE.len() + UUID);
        reference.is_some_and(|reference| toolstack.sessions.look(&Ref::new(reference)).is_some())
    })
}

/// A call that names a session, or has got one, is no stranger's; tells whether it is so.
fn welcome(toolstack: &Toolstack, visit: &Visit, session: &Value) -> bool {
    let session = session.as_ref().cloned().unwrap_or_else(|| Ref::new(&session.text()));
    let known = toolstack.sessions.look(&session).is_some();
    if known {
        visit.known(&toolstack.arrivals);
    }
    known
}

async fn answered(toolstack: &Arc<Toolstack>, visit: &Visit, agent: &str, call: Call) -> Reply {
    if let Some(session) = call.params.first()
        && welcome(toolstack, visit, session)
    {
        // Strangers could fill the list.
        toolstack.user_agents.note(agent);
    }
    let reply = dispatch::call(toolstack, visit.peer(), call).await;
    if let Ok(session @ (Value::Ref(_) | Value::String(_))) = &reply {
        welcome(toolstack, visit, session);
    }
    reply
}

/// Entries of a value and of the sets in it, of which `event.from` has one.
fn entries(value: &Value) -> usize {
    match value {
        Value::Set(items) => items.len(),
        Value::Map(all) => all.values().map(|item| 1 + item.as_set().map_or(0, <[_]>::len)).sum(),
        _ => 0,
    }
}

/// Writes an answer; a long one where it keeps nobody else waiting.
async fn written(
    reply: Reply,
    write: impl FnOnce(&Reply) -> String + Send + 'static,
) -> Result<String, JoinError> {
    if reply.as_ref().map_or(0, entries) <= SHORT {
        return Ok(write(&reply));
    }
    tokio::task::spawn_blocking(move || write(&reply)).await
}

/// Answers a call. Clients compare the content type as a whole, so nothing is added to it.
pub(super) async fn answer_call(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
    wire: Wire,
) -> Response<Body> {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let agent = agent.unwrap_or_default().to_owned();
    let collected = tokio::time::timeout(SLOWEST, collect(toolstack, request.into_body())).await;
    let (body, turn) = match collected {
        Ok(Ok(collected)) => collected,
        Ok(Err(problem)) => return refuse(StatusCode::PAYLOAD_TOO_LARGE, problem),
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the call did not arrive in time"),
    };
    let text = std::str::from_utf8(&body).map_err(|error| error.to_string());
    let (content_type, text) = match wire {
        Wire::Xml => {
            let call = text.and_then(|t| xmlrpc::decode_call(t).map_err(|e| e.to_string()));
            drop(turn);
            let text = match call {
                Ok(call) => {
                    let reply = answered(toolstack, visit, &agent, call).await;
                    written(reply, xmlrpc::encode_reply).await
                }
                Err(problem) => Ok(xmlrpc::encode_fault(-32700, &problem)),
            };
            ("text/xml", text)
        }
        Wire::Json => {
            let call = text.and_then(|t| jsonrpc::decode_call(t).map_err(|e| e.to_string()));
            drop(turn);
            let text = match call {
                Ok((call, envelope)) => {
                    let reply = answered(toolstack, visit, &agent, call).await;
                    written(reply, move |reply| jsonrpc::encode_reply(&envelope, reply)).await
                }
                Err(problem) => Ok(jsonrpc::encode_fault(&problem)),
            };
            ("application/json", text)
        }
    };
    match text {
        Ok(text) => answer(StatusCode::OK, content_type, text),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
