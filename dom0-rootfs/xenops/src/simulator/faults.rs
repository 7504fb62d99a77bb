// SPDX-License-Identifier: MIT OR Apache-2.0
//! Failures that tests ask for.

use crate::error::XenopsError;

/// The calls of [`crate::Hypervisor`] by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the method of the same name")]
pub enum Call {
    Host,
    Domains,
    Usage,
    Create,
    Unpause,
    Pause,
    RequestShutdown,
    Destroy,
    PlugDisk,
    UnplugDisk,
    PlugNic,
    UnplugNic,
    ChangeMedium,
    Suspend,
    Resume,
    Restore,
    SetVcpus,
    SetMemoryTarget,
    SetScheduling,
    Press,
    DumpCore,
    GuestData,
    ConsoleRing,
    SendDebugKeys,
    Watch,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    calls: Vec<Call>,
    waiting: Vec<Fault>,
}

#[derive(Debug)]
struct Fault {
    /// None is any call.
    call: Option<Call>,
    /// Matching calls until it strikes; 1 strikes at the next one.
    countdown: u32,
    error: XenopsError,
}

impl Faults {
    pub(super) fn add(&mut self, call: Option<Call>, nth: u32, error: XenopsError) {
        self.waiting.push(Fault { call, countdown: nth.max(1), error });
    }

    /// Records the call and says whether it is to fail. A fault strikes once.
    pub(super) fn next(&mut self, call: Call) -> Option<XenopsError> {
        self.calls.push(call);
        let matching = |fault: &Fault| fault.call.is_none_or(|wanted| wanted == call);
        for fault in self.waiting.iter_mut().filter(|fault| matching(fault)) {
            fault.countdown -= 1;
        }
        let due = self.waiting.iter().position(|fault| fault.countdown == 0)?;
        let error = self.waiting.remove(due).error;
        // Two faults for one call: the second strikes at the next.
        for fault in self.waiting.iter_mut().filter(|fault| fault.countdown == 0) {
            fault.countdown = 1;
        }
        Some(error)
    }

    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }
}
