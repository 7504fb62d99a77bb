// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM_group`.

use super::prelude::*;

static PLACEMENT: EnumType =
    EnumType { name: "placement_policy", values: &["anti_affinity", "normal"] };

/// VMs that are placed with regard to each other.
pub static VM_GROUP: Class = class(
    "VM_group",
    "VMs that are placed with regard to each other. With one host every placement is the same.",
    &[
        UUID,
        rw("name_label", STRING, "Name."),
        rw("name_description", STRING, "Description."),
        fixed("placement", Enum(&PLACEMENT), "Where its VMs should run: apart, or anywhere.")
            .or(Str("normal")),
        ro("VMs", Set(&Ref("VM")), "Its VMs."),
    ],
    &[],
)
.written_by(Role::VmAdmin)
.made_by(Role::VmAdmin);
