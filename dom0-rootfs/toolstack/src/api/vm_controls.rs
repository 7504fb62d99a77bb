// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM`: what a machine's front has, and what its firmware says.

use xapi_model::{ApiError, Ref, Reply, Value, errors};
use xenops::{Button, DomId};

use super::Entry;
use super::vm_power::alone;
use crate::failure;
use crate::toolstack::{Args, Context};
use crate::vm::operation::Operation;
use crate::vm::{bios_strings, devices, stop};

pub(super) const HANDLERS: &[Entry] = &[
    ("VM.send_sysrq", |context, args| {
        let key = args.text("key");
        let mut letters = key.chars();
        let button = match (letters.next(), letters.next()) {
            (Some(key), None) if key.is_ascii_graphic() => Some(Button::SysRq(key)),
            _ => None,
        };
        let invalid = || errors::INVALID_VALUE.with(["key", key]);
        press(context, &args.to("vm"), "send_sysrq", button.ok_or_else(invalid)?)
    }),
    ("VM.send_trigger", |context, args| {
        let name = args.text("trigger");
        let invalid = || errors::INVALID_VALUE.with(["trigger", name]);
        let button = Button::of_trigger(name).ok_or_else(invalid)?;
        press(context, &args.to("vm"), "send_trigger", button)
    }),
    ("VM.add_to_VCPUs_params_live", add_to_vcpus_params_live),
    ("VM.set_bios_strings", |context, args| {
        let strings = args.get("value").as_map().cloned().unwrap_or_default();
        bios_strings::check(&strings)?;
        set_bios_strings(context, &args.to("self"), Value::Map(strings))
    }),
    ("VM.copy_bios_strings", |context, args| {
        let strings = context
            .toolstack
            .look("host", &args.to("host"), |host, _| host.get("bios_strings").clone())?;
        set_bios_strings(context, &args.to("vm"), strings)
    }),
];

/// The domain of a VM that runs.
fn running(context: &Context, vm: &Ref) -> Result<DomId, ApiError> {
    context.toolstack.look("VM", vm, |object, _| {
        let state = object.text("power_state");
        let domain = stop::domain(object).filter(|_| state == "Running");
        let words = [vm.as_str(), "running", &state.to_lowercase()];
        domain.ok_or_else(|| errors::VM_BAD_POWER_STATE.with(words))
    })?
}

fn press(context: &Context, vm: &Ref, name: &'static str, button: Button) -> Reply {
    let _operation = Operation::begin(context, vm, name)?;
    alone(context, vm, || {
        let domain = running(context, vm)?;
        let pressed = context.toolstack.hypervisor.press(domain, button);
        pressed.map_err(|e| failure::xenops(&e, vm))?;
        Ok(Value::Void)
    })
}

/// Replaces a key that is there, as XenServer does.
fn add_to_vcpus_params_live(context: &Context, args: &Args<'_>) -> Reply {
    let vm = args.to("self");
    let (key, value) = (args.text("key").to_owned(), args.get("value").clone());
    if key == "mask" {
        let words =
            ["VCPUs_params", "mask", "it counts from the next start: use add_to_VCPUs_params"];
        return Err(errors::VALUE_NOT_SUPPORTED.with(words));
    }
    alone(context, &vm, || {
        let domain = running(context, &vm)?;
        let params = context.toolstack.look("VM", &vm, |vm, _| {
            let mut params = vm.map("VCPUs_params").clone();
            params.insert(key, value);
            params
        })?;
        let scheduling = devices::scheduling(Some(&params))?;
        let changed = context.toolstack.hypervisor.set_scheduling(domain, scheduling);
        changed.map_err(|e| failure::xenops(&e, &vm))?;
        context.store().write(|t| {
            t.get("VM", &vm)?;
            t.set(&vm, "VCPUs_params", Value::Map(params));
            Ok(Value::Void)
        })
    })
}

/// A guest's system may be licensed to a machine with these strings, so they never change.
fn set_bios_strings(context: &Context, vm: &Ref, strings: Value) -> Reply {
    context.store().write(|t| {
        let object = t.get("VM", vm)?;
        if !object.map("bios_strings").is_empty() {
            return Err(errors::VM_BIOS_STRINGS_ALREADY_SET.with([vm.as_str()]));
        }
        t.set(vm, "bios_strings", strings);
        Ok(Value::Void)
    })
}
