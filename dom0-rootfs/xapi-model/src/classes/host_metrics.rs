// SPDX-License-Identifier: MIT OR Apache-2.0
//! `host_metrics`.

use super::prelude::*;

/// Metrics of a host.
pub static HOST_METRICS: Class = class(
    "host_metrics",
    "Figures of a host that change all the time.",
    &[
        UUID,
        ro("memory_total", Int, "Memory of the machine in bytes."),
        ro("memory_free", Int, "Memory that no domain has, in bytes."),
        ro("live", Bool, "The host answers."),
        ro("last_updated", DateTime, "When this was last looked at."),
        rw("other_config", STRING_MAP, "Free for clients."),
    ],
    &[],
);
