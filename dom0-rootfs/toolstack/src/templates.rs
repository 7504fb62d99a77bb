// SPDX-License-Identifier: MIT OR Apache-2.0
//! The templates that come with the appliance. Names and labels are those of XCP-ng where it has the
//! same system, because scripts name them.

use std::collections::BTreeSet;

use xapi_model::{Ref, Value, classes};

use crate::store::{Object, Transaction};

const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

/// What runs in it, which decides how it is virtualized.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guest {
    /// Paravirtualized Linux whose disk has a menu of GRUB.
    Pv,
    /// The same without paravirtualized page tables.
    Pvh,
    /// A PC.
    Pc,
    /// A PC that shows Windows what it knows of hypervisors.
    Windows,
}

struct Template {
    name: &'static str,
    description: &'static str,
    /// `reference_label`: names it whatever its name becomes.
    label: &'static str,
    guest: Guest,
    vcpus: i64,
    /// Bytes, the least and what a new VM has.
    memory: (i64, i64),
    /// Bytes of the disk that a new VM gets; 0 for none.
    disk: i64,
}

const fn linux(name: &'static str, label: &'static str, memory: (i64, i64), disk: i64) -> Template {
    let description = "Installed from its CD or over the network, with a disk for the system.";
    Template { name, description, label, guest: Guest::Pc, vcpus: 1, memory, disk }
}

const fn windows(name: &'static str, label: &'static str) -> Template {
    Template {
        name,
        description: "Installed from its CD, with a disk for the system; Windows knows the hypervisor.",
        label,
        guest: Guest::Windows,
        vcpus: 2,
        memory: (2 * GIB, 4 * GIB),
        disk: 64 * GIB,
    }
}

const TEMPLATES: &[Template] = &[
    Template {
        name: "Other install media",
        description: "Fully virtualized: boots from CD, disk or network as a PC does.",
        label: "Other install media",
        guest: Guest::Pc,
        vcpus: 1,
        memory: (128 * MIB, GIB),
        disk: 0,
    },
    Template {
        name: "Linux PVH (own boot loader)",
        description: "Linux in a hardware container, without device model: boots as the GRUB configuration on its disk says.",
        label: "Linux PVH (own boot loader)",
        guest: Guest::Pvh,
        vcpus: 1,
        memory: (64 * MIB, 512 * MIB),
        disk: 0,
    },
    Template {
        name: "Linux PV (own boot loader)",
        description: "Paravirtualized Linux: boots as the GRUB configuration on its disk says.",
        label: "Linux PV (own boot loader)",
        guest: Guest::Pv,
        vcpus: 1,
        memory: (64 * MIB, 512 * MIB),
        disk: 0,
    },
    linux("AlmaLinux 8", "almalinux-8", (2 * GIB, 2 * GIB), 10 * GIB),
    linux("AlmaLinux 9", "almalinux-9", (2 * GIB, 2 * GIB), 10 * GIB),
    linux("AlmaLinux 10", "almalinux-10", (2 * GIB, 2 * GIB), 10 * GIB),
    linux("Alpine Linux 3", "alpine-3", (128 * MIB, 512 * MIB), 2 * GIB),
    linux("Debian Bookworm 12", "debian-12", (512 * MIB, GIB), 10 * GIB),
    linux("Debian Trixie 13", "debian-13", (512 * MIB, GIB), 10 * GIB),
    linux("Ubuntu Jammy Jellyfish 22.04", "ubuntu-22.04", (GIB, 2 * GIB), 10 * GIB),
    linux("Ubuntu Noble Numbat 24.04", "ubuntu-24.04", (GIB, 2 * GIB), 10 * GIB),
    windows("Windows 10 (64-bit)", "windows-10-64bit"),
    windows("Windows Server 2019 (64-bit)", "windows-server-2019-64bit"),
    windows("Windows Server 2022 (64-bit)", "windows-server-2022-64bit"),
    windows("Windows Server 2025 (64-bit)", "windows-server-2025-64bit"),
];

/// Limits that graphical clients show.
const RECOMMENDATIONS: &str = "<restrictions>\
<restriction field=\"memory-static-max\" max=\"1649267441664\"/>\
<restriction field=\"vcpus-max\" max=\"128\"/>\
<restriction property=\"number-of-vbds\" max=\"16\"/>\
<restriction property=\"number-of-vifs\" max=\"7\"/>\
</restrictions>";

/// `platform` of every PC.
const PC: &[(&str, &str)] = &[
    ("acpi", "1"),
    ("apic", "true"),
    ("pae", "true"),
    ("nx", "true"),
    ("hpet", "true"),
    // Without this key, as in VMs from elsewhere, disks are on IDE.
    ("hdtype", "ahci"),
    // Clients ask for it; no keys are here that would check what a guest starts.
    ("secureboot", "false"),
];

/// How every PC boots.
const BOOT: &[(&str, &str)] = &[("order", "cdn"), ("firmware", "bios")];

/// What it has more for Windows ([`crate::vm::platform`]).
const WINDOWS: &[(&str, &str)] = &[
    ("viridian", "true"),
    ("viridian_time_ref_count", "true"),
    ("viridian_reference_tsc", "true"),
    ("viridian_apic_assist", "true"),
    ("viridian_crash_ctl", "true"),
    ("viridian_stimer", "true"),
    ("timeoffset", "0"),
];

/// Makes those that are not there: all in a new pool, and new ones after the host became newer.
pub fn make(t: &mut Transaction<'_>) {
    let there: BTreeSet<String> = {
        let made = |vm: &&Object| {
            let noted = vm.entry("other_config", "default_template").is_some();
            vm.bool("is_default_template") || (noted && vm.bool("is_a_template"))
        };
        let all = t.objects().all("VM").filter(made);
        all.map(|vm| vm.text("reference_label").to_owned()).collect()
    };
    complete(t);
    for template in TEMPLATES.iter().filter(|template| !there.contains(template.label)) {
        let metrics = t.create(&classes::VM_METRICS, vec![]);
        let mut fields = template.fields();
        fields.push(("metrics", metrics.into()));
        t.create(&classes::VM, fields);
    }
}

/// Gives default templates of an older host what clients ask for since.
fn complete(t: &mut Transaction<'_>) {
    let all = t.objects().all("VM");
    let all = all.filter(|vm| vm.bool("is_default_template") && vm.text("domain_type") == "hvm");
    let mut missing: Vec<(Ref, &str, Value)> = Vec::new();
    for vm in all {
        for (field, key, value) in
            [("HVM_boot_params", "firmware", "bios"), ("platform", "secureboot", "false")]
        {
            let mut map = vm.map(field).clone();
            if !map.contains_key(key) {
                map.insert(key.to_owned(), value.into());
                missing.push((vm.reference().clone(), field, Value::Map(map)));
            }
        }
    }
    for (vm, field, map) in missing {
        t.set(&vm, field, map);
    }
}

impl Template {
    fn fields(&self) -> Vec<(&'static str, Value)> {
        let (least, usual) = self.memory;
        let mut other =
            vec![("default_template", "true".to_owned()), ("install-methods", "cdrom".to_owned())];
        if self.disk > 0 {
            let size = self.disk;
            let disks = format!(
                r#"<provision><disk device="0" size="{size}" sr="" bootable="true" type="system"/></provision>"#
            );
            other.push(("disks", disks));
        }
        let mut fields: Vec<(&str, Value)> = vec![
            ("name_label", self.name.into()),
            ("name_description", self.description.into()),
            ("is_a_template", true.into()),
            ("is_default_template", true.into()),
            ("memory_static_min", least.into()),
            ("memory_dynamic_min", usual.into()),
            ("memory_dynamic_max", usual.into()),
            ("memory_static_max", usual.into()),
            ("memory_target", usual.into()),
            ("VCPUs_max", self.vcpus.into()),
            ("VCPUs_at_startup", self.vcpus.into()),
            ("recommendations", RECOMMENDATIONS.into()),
            ("other_config", Value::string_map(other)),
            ("reference_label", self.label.into()),
        ];
        let more = match self.guest {
            Guest::Pv | Guest::Pvh => {
                let kind = if self.guest == Guest::Pv { "pv" } else { "pvh" };
                fields.push(("domain_type", Value::Enum(kind)));
                fields.push(("PV_bootloader", "pvgrub".into()));
                return fields;
            }
            Guest::Pc => &[][..],
            Guest::Windows => WINDOWS,
        };
        fields.push(("domain_type", Value::Enum("hvm")));
        fields.push(("HVM_boot_policy", "BIOS order".into()));
        fields.push(("HVM_boot_params", Value::string_map(BOOT.iter().copied())));
        fields.push(("platform", Value::string_map(PC.iter().chain(more).copied())));
        fields
    }
}
