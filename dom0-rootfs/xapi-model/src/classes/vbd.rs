// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VBD`.

use super::prelude::*;
use crate::error::ErrorCode;
use crate::message::Param;

static OPERATIONS: EnumType = EnumType {
    name: "vbd_operations",
    values: &["attach", "eject", "insert", "plug", "unplug", "unplug_force", "pause", "unpause"],
};

static KIND: EnumType = EnumType { name: "vbd_type", values: &["Disk", "CD", "Floppy"] };

static MODE: EnumType = EnumType { name: "vbd_mode", values: &["RW", "RO"] };

const SELF: Param = param("self", Ref("VBD"), "the device");

const UNPLUG_ERRORS: &[&ErrorCode] = &[
    &VM_BAD_POWER_STATE,
    &DEVICE_ALREADY_DETACHED,
    &DEVICE_DETACH_REJECTED,
    &DEVICE_DETACH_TIMEOUT,
    &VBD_NOT_UNPLUGGABLE,
    &OTHER_OPERATION_IN_PROGRESS,
];

/// A VM's disk or CD drive.
pub static VBD: Class = class(
    "VBD",
    "A disk or CD drive of a VM.",
    &[
        UUID,
        ro("allowed_operations", Set(&Enum(&OPERATIONS)), "What may be done with it now."),
        ro(
            "current_operations",
            Type::Map(&Type::String, &Enum(&OPERATIONS)),
            "Operations under way, by their task.",
        ),
        fixed("VM", Ref("VM"), "Its VM."),
        fixed("VDI", Ref("VDI"), "What is in it; null for an empty CD drive."),
        ro("device", STRING, "Name in the guest: xvda; empty until the VM has run."),
        rw("userdevice", STRING, "Its number in the VM, or a name; autodetect finds one."),
        rw("bootable", Bool, "Mark for clients; a guest boots from its first disk that can."),
        rw("mode", Enum(&MODE), "The guest may write, or only read."),
        rw("type", Enum(&KIND), "Disk or CD drive."),
        rw("unpluggable", Bool, "It may be unplugged while the VM runs.").or(Literal::Bool(true)),
        ro("storage_lock", Bool, "Locked by its SR."),
        fixed("empty", Bool, "Nothing is in the drive."),
        rw("other_config", STRING_MAP, "Free for clients."),
        ro("currently_attached", Bool, "The running VM has it."),
        ro("status_code", Int, "Result of the last operation."),
        ro("status_detail", STRING, "Message of the last operation."),
        ro("runtime_properties", STRING_MAP, "Facts of the attached device."),
        fixed("qos_algorithm_type", STRING, "Bandwidth limit; not applied."),
        fixed(
            "qos_algorithm_params",
            STRING_MAP,
            "Parameters of the bandwidth limit; not applied.",
        ),
        ro("qos_supported_algorithms", STRINGS, "Bandwidth limits that exist; none."),
        ro("metrics", Ref("VBD_metrics"), "Its metrics; not kept."),
    ],
    &[
        message("plug", Role::VmAdmin, "Gives it to its VM, which runs.").takes(&[SELF]).fails(&[
            &VM_BAD_POWER_STATE,
            &DEVICE_ALREADY_ATTACHED,
            &VBD_IS_EMPTY,
            &VDI_IN_USE,
            &OTHER_OPERATION_IN_PROGRESS,
        ]),
        message(
            "unplug",
            Role::VmAdmin,
            "Takes it from its VM, which runs; the guest has to let go of it.",
        )
        .takes(&[SELF])
        .fails(UNPLUG_ERRORS),
        message("unplug_force", Role::VmAdmin, "Takes it from its VM, whatever the guest says.")
            .takes(&[SELF])
            .fails(UNPLUG_ERRORS),
        message(
            "assert_attachable",
            Role::VmAdmin,
            "Fails with the reason why it cannot be attached.",
        )
        .takes(&[SELF])
        .fails(&[&DEVICE_ALREADY_ATTACHED, &OTHER_OPERATION_IN_PROGRESS]),
        message("insert", Role::VmOperator, "Puts a VDI into an empty CD drive.")
            .takes(&[param("vbd", Ref("VBD"), "the drive"), param("vdi", Ref("VDI"), "the VDI")])
            .fails(&[&VBD_NOT_REMOVABLE_MEDIA, &VBD_NOT_EMPTY, &VM_BAD_POWER_STATE]),
        message("eject", Role::VmOperator, "Takes the VDI out of a CD drive.")
            .takes(&[param("vbd", Ref("VBD"), "the drive")])
            .fails(&[&VBD_NOT_REMOVABLE_MEDIA, &VBD_IS_EMPTY, &VM_BAD_POWER_STATE]),
    ],
)
.written_by(Role::VmAdmin)
.made_by(Role::VmAdmin);
