// SPDX-License-Identifier: MIT OR Apache-2.0
//! Archives: how steps become rows. The arithmetic is that of rrdtool.

use crate::ring::Ring;

/// What a row is of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consolidation {
    /// Their mean.
    Average,
    /// The least.
    Min,
    /// The most.
    Max,
}

impl Consolidation {
    /// All of them.
    pub const ALL: [Consolidation; 3] =
        [Consolidation::Average, Consolidation::Min, Consolidation::Max];

    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Consolidation::Average => "AVERAGE",
            Consolidation::Min => "MIN",
            Consolidation::Max => "MAX",
        }
    }

    /// The one with a name.
    pub fn named(name: &str) -> Option<Consolidation> {
        Consolidation::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// What an archive is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// What a row is of its steps.
    pub consolidation: Consolidation,
    /// Steps of a row.
    pub steps: u32,
    /// Rows that are kept.
    pub rows: u32,
    /// The part of a row's steps that may be unknown.
    pub unknown: f64,
}

const fn shape(consolidation: Consolidation, steps: u32, rows: u32, unknown: f64) -> Shape {
    Shape { consolidation, steps, rows, unknown }
}

/// XAPI's archives: ten minutes by 5 seconds, two hours by minutes, a week by hours, a year by days.
/// A row of one step is its least and its most too, so the first has a mean only.
pub static SHAPES: [Shape; 10] = [
    shape(Consolidation::Average, 1, 120, 0.5),
    shape(Consolidation::Average, 12, 120, 1.0),
    shape(Consolidation::Min, 12, 120, 1.0),
    shape(Consolidation::Max, 12, 120, 1.0),
    shape(Consolidation::Average, 720, 168, 1.0),
    shape(Consolidation::Min, 720, 168, 1.0),
    shape(Consolidation::Max, 720, 168, 1.0),
    shape(Consolidation::Average, 17280, 366, 1.0),
    shape(Consolidation::Min, 17280, 366, 1.0),
    shape(Consolidation::Max, 17280, 366, 1.0),
];

/// Steps that ended with one update.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    /// Number of the first of them, counted since the epoch.
    pub(crate) first: i64,
    /// How many, at least one.
    pub(crate) count: i64,
}

/// One series' part of an archive.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Archive {
    /// What the row that is being filled has come to: a sum, the least, the most. NaN is nothing yet.
    pub(crate) value: f64,
    /// Steps of that row that are unknown.
    pub(crate) unknown: i64,
    pub(crate) rows: Ring,
}

impl Archive {
    /// One whose row under way has this many steps of before, all unknown.
    pub(crate) fn new(unknown: i64) -> Archive {
        Archive { value: f64::NAN, unknown, rows: Ring::default() }
    }

    /// Takes steps that all have one value.
    pub(crate) fn take(&mut self, shape: &Shape, ended: Ended, value: f64) {
        let steps = i64::from(shape.steps);
        let missing = steps - ended.first.rem_euclid(steps);
        if ended.count < missing {
            self.gather(shape, ended.count, value);
            return;
        }
        self.gather(shape, missing, value);
        let room = shape.rows as usize;
        self.rows.push(self.row(shape) as f32, room);
        let rest = ended.count - missing;
        for _ in 0..(rest / steps).min(room as i64) {
            self.rows.push(value as f32, room);
        }
        (self.value, self.unknown) = (f64::NAN, 0);
        self.gather(shape, rest % steps, value);
    }

    fn gather(&mut self, shape: &Shape, count: i64, value: f64) {
        if count == 0 {
        } else if value.is_nan() {
            self.unknown += count;
        } else {
            self.value = match shape.consolidation {
                Consolidation::Average if self.value.is_nan() => value * count as f64,
                Consolidation::Average => self.value + value * count as f64,
                // NaN gives way to the other.
                Consolidation::Min => self.value.min(value),
                Consolidation::Max => self.value.max(value),
            };
        }
    }

    /// What the row under way is, now that all of its steps are there.
    fn row(&self, shape: &Shape) -> f64 {
        if self.unknown as f64 > f64::from(shape.steps) * shape.unknown {
            return f64::NAN;
        }
        match shape.consolidation {
            Consolidation::Average => {
                self.value / (i64::from(shape.steps) - self.unknown).max(1) as f64
            }
            Consolidation::Min | Consolidation::Max => self.value,
        }
    }
}
