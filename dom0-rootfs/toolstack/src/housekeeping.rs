// SPDX-License-Identifier: MIT OR Apache-2.0
//! Room in SRs that nothing refers to any more is given back in the background, step by step, while
//! everything else goes on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use storage::ImageFormat;
use xapi_model::{ApiError, Ref, errors};

use crate::failure;
use crate::toolstack::Toolstack;
use crate::vdis;

/// Time between two steps.
const PAUSE: Duration = Duration::from_secs(3);

/// SRs in which something was removed or let go of since.
#[derive(Debug, Default)]
pub struct Untidy(Mutex<BTreeSet<Ref>>);

impl Untidy {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<Ref>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An SR is looked at soon.
    pub fn add(&self, sr: &Ref) {
        self.lock().insert(sr.clone());
    }
}

/// Does so as long as the daemon runs.
pub async fn keep_tidy(toolstack: Arc<Toolstack>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let unused = toolstack.clone();
        drop(tokio::task::spawn_blocking(move || unused.activations.close_unused(&unused)));
        for sr in std::mem::take(&mut *toolstack.untidy.lock()) {
            let toolstack = toolstack.clone();
            // Not waited for: a server may make it last.
            drop(tokio::task::spawn_blocking(move || step(&toolstack, &sr)));
        }
    }
}

fn step(toolstack: &Toolstack, sr: &Ref) {
    match tidy(toolstack, sr) {
        Ok(true) => toolstack.untidy.add(sr),
        Ok(false) => {}
        // It comes back with the next attempt to attach it.
        Err(error) if error.is(&errors::SR_NOT_ATTACHED) || error.is(&errors::HANDLE_INVALID) => {}
        // Nobody waits for it; what is removed next in this SR begins it again.
        Err(error) => tracing::warn!(%error, %sr, "giving back room"),
    }
}

/// Whether there is more to do.
fn tidy(toolstack: &Toolstack, sr: &Ref) -> Result<bool, ApiError> {
    if vdis::reach(toolstack, sr).is_err() {
        return Ok(true);
    }
    let lock = toolstack.lock_of(sr);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let open = vdis::attached_sr(toolstack, sr)?;
    if open.driver.formats() == [ImageFormat::Raw] {
        // Nothing in it is shared by files of ours, and asking for its sizes may take programs.
        return Ok(false);
    }
    let more = open.driver.tidy(&open.spec).map_err(|e| failure::storage(&e, sr, None))?;
    vdis::refresh_sizes(toolstack, &open);
    Ok(more)
}
