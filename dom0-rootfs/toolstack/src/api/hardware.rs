// SPDX-License-Identifier: MIT OR Apache-2.0
//! `host_crashdump`, `GPU_group`, `PUSB` and `USB_group`.

use xapi_model::{DateTime, Ref, Reply, Value, classes, errors};

use super::Entry;
use crate::hardware;
use crate::toolstack::{Args, Context};
use crate::vm::crash_dump;

pub(super) const HANDLERS: &[Entry] = &[
    ("crashdump.destroy", |context, args| {
        crash_dump::destroy(context, &args.to("self")).map(|()| Value::Void)
    }),
    ("host_crashdump.destroy", remove_crash),
    ("PUSB.scan", |context, args| {
        let (host, toolstack) = (args.to("host"), &context.toolstack);
        toolstack.look("host", &host, |_, _| ())?;
        let devices = toolstack.machine.usb();
        context.store().write(|t| {
            hardware::record_usb(t, &host, &devices);
            Ok(Value::Void)
        })
    }),
    ("USB_group.create", |context, args| {
        let fields = ["name_label", "name_description", "other_config"];
        let fields = fields.map(|name| (name, args.get(name).clone())).to_vec();
        context.store().write(|t| Ok(t.create(&classes::USB_GROUP, fields).into()))
    }),
    ("USB_group.destroy", |context, args| {
        let group = args.to("self");
        context.store().write(|t| {
            let devices = t.get("USB_group", &group)?.refs("PUSBs");
            if !devices.is_empty() {
                let devices: Vec<String> = devices.iter().map(Ref::to_string).collect();
                return Err(errors::USB_GROUP_CONTAINS_PUSB.with(devices));
            }
            t.remove(&group);
            Ok(Value::Void)
        })
    }),
    ("GPU_group.create", |context, args| {
        let fields = ["name_label", "name_description", "other_config"];
        let fields = fields.map(|name| (name, args.get(name).clone())).to_vec();
        context.store().write(|t| Ok(t.create(&classes::GPU_GROUP, fields).into()))
    }),
    ("GPU_group.destroy", |context, args| {
        let group = args.to("self");
        context.store().write(|t| {
            let cards = t.get("GPU_group", &group)?.refs("PGPUs");
            if !cards.is_empty() {
                let cards: Vec<String> = cards.iter().map(Ref::to_string).collect();
                return Err(errors::GPU_GROUP_CONTAINS_PGPU.with(cards));
            }
            t.remove(&group);
            Ok(Value::Void)
        })
    }),
];

fn remove_crash(context: &Context, args: &Args<'_>) -> Reply {
    let this = args.to("self");
    let time =
        context.toolstack.look("host_crashdump", &this, |o, _| o.get("timestamp").clone())?;
    let all = context.toolstack.machine.crashes();
    if let Some(crash) = all.iter().find(|crash| Value::DateTime(DateTime(crash.time)) == time) {
        let removed = crash.remove();
        removed.map_err(|e| errors::INTERNAL_ERROR.with([format!("removing a crash: {e}")]))?;
    }
    context.store().write(|t| {
        t.remove(&this);
        Ok(Value::Void)
    })
}
