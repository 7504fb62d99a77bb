// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each message of the description does, one file for each class.

mod auth;
mod event;
mod host;
mod network;
mod pbd;
mod pif;
mod pool;
mod role;
mod session;
pub mod sr;
mod subject;
mod task;
mod vbd;
pub(crate) mod vdi;
mod vif;
mod vm;
mod vm_copy;
mod vm_power;
mod vm_provision;
mod vm_revert;
mod vm_settings;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use xapi_model::Reply;

use crate::toolstack::{Args, Context};

pub use pbd::plug;

/// Carries out a message.
pub type Handler = fn(&Context, &Args<'_>) -> Reply;

/// A message and what carries it out.
pub type Entry = (&'static str, Handler);

/// The handler of `VM.start`.
pub fn handler(name: &str) -> Option<Handler> {
    handlers().get(name).copied()
}

/// Names of all messages that have a handler here.
pub fn names() -> impl Iterator<Item = &'static str> {
    handlers().keys().copied()
}

fn handlers() -> &'static BTreeMap<&'static str, Handler> {
    static HANDLERS: LazyLock<BTreeMap<&'static str, Handler>> = LazyLock::new(|| {
        [
            auth::HANDLERS,
            event::HANDLERS,
            host::HANDLERS,
            network::HANDLERS,
            pbd::HANDLERS,
            pif::HANDLERS,
            pool::HANDLERS,
            role::HANDLERS,
            session::HANDLERS,
            sr::HANDLERS,
            subject::HANDLERS,
            task::HANDLERS,
            vbd::HANDLERS,
            vdi::HANDLERS,
            vif::HANDLERS,
            vm::HANDLERS,
            vm_copy::HANDLERS,
            vm_power::HANDLERS,
            vm_provision::HANDLERS,
            vm_revert::HANDLERS,
            vm_settings::HANDLERS,
        ]
        .into_iter()
        .flatten()
        .copied()
        .collect()
    });
    &HANDLERS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use xapi_model::{Kind, catalogue};

    #[test]
    fn what_is_described_is_carried_out_and_nothing_else() {
        let described: BTreeSet<String> = catalogue()
            .all()
            .filter(|m| matches!(m.kind, Kind::Own(_) | Kind::Create | Kind::Destroy))
            .map(|m| m.full_name())
            .collect();
        let waiting = crate::event::HANDLED.into_iter();
        let carried_out: BTreeSet<String> =
            super::names().chain(waiting).map(str::to_owned).collect();
        assert_eq!(described, carried_out);
    }
}
