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
    ("output", &["volume", "default-entry", "menu-seconds"]),
];

/// The known key that is nearest to `key`, where one is near enough to be what was meant.
pub(super) fn nearest(table: Option<&str>, key: &str) -> Option<String> {
    let Some(table) = table else {
        let known = TOP.iter().copied().chain(TABLES.iter().map(|t| t.0));
        return crate::nearest(key, known).map(str::to_owned).or_else(|| home_of(key));
    };
    let known = TABLES.iter().find(|t| t.0 == table).map(|t| t.1).unwrap_or_default();
    let near = crate::nearest(key, known.iter().copied());
    near.map(|near| format!("{table}.{near}")).or_else(|| home_of(key))
}

/// A key in the wrong table is the second most common mistake.
fn home_of(key: &str) -> Option<String> {
    let home = TABLES.iter().find(|(_, keys)| keys.contains(&key));
    home.map(|(name, _)| format!("{name}.{key}"))
}
