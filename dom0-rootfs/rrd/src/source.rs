// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a figure is.

/// How what a source says becomes a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The figure itself.
    Gauge,
    /// A counter; the figure is how much it grows in a second.
    Derive,
}

impl Kind {
    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Gauge => "GAUGE",
            Kind::Derive => "DERIVE",
        }
    }
}

/// A source of figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name, unique within its database.
    pub name: String,
    /// How what it says becomes a figure.
    pub kind: Kind,
    /// The least that a figure can be; what is less is not known. No limit is minus infinity.
    pub min: f64,
    /// The most that a figure can be. No limit is infinity.
    pub max: f64,
    /// The figure is 1 less what is counted: time that is busy, of a counter of idle time.
    pub inverse: bool,
}

/// Counters and the clock are not read in one moment, so a figure may be this much of its limit
/// beyond it; then it is the limit.
const SLACK: f64 = 0.02;

impl Source {
    /// Name, in bytes, at most.
    pub const LONGEST_NAME: usize = 128;

    /// The figure after `elapsed` seconds in which `before` became `now`.
    pub(crate) fn figure(&self, before: Option<f64>, now: Option<f64>, elapsed: f64) -> f64 {
        let figure = match (self.kind, before, now) {
            (Kind::Gauge, _, Some(now)) => now,
            (Kind::Derive, Some(before), Some(now)) => (now - before) / elapsed,
            _ => return f64::NAN,
        };
        let figure = if self.inverse { 1.0 - figure } else { figure };
        let slack = if self.max.is_finite() { self.max.abs() * SLACK } else { 0.0 };
        match figure {
            f if f > self.max && f <= self.max + slack => self.max,
            f if self.inverse && f < self.min && f >= self.min - slack => self.min,
            f if f < self.min || f > self.max || !f.is_finite() => f64::NAN,
            f => f,
        }
    }
}
