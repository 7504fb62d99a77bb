// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may be done with a VM now, and the mark that something is being done.

use xapi_model::{ApiError, Ref, Value, errors};

use crate::store::{Object, Transaction};
use crate::toolstack::Context;

/// An operation and the power states in which it is allowed.
struct Rule {
    name: &'static str,
    states: &'static [&'static str],
    /// Allowed on templates that are no snapshots.
    template: bool,
    /// Allowed on VMs that are neither.
    vm: bool,
    /// Allowed while one of these is under way.
    during: &'static [&'static str],
}

const HALTED: &[&str] = &["Halted"];
const RUNNING: &[&str] = &["Running"];
const PAUSED: &[&str] = &["Paused"];
const ALIVE: &[&str] = &["Running", "Paused"];
const SUSPENDED: &[&str] = &["Suspended"];
const ANY: &[&str] = &["Halted", "Running", "Paused", "Suspended"];
const NOT_HALTED: &[&str] = &["Running", "Paused", "Suspended"];
/// What may be done with a snapshot, be it a template or not, and nothing else: it is what a VM was.
const OF_SNAPSHOTS: &[&str] =
    &["revert", "clone", "copy", "export", "destroy", "hard_shutdown", "metadata_export"];
const READING: &[&str] = &["clone", "copy", "export"];
/// States of a snapshot that is only read: one with memory is not going to run on by itself.
const STILL: &[&str] = &["Halted", "Suspended"];
const ENDING: &[&str] = &["clean_shutdown", "clean_reboot", "shutdown"];

const fn rule(
    name: &'static str,
    states: &'static [&'static str],
    template: bool,
    vm: bool,
) -> Rule {
    Rule { name, states, template, vm, during: &[] }
}

const fn forceful(name: &'static str, states: &'static [&'static str]) -> Rule {
    Rule { name, states, template: false, vm: true, during: ENDING }
}

/// What only reads a VM and its disks, so that many can be made of one at a time.
const fn reading(name: &'static str) -> Rule {
    Rule { name, states: HALTED, template: true, vm: true, during: READING }
}

const RULES: &[Rule] = &[
    rule("start", HALTED, false, true),
    rule("start_on", HALTED, false, true),
    rule("pause", RUNNING, false, true),
    rule("unpause", PAUSED, false, true),
    rule("clean_shutdown", RUNNING, false, true),
    rule("clean_reboot", RUNNING, false, true),
    rule("shutdown", ALIVE, false, true),
    forceful("hard_shutdown", NOT_HALTED),
    forceful("hard_reboot", ALIVE),
    forceful("power_state_reset", NOT_HALTED),
    rule("suspend", RUNNING, false, true),
    rule("resume", SUSPENDED, false, true),
    rule("resume_on", SUSPENDED, false, true),
    reading("clone"),
    reading("copy"),
    reading("export"),
    rule("metadata_export", ANY, true, true),
    rule("snapshot", ANY, false, true),
    rule("checkpoint", &["Running", "Suspended"], false, true),
    rule("revert", ANY, false, false),
    rule("reverting", ANY, false, true),
    rule("provision", HALTED, true, true),
    rule("make_into_template", HALTED, false, true),
    rule("changing_memory_limits", HALTED, true, true),
    rule("changing_static_range", HALTED, true, true),
    rule("changing_dynamic_range", &["Halted", "Running"], true, true),
    rule("changing_VCPUs", HALTED, true, true),
    rule("changing_VCPUs_live", RUNNING, false, true),
    rule("destroy", &["Halted", "Suspended"], true, true),
];

/// Why an operation is not allowed now; none if it is.
pub fn obstacle(vm: &Object, operation: &str) -> Option<ApiError> {
    let reference = vm.reference().as_str();
    if vm.bool("is_control_domain") {
        return Some(errors::OPERATION_NOT_ALLOWED.with(["this is the host's control domain"]));
    }
    let Some(rule) = RULES.iter().find(|rule| rule.name == operation) else {
        return Some(errors::OPERATION_NOT_ALLOWED.with([format!("{operation} is not offered")]));
    };
    if let Some(code) = vm.entry("blocked_operations", operation) {
        return Some(errors::OPERATION_BLOCKED.with([reference, code]));
    }
    if vm.bool("is_a_snapshot") {
        if !OF_SNAPSHOTS.contains(&operation) {
            return Some(errors::VM_IS_SNAPSHOT.with([reference, operation]));
        }
    } else if vm.bool("is_a_template") {
        if !rule.template {
            return Some(errors::VM_IS_TEMPLATE.with([reference]));
        }
    } else if !rule.vm {
        return Some(errors::OPERATION_NOT_ALLOWED.with(["this is no snapshot"]));
    }
    if vm.bool("is_default_template") {
        let reason = match operation {
            "destroy" => Some("default templates are kept"),
            "provision" => Some("clone the default template first"),
            _ => None,
        };
        if let Some(reason) = reason {
            return Some(errors::OPERATION_NOT_ALLOWED.with([reason]));
        }
    }
    let still = vm.bool("is_a_snapshot") && READING.contains(&operation);
    let (state, states) = (vm.text("power_state"), if still { STILL } else { rule.states });
    if !states.contains(&state) {
        let expected = states.join(" or ").to_lowercase();
        let words = [reference, &expected, &state.to_lowercase()];
        return Some(errors::VM_BAD_POWER_STATE.with(words));
    }
    let other = vm.map("current_operations").values().filter_map(Value::as_str);
    if other.into_iter().any(|under_way| !rule.during.contains(&under_way)) {
        return Some(errors::OTHER_OPERATION_IN_PROGRESS.with(["VM", reference]));
    }
    None
}

/// Every operation that is allowed now.
pub fn allowed(vm: &Object) -> Value {
    let free = RULES.iter().filter(|rule| obstacle(vm, rule.name).is_none());
    Value::Set(free.map(|rule| Value::Enum(rule.name)).collect())
}

/// An operation under way: an entry of `current_operations` until it is dropped.
pub struct Operation {
    context: Context,
    vm: Ref,
    key: String,
}

impl Operation {
    /// Begins an operation, if it is allowed; from then on others that it excludes are not.
    pub fn begin(context: &Context, vm: &Ref, name: &'static str) -> Result<Self, ApiError> {
        let key = context.operation_key(&format!("VM.{name}"));
        context.store().write(|t| {
            let object = t.get("VM", vm)?;
            if let Some(obstacle) = obstacle(object, name) {
                return Err(obstacle);
            }
            let mut operations = object.map("current_operations").clone();
            operations.insert(key.clone(), Value::Enum(name));
            t.set_live(vm, "current_operations", Value::Map(operations));
            Ok(())
        })?;
        Ok(Self { context: context.clone(), vm: vm.clone(), key })
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let ended = self.context.store().write(|t| {
            // The VM may have been destroyed by the operation itself.
            if let Ok(object) = t.get("VM", &self.vm) {
                let mut operations = object.map("current_operations").clone();
                operations.remove(&self.key);
                t.set_live(&self.vm, "current_operations", Value::Map(operations));
            }
            Ok(())
        });
        if let Err(error) = ended {
            tracing::error!(%error, vm = %self.vm, "ending an operation");
        }
    }
}

/// Refuses while anything is being done with the VM of a device: a start has looked at it already and
/// does not say yet that it is attached.
pub fn not_busy(t: &Transaction<'_>, class: &str, device: &Ref) -> Result<(), ApiError> {
    let vm = t.get(class, device)?.to("VM");
    match t.get("VM", &vm) {
        Ok(object) if !object.map("current_operations").is_empty() => {
            Err(errors::OTHER_OPERATION_IN_PROGRESS.with(["VM", vm.as_str()]))
        }
        _ => Ok(()),
    }
}

/// Whether an operation of this name is under way.
pub fn under_way(vm: &Object, names: &[&str]) -> bool {
    vm.map("current_operations").values().filter_map(Value::as_str).any(|n| names.contains(&n))
}
