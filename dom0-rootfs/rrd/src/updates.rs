// SPDX-License-Identifier: MIT OR Apache-2.0
//! What several databases recorded since some time, in the layout of rrdtool's `xport`.

use std::fmt::{self, Write};

use crate::archive::{Consolidation, Shape};
use crate::database::{Rrd, STEP};
use crate::json::{Quoted, json_value};
use crate::value;
use crate::xml::Text;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The time of the oldest row, in seconds since the epoch; negative counts back from the newest.
    pub start: i64,
    /// Seconds of a row, at least.
    pub interval: i64,
    /// What a row is of its steps; none is all there are.
    pub consolidation: Option<Consolidation>,
}

/// Rows of several databases.
#[derive(Debug, Clone, PartialEq)]
pub struct Updates {
    start: i64,
    end: i64,
    /// Seconds of a row.
    step: i64,
    legend: Vec<String>,
    /// Each with its time, the newest first.
    rows: Vec<(i64, Vec<f32>)>,
}

impl Updates {
    /// The rows of databases, each with a prefix for the legend: `vm:UUID:`. They come from the archives
    /// with the shortest rows that are long enough and reach back to the start, or reach back furthest.
    pub fn of(databases: &[(String, &Rrd)], wanted: Wanted) -> Updates {
        let fits = |shape: &&Shape| {
            wanted.consolidation.is_none_or(|wanted| wanted == shape.consolidation)
        };
        let newest = databases.iter().map(|(_, rrd)| rrd.updated as i64).max().unwrap_or(0);
        let start = match wanted.start < 0 {
            true => newest.saturating_add(wanted.start),
            false => wanted.start,
        };
        let shapes = databases.first().map_or(&[] as &[Shape], |(_, rrd)| rrd.shapes);
        let reaches = |shape: &&Shape| {
            let reach = STEP * i64::from(shape.steps) * i64::from(shape.rows);
            STEP * i64::from(shape.steps) >= wanted.interval
                && start > newest.div_euclid(STEP) * STEP - reach
        };
        let chosen = shapes.iter().filter(fits).find(reaches).or(shapes.iter().rfind(fits));
        let steps = chosen.map_or(1, |shape| shape.steps);
        let mut columns = Vec::new();
        let mut legend = Vec::new();
        for (prefix, rrd) in databases {
            let shapes = rrd.shapes.iter().enumerate();
            for (index, shape) in shapes.filter(|(_, s)| s.steps == steps && fits(s)) {
                for series in &rrd.series {
                    let (cf, name) = (shape.consolidation.name(), &series.source.name);
                    legend.push(format!("{cf}:{prefix}{name}"));
                    columns.push((rrd.newest(steps), series.archives.get(index)));
                }
            }
        }
        let step = STEP * i64::from(steps);
        let end = newest.div_euclid(step) * step;
        let most = chosen.map_or(0, |shape| i64::from(shape.rows));
        let times = (0..most).map(|back| end - back * step).take_while(|time| *time >= start);
        let rows = times.map(|time| {
            let values = columns.iter().map(|(newest, archive)| {
                let back = usize::try_from((newest - time) / step).ok()?;
                archive.and_then(|archive| archive.rows.back(back))
            });
            (time, values.map(|value| value.unwrap_or(f32::NAN)).collect())
        });
        let first = start.div_euclid(step).saturating_add(1).saturating_mul(step);
        Updates { start: first, end, step, legend, rows: rows.collect() }
    }

    /// The rows as XML.
    pub fn xml(&self) -> String {
        let mut out = String::with_capacity(self.rows.len() * self.legend.len() * 20 + 512);
        // Writing to a text does not fail.
        let _ = self.write_xml(&mut out);
        out
    }

    fn write_xml(&self, out: &mut String) -> fmt::Result {
        let Updates { start, step, end, .. } = self;
        write!(out, "<?xml version=\"1.0\"?><xport><meta><start>{start}</start>")?;
        write!(out, "<step>{step}</step><end>{end}</end><rows>{}</rows>", self.rows.len())?;
        write!(out, "<columns>{}</columns><legend>", self.legend.len())?;
        for entry in &self.legend {
            write!(out, "<entry>{}</entry>", Text(entry))?;
        }
        out.push_str("</legend></meta><data>");
        for (time, values) in &self.rows {
            write!(out, "<row><t>{time}</t>")?;
            for of in values {
                write!(out, "<v>{}</v>", value(*of))?;
            }
            out.push_str("</row>");
        }
        out.write_str("</data></xport>")
    }

    /// The rows as JSON.
    pub fn json(&self) -> String {
        let mut out = String::with_capacity(self.rows.len() * self.legend.len() * 12 + 512);
        // Writing to a text does not fail.
        let _ = self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) -> fmt::Result {
        let Updates { start, step, end, .. } = self;
        write!(out, "{{\"meta\":{{\"start\":{start},\"step\":{step},\"end\":{end}")?;
        write!(out, ",\"rows\":{},\"columns\":{}", self.rows.len(), self.legend.len())?;
        out.push_str(",\"legend\":[");
        for (index, entry) in self.legend.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            write!(out, "{}", Quoted(entry))?;
        }
        out.push_str("]},\"data\":[");
        for (index, (time, values)) in self.rows.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            write!(out, "{{\"t\":{time},\"values\":[")?;
            for (column, of) in values.iter().enumerate() {
                out.push_str(if column == 0 { "" } else { "," });
                out.push_str(&json_value(*of));
            }
            out.push_str("]}");
        }
        out.write_str("]}")
    }
}
