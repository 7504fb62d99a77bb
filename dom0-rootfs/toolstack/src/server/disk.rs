// SPDX-License-Identifier: MIT OR Apache-2.0
//! `PUT /import_raw_vdi` and `GET /export_raw_vdi`: the contents of a VDI.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use xapi_model::{ApiError, Ref, Type, Value, errors, http};

use super::request::Query;
use super::transfer::{Prepared, Taking, give, named, take};
use super::{Body, Visit};
use crate::toolstack::{Context, Toolstack};
use crate::transfer::disk::{self, Format, Reading};

/// The VDI that a query names, and the format of its contents.
fn asked(context: &Context, query: &Query) -> Result<(Ref, Format), ApiError> {
    let format = Format::of(query.get("format").unwrap_or("raw"))?;
    if let Some(base) = query.get("base") {
        let reason = "contents are always whole";
        return Err(errors::VALUE_NOT_SUPPORTED.with(["base", base, reason]));
    }
    let name = query.get("vdi").unwrap_or_default();
    let vdi = context.store().read(|objects| named(objects, "VDI", name))?;
    Ok((vdi, format))
}

/// Writes the body of the request to a VDI.
pub(super) async fn import(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    let taking = Taking {
        handler: http::IMPORT_RAW_VDI,
        label: "Importing raw VDI",
        result: Type::Void,
        prepare: asked,
        work: |work, (vdi, format), body, length| {
            disk::import(work, &vdi, format, body, length).map(|()| Value::Void)
        },
    };
    take(toolstack, visit, request, taking).await
}

/// Answers with the contents of a VDI.
pub(super) async fn export(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    let what = (http::EXPORT_RAW_VDI, "Exporting raw VDI");
    give(toolstack, visit, request, what, |context, query| {
        let (vdi, format) = asked(context, query)?;
        let reading = Reading::new(context, &vdi)?;
        reading.fits(format).map_err(|error| error.0)?;
        Ok(Prepared {
            length: reading.length(format),
            write: Box::new(move |work, sink| disk::export(work, &reading, format, sink)),
        })
    })
    .await
}
