// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VLAN`.

use super::prelude::*;
use crate::error::ErrorCode;

/// An interface for one VLAN of another interface.
pub static VLAN: Class = class(
    "VLAN",
    "An interface for one VLAN (IEEE 802.1Q) of another interface.",
    &[
        UUID,
        fixed("tagged_PIF", Ref("PIF"), "The interface that its frames leave by, with the tag."),
        ro("untagged_PIF", Ref("PIF"), "The interface that it is, without tags."),
        fixed("tag", Int, "The tag, 1 to 4094.").or(Literal::Int(-1)),
        rw("other_config", STRING_MAP, "Free for clients."),
    ],
    &[
        message("create", Role::PoolOperator, "Makes an interface for a VLAN.")
            .takes(&[
                param("tagged_PIF", Ref("PIF"), "the interface that its frames leave by"),
                param("tag", Int, "the tag, 1 to 4094"),
                param("network", Ref("network"), "the network, which has no interface yet"),
            ])
            .gives(Ref("VLAN"))
            .fails(CREATE_ERRORS),
        message("destroy", Role::PoolOperator, "Removes the VLAN's interface; its network stays.")
            .takes(&[param("self", Ref("VLAN"), "the VLAN")])
            .fails(&[&PIF_IS_MANAGEMENT_INTERFACE, &VIF_IN_USE]),
    ],
);

/// Why a VLAN cannot be made.
pub(super) const CREATE_ERRORS: &[&ErrorCode] = &[
    &VLAN_TAG_INVALID,
    &PIF_VLAN_EXISTS,
    &PIF_IS_VLAN,
    &CANNOT_ADD_VLAN_TO_BOND_SLAVE,
    &IS_TUNNEL_ACCESS_PIF,
    &NETWORK_ALREADY_CONNECTED,
];
