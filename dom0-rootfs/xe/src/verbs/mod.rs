// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that are more than one message, or that XenServer's xe calls otherwise.

mod access;
mod cd;
mod disk;
mod figures;
mod life;
mod memory;
mod network;
mod news;
mod power;
mod services;
mod snapshot;
mod storage;
mod transfer;
mod vm;
mod wait;

use crate::api::{Api, has};
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;

/// What a verb does.
pub(crate) type Run = fn(&mut Api, &Params, &mut Output<'_>) -> Result<(), Failure>;

/// A verb.
#[derive(Debug)]
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    pub(crate) required: &'static [&'static str],
    /// `name:` for maps.
    pub(crate) optional: &'static [&'static str],
    pub(crate) help: &'static str,
    /// View whose objects it is for.
    pub(crate) selects: Option<&'static str>,
    /// Belongs to the few that `xe help` shows.
    pub(crate) common: bool,
    /// Messages without which there is no such command.
    pub(crate) needs: &'static [&'static str],
    pub(crate) run: Run,
}

/// A verb on selected VMs.
const fn on_vms(
    name: &'static str,
    needs: &'static [&'static str],
    help: &'static str,
    run: Run,
) -> Verb {
    Verb { name, required: &[], optional: &[], help, selects: Some("vm"), common: true, needs, run }
}

/// A verb on what its parameters name.
const fn plain(
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    needs: &'static [&'static str],
    help: &'static str,
    run: Run,
) -> Verb {
    Verb { name, required, optional, help, selects: None, common: false, needs, run }
}

/// Every verb that the API can serve.
pub(crate) fn all() -> impl Iterator<Item = &'static Verb> {
    let all = [
        power::VERBS,
        vm::VERBS,
        memory::VERBS,
        disk::VERBS,
        cd::VERBS,
        life::VERBS,
        snapshot::VERBS,
        storage::VERBS,
        transfer::VERBS,
        wait::VERBS,
        access::VERBS,
        network::VERBS,
        news::VERBS,
        services::VERBS,
        figures::VERBS,
    ];
    all.into_iter().flatten().filter(|verb| verb.needs.iter().all(|message| has(message)))
}
