// SPDX-License-Identifier: MIT OR Apache-2.0
//! `PCI`, `PGPU` and `GPU_group`: devices of the host. Guests are given none.

use super::prelude::*;

static ACCESS: EnumType = EnumType {
    name: "pci_dom0_access",
    values: &["enabled", "disable_on_reboot", "disabled", "enable_on_reboot"],
};

static ALLOCATION: EnumType =
    EnumType { name: "allocation_algorithm", values: &["breadth_first", "depth_first"] };

/// A PCI device.
pub static PCI: Class = class(
    "PCI",
    "A PCI device of a host.",
    &[
        UUID,
        ro("class_id", STRING, "Class and subclass, four hexadecimal digits."),
        ro("class_name", STRING, "Name of the class."),
        ro("vendor_id", STRING, "Vendor, four hexadecimal digits."),
        ro("vendor_name", STRING, "Name of the vendor, where the host has a list of them."),
        ro("device_id", STRING, "Device, four hexadecimal digits."),
        ro("device_name", STRING, "Name of the device, where the host has a list of them."),
        ro("host", Ref("host"), "The host it is in."),
        ro("pci_id", STRING, "Its address: 0000:00:1f.0."),
        ro("dependencies", Set(&Ref("PCI")), "Other functions of the same device."),
        rw("other_config", STRING_MAP, "Free for clients."),
        ro("subsystem_vendor_id", STRING, "Vendor of the subsystem."),
        ro("subsystem_vendor_name", STRING, "Its name, where the host has a list of them."),
        ro("subsystem_device_id", STRING, "Device of the subsystem."),
        ro("subsystem_device_name", STRING, "Name of the device of the subsystem; not looked up."),
        ro("driver_name", STRING, "Driver in Dom0; empty: none."),
    ],
    &[],
);

/// A graphics card.
pub static PGPU: Class = class(
    "PGPU",
    "A graphics card of a host.",
    &[
        UUID,
        ro("PCI", Ref("PCI"), "Its PCI device."),
        ro("GPU_group", Ref("GPU_group"), "The group of cards of its kind."),
        ro("host", Ref("host"), "The host it is in."),
        rw("other_config", STRING_MAP, "Free for clients."),
        ro("supported_VGPU_types", Set(&Ref("VGPU_type")), "Virtual cards it can be; none."),
        ro("enabled_VGPU_types", Set(&Ref("VGPU_type")), "Virtual cards it may be; none."),
        ro("resident_VGPUs", Set(&Ref("VGPU")), "Virtual cards on it; none."),
        ro(
            "supported_VGPU_max_capacities",
            Type::Map(&Ref("VGPU_type"), &Int),
            "How many virtual cards of each type it can be; none.",
        ),
        ro("dom0_access", Enum(&ACCESS), "Dom0 uses it."),
        ro("is_system_display_device", Bool, "The host's console is on it."),
        ro("compatibility_metadata", STRING_MAP, "For moving virtual cards; none."),
    ],
    &[],
);

/// Graphics cards of one kind.
pub static GPU_GROUP: Class = class(
    "GPU_group",
    "Graphics cards of one kind, in all hosts.",
    &[
        UUID,
        rw("name_label", STRING, "Name."),
        rw("name_description", STRING, "Description."),
        mirror("PGPUs", Set(&Ref("PGPU")), "GPU_group", "Its cards."),
        ro("VGPUs", Set(&Ref("VGPU")), "Virtual cards on them; none."),
        ro("GPU_types", STRINGS, "Vendor and device of its cards: 10de/1db4."),
        rw("other_config", STRING_MAP, "Free for clients."),
        ro("allocation_algorithm", Enum(&ALLOCATION), "How virtual cards would be spread."),
        ro("supported_VGPU_types", Set(&Ref("VGPU_type")), "Virtual cards they can be; none."),
        ro("enabled_VGPU_types", Set(&Ref("VGPU_type")), "Virtual cards they may be; none."),
    ],
    &[
        message("create", Role::PoolOperator, "Makes a group without cards.")
            .takes(&[
                param("name_label", STRING, "name of the group"),
                optional("name_description", STRING, Str(""), "description"),
                optional("other_config", STRING_MAP, Literal::Zero, "free for clients"),
            ])
            .gives(Ref("GPU_group")),
        message("destroy", Role::PoolOperator, "Removes a group without cards.")
            .takes(&[param("self", Ref("GPU_group"), "the group")])
            .fails(&[&GPU_GROUP_CONTAINS_PGPU]),
    ],
);
