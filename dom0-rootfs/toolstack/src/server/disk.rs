// SPDX-License-Identifier: MIT OR Apache-2.0
//! `PUT /import_raw_vdi` and `GET /export_raw_vdi`: the contents of a VDI, as they are.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use storage::Mode;
use tokio::sync::mpsc;
use xapi_model::{ApiError, Ref, Reply, Role, Type, Value, errors};

use super::request::{Query, session};
use super::{Body, Visit, answer, refuse};
use crate::copy::{CHUNK, Writer};
use crate::patience::within;
use crate::task;
use crate::toolstack::{Context, Toolstack};
use crate::vdis::Opened;

/// How long a client may pause in the middle.
const PAUSE: Duration = Duration::from_secs(120);
/// Pieces on their way between network and disk.
const UNDER_WAY: usize = 8;
/// What is read of a body that nobody wants, in bytes and time.
const UNWANTED: usize = 64 << 20;
const UNWANTED_TIME: Duration = Duration::from_secs(10);

/// Contents come: the client's, or what went wrong with it.
type Piece = Result<Bytes, String>;

/// The VDI that a query names by reference or uuid, in a format that is understood.
fn vdi(context: &Context, query: &Query) -> Result<Ref, Box<Response<Body>>> {
    let format = query.get("format").unwrap_or("raw");
    if format != "raw" {
        let text = format!("the format {format} is not known, only raw");
        return Err(Box::new(refuse(StatusCode::BAD_REQUEST, text)));
    }
    let named = query.get("vdi").unwrap_or_default();
    let found = context.store().read(|objects| {
        let by_reference = objects.get("VDI", &Ref::new(named)).ok();
        let vdi = by_reference.or_else(|| objects.by_uuid("VDI", named));
        vdi.map(|vdi| vdi.reference().clone())
    });
    found.ok_or_else(|| {
        let error = errors::HANDLE_INVALID.with(["VDI", named]);
        Box::new(refuse(StatusCode::NOT_FOUND, error.to_string()))
    })
}

/// Ends the client's task that the query names, as the work ended. Any other is left alone.
fn finish(context: &Context, query: &Query, reply: &Reply) {
    let Some(named) = query.get("task_id") else { return };
    let found = context.store().read(|objects| {
        let by_reference = objects.get("task", &Ref::new(named)).ok();
        let task = by_reference.or_else(|| objects.by_uuid("task", named));
        let own = task.filter(|task| !task::is_servers(task) && task.text("status") == "pending");
        own.map(|task| task.reference().clone())
    });
    if let Some(task) = found {
        let cancels = &context.toolstack.cancels;
        task::finish(context.store(), cancels, &task, &Type::Void, reply);
    }
}

fn failed(error: &ApiError) -> Response<Body> {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// Writes the body of the request to a VDI.
pub(super) async fn import(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let response = import_body(toolstack, visit, &mut request).await;
    if !response.status().is_success() {
        // Closed with something unread, the connection would be reset, and most clients send all
        // before they look for an answer: the reason would be lost.
        let all = tokio::time::timeout(UNWANTED_TIME, discard(request.body_mut())).await;
        tracing::debug!(all = all.is_ok(), "refused an import");
    }
    response
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

async fn import_body(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: &mut Request<Incoming>,
) -> Response<Body> {
    let query = Query::of(request);
    let context = match session(toolstack, visit, request, &query, Role::VmAdmin) {
        Ok(context) => context,
        Err(refused) => return *refused,
    };
    let vdi = match vdi(&context, &query) {
        Ok(vdi) => vdi,
        Err(refused) => return *refused,
    };
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    let writing = {
        let context = context.clone();
        tokio::task::spawn_blocking(move || write(&context, &vdi, receiver))
    };
    receive(request.body_mut(), sender).await;
    let reply = match writing.await {
        Ok(reply) => reply,
        Err(error) => Err(errors::INTERNAL_ERROR.with([error.to_string()])),
    };
    let ended = reply.clone();
    let told = tokio::task::spawn_blocking(move || finish(&context, &query, &ended));
    if let Err(error) = told.await {
        tracing::error!(%error, "ending the task of an import");
    }
    match reply {
        Ok(_) => answer(StatusCode::OK, "text/plain", ""),
        Err(error) => failed(&error),
    }
}

/// Passes the body on, piece by piece, until it ends or nobody listens.
async fn receive(body: &mut Incoming, sender: mpsc::Sender<Piece>) {
    loop {
        let piece = match tokio::time::timeout(PAUSE, body.frame()).await {
            Ok(None) => return,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) => Ok(bytes),
                Err(_trailers) => continue,
            },
            Ok(Some(Err(error))) => Err(error.to_string()),
            Err(_) => Err("the client paused for too long".to_owned()),
        };
        let last = piece.is_err();
        if sender.send(piece).await.is_err() || last {
            return;
        }
    }
}

fn write(context: &Context, vdi: &Ref, mut pieces: mpsc::Receiver<Piece>) -> Reply {
    let backend = |text: String| errors::SR_BACKEND_FAILURE.with(["", "", &text]);
    if context.toolstack.look("VDI", vdi, |vdi, _| vdi.bool("read_only"))? {
        return Err(errors::VDI_READONLY.with([vdi.as_str()]));
    }
    let opened = Opened::new(&context.toolstack, vdi, Mode::ReadWrite)?;
    let open = Writer::open(&opened.path, opened.size);
    let mut writer = open.map_err(|e| backend(format!("opening the VDI: {e}")))?;
    while let Some(piece) = pieces.blocking_recv() {
        let bytes = piece.map_err(|e| backend(format!("receiving: {e}")))?;
        if writer.position() + bytes.len() as u64 > opened.size {
            return Err(errors::VDI_TOO_SMALL.with([vdi.to_string(), opened.size.to_string()]));
        }
        writer.write(&bytes).map_err(|e| backend(format!("writing: {e}")))?;
    }
    writer.finish().map_err(|e| backend(format!("writing: {e}")))?;
    Ok(Value::Void)
}

/// Answers with the contents of a VDI.
pub(super) async fn export(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    let query = Query::of(&request);
    let context = match session(toolstack, visit, &request, &query, Role::VmAdmin) {
        Ok(context) => context,
        Err(refused) => return *refused,
    };
    let vdi = match vdi(&context, &query) {
        Ok(vdi) => vdi,
        Err(refused) => return *refused,
    };
    let opening = {
        let toolstack = context.toolstack.clone();
        tokio::task::spawn_blocking(move || {
            let opened = Opened::new(&toolstack, &vdi, Mode::ReadOnly)?;
            let file = File::open(&opened.path).map_err(|error| {
                errors::SR_BACKEND_FAILURE.with(["", "", &format!("opening the VDI: {error}")])
            })?;
            Ok((opened, file))
        })
    };
    let (opened, file) = match opening.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return failed(&error),
        Err(error) => return failed(&errors::INTERNAL_ERROR.with([error.to_string()])),
    };
    let length = opened.size;
    let (mut sender, body) = Channel::<Bytes, hyper::Error>::new(UNDER_WAY);
    tokio::task::spawn_blocking(move || {
        let mut at = 0;
        let read = loop {
            let left = usize::try_from(opened.size - at).unwrap_or(CHUNK).min(CHUNK);
            if left == 0 {
                break Ok(Value::Void);
            }
            let mut piece = vec![0; left];
            if let Err(error) = file.read_exact_at(&mut piece, at) {
                let text = format!("reading: {error}");
                break Err(errors::SR_BACKEND_FAILURE.with(["", "", &text]));
            }
            at += left as u64;
            let sent = within(PAUSE, sender.send_data(piece.into()));
            if !matches!(sent, Some(Ok(()))) {
                let text = "the client did not take everything";
                break Err(errors::SR_BACKEND_FAILURE.with(["", "", text]));
            }
        };
        if let Err(error) = &read {
            // The length was promised, so the client notices that something is missing.
            tracing::warn!(%error, "exporting a VDI");
        }
        finish(&context, &query, &read);
    });
    let mut response = Response::new(body.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}
