// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM_appliance`.

use super::prelude::*;

static OPERATIONS: EnumType = EnumType {
    name: "vm_appliance_operation",
    values: &["start", "clean_shutdown", "hard_shutdown", "shutdown"],
};

const SELF: crate::message::Param = param("self", Ref("VM_appliance"), "the appliance");

const ERRORS: &[&crate::error::ErrorCode] =
    &[&OPERATION_NOT_ALLOWED, &OPERATION_PARTIALLY_FAILED, &OTHER_OPERATION_IN_PROGRESS];

/// VMs that are started and ended together.
pub static VM_APPLIANCE: Class = class(
    "VM_appliance",
    "VMs that are started and ended together: by VM.order, those of one order at a time, with \
     VM.start_delay and VM.shutdown_delay seconds after each order.",
    &[
        UUID,
        rw("name_label", STRING, "Name."),
        rw("name_description", STRING, "Description."),
        ro("allowed_operations", Set(&Enum(&OPERATIONS)), "What may be done with it now."),
        ro("current_operations", Type::Map(&Type::String, &Enum(&OPERATIONS)), "Operations under way, by their task."),
        mirror("VMs", Set(&Ref("VM")), "appliance", "Its VMs."),
    ],
    &[
        message("start", Role::PoolOperator, "Starts its VMs, lowest order first.")
            .takes(&[SELF, param("paused", Bool, "leave them paused")])
            .fails(ERRORS),
        message("clean_shutdown", Role::PoolOperator, "Shuts its VMs down, highest order first.")
            .takes(&[SELF])
            .fails(ERRORS),
        message("hard_shutdown", Role::PoolOperator, "Stops its VMs at once, highest order first.")
            .takes(&[SELF])
            .fails(ERRORS),
        message(
            "shutdown",
            Role::PoolOperator,
            "Shuts its VMs down, highest order first, and stops those that do not end by themselves.",
        )
        .takes(&[SELF])
        .fails(ERRORS),
    ],
)
.made_by(Role::PoolOperator);
