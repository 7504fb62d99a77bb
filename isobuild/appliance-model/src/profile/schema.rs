// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which keys a profile may have, and the nearest one to a wrong one.

/// Top-level keys that are not tables.
pub(super) const TOP: &[&str] = &["inherit", "description"];

/// Tables and their keys. `tests` compares this with the types.
pub(super) const TABLES: &[(&str, &[&str])] = &[
    ("xen", &["source", "fragments", "options"]),
    (
        "dom0",
        &[
            "packages",
            "provided",
            "exclude",
            "modules",
            "firmware",
            "trim",
            "enable",
            "device-model",
            "options",
        ],
    ),
    ("image", &["format", "compression", "level", "block-kib"]),
    ("output", &["volume", "netboot", "default-entry", "menu-seconds"]),
];

/// The known key that is nearest to `key`, where one is near enough to be what was meant.
pub(super) fn nearest(table: Option<&str>, key: &str) -> Option<String> {
    let own: Vec<String> = match table {
        None => TOP.iter().copied().chain(TABLES.iter().map(|t| t.0)).map(str::to_owned).collect(),
        Some(table) => {
            let keys = TABLES.iter().find(|t| t.0 == table).map(|t| t.1).unwrap_or_default();
            keys.iter().map(|key| format!("{table}.{key}")).collect()
        }
    };
    let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    // A key in the wrong table is the second most common mistake.
    let elsewhere = TABLES
        .iter()
        .filter(|(name, keys)| Some(*name) != table && keys.contains(&key))
        .map(|(name, _)| format!("{name}.{key}"));
    let near = own
        .iter()
        .map(|name| (distance(&last(name), key), name.clone()))
        .filter(|(distance, _)| *distance <= 1 + key.len() / 4)
        .min();
    near.map(|(_, name)| name).or_else(|| elsewhere.into_iter().next())
}

/// Edits (insert, delete, replace) between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
