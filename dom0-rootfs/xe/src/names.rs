// SPDX-License-Identifier: MIT OR Apache-2.0
//! How xe calls classes and fields: dashes for underscores, with the habits of XenServer.

use xapi_model::{Class, Field, Type};

/// Fields whose name follows no rule: class, field, name.
const ODD: &[(&str, &str, &str)] = &[
    ("VM", "domid", "dom-id"),
    ("VM", "consoles", "console-uuids"),
    ("VM", "suspend_VDI", "suspend-VDI-uuid"),
    ("VM", "suspend_SR", "suspend-SR-uuid"),
    ("VM", "last_booted_record", "last-boot-record"),
    ("host", "resident_VMs", "resident-vms"),
    ("host", "suspend_image_sr", "suspend-image-sr-uuid"),
    ("host", "crash_dump_sr", "crash-dump-sr-uuid"),
    ("host", "control_domain", "control-domain-uuid"),
    ("host_metrics", "live", "host-metrics-live"),
    ("network", "VIFs", "VIF-uuids"),
    ("network", "PIFs", "PIF-uuids"),
    ("VDI", "VBDs", "vbd-uuids"),
    ("PIF", "ip_configuration_mode", "IP-configuration-mode"),
    ("PIF", "ipv6_configuration_mode", "IPv6-configuration-mode"),
    ("PIF", "ipv6_gateway", "IPv6-gateway"),
    ("message", "cls", "class"),
    ("task", "allowed_operations", "allowed_operations"),
    ("task", "current_operations", "current_operations"),
];

/// Fields that keep their underscores.
const KEPT: &[&str] = &[
    "cpu_info",
    "error_info",
    "guest_VCPUs_params",
    "iscsi_iqn",
    "qos_algorithm_params",
    "qos_algorithm_type",
    "qos_supported_algorithms",
    "subtask_of",
];

/// `vm`, `host-metrics`.
pub(crate) fn class(class: &Class) -> String {
    match class.name {
        "VM_appliance" => "appliance".to_owned(),
        name => dashed(name).to_lowercase(),
    }
}

/// `name-label`, `vm-uuid`.
pub(crate) fn field(class: &Class, field: &Field) -> String {
    if let Some((_, _, name)) = ODD.iter().find(|(c, f, _)| *c == class.name && *f == field.name) {
        return (*name).to_owned();
    }
    if let Some(target) = names_its_class(field) {
        return format!("{}-uuid", dashed(target).to_lowercase());
    }
    if KEPT.contains(&field.name) { field.name.to_owned() } else { dashed(field.name) }
}

/// A parameter of a message: `new-name`, `vdi-uuid`.
pub(crate) fn param(name: &str, ty: &Type) -> String {
    match ty {
        Type::Ref(_) if name != "self" => format!("{}-uuid", dashed(name).to_lowercase()),
        Type::Ref(_) => "uuid".to_owned(),
        _ => dashed(name),
    }
}

/// The class that a reference goes to, if the field is called like it (`VBD.VM`).
pub(crate) fn names_its_class(field: &Field) -> Option<&'static str> {
    match field.ty {
        Type::Ref(target) if target.eq_ignore_ascii_case(field.name) => Some(target),
        _ => None,
    }
}

/// Whether two names are the same but for dashes and letters' case.
pub(crate) fn alike(left: &str, right: &str) -> bool {
    left.replace('_', "-").eq_ignore_ascii_case(&right.replace('_', "-"))
}

pub(crate) fn dashed(name: &str) -> String {
    name.replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use xapi_model::classes;

    fn name(class: &str, name: &str) -> String {
        let class = classes::find(class).unwrap();
        field(class, class.field(name).unwrap().1)
    }

    #[test]
    fn names_as_in_xenserver() {
        for (class, field, expected) in [
            ("VM", "name_label", "name-label"),
            ("VM", "power_state", "power-state"),
            ("VM", "VCPUs_max", "VCPUs-max"),
            ("VM", "HVM_boot_policy", "HVM-boot-policy"),
            ("VM", "domid", "dom-id"),
            ("VM", "resident_on", "resident-on"),
            ("VBD", "VM", "vm-uuid"),
            ("VBD", "VDI", "vdi-uuid"),
            ("VBD", "qos_algorithm_type", "qos_algorithm_type"),
            ("VDI", "SR", "sr-uuid"),
            ("PBD", "host", "host-uuid"),
            ("pool", "default_SR", "default-SR"),
            ("pool", "master", "master"),
            ("PIF", "network", "network-uuid"),
            ("PIF", "MAC", "MAC"),
            ("SR", "VDIs", "VDIs"),
        ] {
            assert_eq!(name(class, field), expected);
        }
        assert_eq!(super::class(classes::find("host_metrics").unwrap()), "host-metrics");
        assert_eq!(super::class(classes::find("VM_appliance").unwrap()), "appliance");
    }

    #[test]
    fn every_odd_name_belongs_to_a_field() {
        for (class, field, _) in ODD {
            let class = classes::find(class).unwrap();
            assert!(class.field(field).is_some(), "{}.{field}", class.name);
        }
        for kept in KEPT {
            let known = classes::ALL.iter().any(|class| class.field(kept).is_some());
            assert!(known, "{kept}");
        }
    }
}
