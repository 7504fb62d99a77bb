// SPDX-License-Identifier: MIT OR Apache-2.0
//! A database as JSON, in the layout of XAPI's. Numbers are numbers; `NaN` and `Infinity`, which JSON
//! does not have, are texts.

use std::fmt::{self, Write};

use crate::database::{HEARTBEAT, Rrd, STEP};
use crate::{number, value};

/// A text with its quotes.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}"),
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c)),
                c => f.write_char(c),
            }?;
        }
        f.write_char('"')
    }
}

fn json_number(of: f64) -> String {
    if of.is_finite() { number(of) } else { format!("\"{}\"", number(of)) }
}

/// A value of an archive.
pub(crate) fn json_value(of: f32) -> String {
    if of.is_finite() { value(of) } else { format!("\"{}\"", value(of)) }
}

impl Rrd {
    /// The whole database as JSON.
    pub fn json(&self) -> String {
        let mut out = String::with_capacity(64 << 10);
        // Writing to a text does not fail.
        let _ = self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) -> fmt::Result {
        write!(
            out,
            "{{\"version\":\"0003\",\"step\":{STEP},\"lastupdate\":{}",
            self.updated as i64
        )?;
        out.push_str(",\"ds\":[");
        for (index, series) in self.series.iter().enumerate() {
            let source = &series.source;
            out.push_str(if index == 0 { "" } else { "," });
            write!(out, "{{\"name\":{},\"type\":\"{}\"", Quoted(&source.name), source.kind.name())?;
            write!(out, ",\"minimal_heartbeat\":{HEARTBEAT}")?;
            let (min, max) = (json_number(source.min), json_number(source.max));
            let said = series.said.map_or("\"U\"".to_owned(), json_number);
            write!(out, ",\"min\":{min},\"max\":{max},\"last_ds\":{said}")?;
            write!(out, ",\"value\":{}", json_number(series.sum))?;
            write!(out, ",\"unknown_sec\":{}}}", series.unknown as i64)?;
        }
        out.push_str("],\"rra\":[");
        for (index, shape) in self.shapes.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            let (cf, steps) = (shape.consolidation.name(), shape.steps);
            write!(out, "{{\"cf\":\"{cf}\",\"pdp_per_row\":{steps}")?;
            write!(out, ",\"params\":{{\"xff\":{}}}", number(shape.unknown))?;
            out.push_str(",\"cdp_prep\":{\"ds\":[");
            let archives = || self.series.iter().filter_map(|series| series.archives.get(index));
            for (column, archive) in archives().enumerate() {
                out.push_str(if column == 0 { "" } else { "," });
                out.push_str("{\"primary_value\":0.0,\"secondary_value\":0.0");
                write!(out, ",\"value\":{}", json_number(archive.value))?;
                write!(out, ",\"unknown_datapoints\":{}}}", archive.unknown)?;
            }
            out.push_str("]},\"database\":[");
            let rows = shape.rows as usize;
            for back in (0..rows).rev() {
                out.push_str(if back + 1 == rows { "[" } else { ",[" });
                for (column, archive) in archives().enumerate() {
                    out.push_str(if column == 0 { "" } else { "," });
                    out.push_str(&json_value(archive.rows.back(back).unwrap_or(f32::NAN)));
                }
                out.push(']');
            }
            out.push_str("]}");
        }
        out.write_str("]}")
    }
}
