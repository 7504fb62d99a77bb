// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM`: fields. Its messages are in the table beside it.

use super::prelude::*;

#[path = "vm_messages.rs"]
mod messages;

/// How a VM is virtualized.
pub(crate) static DOMAIN_TYPE: EnumType =
    EnumType { name: "domain_type", values: &["unspecified", "hvm", "pv", "pv_in_pvh", "pvh"] };

static POWER_STATE: EnumType =
    EnumType { name: "vm_power_state", values: &["Halted", "Paused", "Running", "Suspended"] };

static ON_EXIT: EnumType = EnumType { name: "on_normal_exit", values: &["destroy", "restart"] };

static ON_CRASH: EnumType = EnumType {
    name: "on_crash_behaviour",
    values: &[
        "destroy",
        "coredump_and_destroy",
        "restart",
        "coredump_and_restart",
        "preserve",
        "rename_restart",
    ],
};

static GUIDANCE: EnumType = EnumType {
    name: "update_guidances",
    values: &["reboot_host", "restart_toolstack", "restart_device_model", "restart_vm"],
};

/// What can be done with a VM.
pub(crate) static OPERATIONS: EnumType = EnumType {
    name: "vm_operations",
    values: &[
        "snapshot",
        "clone",
        "copy",
        "create_template",
        "revert",
        "checkpoint",
        "snapshot_with_quiesce",
        "provision",
        "start",
        "start_on",
        "pause",
        "unpause",
        "clean_shutdown",
        "clean_reboot",
        "hard_shutdown",
        "power_state_reset",
        "hard_reboot",
        "suspend",
        "csvm",
        "resume",
        "resume_on",
        "pool_migrate",
        "migrate_send",
        "get_boot_record",
        "send_sysrq",
        "send_trigger",
        "query_services",
        "shutdown",
        "call_plugin",
        "changing_memory_live",
        "awaiting_memory_live",
        "changing_dynamic_range",
        "changing_static_range",
        "changing_memory_limits",
        "changing_shadow_memory",
        "changing_shadow_memory_live",
        "changing_VCPUs",
        "changing_VCPUs_live",
        "changing_NVRAM",
        "assert_operation_valid",
        "data_source_op",
        "update_allowed_operations",
        "make_into_template",
        "import",
        "export",
        "metadata_export",
        "reverting",
        "destroy",
        "create_vtpm",
        "sysprep",
    ],
};

const POWER: Role = Role::VmPowerAdmin;
const OPERATOR: Role = Role::VmOperator;
const ONE: Literal = Literal::Int(1);

/// A virtual machine, or a template for one.
pub static VM: Class = class(
    "VM",
    "A virtual machine, or a template for one.",
    &[
        UUID,
        ro("allowed_operations", Set(&Enum(&OPERATIONS)), "What may be done with it now."),
        ro("current_operations", Type::Map(&Type::String, &Enum(&OPERATIONS)), "Operations under way, by their task."),
        rw("name_label", STRING, "Name."),
        rw("name_description", STRING, "Description."),
        ro("power_state", Enum(&POWER_STATE), "Whether it runs."),
        rw("user_version", Int, "Version, free for clients.").or(ONE),
        rw("is_a_template", Bool, "It is a template: it can be cloned, not started."),
        ro("is_default_template", Bool, "It is a template that came with the host."),
        ro("suspend_VDI", Ref("VDI"), "Memory of the suspended VM."),
        ro("resident_on", Ref("host"), "The host it runs on."),
        ro("scheduled_to_be_resident_on", Ref("host"), "The host it is being started on."),
        rw("affinity", Ref("host"), "The host it prefers; there is one.").by(POWER),
        ro("memory_overhead", Int, "Memory the host needs for it beside its own, in bytes."),
        ro("memory_target", Int, "Memory it should have now, in bytes."),
        rw("memory_static_max", Int, "Most memory it can ever have, in bytes.").by(POWER),
        rw("memory_dynamic_max", Int, "Most memory it is given, in bytes.").by(POWER),
        rw("memory_dynamic_min", Int, "Least memory it is left with, in bytes.").by(POWER),
        rw("memory_static_min", Int, "Least memory it works with, in bytes.").by(POWER),
        rw(
            "VCPUs_params",
            STRING_MAP,
            "weight: share of the CPUs, 1 to 65535; cap: most percent of one CPU; mask: numbers of the CPUs it may run on, \
             as 0,1 for all of its own or 0,1;2 for the first and the second. From its next start.",
        ),
        rw("VCPUs_max", Int, "Most virtual CPUs.").or(ONE),
        rw("VCPUs_at_startup", Int, "Virtual CPUs that it starts with.").or(ONE),
        rw("actions_after_shutdown", Enum(&ON_EXIT), "What to do when the guest powers off."),
        rw("actions_after_reboot", Enum(&ON_EXIT), "What to do when the guest reboots.")
            .or(Str("restart")),
        rw("actions_after_crash", Enum(&ON_CRASH), "What to do when the guest crashes.")
            .or(Str("restart")),
        mirror("consoles", Set(&Ref("console")), "VM", "Its consoles, while it runs."),
        mirror("VIFs", Set(&Ref("VIF")), "VM", "Its network interfaces."),
        mirror("VBDs", Set(&Ref("VBD")), "VM", "Its disks and CD drives."),
        ro("VUSBs", Set(&Ref("VUSB")), "USB devices; none."),
        mirror("crash_dumps", Set(&Ref("crashdump")), "VM", "What was kept of its memory when it crashed."),
        ro("VTPMs", Set(&Ref("VTPM")), "TPMs; none."),
        rw("PV_bootloader", STRING, "Free for clients; without PV_kernel the guest's disk boots it."),
        rw("PV_kernel", STRING, "Kernel in Dom0; empty: the guest's disk boots it."),
        rw("PV_ramdisk", STRING, "Initial RAM disk in Dom0."),
        rw("PV_args", STRING, "Kernel command line."),
        rw("PV_bootloader_args", STRING, "Free for clients; the guest's disk has its own."),
        rw("PV_legacy_args", STRING, "Free for clients; PV_args is what a kernel gets."),
        rw(
            "HVM_boot_policy",
            STRING,
            "Not empty: fully virtualized. It and domain_type follow each other.",
        ),
        rw(
            "HVM_boot_params",
            STRING_MAP,
            "order: boot devices (c disk, d CD, n network); firmware: bios or uefi.",
        ),
        fixed("HVM_shadow_multiplier", Float, "Shadow memory; not used.").or(Literal::Float(1.0)),
        rw(
            "platform",
            STRING_MAP,
            "What a fully virtualized guest finds: hdtype (ide or ahci, for disks), vga (std, cirrus or none), videoram (MiB), \
             usb_tablet, hpet, timeoffset (seconds), viridian and viridian_time_ref_count, _reference_tsc, _apic_assist, \
             _crash_ctl, _stimer and others of Windows. Other keys are kept for clients.",
        )
        .keyed(&[("hvm_serial", Role::PoolAdmin)]),
        rw("PCI_bus", STRING, "Free for clients; no PCI devices are passed through."),
        rw("other_config", STRING_MAP, "Free for clients.").keyed(&[
            ("folder", OPERATOR),
            ("XenCenter.CustomFields.*", OPERATOR),
            ("hvm_serial", Role::PoolAdmin),
            ("pci", Role::PoolAdmin),
        ]),
        ro("domid", Int, "Number of its domain; -1 when it does not run.").or(Literal::Int(-1)),
        ro("domarch", STRING, "Architecture of its domain."),
        ro("last_boot_CPU_flags", STRING_MAP, "CPU features at its last start."),
        ro("is_control_domain", Bool, "It is a host's Dom0."),
        ro("metrics", Ref("VM_metrics"), "Figures that change all the time."),
        ro("guest_metrics", Ref("VM_guest_metrics"), "What an agent in the guest reports."),
        ro("last_booted_record", STRING, "Its record at its last start; not kept."),
        rw("recommendations", STRING, "Recommended limits, as XML, for clients."),
        rw(
            "xenstore_data",
            STRING_MAP,
            "For the guest, in xenstore, from its next start or resume: keys below vm-data/.",
        ),
        ro("ha_always_run", Bool, "High availability keeps it running."),
        ro("ha_restart_priority", STRING, "Its priority for high availability."),
        ro("is_a_snapshot", Bool, "It is a snapshot."),
        ro("snapshot_of", Ref("VM"), "What it is a snapshot of."),
        mirror("snapshots", Set(&Ref("VM")), "snapshot_of", "Its snapshots."),
        ro("snapshot_time", DateTime, "When the snapshot was taken."),
        ro("transportable_snapshot_id", STRING, "Identifier of the snapshot elsewhere."),
        BLOBS,
        rw("tags", STRINGS, "Tags.").by(OPERATOR),
        rw(
            "blocked_operations",
            Type::Map(&Enum(&OPERATIONS), &Type::String),
            "Operations that are blocked, with the code to fail with.",
        ),
        ro("snapshot_info", STRING_MAP, "How the snapshot was taken."),
        ro("snapshot_metadata", STRING, "Record of the snapshot."),
        ro("parent", Ref("VM"), "The snapshot it was last reverted to or cloned from."),
        mirror("children", Set(&Ref("VM")), "parent", "The reverse of parent."),
        fixed("bios_strings", STRING_MAP, "What its firmware says of the machine."),
        ro("protection_policy", Ref("VMPP"), "Protection policy; none."),
        rw("snapshot_schedule", Ref("VMSS"), "The schedule by which it is snapshotted.")
            .by(Role::PoolOperator),
        ro("is_vmss_snapshot", Bool, "Taken by a schedule."),
        rw("appliance", Ref("VM_appliance"), "The appliance it belongs to.").by(Role::PoolOperator),
        rw("start_delay", Int, "Seconds that its appliance waits after its start.")
            .by(Role::PoolOperator),
        rw("shutdown_delay", Int, "Seconds that its appliance waits after its shutdown.")
            .by(Role::PoolOperator),
        rw("order", Int, "Its place when its appliance starts, lowest first; shutdown is the reverse.")
            .by(Role::PoolOperator),
        ro("groups", Set(&Ref("VM_group")), "The group that it is placed with; at most one."),
        ro("VGPUs", Set(&Ref("VGPU")), "Virtual graphics cards; none."),
        ro("attached_PCIs", Set(&Ref("PCI")), "PCI devices; none."),
        rw("suspend_SR", Ref("SR"), "Where its memory goes when it is suspended; the pool's when null."),
        ro("version", Int, "How often it was recovered."),
        ro("generation_id", STRING, "Generation; changes when time goes back for the guest.")
            .or(Str("0:0")),
        ro("hardware_platform_version", Int, "Version of the virtual hardware that it needs."),
        fixed("has_vendor_device", Bool, "It has the vendor device; none is made."),
        ro("requires_reboot", Bool, "A changed setting waits for a reboot."),
        fixed("reference_label", STRING, "Label of the template it was made from."),
        rw("domain_type", Enum(&DOMAIN_TYPE), "How it is virtualized."),
        fixed("NVRAM", STRING_MAP, "UEFI variables; not kept."),
        ro("pending_guidances", Set(&Enum(&GUIDANCE)), "What an update asks for."),
    ],
    messages::MESSAGES,
)
.written_by(Role::VmAdmin)
.made_by(Role::VmAdmin);
