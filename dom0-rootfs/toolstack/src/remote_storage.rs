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

    /// Takes the first one behind another.
    fn take_behind(&self, last: Option<&Ref>) -> Option<Ref> {
        let mut waiting = self.lock();
        let next = waiting.iter().find(|pbd| last.is_none_or(|last| *pbd > last))?.clone();
        waiting.take(&next)
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
    let context = Context::myself(toolstack);
    let mut last = None;
    // Taken one by one: while one blocks, another call goes on with the others.
    while let Some(pbd) = toolstack.waiting_pbds.take_behind(last.as_ref()) {
        last = Some(pbd.clone());
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
