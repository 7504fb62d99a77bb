// SPDX-License-Identifier: MIT OR Apache-2.0
//! Changes of what networks are made of, while the host and its guests use them.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use network::{Addressing, Bridge, GuestPort, NetworkError};
use xapi_model::{ApiError, Ref, errors};

use super::trial::{self, Managed, Witnesses};
use super::{addressing, bridges_of, is_unplugged};
use crate::failure;
use crate::store::{Object, Objects, Transaction, Undo};
use crate::toolstack::{Context, Toolstack};
use crate::vm::{port, stop};

/// Link of a guest in Dom0 and its port.
type Port = (String, GuestPort);

/// A network as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wiring {
    /// Its bridge, those that this needs first.
    bridges: Vec<Bridge>,
    addressing: Addressing,
    ports: Vec<Port>,
    pifs: Vec<Ref>,
}

impl Wiring {
    fn of(objects: &Objects, network: &Object) -> Option<Wiring> {
        let pifs = network.refs("PIFs");
        let pif = pifs.first().and_then(|pif| objects.find(pif));
        if pif.is_some_and(|pif| is_unplugged(objects, pif)) {
            return None;
        }
        let vifs = network.refs("VIFs");
        let vifs = vifs.iter().filter_map(|vif| objects.find(vif));
        let attached = vifs.filter(|vif| vif.bool("currently_attached"));
        Some(Wiring {
            bridges: bridges_of(objects, network).ok()?,
            addressing: pif.map(addressing::of_pif).unwrap_or_default(),
            ports: attached.filter_map(|vif| ports(objects, vif)).flatten().collect(),
            pifs,
        })
    }

    fn own(&self) -> Option<&Bridge> {
        self.bridges.last()
    }
}

fn ports(objects: &Objects, vif: &Object) -> Option<Vec<Port>> {
    let vm = objects.find(&vif.to("VM"))?;
    let port = port::of_vif(objects, vif);
    Some(stop::links_of(vm, vif)?.into_iter().map(|link| (link, port.clone())).collect())
}

fn layout(objects: &Objects) -> BTreeMap<Ref, Wiring> {
    let all = objects.all("network");
    all.filter_map(|n| Some((n.reference().clone(), Wiring::of(objects, n)?))).collect()
}

/// Changes objects that say what networks are made of, and makes bridges, guests' ports and addresses
/// follow. Where that fails everything is as it was, and so it is where the host is managed through
/// something else then and nobody reaches it.
pub fn change<T>(
    context: &Context,
    change: impl FnOnce(&mut Transaction<'_>) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let toolstack = &context.toolstack;
    let lock = toolstack.lock_of(&toolstack.host());
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let (before, managed) = toolstack.store.read(|objects| (layout(objects), Managed::of(objects)));
    let (result, undo, on_trial) = toolstack.store.write(|t| {
        let result = change(t)?;
        let undo = t.undo();
        let on_trial = Managed::of(t.objects()) != managed;
        if on_trial {
            let note = serde_json::to_string(&undo);
            let note = note.map_err(|e| errors::INTERNAL_ERROR.with([e.to_string()]))?;
            t.set_note(trial::NOTE, Some(note));
        }
        Ok((result, undo, on_trial))
    })?;
    let witnesses = on_trial.then(|| Witnesses::of(context));
    let after = toolstack.store.read(layout);
    let applied = apply(toolstack, &before, &after);
    let held = applied.and_then(|()| match &witnesses {
        Some(witnesses) => trial::hold(toolstack, witnesses),
        None => Ok(()),
    });
    if let Err(error) = held {
        take_back(toolstack, &undo);
        return Err(error);
    }
    if on_trial {
        toolstack.store.write(|t| {
            t.set_note(trial::NOTE, None);
            Ok(())
        })?;
    }
    super::refresh(toolstack);
    Ok(result)
}

/// Makes objects and networks what they were before a change.
pub(super) fn take_back(toolstack: &Toolstack, undo: &Undo) {
    let changed = toolstack.store.read(layout);
    let taken_back = toolstack.store.write(|t| {
        t.take_back(undo).map_err(|e| errors::INTERNAL_ERROR.with([e.to_string()]))?;
        t.set_note(trial::NOTE, None);
        Ok(())
    });
    let before = toolstack.store.read(layout);
    if let Err(error) = taken_back.and_then(|()| apply(toolstack, &changed, &before)) {
        tracing::error!(%error, "taking a change of networks back");
    }
    super::refresh(toolstack);
}

fn apply(
    toolstack: &Toolstack,
    before: &BTreeMap<Ref, Wiring>,
    after: &BTreeMap<Ref, Wiring>,
) -> Result<(), ApiError> {
    let network = &toolstack.network;
    let differs = |one: &Ref| {
        before.get(one).map(|wiring| &wiring.bridges)
            != after.get(one).map(|wiring| &wiring.bridges)
    };
    // Bridges within others go before these, and come after them.
    let mut old: Vec<&Wiring> =
        before.iter().filter(|(one, _)| differs(one)).map(|(_, wiring)| wiring).collect();
    old.sort_by_key(|wiring| std::cmp::Reverse(wiring.bridges.len()));
    let mut new: Vec<&Wiring> =
        after.iter().filter(|(one, _)| differs(one)).map(|(_, wiring)| wiring).collect();
    new.sort_by_key(|wiring| wiring.bridges.len());
    let fail = |error| failure::network(&error);
    for bridge in old.iter().filter_map(|wiring| wiring.own()) {
        network.remove_bridge(&bridge.name).map_err(fail)?;
    }
    for (one, wiring) in after {
        let addressed = before.get(one).map(|before| &before.addressing);
        if let (false, Some(bridge)) = (differs(one), wiring.own())
            && addressed != Some(&wiring.addressing)
        {
            network.configure_address(&bridge.name, &wiring.addressing).map_err(fail)?;
        }
    }
    for wiring in &new {
        let Some(bridge) = wiring.own() else { continue };
        network.ensure_bridge(bridge).map_err(fail)?;
        if wiring.addressing != Addressing::default() {
            network.configure_address(&bridge.name, &wiring.addressing).map_err(fail)?;
        }
        for (link, port) in &wiring.ports {
            match network.plug(&bridge.name, link, port) {
                // Its guest ended meanwhile.
                Err(NetworkError::NoSuchInterface(gone)) if gone == *link => {}
                plugged => plugged.map_err(fail)?,
            }
        }
    }
    toolstack.store.write(|t| {
        let gone = before.iter().filter(|(one, _)| !after.contains_key(*one));
        for pif in gone.flat_map(|(_, wiring)| &wiring.pifs) {
            if t.get("PIF", pif).is_ok() {
                t.set(pif, "currently_attached", false);
            }
        }
        for pif in new.iter().flat_map(|wiring| &wiring.pifs) {
            t.set(pif, "currently_attached", true);
        }
        Ok(())
    })
}
