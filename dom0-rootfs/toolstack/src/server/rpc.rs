// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls over HTTP.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use xapi_model::{jsonrpc, xmlrpc};

use super::{Body, answer, refuse};
use crate::dispatch;
use crate::toolstack::{Peer, Toolstack};

/// Biggest call in bytes.
const BIGGEST: usize = 8 << 20;
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

/// Answers a call. Clients compare the content type as a whole, so nothing is added to it.
pub(super) async fn answer_call(
    toolstack: &Arc<Toolstack>,
    peer: &Peer,
    request: Request<Incoming>,
    wire: Wire,
) -> Response<Body> {
    let body = Limited::new(request.into_body(), BIGGEST).collect();
    let body = match tokio::time::timeout(SLOWEST, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return refuse(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the call did not arrive in time"),
    };
    let text = std::str::from_utf8(&body).map_err(|error| error.to_string());
    match wire {
        Wire::Xml => {
            let call = text.and_then(|t| xmlrpc::decode_call(t).map_err(|e| e.to_string()));
            let text = match call {
                Ok(call) => xmlrpc::encode_reply(&dispatch::call(toolstack, peer, call).await),
                Err(problem) => xmlrpc::encode_fault(-32700, &problem),
            };
            answer(StatusCode::OK, "text/xml", text)
        }
        Wire::Json => {
            let call = text.and_then(|t| jsonrpc::decode_call(t).map_err(|e| e.to_string()));
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
