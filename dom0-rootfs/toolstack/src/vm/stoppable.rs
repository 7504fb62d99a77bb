// SPDX-License-Identifier: MIT OR Apache-2.0
//! Long work on a VM that can be stopped: by whoever cancels its task, or wants the VM's end.

use xapi_model::{ApiError, Ref, errors};
use xenops::{Onlooker, XenopsError};

use super::operation::under_way;
use crate::failure;
use crate::task::Cancel;
use crate::toolstack::Context;

/// Operations that end a VM, whatever is being done with it.
pub const ENDING: &[&str] = &["hard_shutdown", "power_state_reset"];
/// Those, and the one that starts it again.
pub const ENDING_OR_RESTARTING: &[&str] = &["hard_shutdown", "power_state_reset", "hard_reboot"];

/// Work under way.
pub struct Stoppable {
    context: Context,
    vm: Ref,
    by: &'static [&'static str],
    cancel: Cancel,
}

impl Stoppable {
    /// Makes the work's task cancellable; operations of the VM that are called `by` stop it too.
    pub fn begin(
        context: &Context,
        vm: &Ref,
        by: &'static [&'static str],
    ) -> Result<Stoppable, ApiError> {
        let cancel = context.cancellable()?;
        Ok(Stoppable { context: context.clone(), vm: vm.clone(), by, cancel })
    }

    fn is_to_stop(&self) -> bool {
        self.cancel.wanted()
            || self
                .context
                .store()
                .read(|objects| objects.find(&self.vm).is_some_and(|vm| under_way(vm, self.by)))
    }

    /// `TASK_CANCELLED` if the work is to stop.
    pub fn check(&self) -> Result<(), ApiError> {
        if self.is_to_stop() { Err(self.stopped()) } else { Ok(()) }
    }

    fn stopped(&self) -> ApiError {
        errors::TASK_CANCELLED.with([self.context.task_name()])
    }

    /// Has the hypervisor move about so many bytes of the VM's memory. The task's progress goes from the
    /// first share to the second meanwhile.
    pub fn moving<T>(
        &self,
        bytes: u64,
        shares: (f64, f64),
        work: impl FnOnce(&dyn Onlooker) -> Result<T, XenopsError>,
    ) -> Result<T, ApiError> {
        let moved = work(&Moving { work: self, bytes: bytes.max(1) as f64, shares });
        moved.map_err(|error| match error {
            XenopsError::Stopped { .. } => self.stopped(),
            other => failure::xenops(&other, &self.vm),
        })
    }
}

struct Moving<'a> {
    work: &'a Stoppable,
    bytes: f64,
    shares: (f64, f64),
}

impl Onlooker for Moving<'_> {
    fn moved(&self, bytes: u64) {
        let (from, to) = self.shares;
        let done = (bytes as f64 / self.bytes).min(1.0);
        self.work.context.progress(from + (to - from) * done);
    }

    fn stop(&self) -> bool {
        self.work.is_to_stop()
    }
}
