// SPDX-License-Identifier: MIT OR Apache-2.0
//! A change of what the host is managed through is on trial: it lasts only if those who manage the host
//! still reach it, or are there again in time.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use network::{Addressing, Bridge};
use xapi_model::{ApiError, Ref, Value, errors};

use super::{addressing, bridges_of, change};
use crate::alerts::Alert;
use crate::failure;
use crate::store::{Objects, Undo};
use crate::toolstack::{Context, Peer, Toolstack};

/// Name of the note with what takes the change back that is on trial.
pub(super) const NOTE: &str = "network-on-trial";

/// Time between two questions to who does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// What the host is managed through.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Managed {
    pif: Ref,
    /// The bridges of its network, its own last.
    bridges: Vec<Bridge>,
    addressing: Addressing,
}

impl Managed {
    pub(super) fn of(objects: &Objects) -> Option<Managed> {
        let pif = objects.all("PIF").find(|pif| pif.bool("management"))?;
        let network = objects.find(&pif.to("network"))?;
        Some(Managed {
            pif: pif.reference().clone(),
            bridges: bridges_of(objects, network).ok()?,
            addressing: addressing::of_pif(pif),
        })
    }
}

/// Those who must reach the host after a change as they did before.
pub(super) struct Witnesses {
    /// Everybody; nobody: whoever changes it sits at the machine.
    all: Vec<IpAddr>,
    /// Those who answer. Without any the gateway is asked instead of them.
    answering: Vec<IpAddr>,
}

impl Witnesses {
    /// Who asks for a change that was not carried out yet: the client, or somebody who is logged in over
    /// SSH, where it is asked for on this host.
    pub(super) fn of(context: &Context) -> Witnesses {
        let network = &context.toolstack.network;
        let there = match &context.peer {
            Peer::Network(address) => address.parse().ok(),
            Peer::Local(_) | Peer::Myself => None,
        };
        let all = match there.filter(|address: &IpAddr| !address.is_loopback()) {
            Some(address) => vec![address],
            None if context.peer == Peer::Myself => Vec::new(),
            None => network.ssh_clients().unwrap_or_else(|error| {
                tracing::warn!(error = failure::chain(&error), "looking for SSH connections");
                Vec::new()
            }),
        };
        let all: Vec<IpAddr> = all.into_iter().filter(|address| !address.is_loopback()).collect();
        let answering = all.iter().copied().filter(|one| reaches(&context.toolstack, *one));
        Witnesses { answering: answering.collect(), all }
    }

    /// Waits until one of them reaches the host as it is now, by `bridge`.
    fn wait(&self, toolstack: &Toolstack, bridge: &str) -> Result<(), String> {
        let began = Instant::now();
        while !self.all.is_empty() {
            let asked = match self.answering.as_slice() {
                [] => gateways(toolstack, bridge),
                some => some.to_vec(),
            };
            if asked.iter().any(|one| reaches(toolstack, *one)) {
                break;
            }
            let left = toolstack.trial.saturating_sub(began.elapsed());
            if toolstack.arrivals.wait(began, left.min(PAUSE)) {
                break;
            }
            if left.is_zero() {
                let who = if asked.is_empty() { &self.all } else { &asked };
                let who: Vec<String> = who.iter().map(IpAddr::to_string).collect();
                let (who, seconds) = (who.join(", "), toolstack.trial.as_secs());
                return Err(format!(
                    "{who} did not answer any more, and no client came within {seconds} s"
                ));
            }
        }
        Ok(())
    }
}

fn reaches(toolstack: &Toolstack, address: IpAddr) -> bool {
    toolstack.network.reaches(address).unwrap_or_else(|error| {
        tracing::warn!(error = failure::chain(&error), %address, "asking for an answer");
        false
    })
}

fn gateways(toolstack: &Toolstack, bridge: &str) -> Vec<IpAddr> {
    let addresses = toolstack.network.addresses(bridge).unwrap_or_else(|error| {
        tracing::warn!(error = failure::chain(&error), bridge, "asking for addresses");
        network::Addresses::default()
    });
    let all = addresses.ipv4.iter().chain(&addresses.ipv6);
    all.filter_map(|status| status.gateway.as_ref()?.parse().ok()).collect()
}

/// Waits until the change is known to be a good one.
pub(super) fn hold(toolstack: &Toolstack, witnesses: &Witnesses) -> Result<(), ApiError> {
    let Some(managed) = toolstack.store.read(Managed::of) else { return Ok(()) };
    let bridge = managed.bridges.last().map_or("", |bridge| &bridge.name);
    witnesses.wait(toolstack, bridge).map_err(|reason| {
        tracing::error!(reason, "the management network is as it was before");
        let host = toolstack.host();
        let recorded = toolstack.store.write(|t| {
            let host = t.get("host", &host)?.uuid().to_owned();
            let alert = Alert {
                name: "MANAGEMENT_NETWORK_TAKEN_BACK",
                priority: 2,
                class: Value::Enum("Host"),
                uuid: &host,
                body: format!("A change of the management network was taken back: {reason}."),
            };
            alert.record(t);
            Ok(())
        });
        if let Err(error) = recorded {
            tracing::error!(%error, "recording a message");
        }
        let text = format!("the change was taken back: {reason}");
        errors::PIF_CONFIGURATION_ERROR.with([managed.pif.to_string(), text])
    })
}

/// Takes a change back that was on trial when the daemon ended, as nobody is known to reach the host with it.
pub fn end_trial(toolstack: &Toolstack) {
    let note = toolstack.store.read(|objects| objects.note(NOTE).map(str::to_owned));
    let Some(note) = note else { return };
    tracing::warn!("the daemon ended while a change of the management network was on trial");
    match serde_json::from_str::<Undo>(&note) {
        Ok(undo) => change::take_back(toolstack, &undo),
        Err(error) => tracing::error!(%error, "reading what takes a change back"),
    }
}
