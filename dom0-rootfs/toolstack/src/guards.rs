// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks before a client sets a field.

use xapi_model::{ApiError, Class, Ref, Type, Value, errors};

use crate::store::{Object, Objects};
use crate::vm::devices;
use crate::vm::operation::obstacle;

/// Fails if a field of an object must not become `value` now.
pub fn check(
    objects: &Objects,
    class: &Class,
    reference: &Ref,
    field: &str,
    value: &Value,
) -> Result<(), ApiError> {
    let object = objects.get(class.name, reference)?;
    refers(objects, class, field, value)?;
    match (class.name, field) {
        ("VM", _) => vm(object, field, value),
        ("VBD", _) => vbd(objects, object, field, value),
        ("network", "MTU") => mtu(value),
        ("VDI", "xenstore_data") => told(value),
        ("VIF", "qos_algorithm_type" | "qos_algorithm_params") => limit(field, value),
        ("host", "guest_VCPUs_params") => devices::scheduling(value.as_map()).map(drop),
        ("PBD", "device_config") if object.bool("currently_attached") => {
            Err(errors::OPERATION_NOT_ALLOWED.with(["the PBD is attached"]))
        }
        _ => Ok(()),
    }
}

/// A reference must be null or refer to something.
pub fn refers(
    objects: &Objects,
    class: &Class,
    field: &str,
    value: &Value,
) -> Result<(), ApiError> {
    let (Some((_, field)), Value::Ref(target)) = (class.field(field), value) else { return Ok(()) };
    match field.ty {
        Type::Ref(class) if !target.is_null() => objects.get(class, target).map(drop),
        _ => Ok(()),
    }
}

/// A bandwidth limit that there is, with a number.
pub fn limit(field: &str, value: &Value) -> Result<(), ApiError> {
    let good = match value.as_map() {
        None => ["", devices::RATE_LIMIT].contains(&value.text().as_str()),
        Some(params) => params.get("kbps").is_none_or(|kib| devices::kib_per_second(kib).is_some()),
    };
    let shown = value.as_map().and_then(|params| params.get("kbps")).unwrap_or(value);
    if good { Ok(()) } else { Err(errors::INVALID_VALUE.with([field, &shown.text()])) }
}

/// An MTU that Ethernet allows.
pub fn mtu(value: &Value) -> Result<(), ApiError> {
    match value.as_int() {
        Some(68..=9216) => Ok(()),
        _ => Err(errors::INVALID_VALUE.with(["MTU", &value.text()])),
    }
}

fn vm(vm: &Object, field: &str, value: &Value) -> Result<(), ApiError> {
    let settle = |operation| obstacle(vm, operation).map_or(Ok(()), Err);
    let number = value.as_int().unwrap_or_default();
    match field {
        "VCPUs_max" => {
            settle("changing_VCPUs")?;
            vcpus(number, vm.int("VCPUs_at_startup"))
        }
        // It counts from the next start, so it may change at any time.
        "VCPUs_at_startup" if vm.bool("is_control_domain") => {
            Err(errors::OPERATION_NOT_ALLOWED.with(["this is the host's control domain"]))
        }
        "VCPUs_at_startup" => vcpus(vm.int("VCPUs_max"), number),
        "memory_static_min" | "memory_static_max" | "memory_dynamic_min" | "memory_dynamic_max" => {
            settle(match field {
                "memory_dynamic_min" | "memory_dynamic_max" => "changing_dynamic_range",
                _ => "changing_memory_limits",
            })?;
            let mut limits = Limits::of(vm);
            limits.set(field, number);
            limits.check()
        }
        "is_a_template" if *value == Value::Bool(true) => settle("make_into_template"),
        "is_a_template" if vm.bool("is_default_template") => {
            Err(errors::OPERATION_NOT_ALLOWED.with(["clone the default template"]))
        }
        // Clients say of a snapshot, or of a VM that runs, that it is none, and go on with it.
        "is_a_template" => Ok(()),
        "domain_type" | "HVM_boot_policy" if vm.text("power_state") != "Halted" => {
            let state = vm.text("power_state").to_lowercase();
            Err(errors::VM_BAD_POWER_STATE.with([vm.reference().as_str(), "halted", &state]))
        }
        "domain_type" if value.as_str() == Some("pv_in_pvh") => Err(errors::VALUE_NOT_SUPPORTED
            .with(["domain_type", "pv_in_pvh", "only hvm, pv and pvh are run here"])),
        "xenstore_data" => told(value),
        "start_delay" | "shutdown_delay" | "order" if number < 0 => {
            Err(errors::INVALID_VALUE.with([field.to_owned(), number.to_string()]))
        }
        "VCPUs_params" => devices::scheduling(value.as_map()).map(drop),
        _ => Ok(()),
    }
}

/// What a guest can be told in xenstore.
pub fn told(value: &Value) -> Result<(), ApiError> {
    match value.as_map().into_iter().flatten().find(|(k, v)| !in_xenstore(k, v)) {
        Some((key, _)) => Err(errors::INVALID_VALUE.with(["xenstore_data", key])),
        None => Ok(()),
    }
}

/// Whether xenstore takes this path and value (`docs/misc/xenstore.txt` of Xen).
fn in_xenstore(path: &str, value: &Value) -> bool {
    let named = |name: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_@+:".contains(&b);
        !name.is_empty() && name.bytes().all(allowed)
    };
    path.len() <= 1024 && path.split('/').all(named) && value.text().len() <= 2048
}

/// Numbers of virtual CPUs that go together.
pub fn vcpus(max: i64, at_startup: i64) -> Result<(), ApiError> {
    let most = i64::from(xenops::MAX_VCPUS);
    if at_startup < 1 {
        return Err(errors::INVALID_VALUE.with(["VCPUs_at_startup".into(), at_startup.to_string()]));
    }
    if max < at_startup || max > most {
        return Err(errors::INVALID_VALUE.with(["VCPUs_max".into(), max.to_string()]));
    }
    Ok(())
}

fn vbd(objects: &Objects, vbd: &Object, field: &str, value: &Value) -> Result<(), ApiError> {
    if !["userdevice", "mode", "type", "bootable"].contains(&field) {
        return Ok(());
    }
    if vbd.bool("currently_attached") && field != "bootable" {
        return Err(errors::DEVICE_ALREADY_ATTACHED.with([vbd.reference().as_str()]));
    }
    match field {
        "mode" if vbd.text("type") == "CD" && value.as_str() == Some("RW") => {
            Err(errors::VBD_CDS_MUST_BE_READONLY.bare())
        }
        "type" if value.as_str() == Some("CD") && vbd.text("mode") == "RW" => {
            Err(errors::VBD_CDS_MUST_BE_READONLY.bare())
        }
        "type" if value.as_str() == Some("Disk") && vbd.bool("empty") => {
            Err(errors::VBD_IS_EMPTY.with([vbd.reference().as_str()]))
        }
        "userdevice" => {
            let text = value.text();
            let number = devices::disk_number(&text)
                .ok_or_else(|| errors::INVALID_DEVICE.with([text.as_str()]))?;
            let vm = objects.get("VM", &vbd.to("VM"))?;
            let own = devices::disk_number(vbd.text("userdevice"));
            if own != Some(number) && !devices::free_disks(objects, vm).contains(&number) {
                return Err(errors::DEVICE_ALREADY_EXISTS.with([text]));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The four memory limits of a VM, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Least memory it works with.
    pub static_min: i64,
    /// Least memory it is left with.
    pub dynamic_min: i64,
    /// Most memory it is given.
    pub dynamic_max: i64,
    /// Most memory it can ever have.
    pub static_max: i64,
}

impl Limits {
    /// Those of a VM.
    pub fn of(vm: &Object) -> Limits {
        Limits {
            static_min: vm.int("memory_static_min"),
            dynamic_min: vm.int("memory_dynamic_min"),
            dynamic_max: vm.int("memory_dynamic_max"),
            static_max: vm.int("memory_static_max"),
        }
    }

    fn set(&mut self, field: &str, bytes: i64) {
        match field {
            "memory_static_min" => self.static_min = bytes,
            "memory_static_max" => self.static_max = bytes,
            "memory_dynamic_min" => self.dynamic_min = bytes,
            _ => self.dynamic_max = bytes,
        }
    }

    /// They must be in order.
    pub fn check(&self) -> Result<(), ApiError> {
        let order = [0, self.static_min, self.dynamic_min, self.dynamic_max, self.static_max];
        if order.windows(2).all(|pair| pair[0] <= pair[1]) {
            return Ok(());
        }
        let rule =
            "Memory limits must satisfy: static_min <= dynamic_min <= dynamic_max <= static_max";
        Err(errors::MEMORY_CONSTRAINT_VIOLATION.with([rule]))
    }
}
