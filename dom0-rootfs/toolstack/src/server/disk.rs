// SPDX-License-Identifier: MIT OR Apache-2.0
//! `PUT /import_raw_vdi` and `GET /export_raw_vdi`: the contents of a VDI.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use xapi_model::{ApiError, Ref, Type, Value, errors, http};

use super::request::Query;
use super::transfer::{Prepared, give, named};
use super::upload::{Taking, take};
use super::{Body, Visit};
use crate::toolstack::{Context, Toolstack};
use crate::transfer::disk::{self, Format, Reading};
use crate::transfer::intake::{self, Layout, Place};

/// The VDI that a query names.
fn vdi(context: &Context, name: &str) -> Result<Ref, ApiError> {
    context.store().read(|objects| named(objects, "VDI", name))
}

/// The format of the contents.
fn format(query: &Query) -> Result<Format, ApiError> {
    Format::of(query.get("format").unwrap_or("raw"))
}

/// The VDI that what goes out or comes is only the difference from.
fn base<'a>(query: &'a Query, refused: Option<&str>) -> Result<Option<&'a str>, ApiError> {
    match (query.get("base"), refused) {
        (Some(base), Some(why)) => Err(errors::VALUE_NOT_SUPPORTED.with(["base", base, why])),
        (base, _) => Ok(base),
    }
}

/// Where contents go that come, and how they are laid out.
fn wanted(context: &Context, query: &Query) -> Result<(Place, Layout), ApiError> {
    base(query, Some("what comes says by itself whether it is whole"))?;
    // XAPI looks at no value, but nobody writes `chunked=false` who wants it.
    let chunked = query.get("chunked").is_some_and(|value| value != "false");
    let layout = match (format(query)?, chunked) {
        (Format::Raw, false) => Layout::Raw,
        (Format::Raw, true) => Layout::Framed,
        (Format::Vhd | Format::FixedVhd, false) => Layout::Vhd,
        (Format::Qcow2, false) => Layout::Qcow2,
        (_, true) => {
            let reason = "only raw contents come in pieces";
            return Err(errors::VALUE_NOT_SUPPORTED.with(["chunked", "true", reason]));
        }
    };
    let sr = ["sr_id", "sr_uuid", "sr"].into_iter().find_map(|name| query.get(name));
    let place = match (query.get("vdi"), sr) {
        (None, Some(sr)) => Place::New(context.store().read(|objects| named(objects, "SR", sr))?),
        (name, _) => Place::Vdi(vdi(context, name.unwrap_or_default())?),
    };
    intake::check(context, &place)?;
    Ok((place, layout))
}

/// Writes the body of the request to a VDI, or to a new one of the SR that the query names instead.
pub(super) async fn import(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    let taking = Taking {
        handler: http::IMPORT_RAW_VDI,
        label: "Importing raw VDI",
        result: Type::Ref("VDI"),
        prepare: wanted,
        work: |work, (place, layout), body, end| {
            intake::import(work, place, layout, body, end).map(Value::Ref)
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
        let format = format(query)?;
        let whole = "only format=vhd has differences";
        let base = base(query, (format != Format::Vhd).then_some(whole))?;
        let open = |name: &str| Reading::new(context, &vdi(context, name)?);
        let reading = open(query.get("vdi").unwrap_or_default())?;
        reading.fits(format).map_err(|error| error.0)?;
        let base = base.map(open).transpose()?;
        Ok(Prepared {
            length: reading.length(format),
            write: Box::new(move |work, sink| {
                disk::export(work, &reading, format, base.as_ref(), sink)
            }),
        })
    })
    .await
}
