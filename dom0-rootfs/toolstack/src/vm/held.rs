// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that stands still while its disks are copied.
//!
//! It writes nothing meanwhile, so copies of several disks, one after the other, are of one moment: what
//! the guest would find after a power cut. A note lets the next run of the daemon let it run on.

use std::sync::Arc;

use xapi_model::{ApiError, Ref, Value};
use xenops::DomId;

use super::stop;
use crate::failure;
use crate::store::Objects;
use crate::toolstack::Toolstack;

/// Until this is dropped.
pub struct Held {
    toolstack: Arc<Toolstack>,
    vm: Ref,
    /// None: it did not run.
    domain: Option<DomId>,
    note: String,
}

fn note(vm_uuid: &str) -> String {
    format!("held/{vm_uuid}")
}

/// Whether a VM was held when the daemon ended.
pub fn was_held(objects: &Objects, vm: &Ref) -> bool {
    objects.find(vm).is_some_and(|vm| objects.note(&note(vm.uuid())).is_some())
}

/// Lets a VM run on that was held when the daemon ended.
pub fn settle(toolstack: &Arc<Toolstack>, vm: &Ref, domain: DomId) -> Result<(), ApiError> {
    let uuid = toolstack.look("VM", vm, |vm, _| vm.uuid().to_owned())?;
    let held = Held {
        toolstack: toolstack.clone(),
        vm: vm.clone(),
        domain: Some(domain),
        note: note(&uuid),
    };
    drop(held);
    Ok(())
}

impl Held {
    /// Holds the guest, if it runs. The caller has the VM's lock.
    pub fn begin(toolstack: &Arc<Toolstack>, vm: &Ref) -> Result<Held, ApiError> {
        let (domain, uuid) = toolstack.look("VM", vm, |vm, _| {
            let running = vm.text("power_state") == "Running";
            (stop::domain(vm).filter(|_| running), vm.uuid().to_owned())
        })?;
        let (toolstack, vm) = (toolstack.clone(), vm.clone());
        let mut held = Held { toolstack, vm, domain: None, note: note(&uuid) };
        if let Some(domain) = domain {
            held.mark(true)?;
            // From here on dropping it lets the guest run, whatever has become of this.
            held.domain = Some(domain);
            let paused = held.toolstack.hypervisor.pause(domain);
            paused.map_err(|e| failure::xenops(&e, &held.vm))?;
        }
        Ok(held)
    }

    fn mark(&self, held: bool) -> Result<(), ApiError> {
        self.toolstack.store.write(|t| {
            t.set_note(&self.note, held.then(String::new));
            Ok(())
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(domain) = self.domain else { return };
        let result = self.toolstack.hypervisor.unpause(domain);
        let result = result.map_err(|e| failure::xenops(&e, &self.vm)).or_else(|error| {
            tracing::error!(%error, vm = %self.vm, "a guest that was held does not run on");
            // So that it can be unpaused.
            self.toolstack.store.write(|t| {
                t.set(&self.vm, "power_state", Value::Enum("Paused"));
                Ok(())
            })
        });
        // The note would let it run at the next start of the daemon, whatever it is then.
        let recorded = || self.mark(false).or_else(|_| self.mark(false));
        if let Err(error) = result.and_then(|()| recorded()) {
            tracing::error!(%error, vm = %self.vm, "recording that a guest is not held any more");
        }
    }
}
