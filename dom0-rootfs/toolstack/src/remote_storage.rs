// SPDX-License-Identifier: MIT OR Apache-2.0
//! SRs on servers: a host starts without waiting for them, and attaches them as soon as they answer.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use storage::Place;
use xapi_model::{ApiError, Ref, errors};

use crate::api;
use crate::toolstack::{Context, Toolstack};
use crate::vdis;

/// PBDs that are to be attached as soon as their server answers.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<BTreeSet<Ref>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<Ref>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody decided otherwise.
    pub fn forget(&self, pbd: &Ref) {
        self.lock().remove(pbd);
    }
}

/// Leaves a PBD for later if its SR lies on a server; whether it does. What is attached from before a
/// restart of the daemon is in use all the while.
pub fn defer(toolstack: &Toolstack, pbd: &Ref) -> Result<bool, ApiError> {
    let sr = toolstack.look("PBD", pbd, |pbd, _| pbd.to("SR"))?;
    let open = vdis::sr(toolstack, &sr)?;
    match open.driver.place(&open.spec) {
        Ok(Place::Elsewhere { attached }) => {
            if !attached {
                toolstack.waiting_pbds.lock().insert(pbd.clone());
            }
            toolstack.store.write(|t| {
                t.set_live(pbd, "currently_attached", attached);
                Ok(())
            })?;
            Ok(true)
        }
        // A configuration that is wrong fails when it is attached.
        Ok(Place::Here) | Err(_) => Ok(false),
    }
}

/// Tries once each that is waiting. Blocks as long as servers make it.
pub fn attach_waiting(toolstack: &Arc<Toolstack>) {
    let waiting = std::mem::take(&mut *toolstack.waiting_pbds.lock());
    let context = Context::myself(toolstack);
    for pbd in waiting {
        match api::plug(&context, &pbd) {
            Ok(()) => tracing::info!(%pbd, "attached an SR of a server"),
            // It was destroyed meanwhile.
            Err(error) if error.is(&errors::HANDLE_INVALID) => {}
            Err(error) => {
                tracing::warn!(%error, %pbd, "an SR of a server is not there yet");
                toolstack.waiting_pbds.lock().insert(pbd);
            }
        }
    }
}
