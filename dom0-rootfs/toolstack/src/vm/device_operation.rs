// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may be done with a VBD or VIF now, and the mark that something is being done.

use xapi_model::{ApiError, Ref, Value, errors};

use super::devices::DomainType;
use crate::store::{Object, Objects};
use crate::toolstack::Context;

/// Operations of a VBD.
const VBD: &[&str] = &["attach", "eject", "insert", "plug", "unplug", "unplug_force"];
/// Operations of a VIF; what is forced counts as `unplug`.
const VIF: &[&str] = &["attach", "plug", "unplug"];

/// Power states of the VM in which an operation is allowed.
fn states(operation: &str) -> &'static [&'static str] {
    match operation {
        "attach" => &["Halted", "Paused", "Running"],
        "insert" | "eject" => &["Halted", "Running"],
        "unplug_force" => &["Paused", "Running"],
        _ => &["Running"],
    }
}

/// Why an operation on a device is not allowed now; none if it is.
pub fn obstacle(objects: &Objects, device: &Object, operation: &str) -> Option<ApiError> {
    let class = device.class().name;
    let this = device.reference().as_str();
    let busy = |class: &str, this: &str| errors::OTHER_OPERATION_IN_PROGRESS.with([class, this]);
    let vm = device.to("VM");
    let Some(vm) = objects.find(&vm) else {
        return Some(errors::HANDLE_INVALID.with(["VM", vm.as_str()]));
    };
    if !device.map("current_operations").is_empty() {
        return Some(busy(class, this));
    }
    if !vm.map("current_operations").is_empty() {
        return Some(busy("VM", vm.reference().as_str()));
    }
    settled(vm, device, operation).err()
}

/// The same, whatever else is being done: for who holds the VM's lock.
pub fn settled(vm: &Object, device: &Object, operation: &str) -> Result<(), ApiError> {
    let this = device.reference().as_str();
    let disk = device.class().name == "VBD";
    let cd = disk && device.text("type") == "CD";
    let empty = disk && device.bool("empty");
    let attached = device.bool("currently_attached");
    let hvm = DomainType::of(vm) == Some(DomainType::Hvm);
    if ["insert", "eject"].contains(&operation) {
        match (cd, empty, operation) {
            (false, ..) => return Err(errors::VBD_NOT_REMOVABLE_MEDIA.with([this])),
            (_, false, "insert") => return Err(errors::VBD_NOT_EMPTY.with([this])),
            (_, true, "eject") => return Err(errors::VBD_IS_EMPTY.with([this])),
            _ => {}
        }
    }
    let state = vm.text("power_state");
    if vm.bool("is_control_domain") {
        return Err(errors::OPERATION_NOT_ALLOWED.with(["this is the host's control domain"]));
    }
    if !states(operation).contains(&state) {
        let expected = states(operation).join(", ").to_lowercase();
        let words = [vm.reference().as_str(), &expected, &state.to_lowercase()];
        return Err(errors::VM_BAD_POWER_STATE.with(words));
    }
    match operation {
        "plug" | "unplug" | "unplug_force" if cd && hvm => Err(errors::OPERATION_NOT_ALLOWED
            .with(["CD drives of fully virtualized VMs stay: insert and eject what is in them"])),
        "attach" | "plug" if attached => Err(errors::DEVICE_ALREADY_ATTACHED.with([this])),
        "plug" if empty => Err(errors::VBD_IS_EMPTY.with([this])),
        "unplug" | "unplug_force" if !attached => Err(errors::DEVICE_ALREADY_DETACHED.with([this])),
        "unplug" | "unplug_force" if disk && !device.bool("unpluggable") => {
            Err(errors::VBD_NOT_UNPLUGGABLE.with([this]))
        }
        _ => Ok(()),
    }
}

/// Every operation that is allowed now.
pub fn allowed(objects: &Objects, device: &Object) -> Value {
    let all = if device.class().name == "VBD" { VBD } else { VIF };
    let free = all.iter().filter(|operation| obstacle(objects, device, operation).is_none());
    Value::Set(free.map(|operation| Value::Enum(operation)).collect())
}

/// An operation under way: an entry of the device's `current_operations` until it is dropped.
pub struct DeviceOperation {
    context: Context,
    class: &'static str,
    device: Ref,
    key: String,
}

impl DeviceOperation {
    /// Begins an operation, if it is allowed; from then on others are not.
    pub fn begin(
        context: &Context,
        class: &'static str,
        device: &Ref,
        name: &'static str,
    ) -> Result<Self, ApiError> {
        let key = context.operation_key(&format!("{class}.{name}"));
        context.store().write(|t| {
            let object = t.get(class, device)?;
            if let Some(obstacle) = obstacle(t.objects(), object, name) {
                return Err(obstacle);
            }
            let mut operations = object.map("current_operations").clone();
            operations.insert(key.clone(), Value::Enum(name));
            t.set_live(device, "current_operations", Value::Map(operations));
            Ok(())
        })?;
        Ok(Self { context: context.clone(), class, device: device.clone(), key })
    }
}

impl Drop for DeviceOperation {
    fn drop(&mut self) {
        let ended = self.context.store().write(|t| {
            if let Ok(object) = t.get(self.class, &self.device) {
                let mut operations = object.map("current_operations").clone();
                operations.remove(&self.key);
                t.set_live(&self.device, "current_operations", Value::Map(operations));
            }
            Ok(())
        });
        if let Err(error) = ended {
            tracing::error!(%error, device = %self.device, "ending an operation");
        }
    }
}
