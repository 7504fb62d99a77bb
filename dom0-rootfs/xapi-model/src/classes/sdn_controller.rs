// SPDX-License-Identifier: MIT OR Apache-2.0
//! `SDN_controller`.

use super::prelude::*;

static PROTOCOL: EnumType = EnumType { name: "sdn_controller_protocol", values: &["ssl", "pssl"] };

/// A controller of the virtual switches.
pub static SDN_CONTROLLER: Class = class(
    "SDN_controller",
    "A controller that manages the Open vSwitch of every host, by OVSDB (RFC 7047).",
    &[
        UUID,
        fixed("protocol", Enum(&PROTOCOL), "ssl: hosts connect to it; pssl: it connects to hosts."),
        fixed("address", STRING, "Its IPv4 address, for ssl."),
        fixed("port", Int, "Its TCP port."),
    ],
    &[
        message("introduce", Role::PoolOperator, "Lets a controller manage the switches.")
            .takes(&[
                optional("protocol", Enum(&PROTOCOL), Str("ssl"), "who connects to whom"),
                optional("address", STRING, Str(""), "its IPv4 address, for ssl"),
                optional("port", Int, Literal::Int(0), "its TCP port; 0 is 6632"),
            ])
            .gives(Ref("SDN_controller"))
            .fails(&[&OPERATION_NOT_ALLOWED, &INVALID_VALUE]),
        message("forget", Role::PoolOperator, "Takes the switches from the controller.")
            .takes(&[param("self", Ref("SDN_controller"), "the controller")]),
    ],
);
