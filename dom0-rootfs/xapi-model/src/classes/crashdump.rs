// SPDX-License-Identifier: MIT OR Apache-2.0
//! `crashdump`.

use super::prelude::*;

/// What is left of a crash of a guest.
pub static CRASHDUMP: Class = class(
    "crashdump",
    "Memory of a guest that crashed, kept because its VM's actions_after_crash asked for it.",
    &[
        UUID,
        ro("VM", Ref("VM"), "The VM that crashed."),
        ro("VDI", Ref("VDI"), "What its memory is in, an ELF core."),
        rw("other_config", STRING_MAP, "Free for clients."),
    ],
    &[message("destroy", Role::PoolOperator, "Removes it, and the VDI.")
        .takes(&[param("self", Ref("crashdump"), "the crash dump")])
        .fails(&[&HANDLE_INVALID, &VDI_IN_USE])],
);
