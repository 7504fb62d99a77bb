// SPDX-License-Identifier: MIT OR Apache-2.0
//! The list of targets, which the crate `fuzz` holds against its functions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// The list.
const LIST: &str = include_str!("../../../tests/fuzz/targets.toml");
/// Name of the target that always ends with a finding (`fuzz::ALARM`), which is not in the list.
const ALARM: &str = "alarm";
/// Most bytes of an input, where the list does not say it.
const MAX_LEN: u32 = 4096;

/// A fuzz target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// What it reads.
    pub about: String,
    /// Files and folders of the repository with what to begin with.
    pub seeds: Vec<PathBuf>,
    /// Most bytes of an input.
    pub max_len: u32,
}

/// The same as the file has it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    about: String,
    seeds: Vec<PathBuf>,
    max_len: Option<u32>,
}

impl Target {
    /// [`ALARM`], which begins with nothing and looks for a short word.
    pub fn alarm() -> Self {
        Self { name: ALARM.into(), about: String::new(), seeds: Vec::new(), max_len: 8 }
    }
}

/// Every target, by name.
pub fn read() -> Result<Vec<Target>> {
    let list: BTreeMap<String, Entry> =
        toml::from_str(LIST).context("reading tests/fuzz/targets.toml")?;
    let target = |(name, entry): (String, Entry)| Target {
        name,
        about: entry.about,
        seeds: entry.seeds,
        max_len: entry.max_len.unwrap_or(MAX_LEN),
    };
    Ok(list.into_iter().map(target).collect())
}

/// Those with these names; all if there are none, but for [`ALARM`].
pub fn chosen(mut known: Vec<Target>, names: &[String]) -> Result<Vec<Target>> {
    if names.iter().any(|name| name == ALARM) {
        known.push(Target::alarm());
    }
    if let Some(name) = names.iter().find(|name| known.iter().all(|target| target.name != **name)) {
        bail!("there is no fuzz target {name}; cargo xtask fuzz --list shows them");
    }
    let wanted = |target: &Target| names.is_empty() || names.contains(&target.name);
    Ok(known.into_iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::workspace_root;

    #[test]
    fn the_list_can_be_read_and_its_seeds_are_there() {
        let targets = read().unwrap();
        assert!(targets.len() > 1);
        for target in &targets {
            assert!(!target.about.is_empty(), "{}", target.name);
            assert!(!target.seeds.is_empty(), "{}", target.name);
            for seed in &target.seeds {
                assert!(workspace_root().join(seed).exists(), "{}", seed.display());
            }
        }
    }

    #[test]
    fn names_choose_targets_and_unknown_ones_are_named() {
        let known =
            || ["a", "b"].map(|name| Target { name: name.into(), ..Target::alarm() }).to_vec();
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(chosen(known(), &[]).unwrap(), known());
        assert_eq!(chosen(known(), &names(&["b"])).unwrap(), known()[1..]);
        assert_eq!(chosen(known(), &names(&[ALARM])).unwrap(), [Target::alarm()]);
        let error = chosen(known(), &names(&["a", "c"])).unwrap_err().to_string();
        assert!(error.contains("target c") && error.contains("--list"), "{error}");
    }
}
