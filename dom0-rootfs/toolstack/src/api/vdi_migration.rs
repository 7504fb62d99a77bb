// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VDI.pool_migrate`: a VDI moves to another SR of this host.
//!
//! It is copied while nobody may write to it. Then all that referred to it refers to the copy, in one
//! transaction, which also notes that the old one is to go.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use storage::Mode;
use xapi_model::{ApiError, Ref, Reply, Value, errors};

use super::vdi;
use crate::store::{Objects, Transaction};
use crate::toolstack::{Args, Context};
use crate::unfinished;
use crate::vdis::{self, Opened};
use crate::vm::disk_users;

/// The key of `options` that names the format of the new VDI, as XCP-ng calls it.
const FORMAT: &str = "dest-img-format";

pub(super) fn pool_migrate(context: &Context, args: &Args<'_>) -> Reply {
    let toolstack = &context.toolstack;
    let (old, sr) = (args.to("vdi"), args.to("sr"));
    toolstack.look("SR", &sr, |_, _| ())?;
    let format = args.get("options").as_map().and_then(|options| options.get(FORMAT));
    let format = format.map(Value::text).filter(|format| !format.is_empty());
    let (from, size) = toolstack.look("VDI", &old, |vdi, objects| {
        movable(objects, &old).map(|()| (vdi.to("SR"), vdi.int("virtual_size")))
    })??;
    if from == sr && format.is_none() {
        return Ok(old.into());
    }
    // As long as it is read nobody starts to write to it.
    let source = Opened::new(toolstack, &old, Mode::ReadOnly)?;
    let mut fields = toolstack.look("VDI", &old, |vdi, _| vdi::copied(vdi))?;
    // Written to first, whatever the original is.
    fields.retain(|(name, _)| *name != "read_only");
    if let Some(format) = format {
        let format = vdi::known_format(&format!("options:{FORMAT}"), &format)?;
        let config = Value::string_map([(vdis::IMAGE_FORMAT, format.name())]);
        fields.push(("sm_config", config));
    }
    let new = vdi::make(context, &sr, size, fields, true)?;
    let filled = vdi::fill(context, &source, &new);
    // Whoever starts a VM has looked up its disks, and not opened them yet.
    let users = context.store().read(|objects| users(objects, &old));
    let locks: Vec<_> = users.iter().map(|vm| toolstack.lock_of(vm)).collect();
    let locked = locks.iter().map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner));
    let _alone: Vec<_> = locked.collect();
    let moved = filled.and_then(|()| context.store().write(|t| refer(t, &old, &new)));
    if let Err(error) = moved {
        unfinished::remove(toolstack, &new);
        return Err(error);
    }
    drop(source);
    unfinished::remove(toolstack, &old);
    Ok(new.into())
}

/// VMs that have the VDI, plugged in or not.
fn users(objects: &Objects, vdi: &Ref) -> BTreeSet<Ref> {
    let vbds = objects.find(vdi).map(|vdi| vdi.refs("VBDs")).unwrap_or_default();
    vbds.iter().filter_map(|vbd| Some(objects.find(vbd)?.to("VM"))).collect()
}

/// Fails while a VM runs with the VDI, or is going to run on with it, and for what is in a library.
fn movable(objects: &Objects, vdi: &Ref) -> Result<(), ApiError> {
    let object = objects.get("VDI", vdi)?;
    if let Some(vm) = disk_users::with_domain(objects, vdi).first().and_then(|vm| objects.find(vm))
    {
        let state = vm.text("power_state").to_lowercase();
        return Err(errors::VM_BAD_POWER_STATE.with([vm.reference().as_str(), "halted", &state]));
    }
    if vdis::held(objects, vdi, None) {
        return Err(errors::VDI_IN_USE.with([vdi.as_str(), "pool_migrate"]));
    }
    let library = |sr: &Ref| objects.find(sr).is_some_and(|sr| sr.text("content_type") == "iso");
    if library(&object.to("SR")) {
        return Err(errors::VDI_INCOMPATIBLE_TYPE.with([vdi.as_str(), "iso"]));
    }
    Ok(())
}

/// Puts the new VDI in the place of the old one, which is to go.
fn refer(t: &mut Transaction<'_>, old: &Ref, new: &Ref) -> Result<(), ApiError> {
    movable(t.objects(), old)?;
    let vdi = t.get("VDI", old)?;
    let (vbds, snapshots) = (vdi.refs("VBDs"), vdi.refs("snapshots"));
    let dumps = vdi.refs("crash_dumps");
    let same = ["read_only", "is_a_snapshot", "snapshot_of", "snapshot_time"];
    let same = same.map(|field| (field, vdi.get(field).clone()));
    for (field, value) in same {
        t.set(new, field, value);
    }
    for referring in vbds.iter().chain(&dumps) {
        t.set(referring, "VDI", new);
    }
    for snapshot in &snapshots {
        t.set(snapshot, "snapshot_of", new);
    }
    unfinished::finish(t, new);
    unfinished::begin(t, old);
    Ok(())
}
