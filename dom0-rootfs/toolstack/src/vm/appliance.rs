// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may be done with an appliance now.

use xapi_model::{ApiError, Value, errors};

use crate::store::{Object, Objects};

/// Operations, and what is the matter with an appliance that has no VM for them.
const OPERATIONS: [(&str, &str); 4] = [
    ("start", "there are no halted VMs in this appliance"),
    ("clean_shutdown", "there are no running VMs in this appliance"),
    ("hard_shutdown", "all VMs in this appliance are halted"),
    ("shutdown", "all VMs in this appliance are halted"),
];

/// Whether an operation makes sense with a VM in this power state.
fn makes_sense(operation: &str, state: &str) -> bool {
    match operation {
        "start" => state == "Halted",
        "clean_shutdown" => state == "Running",
        _ => state != "Halted",
    }
}

/// Why an operation is not allowed now; none if it is.
pub fn obstacle(objects: &Objects, appliance: &Object, operation: &str) -> Option<ApiError> {
    if !appliance.map("current_operations").is_empty() {
        let words = ["VM_appliance", appliance.reference().as_str()];
        return Some(errors::OTHER_OPERATION_IN_PROGRESS.with(words));
    }
    let vms = appliance.refs("VMs");
    let mut vms = vms.iter().filter_map(|vm| objects.find(vm));
    if vms.any(|vm| makes_sense(operation, vm.text("power_state"))) {
        return None;
    }
    let found = OPERATIONS.iter().find(|(name, _)| *name == operation);
    let reason = found.map_or("no such operation", |(_, reason)| reason);
    Some(errors::OPERATION_NOT_ALLOWED.with([reason]))
}

/// Every operation that is allowed now.
pub fn allowed(objects: &Objects, appliance: &Object) -> Value {
    let names = OPERATIONS.iter().map(|(name, _)| *name);
    let free = names.filter(|operation| obstacle(objects, appliance, operation).is_none());
    Value::Set(free.map(Value::Enum).collect())
}
