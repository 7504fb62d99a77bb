// SPDX-License-Identifier: MIT OR Apache-2.0
//! What nobody refers to yet, or any more: each has a note until it is part of something, or gone. A start
//! of the daemon removes what the last run left.
//!
//! Here are VDIs that have an object; [`volume`] has what a driver is about to make, [`repository`] SRs.

mod left;
mod opened;
pub mod repository;
pub mod volume;

use std::collections::BTreeMap;
use std::sync::Arc;

use xapi_model::{ApiError, Ref};

use crate::api::vdi;
use crate::store::{Objects, Transaction};
use crate::toolstack::{Context, Toolstack};

pub use left::{Left, settle};
use left::{Leftover, is_here};

/// How notes of VDIs begin.
const NOTES: &str = "unfinished/";

fn note(vdi: &Ref) -> String {
    format!("{NOTES}{vdi}")
}

/// Notes that a VDI is to go unless it becomes part of something.
pub fn begin(t: &mut Transaction<'_>, vdi: &Ref) {
    t.set_note(&note(vdi), Some(String::new()));
}

/// It is part of something.
pub fn finish(t: &mut Transaction<'_>, vdi: &Ref) {
    t.set_note(&note(vdi), None);
}

/// Whether a VDI is to go.
pub fn is_noted(objects: &Objects, vdi: &Ref) -> bool {
    objects.note(&note(vdi)).is_some()
}

/// Removes such a VDI. One that cannot be removed now is tried again for a while ([`settle`]), and at a
/// later start of the daemon.
pub fn remove(toolstack: &Arc<Toolstack>, vdi: &Ref) {
    if let Err(error) = try_remove(toolstack, vdi) {
        tracing::error!(%error, %vdi, "removing a VDI that is of no more use");
        try_again(toolstack, vdi);
    }
}

/// Removes a VDI with a note soon, which could not be removed now.
pub fn try_again(toolstack: &Toolstack, vdi: &Ref) {
    toolstack.left.add([Leftover::Vdi { vdi: vdi.clone(), tries: left::TRIES }]);
}

fn try_remove(toolstack: &Arc<Toolstack>, vdi: &Ref) -> Result<(), ApiError> {
    if toolstack.look("VDI", vdi, |_, _| ()).is_ok() {
        // Whoever had it open may not have been able to close it.
        toolstack.activations.deactivate(toolstack, &Ref::null(), vdi)?;
        vdi::destroy(&Context::myself(toolstack), vdi)?;
    }
    toolstack.store.write(|t| {
        finish(t, vdi);
        Ok(())
    })
}

/// Removes what the last run of the daemon left: at once on storage of this host, and on servers when
/// they answer ([`settle`]). VMs have been compared with their domains before.
pub fn sweep(toolstack: &Arc<Toolstack>) {
    let (mut left, forgotten) = toolstack.store.read(|objects| {
        let srs = objects.all("SR").map(|sr| (sr.reference().clone(), Vec::new()));
        let mut left: BTreeMap<Ref, Vec<Ref>> = srs.collect();
        let mut forgotten = Vec::new();
        for (key, _) in objects.notes(NOTES) {
            let vdi = Ref::new(&key[NOTES.len()..]);
            match objects.get("VDI", &vdi) {
                Ok(object) => left.entry(object.to("SR")).or_default().push(vdi),
                Err(_) => forgotten.push(vdi),
            }
        }
        (left, forgotten)
    });
    let cleared = toolstack.store.write(|t| {
        forgotten.iter().for_each(|vdi| finish(t, vdi));
        Ok(())
    });
    if let Err(error) = cleared {
        tracing::error!(%error, "forgetting what is gone");
    }
    let here: Vec<Ref> = left.keys().filter(|sr| is_here(toolstack, sr)).cloned().collect();
    for sr in here {
        let vdis = left.remove(&sr).unwrap_or_default();
        left::settle_one(toolstack, &sr, &vdis);
    }
    toolstack.left.add(left.into_iter().map(|(sr, vdis)| Leftover::Vdis { sr, vdis }));
    repository::sweep(toolstack);
}
