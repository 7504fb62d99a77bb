// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM`: memory limits, several at once.

use xapi_model::{ApiError, Ref, Reply, Value};

use super::Entry;
use crate::guards::Limits;
use crate::toolstack::Context;
use crate::vm::operation::Operation;

pub(super) const HANDLERS: &[Entry] = &[
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
        set(context, &args.to("self"), |limits| {
            (limits.dynamic_min, limits.dynamic_max) = (args.int("min"), args.int("max"));
        })
    }),
    ("VM.set_memory", |context, args| {
        set(context, &args.to("self"), |limits| {
            let value = args.int("value");
            (limits.static_max, limits.dynamic_max, limits.dynamic_min) = (value, value, value);
        })
    }),
];

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
