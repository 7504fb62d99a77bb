// SPDX-License-Identifier: MIT OR Apache-2.0
//! `session`.

use super::prelude::*;

/// A session.
pub static SESSION: Class = class(
    "session",
    "A client that has logged in.",
    &[
        UUID,
        ro("this_host", Ref("host"), "The host that the client talks to."),
        ro(
            "this_user",
            Ref("user"),
            "The user of the name that was used to log in, if there is one.",
        ),
        ro("last_active", DateTime, "When the session was last used."),
        ro("pool", Bool, "A session between hosts of the pool."),
        rw("other_config", STRING_MAP, "Free for clients.").by(Role::PoolAdmin),
        ro("is_local_superuser", Bool, "Logged in as root of the host."),
        ro("subject", Ref("subject"), "Whoever logged in, or a group of theirs; none for root."),
        ro("validation_time", DateTime, "When the login was last checked."),
        ro("auth_user_sid", STRING, "Identifier of the user; empty for root."),
        ro("auth_user_name", STRING, "Name that was used to log in."),
        ro("rbac_permissions", STRINGS, "Permissions of the user; empty for root, who has all."),
        mirrorless_tasks(),
        ro("parent", Ref("session"), "The session that made this one."),
        ro("originator", STRING, "What the client called itself at login."),
        ro("client_certificate", Bool, "Logged in with a client certificate."),
    ],
    &[
        message("login_with_password", Role::ReadOnly, "Logs in and answers a session.")
            .takes(&[
                param("uname", STRING, "user name"),
                param("pwd", STRING, "password"),
                optional("version", STRING, Str(""), "version of the API that the client speaks"),
                optional("originator", STRING, Str(""), "name of the client program"),
            ])
            .gives(Ref("session"))
            .fails(&[&SESSION_AUTHENTICATION_FAILED])
            .without_session(),
        message(
            "slave_local_login_with_password",
            Role::ReadOnly,
            "Logs root in on this very host, whichever host the pool is managed by.",
        )
        .takes(&[param("uname", STRING, "user name"), param("pwd", STRING, "password")])
        .gives(Ref("session"))
        .fails(&[&SESSION_AUTHENTICATION_FAILED])
        .without_session(),
        message(
            "change_password",
            Role::ReadOnly,
            "Changes root's password; for sessions of root. Over the network the old one must be right.",
        )
        .takes(&[
            param("old_pwd", STRING, "the password up to now"),
            param("new_pwd", STRING, "the new one"),
        ])
        .fails(&[
            &USER_IS_NOT_LOCAL_SUPERUSER,
            &SESSION_AUTHENTICATION_FAILED,
            &CHANGE_PASSWORD_REJECTED,
        ]),
        message("logout", Role::ReadOnly, "Ends the session.").sync_only(),
        message("local_logout", Role::ReadOnly, "Ends the session.").sync_only(),
        message(
            "get_all_subject_identifiers",
            Role::ReadOnly,
            "Identifiers of the users that are logged in now, without root.",
        )
        .gives(STRINGS),
        message(
            "logout_subject_identifier",
            Role::PoolOperator,
            "Ends all sessions of a user but the caller's own.",
        )
        .takes(&[param("subject_identifier", STRING, "identifier of the user")]),
    ],
)
.transient()
.unlisted()
.written_by(Role::ReadOnly);

const fn mirrorless_tasks() -> Field {
    ro("tasks", Set(&Ref("task")), "Tasks of the session that are under way.")
}
