// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VBD`.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use xapi_model::{ApiError, Ref, Reply, Value, classes, errors};

use super::Entry;
use crate::store::Transaction;
use crate::toolstack::{Args, Context};
use crate::vm::device_operation::{DeviceOperation, obstacle, settled};
use crate::vm::devices::{self, DomainType};
use crate::vm::hotplug;
use crate::vm::operation::not_busy;

pub(super) const HANDLERS: &[Entry] = &[
    ("VBD.create", |context, args| {
        let record = args.get("args").as_map().cloned().unwrap_or_default();
        context.store().write(|t| make(t, &record).map(Value::Ref))
    }),
    ("VBD.destroy", destroy),
    ("VBD.plug", plug),
    ("VBD.unplug", |context, args| unplug(context, args, "unplug")),
    ("VBD.unplug_force", |context, args| unplug(context, args, "unplug_force")),
    ("VBD.assert_attachable", |context, args| {
        let vbd = args.to("self");
        let obstacle =
            context.toolstack.look("VBD", &vbd, |vbd, objects| obstacle(objects, vbd, "attach"))?;
        obstacle.map_or(Ok(Value::Void), Err)
    }),
    ("VBD.insert", insert),
    ("VBD.eject", eject),
];

/// Makes a VBD from a client's record.
pub(crate) fn make(
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
    // A VM that runs gets it by `plug`, or at its next start.
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
    let taken = [
        "bootable",
        "mode",
        "type",
        "unpluggable",
        "other_config",
        "qos_algorithm_type",
        "qos_algorithm_params",
    ];
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

/// Runs work on a device of a VM while nobody else works on that.
pub(super) fn alone<T>(
    context: &Context,
    class: &'static str,
    device: &Ref,
    work: impl FnOnce() -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let vm = context.toolstack.look(class, device, |device, _| device.to("VM"))?;
    let lock = context.toolstack.lock_of(&vm);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}

fn plug(context: &Context, args: &Args<'_>) -> Reply {
    let vbd = args.to("self");
    let _operation = DeviceOperation::begin(context, "VBD", &vbd, "plug")?;
    alone(context, "VBD", &vbd, || hotplug::plug_disk(&context.toolstack, &vbd, "plug"))?;
    Ok(Value::Void)
}

fn unplug(context: &Context, args: &Args<'_>, name: &'static str) -> Reply {
    let vbd = args.to("self");
    let _operation = DeviceOperation::begin(context, "VBD", &vbd, name)?;
    alone(context, "VBD", &vbd, || hotplug::unplug_disk(&context.toolstack, &vbd, name))?;
    Ok(Value::Void)
}

fn insert(context: &Context, args: &Args<'_>) -> Reply {
    let (vbd, vdi) = (args.to("vbd"), args.to("vdi"));
    context.toolstack.look("VDI", &vdi, |_, _| ())?;
    let _operation = DeviceOperation::begin(context, "VBD", &vbd, "insert")?;
    alone(context, "VBD", &vbd, || change(context, &vbd, &vdi))
}

fn eject(context: &Context, args: &Args<'_>) -> Reply {
    let vbd = args.to("vbd");
    let _operation = DeviceOperation::begin(context, "VBD", &vbd, "eject")?;
    alone(context, "VBD", &vbd, || change(context, &vbd, &Ref::null()))
}

/// Changes what lies in a CD drive; the null reference empties it.
fn change(context: &Context, vbd: &Ref, vdi: &Ref) -> Reply {
    let toolstack = &context.toolstack;
    let (running, attached, hvm) = toolstack.look("VBD", vbd, |vbd, objects| {
        let vm = objects.get("VM", &vbd.to("VM"))?;
        settled(vm, vbd, if vdi.is_null() { "eject" } else { "insert" })?;
        let hvm = DomainType::of(vm) == Some(DomainType::Hvm);
        Ok((vm.text("power_state") == "Running", vbd.bool("currently_attached"), hvm))
    })??;
    if running && hvm && attached {
        return hotplug::change_medium(toolstack, vbd, vdi).map(|()| Value::Void);
    }
    // Without a device model there is no drive: it comes and goes with what lies in it.
    if running && attached {
        hotplug::unplug_disk(toolstack, vbd, "unplug")?;
    }
    let put = |vdi: &Ref| {
        toolstack.store.write(|t| {
            t.set(vbd, "VDI", vdi);
            t.set(vbd, "empty", vdi.is_null());
            Ok(Value::Void)
        })
    };
    put(vdi)?;
    if running && !hvm && !vdi.is_null() {
        hotplug::plug_disk(toolstack, vbd, "plug")
            .or_else(|error| put(&Ref::null()).and(Err(error)))?;
    }
    Ok(Value::Void)
}
