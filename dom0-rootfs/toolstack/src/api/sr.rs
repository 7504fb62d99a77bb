// SPDX-License-Identifier: MIT OR Apache-2.0
//! `SR`.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use quick_xml::escape::escape;
use storage::{Found, SrSpec, StorageError};
use uuid::Uuid;
use xapi_model::{ApiError, Ref, Reply, Value, classes, errors};

use super::{Entry, blob, pbd};
use crate::failure;
use crate::toolstack::{Args, Context, Toolstack};
use crate::unfinished::{self, repository, volume};
use crate::vdis;

pub(super) const HANDLERS: &[Entry] = &[
    ("SR.create", create),
    ("SR.introduce", introduce),
    ("SR.probe", probe),
    ("SR.set_shared", set_shared),
    ("SR.forget", forget),
    ("SR.destroy", destroy),
    ("SR.scan", |context, args| locked(context, args, scan)),
    ("SR.update", |context, args| locked(context, args, update)),
    ("SR.get_supported_types", |context, _| {
        Ok(Value::strings(context.toolstack.drivers.keys().copied()))
    }),
];

/// Fields of a new SR that come straight from the call.
fn fields(args: &Args<'_>) -> Vec<(&'static str, Value)> {
    ["name_label", "name_description", "type", "content_type", "shared", "sm_config"]
        .into_iter()
        .map(|name| (name, args.get(name).clone()))
        .collect()
}

fn create(context: &Context, args: &Args<'_>) -> Reply {
    let toolstack = &context.toolstack;
    let host = args.to("host");
    toolstack.look("host", &host, |_, _| ())?;
    let kind = args.text("type");
    let driver = toolstack.drivers.get(kind).cloned();
    let driver = driver.ok_or_else(|| errors::SR_UNKNOWN_DRIVER.with([kind]))?;
    let uuid = Uuid::new_v4();
    let spec = SrSpec { uuid, device_config: vdis::config(args.get("device_config")) };
    toolstack.store.write(|t| {
        repository::begin(t, kind, &spec);
        Ok(())
    })?;
    if let Err(error) = driver.create(&spec) {
        // Where it was refused there is nothing of it.
        match &error {
            StorageError::Config { .. }
            | StorageError::DeviceInUse { .. }
            | StorageError::NoAnswer(_) => {
                repository::forget(toolstack, uuid)?;
            }
            _ => repository::remove(toolstack, uuid),
        }
        return Err(failure::storage(&error, &Ref::null(), None));
    }
    let recorded = toolstack.store.write(|t| {
        let mut fields = fields(args);
        fields.push(("uuid", uuid.to_string().into()));
        let sr = t.create(&classes::SR, fields);
        let fields = vec![
            ("host", Value::Ref(host.clone())),
            ("SR", Value::from(&sr)),
            ("device_config", args.get("device_config").clone()),
        ];
        repository::finish(t, uuid);
        Ok((t.create(&classes::PBD, fields), sr))
    });
    let undo = |error: ApiError| {
        repository::remove(toolstack, uuid);
        error
    };
    let (pbd, sr) = recorded.map_err(undo)?;
    pbd::plug(context, &pbd).map_err(|error| {
        let forgotten = toolstack.store.write(|t| {
            t.remove(&pbd);
            t.remove(&sr);
            repository::begin(t, kind, &spec);
            Ok(())
        });
        match forgotten {
            Ok(()) => undo(error),
            // It stays, detached.
            Err(problem) => {
                tracing::error!(error = %problem, %uuid, "forgetting a half-made SR");
                error
            }
        }
    })?;
    Ok(sr.into())
}

fn set_shared(context: &Context, args: &Args<'_>) -> Reply {
    let (sr, shared) = (args.to("sr"), args.bool("value"));
    context.store().write(|t| {
        if !shared && t.get("SR", &sr)?.refs("PBDs").len() > 1 {
            return Err(errors::SR_HAS_MULTIPLE_PBDS.with([sr.as_str()]));
        }
        t.get("SR", &sr)?;
        t.set(&sr, "shared", shared);
        Ok(Value::Void)
    })
}

/// What XenServer's drivers print: XML with a list of SRs.
fn probe(context: &Context, args: &Args<'_>) -> Reply {
    let toolstack = &context.toolstack;
    toolstack.look("host", &args.to("host"), |_, _| ())?;
    let kind = args.text("type");
    let driver = toolstack.drivers.get(kind).cloned();
    let driver = driver.ok_or_else(|| errors::SR_UNKNOWN_DRIVER.with([kind]))?;
    let found = driver.probe(&vdis::config(args.get("device_config")));
    let found = found.map_err(|e| failure::storage(&e, &Ref::null(), None))?;
    let found = found.ok_or_else(|| errors::SR_OPERATION_NOT_SUPPORTED.with([kind]))?;
    Ok(srlist(&found).into())
}

fn srlist(found: &[Found]) -> String {
    let mut text = "<?xml version=\"1.0\" ?>\n<SRlist>\n".to_owned();
    for sr in found {
        text += "\t<SR>\n";
        let mut fact = |name: &str, value: &str| {
            let value = escape(value);
            text += &format!("\t\t<{name}>\n\t\t\t{value}\n\t\t</{name}>\n");
        };
        fact("UUID", &sr.uuid.to_string());
        if !sr.devices.is_empty() {
            fact("Devlist", &sr.devices.join(","));
        }
        if let Some(size) = sr.size {
            fact("size", &size.to_string());
        }
        text += "\t</SR>\n";
    }
    text + "</SRlist>\n"
}

fn introduce(context: &Context, args: &Args<'_>) -> Reply {
    let kind = args.text("type");
    if !context.toolstack.drivers.contains_key(kind) {
        return Err(errors::SR_UNKNOWN_DRIVER.with([kind]));
    }
    let uuid = vdis::parse_uuid(args.text("uuid"))?.to_string();
    context.store().write(|t| {
        if t.objects().by_uuid("SR", &uuid).is_some() {
            return Err(errors::SR_UUID_EXISTS.with([&uuid]));
        }
        let mut fields = fields(args);
        fields.push(("uuid", uuid.clone().into()));
        Ok(t.create(&classes::SR, fields).into())
    })
}

fn attached_pbd(context: &Context, sr: &Ref) -> Result<bool, ApiError> {
    context.toolstack.look("SR", sr, |sr, objects| {
        let pbds = sr.refs("PBDs");
        pbds.iter().filter_map(|p| objects.find(p)).any(|p| p.bool("currently_attached"))
    })
}

/// Forgets an SR with its VDIs and PBDs.
pub(crate) fn remove(toolstack: &Toolstack, sr: &Ref) -> Result<(), ApiError> {
    toolstack.store.write(|t| {
        let object = t.get("SR", sr)?;
        let (vdis, pbds) = (object.refs("VDIs"), object.refs("PBDs"));
        for vdi in &vdis {
            let vbds = t.get("VDI", vdi)?.refs("VBDs");
            for vbd in &vbds {
                t.remove(vbd);
            }
            t.remove(vdi);
        }
        for pbd in &pbds {
            t.remove(pbd);
        }
        let pools: Vec<Ref> = t.objects().all("pool").map(|p| p.reference().clone()).collect();
        for pool in &pools {
            for field in ["default_SR", "suspend_image_SR", "crash_dump_SR"] {
                if t.get("pool", pool)?.to(field) == *sr {
                    t.set(pool, field, Ref::null());
                }
            }
        }
        blob::remove_all(t, sr);
        if let Ok(uuid) = Uuid::parse_str(t.get("SR", sr)?.uuid()) {
            volume::forget(t, uuid);
            repository::finish(t, uuid);
        }
        t.remove(sr);
        Ok(())
    })
}

fn forget(context: &Context, args: &Args<'_>) -> Reply {
    let sr = args.to("sr");
    let lock = context.toolstack.lock_of(&sr);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    if attached_pbd(context, &sr)? {
        return Err(errors::SR_HAS_PBD.with([sr.as_str()]));
    }
    remove(&context.toolstack, &sr).map(|()| Value::Void)
}

fn destroy(context: &Context, args: &Args<'_>) -> Reply {
    let sr = args.to("sr");
    let lock = context.toolstack.lock_of(&sr);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    if attached_pbd(context, &sr)? {
        return Err(errors::SR_HAS_PBD.with([sr.as_str()]));
    }
    let (vdis, pbds) =
        context.toolstack.look("SR", &sr, |sr, _| (sr.refs("VDIs"), sr.refs("PBDs")))?;
    if !vdis.is_empty() {
        return Err(errors::SR_NOT_EMPTY.bare());
    }
    if pbds.is_empty() {
        // Without a PBD nothing says where it lies.
        return Err(errors::SR_HAS_NO_PBDS.with([sr.as_str()]));
    }
    let open = vdis::sr(&context.toolstack, &sr)?;
    // Whoever begins to remove it removes all of it, if need be at the next start of the daemon.
    context.store().write(|t| {
        repository::begin(t, open.driver.kind(), &open.spec);
        Ok(())
    })?;
    if let Err(error) = open.driver.destroy(&open.spec) {
        repository::forget(&context.toolstack, open.spec.uuid)?;
        return Err(failure::storage(&error, &sr, None));
    }
    let removed = remove(&context.toolstack, &sr);
    removed.inspect_err(|_| repository::try_again(&context.toolstack, open.spec.uuid))?;
    Ok(Value::Void)
}

fn locked(
    context: &Context,
    args: &Args<'_>,
    work: fn(&Toolstack, &Ref) -> Result<(), ApiError>,
) -> Reply {
    let sr = args.to("sr");
    vdis::reach(&context.toolstack, &sr)?;
    let lock = context.toolstack.lock_of(&sr);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    work(&context.toolstack, &sr).map(|()| Value::Void)
}

fn update(toolstack: &Toolstack, sr: &Ref) -> Result<(), ApiError> {
    vdis::refresh_sizes(toolstack, &vdis::attached_sr(toolstack, sr)?);
    Ok(())
}

/// Brings the VDI objects of an attached SR in line with what its driver finds: VDIs that are new
/// get an object, VDIs that are gone lose theirs, unless a VM still refers to them. What was made in vain
/// goes. The caller holds the SR's lock.
pub fn scan(toolstack: &Toolstack, sr: &Ref) -> Result<(), ApiError> {
    let open = vdis::attached_sr(toolstack, sr)?;
    volume::sweep(toolstack, &open);
    let found = open.driver.scan(&open.spec).map_err(|e| failure::storage(&e, sr, None))?;
    let mut found: BTreeMap<String, _> =
        found.into_iter().map(|info| (info.uuid.to_string(), info)).collect();
    toolstack.store.write(|t| {
        for volume in volume::noted(t.objects(), open.spec.uuid) {
            found.remove(&volume.to_string());
        }
        for vdi in t.get("SR", sr)?.refs("VDIs") {
            let object = t.get("VDI", &vdi)?;
            match found.remove(object.uuid()) {
                Some(info) => {
                    vdis::record_info(t, &vdi, &info);
                    t.set(&vdi, "missing", false);
                }
                None if object.refs("VBDs").is_empty() => {
                    t.remove(&vdi);
                    unfinished::finish(t, &vdi);
                }
                None => t.set(&vdi, "missing", true),
            }
        }
        for (uuid, info) in &found {
            let mut fields = vec![
                ("uuid", uuid.clone().into()),
                ("SR", sr.into()),
                ("location", info.image.as_ref().unwrap_or(uuid).clone().into()),
                ("managed", true.into()),
            ];
            if let Some(image) = &info.image {
                fields.push(("name_label", image.clone().into()));
                fields.push(("read_only", true.into()));
            }
            let vdi = t.create(&classes::VDI, fields);
            vdis::record_info(t, &vdi, info);
        }
        Ok(())
    })?;
    vdis::refresh_sizes(toolstack, &open);
    toolstack.untidy.add(sr);
    Ok(())
}
