// SPDX-License-Identifier: MIT OR Apache-2.0
//! The templates that a new pool has.

use xapi_model::{Value, classes};

use crate::store::Transaction;

const MIB: i64 = 1 << 20;

struct Template {
    name: &'static str,
    description: &'static str,
    domain_type: &'static str,
    memory_min: i64,
    memory: i64,
}

const TEMPLATES: &[Template] = &[
    Template {
        name: "Other install media",
        description: "Fully virtualized: boots from CD, disk or network as a PC does.",
        domain_type: "hvm",
        memory_min: 128 * MIB,
        memory: 1024 * MIB,
    },
    Template {
        name: "Linux PVH (own boot loader)",
        description: "Linux in a hardware container, without device model: boots as the GRUB configuration on its disk says.",
        domain_type: "pvh",
        memory_min: 64 * MIB,
        memory: 512 * MIB,
    },
    Template {
        name: "Linux PV (own boot loader)",
        description: "Paravirtualized Linux: boots as the GRUB configuration on its disk says.",
        domain_type: "pv",
        memory_min: 64 * MIB,
        memory: 512 * MIB,
    },
];

/// Limits that graphical clients show.
const RECOMMENDATIONS: &str = "<restrictions>\
<restriction field=\"memory-static-max\" max=\"1649267441664\"/>\
<restriction field=\"vcpus-max\" max=\"128\"/>\
<restriction property=\"number-of-vbds\" max=\"16\"/>\
<restriction property=\"number-of-vifs\" max=\"7\"/>\
</restrictions>";

/// Makes them.
pub fn make(t: &mut Transaction<'_>) {
    for template in TEMPLATES {
        let hvm = template.domain_type == "hvm";
        let other = Value::string_map([("default_template", "true"), ("install-methods", "cdrom")]);
        let mut fields: Vec<(&str, Value)> = vec![
            ("name_label", template.name.into()),
            ("name_description", template.description.into()),
            ("is_a_template", true.into()),
            ("is_default_template", true.into()),
            ("domain_type", Value::Enum(template.domain_type)),
            ("memory_static_min", template.memory_min.into()),
            ("memory_dynamic_min", template.memory.into()),
            ("memory_dynamic_max", template.memory.into()),
            ("memory_static_max", template.memory.into()),
            ("memory_target", template.memory.into()),
            ("recommendations", RECOMMENDATIONS.into()),
            ("other_config", other),
            ("reference_label", template.name.into()),
        ];
        if hvm {
            fields.push(("HVM_boot_policy", "BIOS order".into()));
            fields.push(("HVM_boot_params", Value::string_map([("order", "cdn")])));
            let platform = [
                ("acpi", "1"),
                ("apic", "true"),
                ("pae", "true"),
                ("nx", "true"),
                // Without this key, as in VMs from elsewhere, disks are on IDE.
                ("hdtype", "ahci"),
            ];
            fields.push(("platform", Value::string_map(platform)));
        } else {
            fields.push(("PV_bootloader", "pvgrub".into()));
        }
        let metrics = t.create(&classes::VM_METRICS, vec![]);
        fields.push(("metrics", metrics.into()));
        t.create(&classes::VM, fields);
    }
}
