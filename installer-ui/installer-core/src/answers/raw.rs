// SPDX-License-Identifier: MIT OR Apache-2.0
//! The answer file as it is written, before any check of the values.

use std::collections::BTreeMap;

use appliance_model::nearest;
use serde::Deserialize;

use super::{AnswersError, Problem};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAnswers {
    pub(super) hostname: Option<String>,
    pub(super) root_password: Option<String>,
    pub(super) root_password_hash: Option<String>,
    #[serde(default)]
    pub(super) ssh_keys: Vec<String>,
    pub(super) ssh: Option<bool>,
    pub(super) on_success: Option<String>,
    pub(super) disk: Option<RawDisk>,
    pub(super) network: Option<RawNetwork>,
    pub(super) storage: Option<RawStorage>,
    pub(super) pool: Option<RawPool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawDisk {
    pub(super) device: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) filter: Option<BTreeMap<String, String>>,
    pub(super) select: Option<String>,
    pub(super) wipe: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawNetwork {
    pub(super) interface: Option<String>,
    pub(super) mac: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) address: Option<String>,
    pub(super) gateway: Option<String>,
    #[serde(default)]
    pub(super) dns: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawStorage {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawPool {
    pub(super) name: Option<String>,
}

/// Every key, by table; a test holds it against the structures above.
pub(super) const KEYS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "hostname",
            "root-password",
            "root-password-hash",
            "ssh-keys",
            "ssh",
            "on-success",
            "disk",
            "network",
            "storage",
            "pool",
        ],
    ),
    ("disk", &["device", "serial", "filter", "select", "wipe"]),
    ("network", &["interface", "mac", "mode", "address", "gateway", "dns"]),
    ("storage", &["type"]),
    ("pool", &["name"]),
];

pub(super) fn parse(text: &str) -> Result<RawAnswers, AnswersError> {
    let syntax = |error| syntax(text, &error);
    let table: toml::Table = text.parse().map_err(syntax)?;
    let mut problems = unknown_keys("", &table);
    for (name, value) in &table {
        if let toml::Value::Table(inner) = value {
            problems.extend(unknown_keys(name, inner));
        }
    }
    if !problems.is_empty() {
        return Err(AnswersError { problems });
    }
    toml::from_str(text).map_err(syntax)
}

fn syntax(text: &str, error: &toml::de::Error) -> AnswersError {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let number = text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let secret = ["passw", "rootpw"].iter().any(|word| line.to_lowercase().contains(word));
    let message = match secret {
        // The whole message would quote the line, and this goes to consoles and logs.
        true => format!("line {number}: {}", error.message()),
        false => error.to_string(),
    };
    AnswersError { problems: vec![Problem::new("", message)] }
}

fn unknown_keys(table: &str, content: &toml::Table) -> Vec<Problem> {
    let Some((_, known)) = KEYS.iter().find(|(name, _)| *name == table) else {
        return Vec::new();
    };
    let unknown = content.keys().filter(|key| !known.contains(&key.as_str()));
    unknown
        .map(|key| {
            let full = if table.is_empty() { key.clone() } else { format!("{table}.{key}") };
            let problem = Problem::new(&full, "there is no such key");
            match (nearest(key, known.iter().copied()), home_of(key)) {
                (Some(name), _) => problem.hint(format!("did you mean {name:?}?")),
                (None, Some(home)) => problem.hint(format!("it belongs to [{home}]")),
                (None, None) => problem.hint(format!("known here: {}", known.join(", "))),
            }
        })
        .collect()
}

/// The table in which a key that is misplaced would be known.
fn home_of(key: &str) -> Option<&'static str> {
    let mut tables = KEYS.iter().filter(|(name, _)| !name.is_empty());
    tables.find(|(_, keys)| keys.contains(&key)).map(|(name, _)| *name)
}
