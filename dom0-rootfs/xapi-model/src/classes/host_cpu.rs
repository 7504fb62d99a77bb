// SPDX-License-Identifier: MIT OR Apache-2.0
//! `host_cpu`.

use super::prelude::*;

/// A CPU of a host.
pub static HOST_CPU: Class = class(
    "host_cpu",
    "A CPU of a host, as its scheduler counts them. All of a host are of one kind.",
    &[
        UUID,
        ro("host", Ref("host"), "The host it is in."),
        ro("number", Int, "Its number within the host."),
        ro("vendor", STRING, "Vendor: GenuineIntel."),
        ro("speed", Int, "Clock rate in MHz."),
        ro("modelname", STRING, "Name of the model."),
        ro("family", Int, "Family, in CPUID's numbers."),
        ro("model", Int, "Model, in CPUID's numbers."),
        ro("stepping", STRING, "Stepping, in CPUID's numbers."),
        ro("flags", STRING, "What it can do, as Dom0's kernel sees it."),
        ro("features", STRING, "The same as bits; not kept."),
        ro("utilisation", Float, "How busy it is; not measured."),
        rw("other_config", STRING_MAP, "Free for clients."),
    ],
    &[],
);
