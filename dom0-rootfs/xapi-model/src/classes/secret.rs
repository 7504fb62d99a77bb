// SPDX-License-Identifier: MIT OR Apache-2.0
//! `secret`.

use super::prelude::*;

/// A secret.
pub static SECRET: Class = class(
    "secret",
    "A password or key that other objects refer to. Pool operators alone see it, and there are no events of it.",
    &[
        UUID,
        rw("value", STRING, "The secret."),
        rw("other_config", STRING_MAP, "Free for clients."),
    ],
    &[],
)
.read_by(Role::PoolOperator)
.made_by(Role::PoolOperator);
