// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each message of the description does, one file for each class.

mod appliance;
mod auth;
mod blob;
mod bond;
mod certificate;
mod event;
mod figures;
mod hardware;
mod host;
mod message;
mod nbd;
pub(crate) mod network;
mod pbd;
mod pif;
mod plugin;
mod pool;
mod records;
mod role;
mod sdn_controller;
mod services;
mod session;
pub mod sr;
mod subject;
mod task;
pub(crate) mod vbd;
pub(crate) mod vdi;
mod vdi_migration;
pub(crate) mod vif;
mod vlan;
pub(crate) mod vm;
mod vm_controls;
mod vm_copy;
mod vm_group;
mod vm_power;
mod vm_provision;
mod vm_revert;
mod vm_settings;
mod vmss;
mod with_host;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use xapi_model::{Described, Reply, Value, catalogue, errors};

use crate::alerts;
use crate::toolstack::{Args, Context};

pub use blob::sweep as sweep_blobs;
pub use pbd::plug;
pub use services::follow_services;
pub use vmss::follow_due;
pub use with_host::{end_with_host, start_with_host};

/// Carries out a message.
pub type Handler = fn(&Context, &Args<'_>) -> Reply;

/// A message and what carries it out.
pub type Entry = (&'static str, Handler);

/// The handler of `VM.start`.
pub fn handler(name: &str) -> Option<Handler> {
    handlers().get(name).copied()
}

/// Carries out a message that is not generated, and tells people of it.
pub fn carry_out(context: &Context, message: &Described, args: &Args<'_>) -> Reply {
    let name = message.full_name();
    let handler =
        handler(&name).ok_or_else(|| errors::MESSAGE_METHOD_UNKNOWN.with([name.as_str()]))?;
    tracing::debug!(%name, "calling");
    let reply = handler(context, args);
    match &reply {
        Ok(_) => alerts::of_call(context.store(), &name, args.first()),
        Err(error) => tracing::info!(%name, %error, "failed"),
    }
    reply
}

/// Carries out a message as part of another one. Its parameters are as the description says.
fn call(context: &Context, name: &str, params: Vec<Value>) -> Reply {
    let message = catalogue().find(name);
    let message = message.ok_or_else(|| errors::MESSAGE_METHOD_UNKNOWN.with([name]))?;
    carry_out(context, message, &Args::new(&message.params, params))
}

/// Names of all messages that have a handler here.
pub fn names() -> impl Iterator<Item = &'static str> {
    handlers().keys().copied()
}

fn handlers() -> &'static BTreeMap<&'static str, Handler> {
    static HANDLERS: LazyLock<BTreeMap<&'static str, Handler>> = LazyLock::new(|| {
        [
            appliance::HANDLERS,
            auth::HANDLERS,
            blob::HANDLERS,
            bond::HANDLERS,
            certificate::HANDLERS,
            event::HANDLERS,
            figures::HANDLERS,
            hardware::HANDLERS,
            host::HANDLERS,
            message::HANDLERS,
            nbd::HANDLERS,
            network::HANDLERS,
            pbd::HANDLERS,
            pif::HANDLERS,
            plugin::HANDLERS,
            pool::HANDLERS,
            records::HANDLERS,
            role::HANDLERS,
            sdn_controller::HANDLERS,
            services::HANDLERS,
            session::HANDLERS,
            sr::HANDLERS,
            subject::HANDLERS,
            task::HANDLERS,
            vbd::HANDLERS,
            vdi::HANDLERS,
            vif::HANDLERS,
            vlan::HANDLERS,
            vm::HANDLERS,
            vm_controls::HANDLERS,
            vm_copy::HANDLERS,
            vm_group::HANDLERS,
            vm_power::HANDLERS,
            vm_provision::HANDLERS,
            vm_revert::HANDLERS,
            vm_settings::HANDLERS,
            vmss::HANDLERS,
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
