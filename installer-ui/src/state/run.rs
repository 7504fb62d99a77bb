// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far the running installation is.

use std::time::Duration;

use installer_core::events::{DiskState, Event, Step};
use installer_core::hooks::Hooks;
use installer_core::pace::Pace;
use installer_core::plan::Plan;

/// What the events have told so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// All steps, in their order.
    pub steps: Vec<Step>,
    /// Steps that ended well.
    pub done: Vec<Step>,
    /// The running or failed step.
    pub current: Option<Step>,
    /// Bytes done and to be done in the running step, if it tells.
    pub progress: Option<(u64, u64)>,
    /// Time since the start.
    pub elapsed: Duration,
    /// The same at the last event.
    told: Duration,
    /// When the running step began.
    step_began: Duration,
    /// The failure.
    pub error: Option<String>,
}

impl Run {
    /// Of a plan, before it begins.
    pub fn of(plan: &Plan) -> Self {
        // No script runs where a person is asked.
        Self { steps: Step::of(plan, &Hooks::default()), ..Self::default() }
    }

    pub(super) fn on(&mut self, at: Duration, event: Event) {
        self.elapsed = at;
        self.told = at;
        match event {
            Event::Started(step) => {
                self.current = Some(step);
                self.progress = None;
                self.step_began = at;
            }
            Event::Progress { done, total } => self.progress = Some((done, total)),
            Event::Done(step) => {
                self.done.push(step);
                self.current = None;
                self.progress = None;
            }
            // No script runs where a person is asked.
            Event::Said(_) | Event::Complete => {}
            Event::Failed { error, .. } => self.error = Some(error),
        }
    }

    /// Of the running step, 0 to 100.
    pub fn percent(&self) -> Option<u64> {
        let (done, total) = self.progress.filter(|(_, total)| *total > 0)?;
        Some(done.min(total) * 100 / total)
    }

    /// How fast the running step goes, and what is left of it, if it tells.
    pub fn pace(&self) -> Option<Pace> {
        let (done, total) = self.progress?;
        Some(Pace { done, total, elapsed: self.told.saturating_sub(self.step_began) })
    }

    /// Of the whole installation, 0 to 100: every step counts alike.
    pub fn overall(&self) -> u64 {
        let all = self.steps.len().max(1) as u64;
        (self.done.len() as u64 * 100 + self.percent().unwrap_or(0)) / all
    }

    /// What the failure did to the disk.
    pub fn disk_state(&self, plan: &Plan) -> Option<DiskState> {
        self.error.as_ref().and(self.current).map(|step| step.disk_state(plan))
    }
}
