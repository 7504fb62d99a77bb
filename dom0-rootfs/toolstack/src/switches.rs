// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the pool says of all virtual switches: their controller, and how they send multicast.
//!
//! Open vSwitch forgets both at each start of the host.

use std::sync::{Mutex, MutexGuard, PoisonError};

use network::Manager;
use xapi_model::{ApiError, Ref, Value, errors};

use crate::failure;
use crate::store::Objects;
use crate::toolstack::Toolstack;

/// What the switches were told last.
#[derive(Debug, Default)]
pub struct Switches {
    told: Mutex<Option<Wanted>>,
    /// One change at a time.
    turn: Mutex<()>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    manager: Option<Manager>,
    snooping: bool,
}

impl Switches {
    /// Held by whoever changes what the pool says.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wanted(toolstack: &Toolstack, objects: &Objects) -> Wanted {
    let (key, certificate) = toolstack.identity.files();
    let manager = objects.all("SDN_controller").next().map(|controller| Manager {
        address: controller.text("address").parse().ok(),
        port: u16::try_from(controller.int("port")).ok().filter(|port| *port > 0),
        key,
        certificate,
        authority: toolstack.identity.beside("controller-authority.pem"),
    });
    let snooping = objects.all("pool").any(|pool| pool.bool("igmp_snooping_enabled"));
    Wanted { manager, snooping }
}

/// Tells the switches what they were not told yet. Called again and again, as Open vSwitch may start later
/// than the daemon.
pub fn keep(toolstack: &Toolstack) -> Result<(), ApiError> {
    let mut told = toolstack.switches.told.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = toolstack.store.read(|objects| wanted(toolstack, objects));
    if told.as_ref() != Some(&wanted) {
        // Whatever is refused below is told again.
        let before = told.take();
        let network = &toolstack.network;
        if before.as_ref().map(|before| &before.manager) != Some(&wanted.manager) {
            let before = before.as_ref().and_then(|before| before.manager.as_ref());
            forget_authority(before, wanted.manager.as_ref())?;
            network.set_manager(wanted.manager.as_ref()).map_err(|e| failure::network(&e))?;
        }
        if before.as_ref().map(|before| before.snooping) != Some(wanted.snooping) {
            network.set_snooping(wanted.snooping).map_err(|e| failure::network(&e))?;
        }
        *told = Some(wanted.clone());
    }
    drop(told);
    show(toolstack, wanted.snooping)
}

/// Another controller may have another authority.
fn forget_authority(before: Option<&Manager>, now: Option<&Manager>) -> Result<(), ApiError> {
    let Some(before) = before else { return Ok(()) };
    if now.is_some_and(|now| (now.address, now.port) == (before.address, before.port)) {
        return Ok(());
    }
    match std::fs::remove_file(&before.authority) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let what = format!("removing {}: {error}", before.authority.display());
            Err(errors::INTERNAL_ERROR.with([what]))
        }
        _ => Ok(()),
    }
}

/// Makes interfaces say how their bridge sends multicast.
fn show(toolstack: &Toolstack, snooping: bool) -> Result<(), ApiError> {
    let status = Value::Enum(if snooping { "enabled" } else { "disabled" });
    let others = |objects: &Objects| {
        let others = objects.all("PIF").filter(|pif| *pif.get("igmp_snooping_status") != status);
        others.map(|pif| pif.reference().clone()).collect::<Vec<Ref>>()
    };
    if toolstack.store.read(others).is_empty() {
        return Ok(());
    }
    toolstack.store.write(|t| {
        for pif in others(t.objects()) {
            t.set(&pif, "igmp_snooping_status", status.clone());
        }
        Ok(())
    })
}
