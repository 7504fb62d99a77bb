// SPDX-License-Identifier: MIT OR Apache-2.0
//! `console`.

use super::prelude::*;

static PROTOCOL: EnumType = EnumType { name: "console_protocol", values: &["vt100", "rfb", "rdp"] };

/// A console of a running VM.
pub static CONSOLE: Class = class(
    "console",
    "A console of a running VM.",
    &[
        UUID,
        ro("protocol", Enum(&PROTOCOL), "vt100 for text, rfb for graphics (VNC)."),
        ro(
            "location",
            STRING,
            "URL where it is reached, with a session: by CONNECT or as a websocket.",
        ),
        ro("VM", Ref("VM"), "Its VM."),
        rw("other_config", STRING_MAP, "Free for clients."),
    ],
    &[],
)
.written_by(Role::VmAdmin);
