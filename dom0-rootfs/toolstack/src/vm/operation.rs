// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may be done with a VM now, and the mark that something is being done.

use xapi_model::{ApiError, ErrorCode, Ref, Value, errors};

use crate::store::{Object, Transaction};
use crate::toolstack::Context;

/// An operation, and when it is allowed.
struct Rule {
    name: &'static str,
    /// In these power states.
    states: &'static [&'static str],
    /// With templates that are no snapshots.
    template: bool,
    during: During,
}

/// What may be under way when an operation begins.
#[derive(Clone, Copy)]
enum During {
    /// Only these.
    Only(&'static [&'static str]),
    /// Anything but these: it stops what can be stopped, and waits for what cannot.
    AnyBut(&'static [&'static str]),
}

impl During {
    fn allows(self, under_way: &str) -> bool {
        match self {
            During::Only(these) => these.contains(&under_way),
            During::AnyBut(these) => !these.contains(&under_way),
        }
    }
}

const HALTED: &[&str] = &["Halted"];
const RUNNING: &[&str] = &["Running"];
const PAUSED: &[&str] = &["Paused"];
const ALIVE: &[&str] = &["Paused", "Running"];
const SUSPENDED: &[&str] = &["Suspended"];
const ANY: &[&str] = &["Halted", "Paused", "Suspended", "Running"];
const NOT_HALTED: &[&str] = &["Paused", "Suspended", "Running"];
/// What may be done with a snapshot, be it a template or not, and nothing else: it is what a VM was.
const OF_SNAPSHOTS: &[&str] =
    &["revert", "clone", "copy", "export", "destroy", "hard_shutdown", "metadata_export"];
/// What may be done with the host's control domain, and nothing else.
const OF_CONTROL_DOMAIN: &[&str] = &["data_source_op", "get_boot_record"];
const READING: &[&str] = &["clone", "copy", "export"];
/// Each waits until the one before it is done.
const SNAPSHOTS: &[&str] = &["snapshot", "checkpoint"];
/// States of a snapshot that is only read: one with memory is not going to run on by itself.
const STILL: &[&str] = &["Halted", "Suspended"];
const ENDING: &[&str] = &["clean_shutdown", "clean_reboot", "shutdown"];
/// What a VM's forced end waits for in vain, or would undo.
const FINAL: &[&str] = &["hard_shutdown", "power_state_reset", "reverting", "destroy"];
const FINAL_OR_RESTARTING: &[&str] =
    &["hard_shutdown", "power_state_reset", "hard_reboot", "reverting", "destroy"];
/// Allowed, but not told by `allowed_operations`: XAPI does not tell them either, and clients of its
/// older versions do not know all of them (`xapi_vm_lifecycle.ml`, `ignored_ops`).
const NOT_LISTED: &[&str] = &[
    "power_state_reset",
    "get_boot_record",
    "send_sysrq",
    "send_trigger",
    "shutdown",
    "changing_memory_live",
    "awaiting_memory_live",
    "changing_memory_limits",
    "changing_VCPUs",
    "data_source_op",
    "reverting",
];

const fn rule(name: &'static str, states: &'static [&'static str]) -> Rule {
    Rule { name, states, template: false, during: During::Only(&[]) }
}

impl Rule {
    const fn of_templates_too(self) -> Rule {
        Rule { template: true, ..self }
    }

    const fn during(self, during: &'static [&'static str]) -> Rule {
        Rule { during: During::Only(during), ..self }
    }

    const fn during_all_but(self, these: &'static [&'static str]) -> Rule {
        Rule { during: During::AnyBut(these), ..self }
    }
}

/// Names are those of XAPI, and so are the power states in which this host can do it.
const RULES: &[Rule] = &[
    rule("start", HALTED),
    rule("start_on", HALTED),
    rule("pause", RUNNING),
    rule("unpause", PAUSED),
    rule("clean_shutdown", RUNNING),
    rule("clean_reboot", RUNNING),
    rule("shutdown", NOT_HALTED),
    rule("hard_shutdown", NOT_HALTED).during_all_but(FINAL),
    rule("hard_reboot", ALIVE).during_all_but(FINAL_OR_RESTARTING),
    rule("power_state_reset", NOT_HALTED).during_all_but(FINAL),
    rule("suspend", RUNNING),
    rule("resume", SUSPENDED),
    rule("resume_on", SUSPENDED),
    // These only read a VM and its disks, so that many can be made of one at a time.
    rule("clone", HALTED).of_templates_too().during(READING),
    rule("copy", HALTED).of_templates_too().during(READING),
    rule("export", HALTED).of_templates_too().during(READING),
    rule("metadata_export", ANY).of_templates_too(),
    rule("snapshot", ANY).during(SNAPSHOTS),
    rule("checkpoint", &["Suspended", "Running"]).during(SNAPSHOTS),
    rule("revert", ANY),
    rule("reverting", ANY),
    rule("provision", HALTED).of_templates_too(),
    rule("make_into_template", HALTED),
    rule("changing_memory_limits", HALTED).of_templates_too(),
    rule("changing_static_range", HALTED).of_templates_too(),
    rule("changing_dynamic_range", &["Halted", "Running"]).of_templates_too(),
    rule("changing_memory_live", RUNNING),
    rule("awaiting_memory_live", RUNNING),
    rule("changing_VCPUs", HALTED).of_templates_too(),
    rule("changing_VCPUs_live", RUNNING),
    rule("destroy", &["Halted", "Suspended"]).of_templates_too(),
    rule("get_boot_record", ANY).of_templates_too(),
    rule("data_source_op", ALIVE),
    // Somebody may look after a guest that does not end.
    rule("send_sysrq", RUNNING).during(ENDING),
    rule("send_trigger", RUNNING).during(ENDING),
];

/// Why an operation is not allowed now; none if it is. Reasons come in XAPI's order
/// (`xapi_vm_lifecycle.ml`, `check_operation_error`), but for the control domain's.
pub fn obstacle(vm: &Object, operation: &str) -> Option<ApiError> {
    let reference = vm.reference().as_str();
    if vm.bool("is_control_domain") && !OF_CONTROL_DOMAIN.contains(&operation) {
        return Some(errors::OPERATION_NOT_ALLOWED.with(["this is the host's control domain"]));
    }
    let Some(rule) = RULES.iter().find(|rule| rule.name == operation) else {
        return Some(errors::OPERATION_NOT_ALLOWED.with([format!("{operation} is not offered")]));
    };
    if let Some(code) = vm.entry("blocked_operations", operation) {
        return Some(errors::OPERATION_BLOCKED.with([reference, code]));
    }
    let snapshot = vm.bool("is_a_snapshot");
    let still = snapshot && READING.contains(&operation);
    let (state, states) = (vm.text("power_state"), if still { STILL } else { rule.states });
    if !states.contains(&state) {
        let expected = states.join(", ").to_lowercase();
        let words = [reference, &expected, &state.to_lowercase()];
        return Some(errors::VM_BAD_POWER_STATE.with(words));
    }
    let during = match rule.during {
        // Whoever copies a snapshot, or goes back to it, reads what its end would clear away.
        During::AnyBut(_) if snapshot => During::Only(&[]),
        during => during,
    };
    let other = vm.map("current_operations").values().filter_map(Value::as_str);
    if other.into_iter().any(|under_way| !during.allows(under_way)) {
        return Some(errors::OTHER_OPERATION_IN_PROGRESS.with(["VM", reference]));
    }
    kind_obstacle(vm, rule)
}

/// What a VM is that the operation is not for.
fn kind_obstacle(vm: &Object, rule: &Rule) -> Option<ApiError> {
    let reference = vm.reference().as_str();
    let template = vm.bool("is_a_template");
    if vm.bool("is_a_snapshot") {
        let good = OF_SNAPSHOTS.contains(&rule.name);
        return (!good).then(|| errors::VM_IS_SNAPSHOT.with([reference, rule.name]));
    }
    let kept = vm.bool("is_default_template") && rule.name == "destroy";
    if template && (kept || !rule.template) {
        return Some(errors::VM_IS_TEMPLATE.with([reference, rule.name]));
    }
    match rule.name {
        "provision" if !template => Some(errors::ONLY_PROVISION_TEMPLATE.bare()),
        "provision" if vm.bool("is_default_template") => {
            Some(errors::OPERATION_NOT_ALLOWED.with(["clone the default template first"]))
        }
        "revert" => Some(errors::ONLY_REVERT_SNAPSHOT.bare()),
        "make_into_template" => member(vm),
        _ => None,
    }
}

/// What a VM is a member of that no template can be.
fn member(vm: &Object) -> Option<ApiError> {
    let of = |field: &str, error: &ErrorCode| {
        let whole = vm.to(field);
        let words = [vm.reference().as_str(), whole.as_str()];
        (!whole.is_null()).then(|| error.with(words))
    };
    of("appliance", &errors::VM_IS_PART_OF_AN_APPLIANCE)
        .or_else(|| of("snapshot_schedule", &errors::VM_ASSIGNED_TO_SNAPSHOT_SCHEDULE))
}

/// Every operation that is allowed now, as far as clients are told.
pub fn allowed(vm: &Object) -> Value {
    let listed = RULES.iter().filter(|rule| !NOT_LISTED.contains(&rule.name));
    let free = listed.filter(|rule| obstacle(vm, rule.name).is_none());
    Value::Set(free.map(|rule| Value::Enum(rule.name)).collect())
}

/// Refuses an operation that is not allowed now, and that is over at once.
pub fn check(context: &Context, vm: &Ref, name: &str) -> Result<(), ApiError> {
    let found = context.toolstack.look("VM", vm, |vm, _| obstacle(vm, name))?;
    found.map_or(Ok(()), Err)
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
