// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of VMs.

use xapi_model::Value;

use super::{Verb, on_vms};
use crate::api::Api;
use crate::failure::Failure;
use crate::params::Params;
use crate::parse;
use crate::select::{each, selected};
use crate::views;

const LIMITS: &[&str] = &["static-min", "static-max", "dynamic-min", "dynamic-max"];

pub(super) static VERBS: &[Verb] = &[
    Verb {
        required: LIMITS,
        common: false,
        ..on_vms(
            "vm-memory-limits-set",
            &["VM.set_memory_limits"],
            "Sets all four memory limits of VMs, in bytes or with a unit as in 2GiB.",
            |api, params, _| set(api, params, "VM.set_memory_limits", LIMITS),
        )
    },
    Verb {
        required: &["min", "max"],
        common: false,
        ..on_vms(
            "vm-memory-static-range-set",
            &["VM.set_memory_static_range"],
            "Sets the static memory limits of VMs.",
            |api, params, _| set(api, params, "VM.set_memory_static_range", &["min", "max"]),
        )
    },
    Verb {
        required: &["min", "max"],
        common: false,
        ..on_vms(
            "vm-memory-dynamic-range-set",
            &["VM.set_memory_dynamic_range"],
            "Sets the dynamic memory limits of VMs; guests that run are asked to follow.",
            |api, params, _| set(api, params, "VM.set_memory_dynamic_range", &["min", "max"]),
        )
    },
    Verb {
        required: &["target"],
        common: false,
        ..on_vms(
            "vm-memory-target-set",
            &["VM.set_memory_target_live"],
            "Sets both dynamic memory limits of VMs; guests that run are asked to follow.",
            |api, params, _| set(api, params, "VM.set_memory_target_live", &["target"]),
        )
    },
    Verb {
        common: false,
        ..on_vms(
            "vm-memory-target-wait",
            &["VM.wait_memory_target_live"],
            "Waits until the guests of VMs have the memory that they should have.",
            |api, params, _| set(api, params, "VM.wait_memory_target_live", &[]),
        )
    },
    Verb {
        required: &["memory"],
        common: false,
        ..on_vms(
            "vm-memory-set",
            &["VM.set_memory"],
            "Sets all memory limits of VMs but the static minimum to one value.",
            |api, params, _| set(api, params, "VM.set_memory", &["memory"]),
        )
    },
];

/// Calls a message with sizes, for VMs and templates alike.
fn set(api: &mut Api, params: &Params, method: &str, names: &[&str]) -> Result<(), Failure> {
    let mut sizes = Vec::new();
    for name in names {
        sizes.push(Value::Int(parse::integer(name, params.require(name)?)?));
    }
    let mut view = views::find("vm").ok_or_else(|| Failure::plain("this API has no VMs"))?;
    view.always = &[];
    let found = selected(api, &view, params, names)?;
    each(&found, |vm| {
        let params = std::iter::once(vm.reference.clone()).chain(sizes.iter().cloned());
        api.act(method, params).map(drop)
    })
}
