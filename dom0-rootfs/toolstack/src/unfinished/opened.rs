// SPDX-License-Identifier: MIT OR Apache-2.0
//! VDIs that the last run of the daemon had open: for a copy, for a start that was cut off.
//!
//! They need no notes: what is open is compared with what runs.

use xapi_model::Ref;

use crate::store::{Object, Objects};
use crate::toolstack::Toolstack;
use crate::vm::hotplug;

/// Makes the VDIs of an attached SR inactive that no domain has. Those of VMs that run have been adopted.
pub(super) fn close(toolstack: &Toolstack, sr: &Ref) {
    let idle: Vec<Ref> = toolstack.store.read(|objects| {
        let vdis = objects.find(sr).map(|sr| sr.refs("VDIs")).unwrap_or_default();
        let vdis = vdis.iter().filter_map(|vdi| objects.find(vdi));
        let idle = vdis.filter(|vdi| !is_plugged(objects, vdi));
        idle.map(|vdi| vdi.reference().clone()).collect()
    });
    for vdi in idle {
        // Whoever has opened it since is known, and keeps it.
        if let Err(error) = toolstack.activations.deactivate(toolstack, &Ref::null(), &vdi) {
            tracing::warn!(%error, %vdi, "closing a VDI that nobody uses");
        }
    }
}

/// Whether a domain has a VDI, or may have it.
fn is_plugged(objects: &Objects, vdi: &Object) -> bool {
    let vbds = vdi.refs("VBDs");
    let mut vbds = vbds.iter().filter_map(|vbd| objects.find(vbd));
    vbds.any(|vbd| {
        let vm = objects.find(&vbd.to("VM"));
        let alive = vm.is_some_and(|vm| ["Running", "Paused"].contains(&vm.text("power_state")));
        alive && (vbd.bool("currently_attached") || hotplug::is_under_way(objects, vbd.reference()))
    })
}
