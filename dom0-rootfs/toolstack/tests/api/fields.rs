// SPDX-License-Identifier: MIT OR Apache-2.0
//! A field that clients set has an effect, or is theirs: what does not work is not offered.

use std::collections::BTreeSet;
use std::path::Path;

use xapi_model::{Field, Qualifier, classes};

/// Fields of every class that are for clients and people alone.
const FREE: [&str; 4] = ["name_label", "name_description", "other_config", "tags"];

/// More of them, as their descriptions say.
const FREE_OF_CLASS: [(&str, &str); 17] = [
    ("VM", "PV_bootloader_args"),
    ("VM", "PV_legacy_args"),
    ("VM", "PCI_bus"),
    ("user", "fullname"),
    ("secret", "value"),
    // For controllers of the switches.
    ("tunnel", "status"),
    ("tunnel", "protocol"),
    // Its place in a list of VMs that others make.
    ("VM", "appliance"),
    ("VM", "snapshot_schedule"),
    ("pool", "gui_config"),
    ("VM", "user_version"),
    ("VM", "recommendations"),
    ("VM", "PV_bootloader"),
    // One host is every VM's favourite.
    ("VM", "affinity"),
    ("SR", "sm_config"),
    ("VDI", "sm_config"),
    ("VBD", "bootable"),
];

/// All others, each with the module that acts on it.
const READ: &[(&str, &str, &str)] = &[
    ("pool", "default_SR", "api/vdi.rs"),
    ("VM", "is_a_template", "vm/operation.rs"),
    ("VM", "memory_static_max", "guards.rs"),
    ("VM", "memory_dynamic_max", "vm/plan.rs"),
    ("VM", "memory_dynamic_min", "guards.rs"),
    ("VM", "memory_static_min", "guards.rs"),
    ("VM", "VCPUs_params", "vm/plan.rs"),
    ("VM", "VCPUs_max", "vm/plan.rs"),
    ("VM", "VCPUs_at_startup", "vm/plan.rs"),
    ("VM", "actions_after_shutdown", "vm/watcher.rs"),
    ("VM", "actions_after_reboot", "vm/watcher.rs"),
    ("VM", "actions_after_crash", "vm/watcher.rs"),
    ("VM", "PV_kernel", "vm/plan.rs"),
    ("VM", "PV_ramdisk", "vm/plan.rs"),
    ("VM", "PV_args", "vm/plan.rs"),
    ("VM", "HVM_boot_policy", "vm/devices.rs"),
    ("VM", "HVM_boot_params", "vm/plan.rs"),
    ("VM", "platform", "vm/plan.rs"),
    ("VM", "blocked_operations", "vm/operation.rs"),
    ("VM", "domain_type", "vm/devices.rs"),
    ("network", "MTU", "vm/plan.rs"),
    ("VDI", "xenstore_data", "vm/plan.rs"),
    ("pool", "crash_dump_SR", "vm/crash_dump.rs"),
    ("host", "crash_dump_sr", "vm/crash_dump.rs"),
    ("VIF", "qos_algorithm_type", "vm/devices.rs"),
    ("VIF", "qos_algorithm_params", "vm/devices.rs"),
    ("VDI", "sharable", "vdis.rs"),
    ("VDI", "read_only", "vm/plan.rs"),
    ("pool", "suspend_image_SR", "vm/suspend.rs"),
    ("host", "suspend_image_sr", "vm/suspend.rs"),
    ("VM", "xenstore_data", "vm/plan.rs"),
    ("VM", "suspend_SR", "vm/suspend.rs"),
    ("VBD", "userdevice", "vm/plan.rs"),
    ("VBD", "mode", "vm/plan.rs"),
    ("VBD", "type", "vm/plan.rs"),
    ("VBD", "unpluggable", "vm/device_operation.rs"),
    ("PBD", "device_config", "vdis.rs"),
    ("VM", "order", "api/appliance.rs"),
    ("VM", "start_delay", "api/appliance.rs"),
    ("VM", "shutdown_delay", "api/appliance.rs"),
    ("VMSS", "enabled", "api/vmss.rs"),
    ("blob", "public", "server/blob.rs"),
    ("PIF", "disallow_unplug", "api/pif.rs"),
    ("PIF", "primary_address_type", "host_network/mod.rs"),
    ("host", "guest_VCPUs_params", "vm/plan.rs"),
    ("host", "logging", "api/services.rs"),
    ("pool", "limit_console_sessions", "server/console.rs"),
];

fn settable(field: &&Field) -> bool {
    field.qualifier == Qualifier::Rw && !FREE.contains(&field.name)
}

#[test]
fn every_field_that_clients_set_is_theirs_or_is_read() {
    let mut known: BTreeSet<(&str, &str)> = FREE_OF_CLASS.into_iter().collect();
    known.extend(READ.iter().map(|(class, field, _)| (*class, *field)));
    let settable: BTreeSet<(&str, &str)> = classes::ALL
        .iter()
        .flat_map(|class| {
            class.fields.iter().filter(settable).map(|field| (class.name, field.name))
        })
        .collect();
    let new: Vec<_> = settable.difference(&known).collect();
    assert!(new.is_empty(), "who reads what clients set here? {new:?}");
    let gone: Vec<_> = known.difference(&settable).collect();
    assert!(gone.is_empty(), "clients cannot set them any more: {gone:?}");
}

#[test]
fn the_modules_that_act_on_fields_name_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (class, field, module) in READ {
        let text = std::fs::read_to_string(source.join(module)).unwrap();
        assert!(text.contains(&format!("\"{field}\"")), "{module} does not read {class}.{field}");
    }
}
