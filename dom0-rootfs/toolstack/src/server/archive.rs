// SPDX-License-Identifier: MIT OR Apache-2.0
//! `GET /export`, `PUT /import` and the same of metadata alone: whole VMs as XVA archives.

use std::sync::Arc;

use disk_format::compression::Compression;
use hyper::body::Incoming;
use hyper::{Request, Response};
use xapi_model::{ApiError, Ref, Type, errors, http};

use super::request::Query;
use super::transfer::{Prepared, give, named};
use super::upload::{Taking, take};
use super::{Body, Visit};
use crate::store::{Object, Objects};
use crate::toolstack::Toolstack;
use crate::transfer::export::{Export, compression};
use crate::transfer::import::{Wish, import as import_archive};
use crate::vdis;

/// A parameter that is `true` or `false`, and false when it is left out.
fn flag(query: &Query, name: &str) -> Result<bool, ApiError> {
    match query.get(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(errors::INVALID_VALUE.with([name, other])),
    }
}

/// The VM that `ref` or `uuid` names.
fn vm(objects: &Objects, query: &Query) -> Result<Ref, ApiError> {
    let name = query.get("ref").or(query.get("uuid")).unwrap_or_default();
    named(objects, "VM", name)
}

/// Answers with a VM and its disks.
pub(super) async fn export(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    let what = (http::EXPORT, "VM.export");
    give(toolstack, visit, request, what, |context, query| {
        let compression = compression(query.get("use_compression"))?;
        let vm = context.store().read(|objects| vm(objects, query))?;
        let export = Export::of_vm(context, &vm)?;
        Ok(Prepared {
            length: None,
            write: Box::new(move |work, sink| export.write(work, compression, sink)),
        })
    })
    .await
}

/// Answers with the description of a VM, or of all.
pub(super) async fn export_metadata(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    let what = (http::EXPORT_METADATA, "VM.export_metadata");
    give(toolstack, visit, request, what, |context, query| {
        let vms = context.store().read(|objects| {
            if !flag(query, "all")? {
                return vm(objects, query).map(|vm| vec![vm]);
            }
            let own = |vm: &&Object| {
                ["is_control_domain", "is_default_template", "is_a_snapshot"]
                    .iter()
                    .all(|field| !vm.bool(field))
            };
            Ok(objects.all("VM").filter(own).map(|vm| vm.reference().clone()).collect())
        })?;
        let export = Export::metadata(context, &vms)?;
        Ok(Prepared {
            length: None,
            write: Box::new(move |work, sink| export.write(work, Compression::None, sink)),
        })
    })
    .await
}

/// Makes VMs of what comes.
pub(super) async fn import(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    let taking = Taking {
        handler: http::IMPORT,
        label: "VM.import",
        result: Type::Set(&Type::Ref("VM")),
        prepare: |context, query| {
            let sr = context.store().read(|objects| {
                match query.get("sr_id").or(query.get("sr_uuid")) {
                    Some(name) => named(objects, "SR", name),
                    None => objects
                        .all("pool")
                        .next()
                        .map(|pool| pool.to("default_SR"))
                        .filter(|sr| objects.find(sr).is_some())
                        .ok_or_else(|| errors::HANDLE_INVALID.with(["SR", "the default SR"])),
                }
            })?;
            vdis::attached_sr(&context.toolstack, &sr)?;
            wish(query, Some(sr))
        },
        work: |work, wish, body, end| import_archive(work, wish, body, end),
    };
    take(toolstack, visit, request, taking).await
}

/// Makes VMs of descriptions, with disks that are here.
pub(super) async fn import_metadata(
    toolstack: &Arc<Toolstack>,
    visit: &Visit,
    request: Request<Incoming>,
) -> Response<Body> {
    let taking = Taking {
        handler: http::IMPORT_METADATA,
        label: "VM.import_metadata",
        result: Type::Set(&Type::Ref("VM")),
        prepare: |_, query| wish(query, None),
        work: |work, wish, body, end| import_archive(work, wish, body, end),
    };
    take(toolstack, visit, request, taking).await
}

fn wish(query: &Query, sr: Option<Ref>) -> Result<Wish, ApiError> {
    Ok(Wish { sr, restore: flag(query, "restore")?, force: flag(query, "force")? })
}
