// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VLAN`.

use super::prelude::*;

/// An interface for one VLAN of another interface.
pub static VLAN: Class = class(
    "VLAN",
    "An interface for one VLAN (IEEE 802.1Q) of another interface.",
    &[
        UUID,
        ro("tagged_PIF", Ref("PIF"), "The interface that its frames leave by, with the tag."),
        ro("untagged_PIF", Ref("PIF"), "The interface that it is, without tags."),
        ro("tag", Int, "The tag, 1 to 4094.").or(Literal::Int(-1)),
        rw("other_config", STRING_MAP, "Free for clients."),
    ],
    &[],
);
