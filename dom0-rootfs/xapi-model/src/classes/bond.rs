// SPDX-License-Identifier: MIT OR Apache-2.0
//! `Bond`.

use super::prelude::*;

static MODE: EnumType =
    EnumType { name: "bond_mode", values: &["balance-slb", "active-backup", "lacp"] };

/// Several network cards that act as one.
pub static BOND: Class = class(
    "Bond",
    "Several network cards that act as one.",
    &[
        UUID,
        ro("master", Ref("PIF"), "The interface that it is."),
        mirror("slaves", Set(&Ref("PIF")), "bond_slave_of", "The cards in it."),
        rw("other_config", STRING_MAP, "Free for clients."),
        ro("primary_slave", Ref("PIF"), "The card whose MAC address it has."),
        ro("mode", Enum(&MODE), "How its cards share the work."),
        ro("properties", STRING_MAP, "hashing_algorithm, with lacp: tcpudp_ports or src_mac."),
        ro("links_up", Int, "Cards with a link."),
        ro("auto_update_mac", Bool, "Its MAC address follows the primary card.")
            .or(Literal::Bool(true)),
    ],
    &[],
);
