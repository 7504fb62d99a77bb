// SPDX-License-Identifier: MIT OR Apache-2.0
//! `task`.

use super::prelude::*;

static OPERATIONS: EnumType =
    EnumType { name: "task_allowed_operations", values: &["cancel", "destroy"] };

static STATUS: EnumType = EnumType {
    name: "task_status_type",
    values: &["pending", "success", "failure", "cancelling", "cancelled"],
};

const SELF: crate::message::Param = param("self", Ref("task"), "the task");

/// A task.
pub static TASK: Class = class(
    "task",
    "Something that takes time.",
    &[
        UUID,
        ro("name_label", STRING, "Name: the message, for those made by Async."),
        ro("name_description", STRING, "Description."),
        ro("allowed_operations", Set(&Enum(&OPERATIONS)), "What may be done with it now."),
        ro(
            "current_operations",
            Type::Map(&Type::String, &Enum(&OPERATIONS)),
            "Operations under way, by their task.",
        ),
        ro("created", DateTime, "When it was made."),
        ro("finished", DateTime, "When it ended; meaningless while it is pending."),
        ro("status", Enum(&STATUS), "Whether it is under way, or how it ended."),
        ro("resident_on", Ref("host"), "The host that works on it."),
        ro("progress", Float, "From 0 to 1."),
        ro("type", STRING, "Type of the result.").or(Str("<none/>")),
        ro("result", STRING, "The result, as <value>…</value>; empty for none."),
        ro("error_info", STRINGS, "Code and arguments, after a failure."),
        rw("other_config", STRING_MAP, "Free for clients.").keyed(&[
            ("applies_to", Role::VmOperator),
            ("XenCenterUUID", Role::VmOperator),
            ("XenCenterMeddlingActionTitle", Role::VmOperator),
        ]),
        ro("subtask_of", Ref("task"), "The task that it is a part of."),
        mirror("subtasks", Set(&Ref("task")), "subtask_of", "Its parts."),
        ro("backtrace", STRING, "Where it failed.").or(Str("()")),
    ],
    &[
        message("create", Role::ReadOnly, "Makes a task that the client itself drives.")
            .takes(&[
                param("label", STRING, "name of the task"),
                param("description", STRING, "description of the task"),
            ])
            .gives(Ref("task"))
            .sync_only(),
        message("destroy", Role::ReadOnly, "Removes a task.").takes(&[SELF]).sync_only(),
        message("cancel", Role::ReadOnly, "Asks a task to stop.")
            .takes(&[param("task", Ref("task"), "the task")])
            .fails(&[&OPERATION_NOT_ALLOWED]),
        message("set_status", Role::ReadOnly, "Sets the status of a task that the client drives.")
            .takes(&[SELF, param("value", Enum(&STATUS), "the status")])
            .sync_only(),
        message(
            "set_progress",
            Role::ReadOnly,
            "Sets the progress of a task that the client drives.",
        )
        .takes(&[SELF, param("value", Float, "from 0 to 1")])
        .sync_only(),
        message("set_result", Role::ReadOnly, "Sets the result of a task that the client drives.")
            .takes(&[SELF, param("value", STRING, "the result")])
            .sync_only(),
        message(
            "set_error_info",
            Role::ReadOnly,
            "Sets the error of a task that the client drives.",
        )
        .takes(&[SELF, param("value", STRINGS, "code and arguments")])
        .sync_only(),
    ],
)
.transient()
.written_by(Role::ReadOnly);
