// SPDX-License-Identifier: MIT OR Apache-2.0
//! `message`.

use super::prelude::*;
use crate::message::Param;

static CLASS: EnumType = EnumType {
    name: "cls",
    values: &["VM", "Host", "SR", "Pool", "VMPP", "VMSS", "PVS_proxy", "VDI", "Certificate"],
};

const RECORDS: Type = Type::Map(&Ref("message"), &Type::Record("message"));
const CLS: Param = param("cls", Enum(&CLASS), "class of the object");
const OBJECT: Param = param("obj_uuid", STRING, "uuid of the object");
const SINCE: Param = param("since", DateTime, "not older than this");

/// News for people.
pub static MESSAGE: Class = class(
    "message",
    "News for people of what happened to an object: VM_STARTED, VM_SHUTDOWN, …. Old ones go when there are too many.",
    &[
        UUID,
        ro("name", STRING, "What happened: VM_STARTED."),
        ro("priority", Int, "How urgent it is, 1 for the worst, 5 for what was asked for."),
        ro("cls", Enum(&CLASS), "Class of the object."),
        ro("obj_uuid", STRING, "Uuid of the object."),
        ro("timestamp", DateTime, "When it happened."),
        ro("body", STRING, "More of it."),
    ],
    &[
        message("create", Role::PoolOperator, "Makes a message.")
            .takes(&[
                param("name", STRING, "what happened"),
                param("priority", Int, "how urgent it is"),
                CLS,
                OBJECT,
                param("body", STRING, "more of it"),
            ])
            .gives(Ref("message"))
            .fails(&[&UUID_INVALID]),
        message("destroy", Role::PoolOperator, "Removes a message.")
            .takes(&[param("self", Ref("message"), "the message")])
            .fails(&[&HANDLE_INVALID]),
        message("destroy_many", Role::PoolOperator, "Removes messages.")
            .takes(&[param("messages", Set(&Ref("message")), "the messages")])
            .fails(&[&HANDLE_INVALID]),
        message("destroy_all", Role::PoolOperator, "Removes all messages that fit.")
            .takes(&[param(
                "filters",
                STRING_MAP,
                "after, before: of these times; priority: of this priority",
            )])
            .fails(&[&INVALID_VALUE]),
        message("get", Role::ReadOnly, "Messages about an object.")
            .takes(&[CLS, OBJECT, SINCE])
            .gives(RECORDS),
        message("get_since", Role::ReadOnly, "Messages since a time.")
            .takes(&[SINCE])
            .gives(RECORDS),
    ],
)
.without_getters();
