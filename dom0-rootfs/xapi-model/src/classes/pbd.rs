// SPDX-License-Identifier: MIT OR Apache-2.0
//! `PBD`.

use super::prelude::*;

/// A connection of a host to an SR.
pub static PBD: Class = class(
    "PBD",
    "A connection of a host to an SR.",
    &[
        UUID,
        fixed("host", Ref("host"), "The host."),
        fixed("SR", Ref("SR"), "The SR."),
        rw("device_config", STRING_MAP, "What the driver needs to reach the SR."),
        ro("currently_attached", Bool, "The host can use the SR now."),
        rw("other_config", STRING_MAP, "Free for clients."),
    ],
    &[
        message("plug", Role::PoolOperator, "Makes the SR usable on the host.")
            .takes(&[param("self", Ref("PBD"), "the PBD")])
            .fails(&[&SR_UNKNOWN_DRIVER, &SR_BACKEND_FAILURE]),
        message("unplug", Role::PoolOperator, "The reverse; no VDI of the SR may be in use.")
            .takes(&[param("self", Ref("PBD"), "the PBD")])
            .fails(&[&VDI_IN_USE, &SR_BACKEND_FAILURE]),
    ],
)
.made_by(Role::PoolOperator);
