// SPDX-License-Identifier: MIT OR Apache-2.0
//! `PBD`.

use std::sync::PoisonError;

use storage::StorageError;
use xapi_model::{ApiError, Ref, Reply, Value, classes, errors};

use super::{Entry, sr};
use crate::failure;
use crate::toolstack::{Args, Context};
use crate::vdis;

pub(super) const HANDLERS: &[Entry] = &[
    ("PBD.create", create),
    ("PBD.destroy", destroy),
    ("PBD.plug", |context, args| plug(context, &args.to("self")).map(|()| Value::Void)),
    ("PBD.unplug", |context, args| unplug(context, &args.to("self")).map(|()| Value::Void)),
];

fn create(context: &Context, args: &Args<'_>) -> Reply {
    let record = args.get("args").as_map().cloned().unwrap_or_default();
    let reference =
        |name: &str| record.get(name).and_then(Value::as_ref).cloned().unwrap_or_else(Ref::null);
    let (host, sr) = (reference("host"), reference("SR"));
    context.store().write(|t| {
        t.get("host", &host)?;
        let pbds = t.get("SR", &sr)?.refs("PBDs");
        let same =
            pbds.iter().find(|pbd| t.objects().find(pbd).is_some_and(|pbd| pbd.to("host") == host));
        if let Some(pbd) = same {
            return Err(errors::PBD_EXISTS.with([&sr, &host, pbd]));
        }
        let fields = ["host", "SR", "device_config", "other_config"];
        let given = fields.into_iter().filter_map(|f| Some((f, record.get(f)?.clone())));
        Ok(t.create(&classes::PBD, given.collect()).into())
    })
}

fn destroy(context: &Context, args: &Args<'_>) -> Reply {
    let pbd = args.to("self");
    context
        .store()
        .write(|t| {
            if t.get("PBD", &pbd)?.bool("currently_attached") {
                return Err(errors::OPERATION_NOT_ALLOWED.with(["the PBD is attached"]));
            }
            t.remove(&pbd);
            Ok(Value::Void)
        })
        .inspect(|_| context.toolstack.waiting_pbds.forget(&pbd))
}

/// Makes an SR usable on this host.
pub fn plug(context: &Context, pbd: &Ref) -> Result<(), ApiError> {
    let toolstack = &context.toolstack;
    let sr = toolstack.look("PBD", pbd, |pbd, _| pbd.to("SR"))?;
    let lock = toolstack.lock_of(&sr);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    if toolstack.look("PBD", pbd, |pbd, _| pbd.bool("currently_attached"))? {
        return Ok(());
    }
    let open = vdis::sr(toolstack, &sr)?;
    open.driver.attach(&open.spec).map_err(|e| failure::storage(&e, &sr, None))?;
    record(context, pbd, true).inspect_err(|_| took_back(open.driver.detach(&open.spec), &sr))?;
    sr::scan(toolstack, &sr)
}

/// The reverse.
fn unplug(context: &Context, pbd: &Ref) -> Result<(), ApiError> {
    let toolstack = &context.toolstack;
    let sr = toolstack.look("PBD", pbd, |pbd, _| pbd.to("SR"))?;
    let lock = toolstack.lock_of(&sr);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    toolstack.waiting_pbds.forget(pbd);
    if !toolstack.look("PBD", pbd, |pbd, _| pbd.bool("currently_attached"))? {
        return Ok(());
    }
    let vdis = toolstack.look("SR", &sr, |sr, _| sr.refs("VDIs"))?;
    if let Some(used) = vdis.iter().find(|vdi| toolstack.activations.in_use(vdi)) {
        return Err(errors::VDI_IN_USE.with([used.as_str(), "unplug"]));
    }
    let open = vdis::sr(toolstack, &sr)?;
    open.driver.detach(&open.spec).map_err(|e| failure::storage(&e, &sr, None))?;
    record(context, pbd, false).inspect_err(|_| took_back(open.driver.attach(&open.spec), &sr))
}

fn record(context: &Context, pbd: &Ref, attached: bool) -> Result<(), ApiError> {
    context.store().write(|t| {
        t.set(pbd, "currently_attached", attached);
        Ok(())
    })
}

fn took_back(done: Result<(), StorageError>, sr: &Ref) {
    if let Err(error) = done {
        tracing::error!(error = failure::chain(&error), %sr, "leaving an SR as it was");
    }
}
