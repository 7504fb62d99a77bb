// SPDX-License-Identifier: MIT OR Apache-2.0
//! VDIs that nobody refers to yet, or any more: each has a note until it is part of something, or gone.
//! A start of the daemon removes those that the last run left.

use std::sync::Arc;

use xapi_model::{ApiError, Ref};

use crate::api::vdi;
use crate::store::Transaction;
use crate::toolstack::{Context, Toolstack};

fn note(vdi: &Ref) -> String {
    format!("unfinished/{vdi}")
}

/// Notes that a VDI is to go unless it becomes part of something.
pub fn begin(t: &mut Transaction<'_>, vdi: &Ref) {
    t.set_note(&note(vdi), Some(String::new()));
}

/// It is part of something.
pub fn finish(t: &mut Transaction<'_>, vdi: &Ref) {
    t.set_note(&note(vdi), None);
}

/// Removes such a VDI. One that cannot be removed now is removed at a later start of the daemon.
pub fn remove(toolstack: &Arc<Toolstack>, vdi: &Ref) {
    if let Err(error) = try_remove(toolstack, vdi) {
        tracing::error!(%error, %vdi, "removing a VDI that is of no more use");
    }
}

fn try_remove(toolstack: &Arc<Toolstack>, vdi: &Ref) -> Result<(), ApiError> {
    if toolstack.look("VDI", vdi, |_, _| ()).is_ok() {
        vdi::destroy(&Context::myself(toolstack), vdi)?;
    }
    toolstack.store.write(|t| {
        finish(t, vdi);
        Ok(())
    })
}

/// Removes what the last run of the daemon left.
pub fn sweep(toolstack: &Arc<Toolstack>) {
    let left: Vec<Ref> = toolstack.store.read(|objects| {
        let vdis = objects.all("VDI").map(|vdi| vdi.reference().clone());
        vdis.filter(|vdi| objects.note(&note(vdi)).is_some()).collect()
    });
    for vdi in left {
        tracing::warn!(%vdi, "removing a VDI that was left unfinished");
        remove(toolstack, &vdi);
    }
}
