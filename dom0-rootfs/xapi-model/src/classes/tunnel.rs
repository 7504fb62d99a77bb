// SPDX-License-Identifier: MIT OR Apache-2.0
//! `tunnel`.

use super::prelude::*;

static PROTOCOL: EnumType = EnumType { name: "tunnel_protocol", values: &["gre", "vxlan"] };

/// A network between hosts that another network carries.
pub static TUNNEL: Class = class(
    "tunnel",
    "A network between hosts that another network carries. The host makes its bridge, with room for \
     the headers; a controller of the switches connects the hosts.",
    &[
        UUID,
        fixed("access_PIF", Ref("PIF"), "The interface that it is."),
        fixed("transport_PIF", Ref("PIF"), "The interface that carries it."),
        rw("status", STRING_MAP, "active: whether a controller has connected it; for controllers."),
        rw("other_config", STRING_MAP, "Free for clients."),
        rw("protocol", Enum(&PROTOCOL), "How its frames are wrapped; for controllers."),
    ],
    &[
        message("create", Role::PoolOperator, "Makes a tunnel for a network.")
            .takes(&[
                param("transport_PIF", Ref("PIF"), "the interface that carries it"),
                param("network", Ref("network"), "the network, which has no interface yet"),
                optional("protocol", Enum(&PROTOCOL), Str("gre"), "how its frames are wrapped"),
            ])
            .gives(Ref("tunnel"))
            .fails(&[
                &TRANSPORT_PIF_NOT_CONFIGURED,
                &IS_TUNNEL_ACCESS_PIF,
                &NETWORK_ALREADY_CONNECTED,
            ]),
        message("destroy", Role::PoolOperator, "Removes a tunnel; its network stays.")
            .takes(&[param("self", Ref("tunnel"), "the tunnel")])
            .fails(&[&VIF_IN_USE]),
    ],
);
