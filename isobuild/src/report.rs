// SPDX-License-Identifier: MIT OR Apache-2.0
//! The build report: what was built, what was there already, how long it took, how big it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use appliance_model::Digest;
use indicatif::HumanBytes;
use serde::{Deserialize, Serialize};

/// Where a step's artifact came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Built by this run.
    Built,
    /// The store had it.
    Cached,
}

/// One recipe's part of the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// The recipe's name.
    pub name: String,
    /// The artifact's key.
    pub key: Digest,
    /// Where it came from.
    pub outcome: Outcome,
    /// How long building it took, in this run or when it was built, in seconds.
    pub seconds: f64,
    /// Sum of its files' sizes in bytes.
    pub bytes: u64,
    /// The artifact's folder.
    pub folder: PathBuf,
}

/// The report of one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Wall-clock time of the whole run in seconds.
    pub seconds: f64,
    /// Bytes downloaded by this run.
    pub fetched_bytes: u64,
    /// The steps in dependency order. Steps that nothing needed to look at are not there.
    pub steps: Vec<Step>,
}

impl Report {
    /// The folder of a recipe's artifact.
    pub fn artifact(&self, name: &str) -> Option<&Path> {
        self.steps.iter().find(|step| step.name == name).map(|step| &*step.folder)
    }

    /// How many steps had which outcome.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for step in &self.steps {
            *counts.entry(step.outcome.word()).or_default() += 1;
        }
        counts
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let width = self.steps.iter().map(|step| step.name.len()).max().unwrap_or(0).max(5);
        let mut text = format!("  {:width$}  {:6}  {:>9}  {:>11}\n", "step", "", "seconds", "size");
        for step in &self.steps {
            let size = HumanBytes(step.bytes).to_string();
            let word = step.outcome.word();
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "  {:width$}  {word:6}  {:>9.1}  {size:>11}",
                step.name, step.seconds
            );
        }
        let fetched = HumanBytes(self.fetched_bytes);
        let _ = writeln!(text, "  {:.1} s in all, {fetched} fetched", self.seconds);
        text
    }
}

impl Outcome {
    /// `built` or `cached`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Cached => "cached",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lines_up() {
        let step = |name: &str, outcome, seconds, bytes| Step {
            name: name.to_owned(),
            key: crate::digest::of_bytes(name.as_bytes()),
            outcome,
            seconds,
            bytes,
            folder: PathBuf::from("/store").join(name),
        };
        let report = Report {
            seconds: 312.44,
            fetched_bytes: 734_003_200,
            steps: vec![
                step("xen", Outcome::Cached, 170.04, 2_621_440),
                step("dom0-default", Outcome::Built, 31.26, 400_000_000),
                step("boot", Outcome::Built, 0.7, 512),
            ],
        };
        let expected = "  step                    seconds         size\n\
                        \x20 xen           cached      170.0     2.50 MiB\n\
                        \x20 dom0-default  built        31.3   381.47 MiB\n\
                        \x20 boot          built         0.7        512 B\n\
                        \x20 312.4 s in all, 700.00 MiB fetched\n";
        assert_eq!(report.table(), expected);
        assert_eq!(report.counts(), BTreeMap::from([("built", 2), ("cached", 1)]));
        assert_eq!(report.artifact("xen"), Some(Path::new("/store/xen")));
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
