// SPDX-License-Identifier: MIT OR Apache-2.0
//! `session`.

use xapi_model::{Reply, Role, Value, errors};

use super::Entry;
use crate::auth::{Account, Login};
use crate::server;
use crate::session::Owner;
use crate::toolstack::{Args, Context, Peer, Toolstack};

/// Longest password that is looked at, in bytes.
const LONGEST_PASSWORD: usize = 512;

/// Whoever is root here.
const ROOT: Owner = Owner::Host(Role::PoolAdmin);

pub(super) const HANDLERS: &[Entry] = &[
    ("session.login_with_password", |context, args| login(context, args, false)),
    ("session.slave_local_login_with_password", |context, args| login(context, args, true)),
    ("session.change_password", change_password),
    ("session.logout", logout),
    ("session.local_logout", logout),
    ("session.get_all_subject_identifiers", |context, _| {
        Ok(Value::strings(context.toolstack.sessions.identifiers()))
    }),
    ("session.logout_subject_identifier", |context, args| {
        let identifier = args.text("subject_identifier");
        // Sessions of the host itself have none.
        if !identifier.is_empty() {
            context.toolstack.sessions.close_all_of(identifier, &context.session);
        }
        Ok(Value::Void)
    }),
];

/// What failures are counted by for somebody on the network.
fn origin(address: &str) -> String {
    address.parse().map_or_else(|_| address.to_owned(), |ip| server::origin(ip).to_string())
}

fn login(context: &Context, args: &Args<'_>, root_only: bool) -> Reply {
    let (user, password) = (args.text("uname"), args.text("pwd"));
    let originator = if root_only { "" } else { args.text("originator") };
    let sessions = &context.toolstack.sessions;
    let refused = |reason: &str| errors::SESSION_AUTHENTICATION_FAILED.with([user, reason]);
    // Whoever is root here, or the user that the daemon runs as, could read its database as well:
    // they need not prove it.
    let own = rustix::process::geteuid().as_raw();
    let address = match &context.peer {
        Peer::Local(user) if *user != 0 && *user != own => format!("user {user}"),
        Peer::Network(address) => origin(address),
        Peer::Local(_) | Peer::Myself => {
            let session = sessions.open(ROOT, user, originator);
            return Ok(session.into());
        }
    };
    if sessions.braked(&address) {
        tracing::warn!(%address, "too many wrong passwords");
        return Err(refused("Too many wrong passwords; wait a minute"));
    }
    // The cost of a check grows with the square of a password's length.
    let check = match password.len() {
        0..=LONGEST_PASSWORD => context.toolstack.accounts.check(user, password),
        _ => Ok(None),
    };
    let owner = check.and_then(|login| match login {
        None => Ok(None),
        Some(Login::Root) => Ok(Some(ROOT)),
        Some(Login::User(_)) if root_only => Ok(None),
        Some(Login::User(account)) => owner(&context.toolstack, account).map(Some),
    });
    match owner {
        Ok(Some(owner)) => {
            sessions.succeeded(&address, user);
            if context.store().read(|objects| owner.standing(objects)).is_none() {
                tracing::warn!(%address, user, "right password, but no role");
                return Err(refused("The user has no role here"));
            }
            Ok(sessions.open(owner, user, originator).into())
        }
        Ok(None) => {
            tracing::warn!(%address, user, "wrong name or password");
            sessions.failed(&address, user);
            Err(refused("Authentication failure"))
        }
        Err(error) => Err(errors::INTERNAL_ERROR.with([format!("{error:#}")])),
    }
}

/// Root's password is the only one that is kept here. Whoever is root on this host need not know the
/// one of before; over the network a session alone is not enough.
fn change_password(context: &Context, args: &Args<'_>) -> Reply {
    let (old, new) = (args.text("old_pwd"), args.text("new_pwd"));
    let sessions = &context.toolstack.sessions;
    let session = sessions.look(&context.session);
    if !session.is_some_and(|session| session.owner == ROOT) {
        let reason = "only root changes a password here";
        return Err(errors::USER_IS_NOT_LOCAL_SUPERUSER.with([reason]));
    }
    if new.is_empty() || new.len() > LONGEST_PASSWORD || new.contains(['\0', '\n']) {
        let reason = format!("a password has 1 to {LONGEST_PASSWORD} bytes, in one line");
        return Err(errors::CHANGE_PASSWORD_REJECTED.with([reason]));
    }
    let failed = |error: anyhow::Error| errors::INTERNAL_ERROR.with([format!("{error:#}")]);
    let accounts = &context.toolstack.accounts;
    if let Peer::Network(address) = &context.peer {
        let refused = |why: &str| Err(errors::SESSION_AUTHENTICATION_FAILED.with(["root", why]));
        let address = origin(address);
        if sessions.braked(&address) {
            return refused("Too many wrong passwords; wait a minute");
        }
        let fits = old.len() <= LONGEST_PASSWORD
            && accounts.check("root", old).map_err(failed)? == Some(Login::Root);
        if !fits {
            sessions.failed(&address, "root");
            return refused("Authentication failure");
        }
    }
    accounts.set_root_password(new).map_err(failed)?;
    tracing::info!("root's password was changed");
    Ok(Value::Void)
}

/// A user with its groups.
fn owner(toolstack: &Toolstack, account: Account) -> anyhow::Result<Owner> {
    let mut identifiers = toolstack.accounts.groups(&account.identifier)?;
    identifiers.push(account.identifier.clone());
    Ok(Owner::Subject { identifier: account.identifier, identifiers })
}

fn logout(context: &Context, _: &Args<'_>) -> Reply {
    context.toolstack.sessions.close(&context.session);
    Ok(Value::Void)
}
