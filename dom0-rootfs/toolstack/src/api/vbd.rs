// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VBD`.

use std::collections::BTreeMap;

use xapi_model::{ApiError, Ref, Reply, Value, classes, errors};

use super::Entry;
use crate::store::Transaction;
use crate::toolstack::{Args, Context};
use crate::vm::devices;
use crate::vm::operation::not_busy;

pub(super) const HANDLERS: &[Entry] = &[
    ("VBD.create", |context, args| {
        let record = args.get("args").as_map().cloned().unwrap_or_default();
        context.store().write(|t| make(t, &record).map(Value::Ref))
    }),
    ("VBD.destroy", destroy),
    ("VBD.insert", insert),
    ("VBD.eject", eject),
];

/// Makes a VBD from a client's record.
pub(super) fn make(
    t: &mut Transaction<'_>,
    record: &BTreeMap<String, Value>,
) -> Result<Ref, ApiError> {
    let reference =
        |name: &str| record.get(name).and_then(Value::as_ref).cloned().unwrap_or_else(Ref::null);
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
    let (vm, vdi) = (reference("VM"), reference("VDI"));
    let vm_object = t.get("VM", &vm)?;
    let cd = text("type").eq_ignore_ascii_case("CD");
    if cd && text("mode") == "RW" {
        return Err(errors::VBD_CDS_MUST_BE_READONLY.bare());
    }
    // A record may say that it is empty and still name a VDI: the VDI counts.
    let empty = vdi.is_null();
    if empty && !cd {
        return Err(errors::HANDLE_INVALID.with(["VDI", vdi.as_str()]));
    }
    if !empty {
        t.get("VDI", &vdi)?;
    }
    // A VM that runs gets it at its next start.
    let free = devices::free_disks(t.objects(), vm_object);
    let wanted = text("userdevice");
    let number = match wanted {
        "" | "autodetect" => free.first().copied(),
        name => {
            let number = devices::disk_number(name);
            let number = number.ok_or_else(|| errors::INVALID_DEVICE.with([name]))?;
            free.contains(&number).then_some(number)
        }
    };
    let number = number.ok_or_else(|| errors::DEVICE_ALREADY_EXISTS.with([wanted]))?;
    let taken =
        ["bootable", "mode", "type", "other_config", "qos_algorithm_type", "qos_algorithm_params"];
    let mut fields: Vec<(&str, Value)> =
        taken.into_iter().filter_map(|name| Some((name, record.get(name)?.clone()))).collect();
    // A name is kept as the client wrote it.
    let userdevice = if wanted.parse::<u32>().is_err() && devices::disk_number(wanted).is_some() {
        wanted.to_owned()
    } else {
        number.to_string()
    };
    fields.push(("userdevice", userdevice.into()));
    fields.push(("empty", empty.into()));
    fields.push(("VM", vm.into()));
    fields.push(("VDI", vdi.into()));
    Ok(t.create(&classes::VBD, fields))
}

fn destroy(context: &Context, args: &Args<'_>) -> Reply {
    let vbd = args.to("self");
    context.store().write(|t| {
        if t.get("VBD", &vbd)?.bool("currently_attached") {
            return Err(errors::OPERATION_NOT_ALLOWED.with(["the VBD is attached"]));
        }
        not_busy(t, "VBD", &vbd)?;
        t.remove(&vbd);
        Ok(Value::Void)
    })
}

/// A CD drive of a halted VM.
fn drive(t: &Transaction<'_>, vbd: &Ref) -> Result<bool, ApiError> {
    let object = t.get("VBD", vbd)?;
    if object.text("type") != "CD" {
        return Err(errors::VBD_NOT_REMOVABLE_MEDIA.with([vbd.as_str()]));
    }
    let vm = object.to("VM");
    let state = t.get("VM", &vm)?.text("power_state");
    if state != "Halted" {
        let words = [vm.as_str(), "halted", &state.to_lowercase()];
        return Err(errors::VM_BAD_POWER_STATE.with(words));
    }
    not_busy(t, "VBD", vbd)?;
    Ok(object.bool("empty"))
}

fn insert(context: &Context, args: &Args<'_>) -> Reply {
    let (vbd, vdi) = (args.to("vbd"), args.to("vdi"));
    context.store().write(|t| {
        if !drive(t, &vbd)? {
            return Err(errors::VBD_NOT_EMPTY.with([vbd.as_str()]));
        }
        t.get("VDI", &vdi)?;
        t.set(&vbd, "VDI", &vdi);
        t.set(&vbd, "empty", false);
        Ok(Value::Void)
    })
}

fn eject(context: &Context, args: &Args<'_>) -> Reply {
    let vbd = args.to("vbd");
    context.store().write(|t| {
        if drive(t, &vbd)? {
            return Err(errors::VBD_IS_EMPTY.with([vbd.as_str()]));
        }
        t.set(&vbd, "VDI", Ref::null());
        t.set(&vbd, "empty", true);
        Ok(Value::Void)
    })
}
