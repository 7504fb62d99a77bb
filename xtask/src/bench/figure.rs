// SPDX-License-Identifier: MIT OR Apache-2.0
//! A measured figure, and what it is held against.

use serde::Serialize;

use super::limits;

/// One figure of one bench.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// The bench that measured it.
    pub bench: &'static str,
    /// The end-to-end case that it comes from, where one was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// What was measured.
    pub name: String,
    /// The figure, in `unit`.
    pub value: f64,
    /// What it counts: `s`, `MB`, `CPU min`.
    pub unit: String,
    /// What it should not be above, in `unit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Whether it is.
    pub missed: bool,
}

impl Figure {
    /// A figure of a bench of this program.
    pub fn new(bench: &'static str, name: impl Into<String>, value: f64, unit: &str) -> Self {
        let (name, unit) = (name.into(), unit.to_owned());
        let limit = limits::of(bench, &name, &unit);
        let missed = limit.is_some_and(|limit| value > limit);
        Self { bench, case: None, name, value, unit, limit, missed }
    }

    /// The same, of an end-to-end case.
    pub fn of_case(self, case: impl Into<String>) -> Self {
        Self { case: Some(case.into()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_missed_only_above_it_and_only_in_its_unit() {
        assert!(!Figure::new("iso-size", "size", 200.0, "MB").missed);
        assert!(Figure::new("iso-size", "size", 200.1, "MB").missed);
        assert_eq!(Figure::new("iso-size", "size", 999.0, "KB").limit, None);
        assert_eq!(Figure::new("iso-noop", "size", 999.0, "MB").limit, None);
    }
}
