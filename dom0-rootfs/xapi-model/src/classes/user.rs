// SPDX-License-Identifier: MIT OR Apache-2.0
//! `user`.

use super::prelude::*;

/// A user.
pub static USER: Class = class(
    "user",
    "A user by name, for session.this_user. It lets nobody log in: subjects do.",
    &[
        UUID,
        fixed("short_name", STRING, "The name that is used to log in."),
        rw("fullname", STRING, "Full name."),
        rw("other_config", STRING_MAP, "Free for clients."),
    ],
    &[],
)
.written_by(Role::PoolAdmin)
.made_by(Role::PoolAdmin)
.unlisted();
