// SPDX-License-Identifier: MIT OR Apache-2.0
//! `GET /blob` and `PUT /blob`: the data of a blob, named by `uuid` or `ref`.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING};
use hyper::{Request, Response, StatusCode};
use tempfile::NamedTempFile;
use uuid::Uuid;
use xapi_model::{DateTime, Ref, errors, http};

use super::request::{Query, session};
use super::{Body, Visit, answer, refuse};
use crate::blobs::BIGGEST;
use crate::copy::CHUNK;
use crate::patience::within;
use crate::toolstack::Toolstack;

/// How long a client may pause in the middle.
const PAUSE: Duration = Duration::from_secs(60);
/// Pieces on their way to a client.
const UNDER_WAY: usize = 4;

/// A blob that a request is about.
struct Named {
    reference: Ref,
    uuid: Uuid,
    kind: String,
    public: bool,
}

fn named(toolstack: &Toolstack, query: &Query) -> Option<Named> {
    let name = query.get("uuid").or(query.get("ref")).unwrap_or_default();
    toolstack.store.read(|objects| {
        let by_reference = objects.get("blob", &Ref::new(name)).ok();
        let blob = by_reference.or_else(|| objects.by_uuid("blob", name))?;
        Some(Named {
            reference: blob.reference().clone(),
            uuid: Uuid::parse_str(blob.uuid()).ok()?,
            kind: blob.text("mime_type").to_owned(),
            public: blob.bool("public"),
        })
    })
}

fn unknown() -> Response<Body> {
    refuse(StatusCode::NOT_FOUND, "no blob has this uuid or reference")
}

fn failed(doing: &str, error: impl std::fmt::Display) -> Response<Body> {
    let error = errors::INTERNAL_ERROR.with([format!("{doing}: {error}")]);
    refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// Answers with the data of a blob.
pub(super) async fn get(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    let query = Query::of(&request);
    let blob = named(toolstack, &query);
    let public = blob.as_ref().is_some_and(|blob| blob.public);
    let entered = session(toolstack, visit, &request, &query, http::GET_BLOB);
    // Who names a task has a session, and nobody else needs one for what is public.
    let entered = match public && query.get("task_id").is_none() {
        true => None,
        false => match entered.await {
            Ok(entered) => Some(entered),
            Err(_) if public => None,
            Err(refused) => return *refused,
        },
    };
    let response = match blob {
        Some(blob) => data(toolstack, blob).await,
        None => unknown(),
    };
    match entered {
        Some(entered) => entered.answer(&query, response),
        None => response,
    }
}

async fn data(toolstack: &Arc<Toolstack>, blob: Named) -> Response<Body> {
    let opening = {
        let (toolstack, uuid) = (toolstack.clone(), blob.uuid);
        tokio::task::spawn_blocking(move || {
            let file = toolstack.blobs.open(&uuid)?;
            let length = file.as_ref().map_or(Ok(0), |file| file.metadata().map(|m| m.len()))?;
            Ok::<_, std::io::Error>((file, length))
        })
    };
    let (file, length) = match opening.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return failed("opening a blob's data", error),
        Err(error) => return failed("opening a blob's data", error),
    };
    let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(UNDER_WAY);
    tokio::task::spawn_blocking(move || {
        let Some(file) = file else { return };
        let mut file = file.take(length);
        loop {
            let mut piece = Vec::new();
            match file.by_ref().take(CHUNK as u64).read_to_end(&mut piece) {
                Ok(0) => return,
                Ok(_) => {}
                // The length was promised, so the client notices that something is missing.
                Err(error) => return tracing::warn!(%error, "reading a blob's data"),
            }
            if !matches!(within(PAUSE, sender.send_data(piece.into())), Some(Ok(()))) {
                return;
            }
        }
    });
    let mut response = Response::new(body.boxed_unsync());
    let kind = HeaderValue::from_str(&blob.kind);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let unreadable = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, kind.unwrap_or(unreadable));
    response
}

/// Makes the body of the request the data of a blob.
pub(super) async fn put(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let query = Query::of(&request);
    let entered = match session(toolstack, visit, &request, &query, http::PUT_BLOB).await {
        Ok(entered) => entered,
        Err(refused) => return *refused,
    };
    let headers = request.headers();
    let told = [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| headers.contains_key(name));
    let response = match named(toolstack, &query) {
        None => unknown(),
        Some(_) if !told => {
            refuse(StatusCode::LENGTH_REQUIRED, "the request has no Content-Length")
        }
        Some(blob) => keep(toolstack, blob, &mut request).await,
    };
    entered.answer(&query, response)
}

async fn keep(
    toolstack: &Arc<Toolstack>,
    blob: Named,
    request: &mut Request<Incoming>,
) -> Response<Body> {
    let mut file = match toolstack.blobs.begin() {
        Ok(file) => file,
        Err(error) => return failed("making room for a blob's data", error),
    };
    let length = match receive(request.body_mut(), &mut file).await {
        Ok(length) => length,
        Err(refused) => return *refused,
    };
    let toolstack = toolstack.clone();
    let kept = tokio::task::spawn_blocking(move || {
        let kept = toolstack.blobs.keep(&blob.uuid, file);
        kept.map_err(|error| errors::INTERNAL_ERROR.with([format!("keeping data: {error}")]))?;
        toolstack.store.write(|t| {
            t.get("blob", &blob.reference)?;
            t.set(&blob.reference, "size", i64::try_from(length).unwrap_or(i64::MAX));
            t.set(&blob.reference, "last_updated", DateTime::now());
            Ok(())
        })
    });
    match kept.await {
        Ok(Ok(())) => answer(StatusCode::OK, "text/plain", ""),
        Ok(Err(error)) => failed("keeping a blob's data", error),
        Err(error) => failed("keeping a blob's data", error),
    }
}

/// Writes a body to a file and returns its length.
async fn receive(
    body: &mut Incoming,
    file: &mut NamedTempFile,
) -> Result<u64, Box<Response<Body>>> {
    let mut length = 0;
    loop {
        let frame = match tokio::time::timeout(PAUSE, body.frame()).await {
            Ok(None) => return Ok(length),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Err(Box::new(failed("receiving a blob", error))),
            Err(_) => {
                let text = "the client paused for too long";
                return Err(Box::new(refuse(StatusCode::REQUEST_TIMEOUT, text)));
            }
        };
        let Some(piece) = frame.data_ref() else { continue };
        length += piece.len() as u64;
        if length > BIGGEST {
            let text = format!("a blob has at most {BIGGEST} bytes");
            return Err(Box::new(refuse(StatusCode::PAYLOAD_TOO_LARGE, text)));
        }
        if let Err(error) = file.write_all(piece) {
            return Err(Box::new(failed("writing a blob's data", error)));
        }
    }
}
