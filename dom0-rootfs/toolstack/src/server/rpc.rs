// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls over HTTP.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};
use xapi_model::{jsonrpc, xmlrpc};

use super::{Body, answer, refuse};
use crate::dispatch;
use crate::toolstack::{Peer, Toolstack};

/// Biggest call in bytes.
const BIGGEST: usize = 8 << 20;
/// Biggest call in bytes that needs no turn: as many as there may be connections must fit into Dom0.
const SMALL: usize = 16 << 10;
/// Bigger ones at a time.
static BIG: Semaphore = Semaphore::const_new(4);
/// How long a client may take to send a call.
const SLOWEST: Duration = Duration::from_secs(60);

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
    mut body: Incoming,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'static>>), String> {
    let (mut bytes, mut turn) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        let Some(piece) = frame.data_ref() else { continue };
        let length = bytes.len() + piece.len();
        if length > BIGGEST {
            return Err(format!("a call has at most {BIGGEST} bytes"));
        }
        if length > SMALL && turn.is_none() {
            turn = Some(BIG.acquire().await.map_err(|error| error.to_string())?);
        }
        bytes.extend_from_slice(piece);
    }
    Ok((bytes, turn))
}

/// Answers a call. Clients compare the content type as a whole, so nothing is added to it.
pub(super) async fn answer_call(
    toolstack: &Arc<Toolstack>,
    peer: &Peer,
    request: Request<Incoming>,
    wire: Wire,
) -> Response<Body> {
    let collected = tokio::time::timeout(SLOWEST, collect(request.into_body())).await;
    let (body, turn) = match collected {
        Ok(Ok(collected)) => collected,
        Ok(Err(problem)) => return refuse(StatusCode::PAYLOAD_TOO_LARGE, problem),
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the call did not arrive in time"),
    };
    let text = std::str::from_utf8(&body).map_err(|error| error.to_string());
    match wire {
        Wire::Xml => {
            let call = text.and_then(|t| xmlrpc::decode_call(t).map_err(|e| e.to_string()));
            drop(turn);
            let text = match call {
                Ok(call) => xmlrpc::encode_reply(&dispatch::call(toolstack, peer, call).await),
                Err(problem) => xmlrpc::encode_fault(-32700, &problem),
            };
            answer(StatusCode::OK, "text/xml", text)
        }
        Wire::Json => {
            let call = text.and_then(|t| jsonrpc::decode_call(t).map_err(|e| e.to_string()));
            drop(turn);
            let text = match call {
                Ok((call, envelope)) => {
                    let reply = dispatch::call(toolstack, peer, call).await;
                    jsonrpc::encode_reply(&envelope, &reply)
                }
                Err(problem) => jsonrpc::encode_fault(&problem),
            };
            answer(StatusCode::OK, "application/json", text)
        }
    }
}
