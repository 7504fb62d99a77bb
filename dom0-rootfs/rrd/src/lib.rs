// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures over time in memory that does not grow: round robin databases as rrdtool has them, with the
//! archives and the documents of XAPI's.
//!
//! An [`Rrd`] has sources; what they say is brought to steps of five seconds, and these are consolidated
//! into archives of longer steps and fixed lengths. A value that is not known is NaN.

mod archive;
mod database;
mod file;
mod json;
mod ring;
mod source;
mod updates;
mod xml;

pub use archive::{Consolidation, SHAPES, Shape};
pub use database::{Backwards, HEARTBEAT, MAX_SOURCES, Rrd, STEP};
pub use file::{BIGGEST, Broken, checksum};
pub use source::{Kind, Source};
pub use updates::{Updates, Wanted};

/// A number as XAPI's documents have it: `NaN` and `Infinity` are words.
fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".into(),
        v if v == f64::INFINITY => "Infinity".into(),
        v if v == f64::NEG_INFINITY => "-Infinity".into(),
        v => format!("{v:?}"),
    }
}

/// A value of an archive, which has no more digits than it stands for.
fn value(value: f32) -> String {
    match value {
        // Sizes of memory are whole numbers of many digits, all of which single precision has.
        whole if !whole.is_finite() || whole.fract() == 0.0 => number(whole.into()),
        part => format!("{part:?}"),
    }
}
