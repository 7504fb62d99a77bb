// SPDX-License-Identifier: MIT OR Apache-2.0
//! `GET /audit_log`: who did what, from `since` on.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use xapi_model::{DateTime, http};

use super::request::{Query, session};
use super::{Body, Visit, refuse};
use crate::audit::is_since;
use crate::patience::within;
use crate::toolstack::Toolstack;

/// How long a client may take for one piece.
const PAUSE: Duration = Duration::from_secs(60);
/// Bytes of a piece, and pieces on their way.
const PIECE: usize = 64 << 10;
const UNDER_WAY: usize = 4;

/// Answers with the lines of the log.
pub(super) async fn get(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    let query = Query::of(&request);
    let entered = match session(toolstack, visit, &request, &query, http::AUDIT_LOG).await {
        Ok(entered) => entered,
        Err(refused) => return *refused,
    };
    let response = lines(toolstack, &query);
    entered.answer(&query, response)
}

fn lines(toolstack: &Toolstack, query: &Query) -> Response<Body> {
    let since = match query.get("since").filter(|text| !text.is_empty()) {
        None => DateTime::EPOCH,
        Some(text) => match DateTime::parse(text) {
            Some(time) => time,
            None => {
                let text = format!("since={text} is no time; write 20240101T00:00:00Z");
                return refuse(StatusCode::BAD_REQUEST, text);
            }
        },
    };
    // Opened now: a file that gives way meanwhile is still read to its end.
    let files: Vec<File> =
        toolstack.audit.files().into_iter().filter_map(|path| File::open(path).ok()).collect();
    let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(UNDER_WAY);
    tokio::task::spawn_blocking(move || {
        let since = since.to_string();
        let mut piece = Vec::new();
        let lines = files.into_iter().flat_map(|file| BufReader::new(file).lines());
        for line in lines.map_while(Result::ok).filter(|line| is_since(line, &since)) {
            piece.extend_from_slice(line.as_bytes());
            piece.push(b'\n');
            if piece.len() >= PIECE {
                let full = std::mem::take(&mut piece);
                if !matches!(within(PAUSE, sender.send_data(full.into())), Some(Ok(()))) {
                    return;
                }
            }
        }
        // Nobody is told of a client that has gone.
        let _ = within(PAUSE, sender.send_data(piece.into()));
    });
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
