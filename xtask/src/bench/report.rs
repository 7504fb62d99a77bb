// SPDX-License-Identifier: MIT OR Apache-2.0
//! The figures for people and for programs.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::Serialize;

use super::figure::Figure;

/// Everything that one run measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The profile that was built.
    pub profile: String,
    /// The figures, in the order of measuring.
    pub figures: Vec<Figure>,
}

const HEADS: [&str; 6] = ["bench", "figure", "value", "unit", "limit", ""];

impl Report {
    /// A table; a figure above its limit is marked.
    pub fn table(&self) -> String {
        let mut rows = vec![HEADS.map(str::to_owned)];
        rows.extend(self.figures.iter().map(row));
        let width = |column: usize| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let [bench, name, value, unit, limit, _] = std::array::from_fn(width);
        let mut text = String::new();
        for [a, b, c, d, e, mark] in &rows {
            let line = format!("{a:bench$}  {b:name$}  {c:>value$} {d:unit$}  {e:>limit$}  {mark}");
            // Writing to a String does not fail.
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    /// The same as JSON, unrounded.
    pub fn json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self).context("describing the figures")?;
        Ok(text + "\n")
    }
}

fn row(figure: &Figure) -> [String; 6] {
    let name = match &figure.case {
        Some(case) => format!("{case}: {}", figure.name),
        None => figure.name.clone(),
    };
    let limit = figure.limit.map(|limit| limit.to_string()).unwrap_or_default();
    let mark = if figure.missed { "MISSED" } else { "" };
    let value = format!("{:.2}", figure.value);
    [figure.bench.to_owned(), name, value, figure.unit.clone(), limit, mark.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let figures = vec![
            Figure::new("iso-size", "size", 142.450_688, "MB"),
            Figure::new("iso-noop", "wall", 1.25, "s"),
            Figure::new("host", "VM.start", 3.0, "s").of_case("bench-guest"),
        ];
        Report { profile: "ci".into(), figures }
    }

    #[test]
    fn the_table_is_aligned_and_marks_what_is_above_its_limit() {
        let expected = "\
bench     figure                  value unit  limit
iso-size  size                   142.45 MB      200
iso-noop  wall                     1.25 s         1  MISSED
host      bench-guest: VM.start    3.00 s
";
        assert_eq!(report().table(), expected);
    }

    #[test]
    fn the_json_has_limits_and_cases_only_where_there_are_some() {
        let json: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
        let expected = serde_json::json!({
            "profile": "ci",
            "figures": [
                {"bench": "iso-size", "name": "size", "value": 142.450_688, "unit": "MB",
                 "limit": 200.0, "missed": false},
                {"bench": "iso-noop", "name": "wall", "value": 1.25, "unit": "s",
                 "limit": 1.0, "missed": true},
                {"bench": "host", "case": "bench-guest", "name": "VM.start", "value": 3.0,
                 "unit": "s", "missed": false},
            ],
        });
        assert_eq!(json, expected);
    }
}
