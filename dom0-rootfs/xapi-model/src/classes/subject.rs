// SPDX-License-Identifier: MIT OR Apache-2.0
//! `subject`.

use super::prelude::*;

const SELF: crate::message::Param = param("self", Ref("subject"), "the subject");
const ROLE: crate::message::Param = param("role", Ref("role"), "the role");

/// A subject.
pub static SUBJECT: Class = class(
    "subject",
    "A user or group that may log in, with its roles. Without a role nobody gets in.",
    &[
        UUID,
        fixed("subject_identifier", STRING, "Identifier of the user or group: auth knows them."),
        fixed("other_config", STRING_MAP, "What was known of it when it was added."),
        ro("roles", Set(&Ref("role")), "Its roles: the strongest counts."),
    ],
    &[
        message("add_to_roles", Role::PoolAdmin, "Gives it a role; counts at once.")
            .takes(&[SELF, ROLE])
            .fails(&[&ROLE_ALREADY_EXISTS])
            .sync_only(),
        message("remove_from_roles", Role::PoolAdmin, "Takes a role back; counts at once.")
            .takes(&[SELF, ROLE])
            .fails(&[&ROLE_NOT_FOUND])
            .sync_only(),
        message("get_permissions_name_label", Role::ReadOnly, "Names of its permissions.")
            .takes(&[SELF])
            .gives(STRINGS)
            .sync_only(),
    ],
)
.made_by(Role::PoolAdmin);
