// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM`: messages.

use super::OPERATIONS;
use crate::classes::blob;
use crate::classes::prelude::*;
use crate::error::ErrorCode;
use crate::message::Param;

const VM_PARAM: Param = param("vm", Ref("VM"), "the VM");
const SELF: Param = param("self", Ref("VM"), "the VM");
const PAUSED: Param = param("start_paused", Bool, "leave it paused");
const FORCE: Param = param("force", Bool, "skip checks that may be wrong");

const POWER_ERRORS: &[&ErrorCode] = &[
    &VM_BAD_POWER_STATE,
    &OTHER_OPERATION_IN_PROGRESS,
    &OPERATION_NOT_ALLOWED,
    &OPERATION_BLOCKED,
    &VM_IS_SNAPSHOT,
    &VM_IS_TEMPLATE,
];

const START_ERRORS: &[&ErrorCode] = &[
    &VM_BAD_POWER_STATE,
    &VM_HVM_REQUIRED,
    &VM_IS_SNAPSHOT,
    &VM_IS_TEMPLATE,
    &OTHER_OPERATION_IN_PROGRESS,
    &OPERATION_BLOCKED,
    &BOOTLOADER_FAILED,
    &HOST_NOT_ENOUGH_FREE_MEMORY,
    &HOST_DISABLED,
    &SR_NOT_ATTACHED,
];

const SUSPEND_ERRORS: &[&ErrorCode] = &[
    &VM_BAD_POWER_STATE,
    &OTHER_OPERATION_IN_PROGRESS,
    &OPERATION_NOT_ALLOWED,
    &OPERATION_BLOCKED,
    &VM_IS_SNAPSHOT,
    &VM_IS_TEMPLATE,
    &VM_NO_SUSPEND_SR,
    &VM_FAILED_SUSPEND_ACKNOWLEDGMENT,
    &SR_FULL,
];

const COPY_ERRORS: &[&ErrorCode] =
    &[&VM_BAD_POWER_STATE, &SR_FULL, &OPERATION_NOT_ALLOWED, &OTHER_OPERATION_IN_PROGRESS];

const LIMIT_ERRORS: &[&ErrorCode] = &[&MEMORY_CONSTRAINT_VIOLATION, &VM_BAD_POWER_STATE];

const fn limits(name: &'static str, doc: &'static str, params: &'static [Param]) -> Message {
    message(name, Role::VmPowerAdmin, doc).takes(params).fails(LIMIT_ERRORS)
}

const fn power(name: &'static str, doc: &'static str) -> Message {
    message(name, Role::VmOperator, doc).takes(&[VM_PARAM]).fails(POWER_ERRORS)
}

/// Messages of a VM.
pub(super) static MESSAGES: &[Message] = &[
    message("start", Role::VmOperator, "Starts a halted VM.")
        .takes(&[VM_PARAM, PAUSED, FORCE])
        .fails(START_ERRORS),
    message("start_on", Role::VmPowerAdmin, "Starts a halted VM on a host.")
        .takes(&[VM_PARAM, param("host", Ref("host"), "the host"), PAUSED, FORCE])
        .fails(START_ERRORS),
    power("clean_shutdown", "Asks the guest to power off and waits until it has."),
    power("shutdown", "clean_shutdown, and hard_shutdown when that does not work."),
    power(
        "hard_shutdown",
        "Stops the VM at once, as if its plug were pulled; the memory of a suspended one goes.",
    ),
    power("clean_reboot", "Asks the guest to reboot and waits until it runs again."),
    power("hard_reboot", "Stops the VM at once and starts it again."),
    power("pause", "Stops its virtual CPUs."),
    power("unpause", "Lets a paused VM run."),
    message("suspend", Role::VmOperator, "Writes its memory to a VDI and stops it.")
        .takes(&[VM_PARAM])
        .fails(SUSPEND_ERRORS),
    message("resume", Role::VmOperator, "Lets a suspended VM go on.")
        .takes(&[VM_PARAM, PAUSED, FORCE])
        .fails(START_ERRORS),
    message("resume_on", Role::VmPowerAdmin, "Lets a suspended VM go on on a host.")
        .takes(&[VM_PARAM, param("host", Ref("host"), "the host"), PAUSED, FORCE])
        .fails(START_ERRORS),
    message("set_suspend_VDI", Role::PoolOperator, "Says where the memory of a suspended VM is.")
        .takes(&[SELF, param("value", Ref("VDI"), "the image")])
        .fails(&[&VM_BAD_POWER_STATE, &VDI_INCOMPATIBLE_TYPE]),
    message(
        "power_state_reset",
        Role::PoolOperator,
        "Removes what is left of its domain and declares it halted.",
    )
    .takes(&[VM_PARAM]),
    message("clone", Role::VmAdmin, "A new VM with copy-on-write clones of its disks.")
        .takes(&[VM_PARAM, param("new_name", STRING, "name of the new VM")])
        .gives(Ref("VM"))
        .fails(COPY_ERRORS),
    message("copy", Role::VmAdmin, "A new VM with full copies of its disks.")
        .takes(&[
            VM_PARAM,
            param("new_name", STRING, "name of the new VM"),
            param("sr", Ref("SR"), "where; where they are when null"),
        ])
        .gives(Ref("VM"))
        .fails(COPY_ERRORS),
    message("snapshot", Role::VmPowerAdmin, "Its disks and settings as they are now.")
        .takes(&[
            VM_PARAM,
            param("new_name", STRING, "name of the snapshot"),
            optional("ignore_vdis", Set(&Ref("VDI")), Literal::Zero, "disks left out"),
        ])
        .gives(Ref("VM"))
        .fails(COPY_ERRORS),
    message(
        "checkpoint",
        Role::VmPowerAdmin,
        "Its disks, settings and memory as they are now; the guest runs on.",
    )
    .takes(&[VM_PARAM, param("new_name", STRING, "name of the checkpoint")])
    .gives(Ref("VM"))
    .fails(&[
        &VM_BAD_POWER_STATE,
        &SR_FULL,
        &OPERATION_NOT_ALLOWED,
        &VM_NO_SUSPEND_SR,
        &VM_CHECKPOINT_SUSPEND_FAILED,
        &VM_CHECKPOINT_RESUME_FAILED,
    ]),
    message("revert", Role::VmPowerAdmin, "Turns the VM of a snapshot into what it was then.")
        .takes(&[param("snapshot", Ref("VM"), "the snapshot")])
        .fails(&[&VM_BAD_POWER_STATE, &OPERATION_NOT_ALLOWED, &SR_FULL, &VM_REVERT_FAILED]),
    message(
        "set_VCPUs_number_live",
        Role::VmAdmin,
        "Gives a VM that runs more or fewer of its virtual CPUs.",
    )
    .takes(&[SELF, param("nvcpu", Int, "how many, up to VCPUs_max")])
    .fails(&[&VM_BAD_POWER_STATE, &OPERATION_NOT_ALLOWED, &INVALID_VALUE]),
    message("send_sysrq", Role::PoolAdmin, "Presses Linux's magic key in a guest that runs.")
        .takes(&[VM_PARAM, param("key", STRING, "one letter, as `s` to write back everything")])
        .fails(&[&VM_BAD_POWER_STATE, &INVALID_VALUE]),
    message(
        "send_trigger",
        Role::PoolAdmin,
        "Presses a button of the machine of a guest that runs.",
    )
    .takes(&[VM_PARAM, param("trigger", STRING, "power, sleep, reset, nmi, init or s3resume")])
    .fails(&[&VM_BAD_POWER_STATE, &INVALID_VALUE]),
    message(
        "add_to_VCPUs_params_live",
        Role::VmAdmin,
        "Sets a key of VCPUs_params, also of the VM that runs.",
    )
    .takes(&[SELF, param("key", STRING, "weight or cap"), param("value", STRING, "its value")])
    .fails(&[&VM_BAD_POWER_STATE, &INVALID_VALUE, &VALUE_NOT_SUPPORTED]),
    message(
        "set_bios_strings",
        Role::VmAdmin,
        "Sets what the firmware of a fully virtualized guest says of its machine; once.",
    )
    .takes(&[
        SELF,
        param("value", Type::Map(&Type::String, &Type::String), "`system-manufacturer`, …"),
    ])
    .fails(&[&VM_BIOS_STRINGS_ALREADY_SET, &INVALID_VALUE]),
    message(
        "copy_bios_strings",
        Role::VmAdmin,
        "Sets what the firmware of a fully virtualized guest says to what the host's says; once.",
    )
    .takes(&[VM_PARAM, param("host", Ref("host"), "the host")])
    .fails(&[&VM_BIOS_STRINGS_ALREADY_SET]),
    message(
        "provision",
        Role::VmAdmin,
        "Turns a clone of a template into a VM, making the disks that the template asks for.",
    )
    .takes(&[VM_PARAM])
    .fails(COPY_ERRORS),
    limits(
        "set_memory_limits",
        "Sets all four memory limits at once.",
        &[
            SELF,
            param("static_min", Int, "least memory it works with, in bytes"),
            param("static_max", Int, "most memory it can ever have, in bytes"),
            param("dynamic_min", Int, "least memory it is left with, in bytes"),
            param("dynamic_max", Int, "most memory it is given, in bytes"),
        ],
    ),
    limits(
        "set_memory_static_range",
        "Sets the static limits.",
        &[
            SELF,
            param("min", Int, "the lower limit, in bytes"),
            param("max", Int, "the upper limit, in bytes"),
        ],
    ),
    limits(
        "set_memory_dynamic_range",
        "Sets the dynamic limits; a guest that runs is asked to follow.",
        &[
            SELF,
            param("min", Int, "the lower limit, in bytes"),
            param("max", Int, "the upper limit, in bytes"),
        ],
    ),
    limits(
        "set_memory_target_live",
        "Sets both dynamic limits to one value; a guest that runs is asked to follow.",
        &[SELF, param("target", Int, "memory that it should have, in bytes")],
    ),
    message(
        "wait_memory_target_live",
        Role::ReadOnly,
        "Waits until the guest has the memory that it should have.",
    )
    .takes(&[SELF])
    .fails(&[&VM_MEMORY_TARGET_WAIT_TIMEOUT]),
    limits(
        "set_memory",
        "Sets all limits but the static minimum to one value.",
        &[SELF, param("value", Int, "memory that it should have, in bytes")],
    ),
    message(
        "compute_memory_overhead",
        Role::ReadOnly,
        "Memory the host needs for it beside its own, in bytes.",
    )
    .takes(&[VM_PARAM])
    .gives(Int),
    message("get_allowed_VBD_devices", Role::ReadOnly, "Numbers that a new VBD can have.")
        .takes(&[VM_PARAM])
        .gives(STRINGS),
    message("get_allowed_VIF_devices", Role::ReadOnly, "Numbers that a new VIF can have.")
        .takes(&[VM_PARAM])
        .gives(STRINGS),
    message("get_possible_hosts", Role::ReadOnly, "Hosts that could run it now.")
        .takes(&[VM_PARAM])
        .gives(Set(&Ref("host"))),
    message(
        "assert_can_boot_here",
        Role::ReadOnly,
        "Fails with the reason why a host cannot run it.",
    )
    .takes(&[SELF, param("host", Ref("host"), "the host")])
    .fails(START_ERRORS),
    message(
        "assert_operation_valid",
        Role::ReadOnly,
        "Fails with the reason why an operation is not allowed now.",
    )
    .takes(&[SELF, param("op", Enum(&OPERATIONS), "the operation")])
    .fails(POWER_ERRORS),
    blob::of_object(Role::VmPowerAdmin, &[VM_PARAM, blob::NAME, blob::MIME, blob::MAYBE_PUBLIC]),
    message("assert_agile", Role::ReadOnly, "Fails if only one host can run it.")
        .takes(&[SELF])
        .fails(&[
            &HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED,
            &HA_CONSTRAINT_VIOLATION_NETWORK_NOT_SHARED,
        ]),
    message(
        "maximise_memory",
        Role::ReadOnly,
        "The most memory that it can have out of a total, with what the host needs beside it.",
    )
    .takes(&[
        SELF,
        param("total", Int, "memory that there is for it, in bytes"),
        param("approximate", Bool, "a little less, for an estimate"),
    ])
    .gives(Int),
    message("get_cooperative", Role::ReadOnly, "Its memory is what it should be.")
        .takes(&[SELF])
        .gives(Bool),
    message("get_data_sources", Role::ReadOnly, "Figures that it can be asked for.")
        .takes(&[SELF])
        .gives(Set(&Type::Record("data_source"))),
    message("query_data_source", Role::ReadOnly, "A recorded figure as it is now.")
        .takes(&[SELF, param("data_source", STRING, "name of the figure")])
        .gives(Float)
        .fails(&[&INVALID_VALUE, &VALUE_NOT_SUPPORTED, &VM_BAD_POWER_STATE]),
    message("record_data_source", Role::VmAdmin, "Begins to record a figure.")
        .takes(&[SELF, param("data_source", STRING, "name of the figure")])
        .fails(&[&INVALID_VALUE, &VM_BAD_POWER_STATE]),
    message(
        "forget_data_source_archives",
        Role::VmAdmin,
        "Forgets what was recorded of a figure; a standard one begins anew.",
    )
    .takes(&[SELF, param("data_source", STRING, "name of the figure")])
    .fails(&[&INVALID_VALUE, &VM_BAD_POWER_STATE]),
    message("set_groups", Role::VmAdmin, "Puts it into a group, or into none.")
        .takes(&[SELF, param("value", Set(&Ref("VM_group")), "at most one group")])
        .fails(&[&OPERATION_NOT_ALLOWED]),
    message(
        "get_boot_record",
        Role::ReadOnly,
        "Its record as it was at its last start; as it is now before the first.",
    )
    .takes(&[SELF])
    .gives(Type::Record("VM"))
    .sync_only(),
    message(
        "set_is_default_template",
        Role::PoolAdmin,
        "Makes it a template of those that come with the host, which are kept, or one of others.",
    )
    .takes(&[VM_PARAM, param("value", Bool, "it is one of them")])
    .fails(POWER_ERRORS),
    message("update_allowed_operations", Role::PoolAdmin, "Works out allowed_operations again.")
        .takes(&[SELF]),
];
