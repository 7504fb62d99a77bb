// SPDX-License-Identifier: MIT OR Apache-2.0
//! `GET /rrd_updates`, `/host_rrd` and `/vm_rrd`: figures over time, as XML or, with `json=true`, as JSON.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use rrd::{Consolidation, Rrd, Wanted};
use uuid::Uuid;
use xapi_model::http::{self, Handler};

use super::request::{Query, session};
use super::{Body, Visit, answer, refuse};
use crate::metrics::Owner;
use crate::toolstack::Toolstack;

/// A document, or why there is none.
type Made = Result<String, (StatusCode, String)>;

/// Answers with what `make` makes of the query and whether JSON is wanted.
async fn document(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
    handler: Handler,
    make: fn(&Toolstack, &Query, bool) -> Made,
) -> Response<Body> {
    let query = Query::of(&request);
    // Kept until the end: a session that was opened for this request goes with it.
    let entered = match session(toolstack, visit, &request, &query, handler).await {
        Ok(entered) => entered,
        Err(refused) => return *refused,
    };
    // XAPI looks at no value, but nobody writes `json=false` who wants it.
    let json = query.get("json").is_some_and(|value| value != "false");
    let making = tokio::task::spawn_blocking(move || {
        let response = match make(&entered.context.toolstack, &query, json) {
            Ok(text) => {
                let content_type = if json { "application/json" } else { "text/xml" };
                answer(StatusCode::OK, content_type, text)
            }
            Err((status, why)) => refuse(status, why),
        };
        entered.answer(&query, response)
    });
    match making.await {
        Ok(response) => response,
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Rows since `start`, of rows of `interval` seconds at least, of one consolidation (`cf`) or all: of
/// all VMs that run or the one `vm_uuid`, and with `host=true` of the host.
pub(super) async fn updates(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    document(toolstack, visit, request, http::RRD_UPDATES, |toolstack, query, json| {
        let number = |name: &str| match query.get(name) {
            None => Ok(None),
            Some(text) => text.parse::<i64>().map(Some).map_err(|_| {
                (StatusCode::BAD_REQUEST, format!("{name}={text} is no number of seconds"))
            }),
        };
        let missing = || (StatusCode::BAD_REQUEST, "start is missing".to_owned());
        let wanted = Wanted {
            start: number("start")?.ok_or_else(missing)?,
            interval: number("interval")?.unwrap_or(0),
            consolidation: query.get("cf").and_then(Consolidation::named),
        };
        let host = query.get("host") == Some("true");
        let fits: Box<dyn Fn(&Uuid) -> bool> = match query.get("vm_uuid") {
            None | Some("all") => Box::new(|_| true),
            Some(uuid) => {
                // Also `none`.
                let wanted = Uuid::parse_str(uuid).ok();
                Box::new(move |vm| Some(*vm) == wanted)
            }
        };
        let updates = toolstack.metrics.updates(host, fits, wanted);
        Ok(if json { updates.json() } else { updates.xml() })
    })
    .await
}

fn whole(rrd: Option<Rrd>, json: bool) -> Made {
    let none = || (StatusCode::NOT_FOUND, "there are no figures of it".to_owned());
    let rrd = rrd.ok_or_else(none)?;
    Ok(if json { rrd.json() } else { rrd.xml() })
}

/// All that is known of the host.
pub(super) async fn host(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    document(toolstack, visit, request, http::HOST_RRD, |toolstack, _, json| {
        whole(toolstack.metrics.database(Owner::Host), json)
    })
    .await
}

/// All that is known of a VM that runs or ran.
pub(super) async fn vm(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    document(toolstack, visit, request, http::VM_RRD, |toolstack, query, json| {
        let uuid = query.get("uuid").unwrap_or_default();
        let known = toolstack.store.read(|objects| {
            let vm = objects.by_uuid("VM", uuid)?;
            Uuid::parse_str(vm.uuid()).ok()
        });
        whole(known.and_then(|uuid| toolstack.metrics.database(Owner::Vm(uuid))), json)
    })
    .await
}
