// SPDX-License-Identifier: MIT OR Apache-2.0
//! `host_crashdump`.

use super::prelude::*;

/// What is left of a crash of a host.
pub static HOST_CRASHDUMP: Class = class(
    "host_crashdump",
    "What the firmware kept of a crash of a host's Dom0 (pstore).",
    &[
        UUID,
        ro("host", Ref("host"), "The host that crashed."),
        ro("timestamp", DateTime, "When it crashed."),
        ro("size", Int, "Bytes of it."),
        rw("other_config", STRING_MAP, "Free for clients."),
    ],
    &[
        message("destroy", Role::PoolOperator, "Removes what is left of the crash.")
            .takes(&[param("self", Ref("host_crashdump"), "the crash")])
            .fails(&[&HANDLE_INVALID]),
        message("upload", Role::PoolOperator, "Sends what is left of the crash to a URL, by PUT.")
            .takes(&[
                param("self", Ref("host_crashdump"), "the crash"),
                param("url", STRING, "http: or https: address"),
                param("options", STRING_MAP, "http_proxy: address of a proxy"),
            ])
            .fails(&[&HANDLE_INVALID, &INVALID_VALUE]),
    ],
);
