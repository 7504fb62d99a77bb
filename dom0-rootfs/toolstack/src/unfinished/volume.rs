// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volumes that a driver is about to make: a note says which, until the VDI's object is there as well.
//!
//! Whoever makes one holds the SR's lock, so that a note which somebody else finds with that lock is of
//! something that was cut off or could not be removed.

use std::collections::BTreeSet;

use uuid::Uuid;
use xapi_model::ApiError;

use crate::failure;
use crate::store::{Objects, Transaction};
use crate::toolstack::Toolstack;
use crate::vdis::OpenSr;

fn notes(sr: Uuid) -> String {
    format!("volume/{sr}/")
}

fn note(sr: Uuid, volume: Uuid) -> String {
    format!("{}{volume}", notes(sr))
}

/// Notes that a volume is about to be made. The caller holds the SR's lock.
pub fn begin(toolstack: &Toolstack, open: &OpenSr, volume: Uuid) -> Result<(), ApiError> {
    toolstack.store.write(|t| {
        t.set_note(&note(open.spec.uuid, volume), Some(String::new()));
        Ok(())
    })
}

/// Its object is there.
pub fn finish(t: &mut Transaction<'_>, sr: Uuid, volume: Uuid) {
    t.set_note(&note(sr, volume), None);
}

/// An SR is forgotten: what is in it is nobody's business here any more.
pub fn forget(t: &mut Transaction<'_>, sr: Uuid) {
    for volume in noted(t.objects(), sr) {
        finish(t, sr, volume);
    }
}

/// Volumes of an SR that are no VDIs, though they may be there.
pub fn noted(objects: &Objects, sr: Uuid) -> BTreeSet<Uuid> {
    let prefix = notes(sr);
    let names = objects.notes(&prefix).map(|(key, _)| &key[prefix.len()..]);
    names.filter_map(|name| Uuid::parse_str(name).ok()).collect()
}

/// Removes a volume that was made in vain, whatever there is of it. The caller holds the SR's lock. One that
/// cannot be removed now is removed by a later look at the SR.
pub fn remove(toolstack: &Toolstack, open: &OpenSr, volume: Uuid) {
    // A copy of a volume that is in use may have come up active.
    let gone = open.driver.vdi_deactivate(&open.spec, volume);
    let gone = gone.and_then(|()| open.driver.vdi_destroy(&open.spec, volume));
    if let Err(error) = gone {
        tracing::error!(error = failure::chain(&error), %volume, "removing a half-made VDI");
        return;
    }
    let forgotten = toolstack.store.write(|t| {
        finish(t, open.spec.uuid, volume);
        Ok(())
    });
    if let Err(error) = forgotten {
        tracing::error!(%error, %volume, "forgetting a half-made VDI");
    }
}

/// Removes all that was made in vain in an SR. The caller holds its lock.
pub fn sweep(toolstack: &Toolstack, open: &OpenSr) {
    for volume in toolstack.store.read(|objects| noted(objects, open.spec.uuid)) {
        tracing::warn!(%volume, "removing a VDI that was left half-made");
        remove(toolstack, open, volume);
    }
}
