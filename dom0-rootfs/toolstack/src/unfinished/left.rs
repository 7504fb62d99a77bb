// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the last run of the daemon left where it cannot be removed yet: on servers, and in SRs that are not
//! attached.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use storage::Place;
use uuid::Uuid;
use xapi_model::Ref;

use super::{is_noted, opened, remove, repository, try_remove};
use crate::api::sr;
use crate::toolstack::Toolstack;
use crate::vdis;
use crate::vm::hotplug;

/// Something that waits.
#[derive(Debug)]
pub(super) enum Leftover {
    /// What is in an SR: these VDIs had a note when the daemon started, and others may be open.
    Vdis {
        /// The SR.
        sr: Ref,
        /// Its VDIs with a note.
        vdis: Vec<Ref>,
    },
    /// A VDI that could not be removed.
    Vdi {
        /// The VDI.
        vdi: Ref,
        /// How often it is tried again.
        tries: usize,
    },
    /// An SR that was being made or removed.
    Repository(Uuid),
}

/// How often the removal of a VDI is tried again before it is left to the next start of the daemon.
pub(super) const TRIES: usize = 6;

/// All that waits.
#[derive(Debug, Default)]
pub struct Left(Mutex<VecDeque<Leftover>>);

impl Left {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Leftover>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, leftovers: impl IntoIterator<Item = Leftover>) {
        self.lock().extend(leftovers);
    }
}

/// Whether an SR is attached and is not on a server, which may not answer.
pub(super) fn is_here(toolstack: &Toolstack, sr: &Ref) -> bool {
    let open = vdis::attached_sr(toolstack, sr);
    open.is_ok_and(|open| matches!(open.driver.place(&open.spec), Ok(Place::Here)))
}

/// Tries once what waits: what is left in storage, and devices whose plugging or unplugging could not be
/// recorded. Blocks as long as servers make it.
pub fn settle(toolstack: &Arc<Toolstack>) {
    hotplug::settle_all(toolstack);
    // Taken one by one: while one blocks, another call goes on with the others.
    let count = toolstack.left.lock().len();
    for _ in 0..count {
        let Some(next) = toolstack.left.lock().pop_front() else { return };
        match &next {
            // Its server may be back later.
            Leftover::Vdis { sr, .. } if vdis::reach(toolstack, sr).is_err() => {
                toolstack.left.add([next]);
            }
            Leftover::Vdis { sr, vdis } => match vdis::attached_sr(toolstack, sr) {
                Ok(_) => {
                    rescan(toolstack, sr);
                    settle_one(toolstack, sr, vdis);
                }
                // It may be attached later, or is gone.
                Err(_) if toolstack.look("SR", sr, |_, _| ()).is_ok() => toolstack.left.add([next]),
                Err(_) => {}
            },
            Leftover::Vdi { vdi, .. } if !reaches(toolstack, vdi) => toolstack.left.add([next]),
            Leftover::Vdi { vdi, tries } => {
                let noted = toolstack.store.read(|objects| is_noted(objects, vdi));
                if noted && let Err(error) = try_remove(toolstack, vdi) {
                    tracing::warn!(%error, %vdi, "removing a VDI that is of no more use");
                    let (vdi, tries) = (vdi.clone(), tries.saturating_sub(1));
                    toolstack.left.add((tries > 0).then_some(Leftover::Vdi { vdi, tries }));
                }
            }
            Leftover::Repository(sr) => {
                if !repository::try_remove(toolstack, *sr) {
                    toolstack.left.add([next]);
                }
            }
        }
    }
}

/// Whether the server of a VDI answers, if it lies on one.
fn reaches(toolstack: &Toolstack, vdi: &Ref) -> bool {
    let sr = toolstack.look("VDI", vdi, |vdi, _| vdi.to("SR"));
    !sr.is_ok_and(|sr| vdis::reach(toolstack, &sr).is_err())
}

/// What is in an SR that was attached before the daemon started may have changed.
fn rescan(toolstack: &Toolstack, sr: &Ref) {
    let lock = toolstack.lock_of(sr);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = sr::scan(toolstack, sr) {
        tracing::warn!(%error, %sr, "looking at what is in an SR");
    }
}

/// Closes and removes what is left in an attached SR.
pub(super) fn settle_one(toolstack: &Arc<Toolstack>, sr: &Ref, vdis: &[Ref]) {
    opened::close(toolstack, sr);
    for vdi in vdis {
        tracing::warn!(%vdi, "removing a VDI that was left unfinished");
        remove(toolstack, vdi);
    }
}
