// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM`: memory limits, several at once; virtual CPUs while it runs.

use xapi_model::{ApiError, Ref, Reply, Value, errors};

use super::Entry;
use super::vm_power::alone;
use crate::failure;
use crate::guards::Limits;
use crate::memory;
use crate::toolstack::{Args, Context};
use crate::vm::operation::{self, Operation};
use crate::vm::stop;

pub(super) const HANDLERS: &[Entry] = &[
    ("VM.set_VCPUs_number_live", set_vcpus_live),
    ("VM.set_memory_limits", |context, args| {
        set(context, &args.to("self"), |limits| {
            *limits = Limits {
                static_min: args.int("static_min"),
                static_max: args.int("static_max"),
                dynamic_min: args.int("dynamic_min"),
                dynamic_max: args.int("dynamic_max"),
            };
        })
    }),
    ("VM.set_memory_static_range", |context, args| {
        set(context, &args.to("self"), |limits| {
            (limits.static_min, limits.static_max) = (args.int("min"), args.int("max"));
        })
    }),
    ("VM.set_memory_dynamic_range", |context, args| {
        let range = (args.int("min"), args.int("max"));
        set_dynamic(context, &args.to("self"), "changing_dynamic_range", range)
    }),
    ("VM.set_memory_target_live", |context, args| {
        let target = args.int("target");
        set_dynamic(context, &args.to("self"), "changing_memory_live", (target, target))
    }),
    ("VM.wait_memory_target_live", |context, args| {
        operation::check(context, &args.to("self"), "awaiting_memory_live")?;
        memory::wait_for_target(context, &args.to("self")).map(|()| Value::Void)
    }),
    ("VM.set_memory", |context, args| {
        set(context, &args.to("self"), |limits| {
            let value = args.int("value");
            (limits.static_max, limits.dynamic_max, limits.dynamic_min) = (value, value, value);
        })
    }),
];

/// Offers the guest more or fewer of its virtual CPUs.
fn set_vcpus_live(context: &Context, args: &Args<'_>) -> Reply {
    let (vm, wanted) = (args.to("self"), args.int("nvcpu"));
    let _operation = Operation::begin(context, &vm, "changing_VCPUs_live")?;
    alone(context, &vm, || {
        let toolstack = &context.toolstack;
        let (domain, most) =
            toolstack.look("VM", &vm, |vm, _| (stop::domain(vm), vm.int("VCPUs_max")))?;
        let gone = || errors::VM_BAD_POWER_STATE.with([vm.as_str(), "running", "halted"]);
        let domain = domain.ok_or_else(gone)?;
        let count = u32::try_from(wanted).ok().filter(|_| (1..=most).contains(&wanted));
        let invalid = || errors::INVALID_VALUE.with(["nvcpu".to_owned(), wanted.to_string()]);
        let changed = toolstack.hypervisor.set_vcpus(domain, count.ok_or_else(invalid)?);
        changed.map_err(|e| failure::xenops(&e, &vm))?;
        toolstack.store.write(|t| {
            let metrics = t.get("VM", &vm)?.to("metrics");
            t.set(&vm, "VCPUs_at_startup", wanted);
            t.set(&metrics, "VCPUs_number", wanted);
            Ok(Value::Void)
        })
    })
}

/// The range of a VM, which may run: then its guest is asked to follow.
fn set_dynamic(context: &Context, vm: &Ref, name: &'static str, (min, max): (i64, i64)) -> Reply {
    let operation = Operation::begin(context, vm, name)?;
    context.store().write(|t| {
        let mut limits = Limits::of(t.get("VM", vm)?);
        (limits.dynamic_min, limits.dynamic_max) = (min, max);
        limits.check()?;
        record(t, vm, limits)
    })?;
    drop(operation);
    memory::balance(&context.toolstack);
    Ok(Value::Void)
}

fn set(context: &Context, vm: &Ref, change: impl FnOnce(&mut Limits)) -> Reply {
    let _operation = Operation::begin(context, vm, "changing_memory_limits")?;
    context.store().write(|t| {
        let mut limits = Limits::of(t.get("VM", vm)?);
        change(&mut limits);
        limits.check()?;
        record(t, vm, limits)
    })
}

fn record(
    t: &mut crate::store::Transaction<'_>,
    vm: &Ref,
    limits: Limits,
) -> Result<Value, ApiError> {
    t.set(vm, "memory_static_min", limits.static_min);
    t.set(vm, "memory_dynamic_min", limits.dynamic_min);
    t.set(vm, "memory_dynamic_max", limits.dynamic_max);
    t.set(vm, "memory_static_max", limits.static_max);
    Ok(Value::Void)
}
