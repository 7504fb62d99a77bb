// SPDX-License-Identifier: MIT OR Apache-2.0
//! `role`.

use super::prelude::*;

const SELF: crate::message::Param = param("self", Ref("role"), "the role");

/// A role.
pub static ROLE: Class = class(
    "role",
    "What a subject may do: the messages of its permissions.",
    &[
        UUID,
        fixed("name_label", STRING, "Name."),
        fixed("name_description", STRING, "Whom it is for."),
        fixed("subroles", Set(&Ref("role")), "Weaker roles, all of whose permissions it has."),
        ro("is_internal", Bool, "Not for subjects; none is."),
    ],
    &[
        message("get_permissions_name_label", Role::ReadOnly, "Names of its permissions.")
            .takes(&[SELF])
            .gives(STRINGS)
            .sync_only(),
        message(
            "get_permissions",
            Role::ReadOnly,
            "The roles whose permissions it has: weaker ones, and itself.",
        )
        .takes(&[SELF])
        .gives(Set(&Ref("role")))
        .sync_only(),
        message("get_by_permission", Role::ReadOnly, "Roles that have all permissions of a role.")
            .takes(&[param("permission", Ref("role"), "the role")])
            .gives(Set(&Ref("role")))
            .sync_only(),
        message(
            "get_by_permission_name_label",
            Role::ReadOnly,
            "Roles that have a permission: vm.start, vm.add_to_other_config/key:folder.",
        )
        .takes(&[param("label", STRING, "name of the permission")])
        .gives(Set(&Ref("role")))
        .sync_only(),
    ],
);
