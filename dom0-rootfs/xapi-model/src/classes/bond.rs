// SPDX-License-Identifier: MIT OR Apache-2.0
//! `Bond`.

use super::prelude::*;

static MODE: EnumType =
    EnumType { name: "bond_mode", values: &["balance-slb", "active-backup", "lacp"] };

const SELF: crate::message::Param = param("self", Ref("Bond"), "the bond");

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
    &[
        message("create", Role::PoolOperator, "Makes a bond of cards.")
            .takes(&[
                param("network", Ref("network"), "its network, which has no interface yet"),
                param("members", Set(&Ref("PIF")), "the cards, two or more"),
                param("MAC", STRING, "MAC address of the card that comes first; empty: the first"),
                optional("mode", Enum(&MODE), Str("balance-slb"), "how they share the work"),
                optional("properties", STRING_MAP, Literal::Zero, "hashing_algorithm, with lacp"),
            ])
            .gives(Ref("Bond"))
            .fails(&[
                &PIF_CONFIGURATION_ERROR,
                &PIF_BOND_NEEDS_MORE_MEMBERS,
                &PIF_ALREADY_BONDED,
                &PIF_IS_NOT_PHYSICAL,
                &NETWORK_ALREADY_CONNECTED,
                &INVALID_VALUE,
            ]),
        message(
            "destroy",
            Role::PoolOperator,
            "Takes a bond apart; its first card takes its place.",
        )
        .takes(&[SELF])
        .fails(&[&PIF_CONFIGURATION_ERROR]),
        message("set_mode", Role::PoolOperator, "Changes how its cards share the work.")
            .takes(&[SELF, param("value", Enum(&MODE), "how they share the work")])
            .fails(&[&PIF_CONFIGURATION_ERROR]),
        message("set_property", Role::PoolOperator, "Changes one of its properties.")
            .takes(&[
                SELF,
                param("name", STRING, "name of the property"),
                param("value", STRING, "its value"),
            ])
            .fails(&[&INVALID_VALUE]),
    ],
);
