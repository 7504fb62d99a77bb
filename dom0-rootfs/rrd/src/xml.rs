// SPDX-License-Identifier: MIT OR Apache-2.0
//! A database as XML, as XAPI writes it and `rrdtool restore` reads it.

use std::fmt::{self, Write};

use crate::database::{HEARTBEAT, Rrd, STEP};
use crate::{number, value};

/// Text between tags.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;"),
                '>' => f.write_str("&gt;"),
                '&' => f.write_str("&amp;"),
                // XML has no other control characters.
                c if c.is_control() => f.write_char('\u{fffd}'),
                c => f.write_char(c),
            }?;
        }
        Ok(())
    }
}

impl Rrd {
    /// The whole database as XML.
    pub fn xml(&self) -> String {
        let mut out = String::with_capacity(64 << 10);
        // Writing to a text does not fail.
        let _ = self.write_xml(&mut out);
        out
    }

    fn write_xml(&self, out: &mut String) -> fmt::Result {
        write!(out, "<?xml version=\"1.0\"?><rrd><version>0003</version><step>{STEP}</step>")?;
        write!(out, "<lastupdate>{}</lastupdate>", self.updated as i64)?;
        for series in &self.series {
            let source = &series.source;
            write!(out, "<ds><name>{}</name>", Text(&source.name))?;
            write!(out, "<type>{}</type>", source.kind.name())?;
            write!(out, "<minimal_heartbeat>{HEARTBEAT}</minimal_heartbeat>")?;
            write!(out, "<min>{}</min><max>{}</max>", number(source.min), number(source.max))?;
            let said = series.said.map_or("U".to_owned(), |said| format!("{said}"));
            write!(out, "<last_ds>{said}</last_ds><value>{}</value>", number(series.sum))?;
            write!(out, "<unknown_sec>{}</unknown_sec></ds>", series.unknown as i64)?;
        }
        for (index, shape) in self.shapes.iter().enumerate() {
            let (cf, steps) = (shape.consolidation.name(), shape.steps);
            write!(out, "<rra><cf>{cf}</cf><pdp_per_row>{steps}</pdp_per_row>")?;
            write!(out, "<params><xff>{}</xff></params><cdp_prep>", number(shape.unknown))?;
            for archive in self.series.iter().filter_map(|series| series.archives.get(index)) {
                out.push_str("<ds><primary_value>0.0</primary_value>");
                out.push_str("<secondary_value>0.0</secondary_value>");
                write!(out, "<value>{}</value>", number(archive.value))?;
                let unknown = archive.unknown;
                write!(out, "<unknown_datapoints>{unknown}</unknown_datapoints></ds>")?;
            }
            out.push_str("</cdp_prep><database>");
            for back in (0..shape.rows as usize).rev() {
                out.push_str("<row>");
                for archive in self.series.iter().filter_map(|series| series.archives.get(index)) {
                    write!(out, "<v>{}</v>", value(archive.rows.back(back).unwrap_or(f32::NAN)))?;
                }
                out.push_str("</row>");
            }
            out.push_str("</database></rra>");
        }
        out.write_str("</rrd>")
    }
}
