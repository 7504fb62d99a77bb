// SPDX-License-Identifier: MIT OR Apache-2.0
//! VMs that have a disk while something is done with it.

use std::collections::BTreeSet;

use xapi_model::{ApiError, Ref, errors};

use super::held::Held;
use super::operation::Operation;
use crate::store::Objects;
use crate::toolstack::Context;

/// The power states of VMs that have a domain.
const ALIVE: [&str; 2] = ["Running", "Paused"];

/// VMs with a domain that has this VDI plugged in.
pub fn with_domain(objects: &Objects, vdi: &Ref) -> BTreeSet<Ref> {
    let vbds = objects.find(vdi).map(|vdi| vdi.refs("VBDs")).unwrap_or_default();
    let plugged = vbds.iter().filter_map(|vbd| objects.find(vbd));
    let plugged = plugged.filter(|vbd| vbd.bool("currently_attached"));
    let vms = plugged.filter_map(|vbd| objects.find(&vbd.to("VM")));
    let alive = vms.filter(|vm| ALIVE.contains(&vm.text("power_state")));
    alive.map(|vm| vm.reference().clone()).collect()
}

/// Runs `work` while the VM that has a VDI, if one has it, stands still: what it finds there is of one moment,
/// as after a power cut. `work` is told whether a VM was held for it; a VDI that several VMs have is refused.
pub fn while_still<T>(
    context: &Context,
    vdi: &Ref,
    operation: &str,
    work: impl FnOnce(bool) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let toolstack = &context.toolstack;
    let users = || toolstack.store.read(|objects| with_domain(objects, vdi));
    let found = users();
    let Some(vm) = found.first() else { return work(false) };
    if found.len() > 1 {
        return Err(errors::VDI_IN_USE.with([vdi.as_str(), operation]));
    }
    let _operation = Operation::begin(context, vm, "snapshot")?;
    let lock = toolstack.lock_of(vm);
    let _alone = lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if users() != found {
        return Err(errors::OTHER_OPERATION_IN_PROGRESS.with(["VDI", vdi.as_str()]));
    }
    let _held = Held::begin(toolstack, vm)?;
    work(true)
}
