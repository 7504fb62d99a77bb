// SPDX-License-Identifier: MIT OR Apache-2.0
//! `session`.

use xapi_model::{Reply, Role, Value, errors};

use super::Entry;
use crate::toolstack::{Args, Context, Peer};

/// Longest password that is looked at, in bytes.
const LONGEST_PASSWORD: usize = 512;

pub(super) const HANDLERS: &[Entry] = &[
    ("session.login_with_password", login_with_password),
    ("session.logout", logout),
    ("session.local_logout", logout),
    ("session.get_all_subject_identifiers", |_, _| Ok(Value::Set(Vec::new()))),
];

fn login_with_password(context: &Context, args: &Args<'_>) -> Reply {
    let (user, password) = (args.text("uname"), args.text("pwd"));
    let sessions = &context.toolstack.sessions;
    let refused = |reason: &str| errors::SESSION_AUTHENTICATION_FAILED.with([user, reason]);
    // Whoever is root here, or the user that the daemon runs as, could read its database as well:
    // they need not prove it.
    let own = rustix::process::geteuid().as_raw();
    let address = match &context.peer {
        Peer::Local(user) if *user != 0 && *user != own => format!("user {user}"),
        Peer::Network(address) => address.clone(),
        Peer::Local(_) | Peer::Myself => {
            let session = sessions.open(Role::PoolAdmin, user, args.text("originator"));
            return Ok(session.into());
        }
    };
    if sessions.braked(&address) {
        tracing::warn!(%address, "too many wrong passwords");
        return Err(refused("Too many wrong passwords; wait a minute"));
    }
    // The cost of a check grows with the square of a password's length.
    let check = match password.len() {
        0..=LONGEST_PASSWORD => context.toolstack.authenticator.check(user, password),
        _ => Ok(None),
    };
    match check {
        Ok(Some(role)) => {
            sessions.succeeded(&address);
            Ok(sessions.open(role, user, args.text("originator")).into())
        }
        Ok(None) => {
            tracing::warn!(%address, user, "wrong name or password");
            sessions.failed(&address);
            Err(refused("Authentication failure"))
        }
        Err(error) => Err(errors::INTERNAL_ERROR.with([format!("{error:#}")])),
    }
}

fn logout(context: &Context, _: &Args<'_>) -> Reply {
    context.toolstack.sessions.close(&context.session);
    Ok(Value::Void)
}
