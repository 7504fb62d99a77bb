// SPDX-License-Identifier: MIT OR Apache-2.0
//! The figures of one host or VM.

use std::collections::BTreeMap;

use rrd::{Backwards, Rrd, SHAPES};
use xenops::DomId;

use super::sources::Said;

/// Seconds after which figures are written to disk again.
const UNSAVED: f64 = 3600.0;
/// Seconds for which a clock may show times of before until they are believed.
const PATIENCE: f64 = 600.0;

/// Figures of now and of before.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) rrd: Rrd,
    /// What all sources said last, recorded or not.
    pub(super) said: Vec<Said>,
    domain: Option<DomId>,
    /// Seconds since they were written to disk.
    unsaved: f64,
    /// Seconds since the clock went back.
    back: f64,
}

impl Owned {
    /// Figures that go on where `before` ended, or begin now.
    pub(super) fn new(before: Option<Rrd>, now: f64) -> Owned {
        let rrd = before.unwrap_or_else(|| Rrd::new(&SHAPES, now - rrd::STEP as f64));
        Owned { rrd, said: Vec::new(), domain: None, unsaved: 0.0, back: 0.0 }
    }

    /// Records what sources say now. `elapsed`: seconds since the last time, whatever the clock shows.
    pub(super) fn record(&mut self, domain: DomId, said: Vec<Said>, now: f64, elapsed: f64) {
        if self.domain.replace(domain) != Some(domain) {
            self.rrd.restart_counters();
        }
        for new in said.iter().filter(|said| said.standard) {
            self.rrd.add(new.source.clone());
        }
        let values: BTreeMap<&str, f64> =
            said.iter().map(|said| (said.source.name.as_str(), said.value)).collect();
        let says = |name: &str| values.get(name).copied();
        match self.rrd.update(now, elapsed, says) {
            Ok(()) => self.back = 0.0,
            Err(Backwards { last, .. }) => {
                self.back += elapsed;
                self.rrd.restart_counters();
                if self.back > PATIENCE {
                    tracing::warn!(last, now, "the clock went back: later figures are dropped");
                    self.rrd.rewind(now);
                }
            }
        }
        self.unsaved += elapsed;
        self.said = said;
    }

    /// Whether they are to be written to disk now and then.
    pub(super) fn is_due(&self) -> bool {
        self.unsaved > UNSAVED
    }

    /// The figures as bytes for a file, in which they are from now on.
    pub(super) fn saved(&mut self) -> Vec<u8> {
        self.unsaved = 0.0;
        self.rrd.encode()
    }
}
