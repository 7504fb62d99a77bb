// SPDX-License-Identifier: MIT OR Apache-2.0
//! `auth`: no objects, only messages.

use super::prelude::*;

const IDENTIFIER: crate::message::Param =
    param("subject_identifier", STRING, "identifier of the user or group");

/// Accounts.
pub static AUTH: Class = class(
    "auth",
    "The users and groups that can be made subjects: those of the host.",
    &[],
    &[
        message("get_subject_identifier", Role::ReadOnly, "Identifier of a user or group.")
            .takes(&[param("subject_name", STRING, "its name")])
            .gives(STRING)
            .fails(&[&SUBJECT_CANNOT_BE_RESOLVED])
            .sync_only(),
        message(
            "get_subject_information_from_identifier",
            Role::ReadOnly,
            "What is known of a user or group: subject-name, subject-gecos, subject-is-group, ….",
        )
        .takes(&[IDENTIFIER])
        .gives(STRING_MAP)
        .fails(&[&SUBJECT_CANNOT_BE_RESOLVED])
        .sync_only(),
        message("get_group_membership", Role::ReadOnly, "Identifiers of a user's groups.")
            .takes(&[IDENTIFIER])
            .gives(STRINGS)
            .fails(&[&SUBJECT_CANNOT_BE_RESOLVED])
            .sync_only(),
    ],
)
.transient()
.unlisted();
