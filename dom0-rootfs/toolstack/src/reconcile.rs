// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compares what the objects say with what is there, and acts on the difference. Takes no input:
//! called at the start and whenever something may have been missed.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use storage::Mode;
use xapi_model::{ApiError, Ref, Value, errors};
use xenops::{DomId, DomainInfo, ShutdownReason};

use crate::failure;
use crate::guest;
use crate::toolstack::Toolstack;
use crate::vm::start::note;
use crate::vm::{held, hotplug, stop, suspend, watcher};

/// Brings VMs in line with the domains that exist.
pub fn domains(toolstack: &Arc<Toolstack>) -> Result<(), ApiError> {
    let there: HashSet<String> = list(toolstack)?.map(|domain| domain.uuid.to_string()).collect();
    let vms: Vec<Ref> = toolstack.store.read(|objects| {
        let vms = objects.all("VM").filter(|vm| !vm.bool("is_control_domain"));
        let vms = vms.filter(|vm| vm.text("power_state") != "Halted" || there.contains(vm.uuid()));
        vms.map(|vm| vm.reference().clone()).collect()
    });
    for vm in vms {
        if let Err(error) = one(toolstack, &vm) {
            tracing::error!(%error, %vm, "comparing a VM with its domain");
        }
    }
    Ok(())
}

fn list(toolstack: &Toolstack) -> Result<impl Iterator<Item = DomainInfo>, ApiError> {
    let domains = toolstack.hypervisor.domains();
    Ok(domains.map_err(|e| errors::INTERNAL_ERROR.with([failure::chain(&e)]))?.into_iter())
}

/// A guest that has ended, and how.
type Ended = (DomId, ShutdownReason);

fn one(toolstack: &Arc<Toolstack>, vm: &Ref) -> Result<(), ApiError> {
    let lock = toolstack.lock_of(vm);
    let ended = {
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        compare(toolstack, vm)?
    };
    // That takes the lock itself, and looks again.
    match ended {
        Some((domain, reason)) => watcher::ended(toolstack, domain, Some(reason)),
        None => Ok(()),
    }
}

/// Looks at both sides while nobody works on the VM: what was seen before the lock was held may have
/// been of a start or an end that was under way.
fn compare(toolstack: &Arc<Toolstack>, vm: &Ref) -> Result<Option<Ended>, ApiError> {
    let (state, known, uuid) = toolstack.look("VM", vm, |vm, _| {
        (vm.text("power_state").to_owned(), stop::domain(vm), vm.uuid().to_owned())
    })?;
    let found = list(toolstack)?.find(|domain| domain.uuid.to_string() == uuid);
    match (state.as_str(), found) {
        ("Halted", None) => {}
        ("Halted", Some(domain)) => {
            // A start that was interrupted: the domain was never recorded.
            tracing::warn!(%vm, domain = domain.id.0, "removing a domain of a halted VM");
            stop::remove_domain(toolstack, vm, domain.id)?;
        }
        ("Suspended", None) => {}
        ("Suspended", Some(domain)) => {
            // A resume that was interrupted: its guest has not run.
            tracing::warn!(%vm, domain = domain.id.0, "removing a domain of a suspended VM");
            stop::remove_domain(toolstack, vm, domain.id)?;
        }
        (_, Some(_))
            if toolstack.store.read(|objects| suspend::whole_image(objects, vm)).is_some() =>
        {
            tracing::warn!(%vm, "finishing to suspend it");
            stop::tear_down(toolstack, vm)?;
        }
        (_, Some(domain)) if toolstack.store.read(|objects| stop::was_ending(objects, vm)) => {
            tracing::warn!(%vm, domain = domain.id.0, "finishing to end it");
            stop::tear_down(toolstack, vm)?;
        }
        (_, None) => {
            tracing::warn!(%vm, "its domain is gone");
            stop::tear_down(toolstack, vm)?;
        }
        (_, Some(domain)) => {
            let held = toolstack.store.read(|objects| held::was_held(objects, vm));
            let state = if domain.paused && !held { "Paused" } else { "Running" };
            let number = i64::from(domain.id.0);
            toolstack.store.write(|t| {
                t.set(vm, "power_state", Value::Enum(state));
                t.set(vm, "domid", number);
                Ok(())
            })?;
            if held {
                held::settle(toolstack, vm, domain.id)?;
            }
            if known != Some(domain.id) {
                tracing::warn!(%vm, domain = number, "its domain has another number");
            }
            let shutdown = match domain.shutdown {
                Some(ShutdownReason::Suspend) => {
                    tracing::warn!(%vm, "letting it run on, for it was being suspended");
                    let resumed = toolstack.hypervisor.resume(domain.id);
                    resumed.map_err(|e| failure::xenops(&e, vm))?;
                    None
                }
                other => other,
            };
            match shutdown {
                Some(reason) => return Ok(Some((domain.id, reason))),
                None => {
                    adopt(toolstack, vm)?;
                    if let Err(error) = guest::update(toolstack, domain.id) {
                        tracing::warn!(%error, %vm, "reading what its guest says");
                    }
                    hotplug::settle(toolstack, vm)?;
                    suspend::forget_image(toolstack, vm)?;
                }
            }
        }
    }
    Ok(None)
}

/// Takes over a VM that runs since before this daemon: its disks count as active, its console is
/// read again.
fn adopt(toolstack: &Arc<Toolstack>, vm: &Ref) -> Result<(), ApiError> {
    let (vdis, console) = toolstack.look("VM", vm, |vm, objects| {
        let vbds = vm.refs("VBDs");
        let vbds = vbds.iter().filter_map(|vbd| objects.find(vbd));
        let attached = vbds.filter(|v| v.bool("currently_attached") && !v.to("VDI").is_null());
        let vdis: Vec<(Ref, Ref, Mode)> = attached
            .map(|vbd| {
                let read_only = vbd.text("type") == "CD" || vbd.text("mode") == "RO";
                let mode = if read_only { Mode::ReadOnly } else { Mode::ReadWrite };
                (vbd.reference().clone(), vbd.to("VDI"), mode)
            })
            .collect();
        let note = objects.note(&note(vm.uuid())).unwrap_or("{}");
        let note: serde_json::Value = serde_json::from_str(note).unwrap_or_default();
        (vdis, note["console"].as_str().map(str::to_owned))
    })?;
    for (vbd, vdi, mode) in vdis {
        toolstack.activations.activate(toolstack, &vbd, &vdi, mode)?;
    }
    if let Some(console) = console
        && toolstack.consoles.listen(vm).is_none()
    {
        toolstack.consoles.attach(vm, Path::new(&console));
    }
    Ok(())
}
