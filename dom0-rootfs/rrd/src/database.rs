// SPDX-License-Identifier: MIT OR Apache-2.0
//! A database: sources, and what they said. The arithmetic is that of rrdtool.

use crate::archive::{Archive, Consolidation, Ended, Shape};
use crate::source::Source;

/// Seconds of a step.
pub const STEP: i64 = 5;
/// Seconds after which a source that says nothing is not known.
pub const HEARTBEAT: f64 = 300.0;
/// Sources that a database has at most.
pub const MAX_SOURCES: usize = 2048;

/// The clock shows a time that is not after the last one: nothing was recorded.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("recording figures of {now}, which is not after {last}")]
pub struct Backwards {
    /// When figures were recorded last, in seconds since the epoch.
    pub last: f64,
    /// What the clock shows.
    pub now: f64,
}

/// A source with its past.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) source: Source,
    /// What it said last.
    pub(crate) said: Option<f64>,
    /// The figure that came of it.
    pub(crate) latest: f64,
    /// The step under way: figures times seconds; NaN is nothing yet.
    pub(crate) sum: f64,
    /// Seconds of the step under way that are unknown.
    pub(crate) unknown: f64,
    pub(crate) archives: Vec<Archive>,
}

/// A round robin database.
#[derive(Debug, Clone, PartialEq)]
pub struct Rrd {
    pub(crate) shapes: &'static [Shape],
    /// Seconds since the epoch.
    pub(crate) updated: f64,
    pub(crate) series: Vec<Series>,
}

/// The step in which a time lies, counted since the epoch.
fn step(time: f64) -> i64 {
    (time / STEP as f64).floor() as i64
}

impl Rrd {
    /// A database without sources that begins at a time, in seconds since the epoch.
    pub fn new(shapes: &'static [Shape], now: f64) -> Rrd {
        Rrd { shapes, updated: now, series: Vec::new() }
    }

    /// When figures were recorded last, in seconds since the epoch.
    pub fn updated(&self) -> f64 {
        self.updated
    }

    /// The archives of each source.
    pub fn shapes(&self) -> &'static [Shape] {
        self.shapes
    }

    /// The sources.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.series.iter().map(|series| &series.source)
    }

    /// Whether there is a source of this name.
    pub fn has(&self, name: &str) -> bool {
        self.series.iter().any(|series| series.source.name == name)
    }

    /// The newest figure of a source; NaN is one that is not known.
    pub fn latest(&self, name: &str) -> Option<f64> {
        self.series.iter().find(|series| series.source.name == name).map(|series| series.latest)
    }

    /// The newest whole row of means of so many steps: when it ended, in seconds since the epoch, and what it is
    /// of each source; NaN is one that is not known. Nothing if there is no archive of such rows.
    pub fn newest_means(&self, steps: u32) -> Option<(i64, Vec<(String, f64)>)> {
        let means =
            |shape: &Shape| shape.steps == steps && shape.consolidation == Consolidation::Average;
        let index = self.shapes.iter().position(means)?;
        let row = self.series.iter().map(|series| {
            let newest = series.archives.get(index).and_then(|archive| archive.rows.back(0));
            (series.source.name.clone(), newest.map_or(f64::NAN, f64::from))
        });
        Some((self.newest(steps), row.collect()))
    }

    /// Adds a source, unless there is one of its name, its name is too long, or there are
    /// [`MAX_SOURCES`].
    pub fn add(&mut self, source: Source) {
        let fits = source.name.len() <= Source::LONGEST_NAME && self.series.len() < MAX_SOURCES;
        if !fits || self.has(&source.name) {
            return;
        }
        let now = step(self.updated);
        let before = |shape: &Shape| Archive::new(now.rem_euclid(i64::from(shape.steps)));
        self.series.push(Series {
            source,
            said: None,
            latest: f64::NAN,
            sum: f64::NAN,
            unknown: self.updated.rem_euclid(STEP as f64).floor(),
            archives: self.shapes.iter().map(before).collect(),
        });
    }

    /// Removes a source and all that it said; false if there was none.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.series.len();
        self.series.retain(|series| series.source.name != name);
        self.series.len() < before
    }

    /// Counters begin anew: what they said last means nothing any more.
    pub fn restart_counters(&mut self) {
        for series in &mut self.series {
            series.said = None;
        }
    }

    /// Records what sources say now, in seconds since the epoch; `elapsed` seconds really passed since
    /// the last time, whatever the clock shows. A source that says nothing is not known.
    pub fn update<'a>(
        &mut self,
        now: f64,
        elapsed: f64,
        says: impl Fn(&str) -> Option<f64> + 'a,
    ) -> Result<(), Backwards> {
        let interval = now - self.updated;
        if interval.is_nan() || interval <= 0.0 {
            return Err(Backwards { last: self.updated, now });
        }
        let late = interval > HEARTBEAT || elapsed > HEARTBEAT;
        let (first, ended) = (step(self.updated), step(now) - step(self.updated));
        let rest = Ended { first: first + 1, count: ended - 1 };
        // Until the step under way ends.
        let before = ((first + 1) * STEP) as f64 - self.updated;
        self.updated = now;
        let after = now.rem_euclid(STEP as f64);
        for series in &mut self.series {
            let said = says(&series.source.name).filter(|said| said.is_finite());
            let figure = match late {
                true => f64::NAN,
                false => series.source.figure(series.said, said, elapsed),
            };
            (series.said, series.latest) = (said, figure);
            if ended == 0 {
                series.gather(figure, interval);
                continue;
            }
            let value = series.end_step(figure, before);
            for (archive, shape) in series.archives.iter_mut().zip(self.shapes) {
                archive.take(shape, Ended { first, count: 1 }, value);
                if rest.count > 0 {
                    archive.take(shape, rest, figure);
                }
            }
            (series.sum, series.unknown) = match figure.is_nan() {
                true => (f64::NAN, after.floor()),
                false => (figure * after, 0.0),
            };
        }
        Ok(())
    }

    /// The clock was set back to `now`: what was recorded of times after it goes.
    pub fn rewind(&mut self, now: f64) {
        if now >= self.updated {
            return;
        }
        let (before, after) = (step(self.updated), step(now));
        for series in &mut self.series {
            (series.said, series.latest) = (None, f64::NAN);
            (series.sum, series.unknown) = (f64::NAN, now.rem_euclid(STEP as f64).floor());
            for (archive, shape) in series.archives.iter_mut().zip(self.shapes) {
                let steps = i64::from(shape.steps);
                let rows = before.div_euclid(steps) - after.div_euclid(steps);
                archive.rows.drop_newest(usize::try_from(rows).unwrap_or(usize::MAX));
                if rows > 0 {
                    (archive.value, archive.unknown) = (f64::NAN, after.rem_euclid(steps));
                }
            }
        }
        self.updated = now;
    }

    /// When the newest row of archives with this many steps ended, in seconds since the epoch.
    pub(crate) fn newest(&self, steps: u32) -> i64 {
        let step = STEP * i64::from(steps);
        (self.updated as i64).div_euclid(step) * step
    }

    /// Bytes of memory that this takes.
    pub fn bytes(&self) -> usize {
        let series = self.series.iter().map(|series| {
            let rows: usize = series.archives.iter().map(|archive| archive.rows.bytes()).sum();
            let archives = series.archives.capacity() * size_of::<Archive>();
            rows + archives + series.source.name.capacity()
        });
        size_of::<Rrd>() + self.series.capacity() * size_of::<Series>() + series.sum::<usize>()
    }
}

impl Series {
    /// The step under way goes on.
    fn gather(&mut self, figure: f64, seconds: f64) {
        if figure.is_nan() {
            self.unknown += seconds.floor();
        } else if self.sum.is_nan() {
            self.sum = figure * seconds;
        } else {
            self.sum += figure * seconds;
        }
    }

    /// What the step under way is, which ends `seconds` after the last update.
    fn end_step(&mut self, figure: f64, seconds: f64) -> f64 {
        let length = STEP as f64;
        let mut known = length - self.unknown;
        if figure.is_nan() {
            known -= seconds;
        } else {
            self.gather(figure, seconds);
        }
        if length / 2.0 < self.unknown {
            return f64::NAN;
        }
        let value = self.sum / known;
        if value.is_finite() { value } else { f64::NAN }
    }
}
