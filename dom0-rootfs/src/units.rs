// SPDX-License-Identifier: MIT OR Apache-2.0
//! Enables systemd units: makes the links that their `[Install]` sections describe.
//!
//! `Also=` is not followed, and no preset is asked: a profile names everything that starts.

use crate::tree::{Tree, TreeError};

/// Where packages and the overlay have units.
const UNITS: &str = "usr/lib/systemd/system";
/// Where links to enabled units are.
const ENABLED: &str = "etc/systemd/system";

/// A unit cannot be enabled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnitError {
    /// There is no such unit.
    #[error("the profile enables {unit}, but the image has no {UNITS}/{file}")]
    Missing {
        /// As in the profile.
        unit: String,
        /// Its file.
        file: String,
    },
    /// Enabling it would do nothing.
    #[error(
        "the profile enables {unit}, but its [Install] section names no WantedBy, RequiredBy or Alias"
    )]
    NothingToDo {
        /// As in the profile.
        unit: String,
    },
    /// The tree cannot be read or written.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Enables one unit; `name@instance.service` of its template `name@.service`.
pub(crate) fn enable(tree: &Tree, unit: &str) -> Result<(), UnitError> {
    let file = template(unit);
    let inside = format!("{UNITS}/{file}");
    if !tree.path(&inside).is_file() {
        return Err(UnitError::Missing { unit: unit.to_owned(), file });
    }
    let links = links(unit, &tree.read(&inside)?);
    if links.is_empty() {
        return Err(UnitError::NothingToDo { unit: unit.to_owned() });
    }
    for link in links {
        tree.link(&format!("{ENABLED}/{link}"), &format!("/{inside}"))?;
    }
    Ok(())
}

/// The file of a unit: `getty@tty1.service` is described by `getty@.service`.
fn template(unit: &str) -> String {
    match (unit.split_once('@'), unit.rsplit_once('.')) {
        (Some((name, _)), Some((_, kind))) => format!("{name}@.{kind}"),
        _ => unit.to_owned(),
    }
}

/// Paths below [`ENABLED`] of the links that the text's `[Install]` section asks for.
fn links(unit: &str, text: &str) -> Vec<String> {
    let mut in_install = false;
    let mut links = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_install = line == "[Install]";
        }
        let Some((key, values)) = line.split_once('=').filter(|_| in_install) else { continue };
        for value in values.split_whitespace() {
            match key.trim() {
                "WantedBy" => links.push(format!("{value}.wants/{unit}")),
                "RequiredBy" => links.push(format!("{value}.requires/{unit}")),
                "Alias" => links.push(value.to_owned()),
                _ => {}
            }
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[Unit]\nDescription=x\nWantedBy=no.target\n[Install]\nWantedBy=a.target b.target\nAlias=c.service\nAlso=d.service\n";

    #[test]
    fn links_follow_the_install_section_only() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::at(dir.path());
        tree.write(&format!("{UNITS}/u@.service"), TEXT.as_bytes(), 0o644).unwrap();
        enable(&tree, "u@x.service").unwrap();
        let mut found = links("u@x.service", TEXT);
        found.sort();
        assert_eq!(
            found,
            ["a.target.wants/u@x.service", "b.target.wants/u@x.service", "c.service"]
        );
        for link in found {
            let target = std::fs::read_link(tree.path(&format!("{ENABLED}/{link}"))).unwrap();
            assert_eq!(target.to_str(), Some("/usr/lib/systemd/system/u@.service"));
        }
    }

    #[test]
    fn a_unit_that_is_not_there_or_cannot_be_enabled_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::at(dir.path());
        assert!(matches!(enable(&tree, "u.service"), Err(UnitError::Missing { .. })));
        tree.write(&format!("{UNITS}/u.service"), b"[Service]\n", 0o644).unwrap();
        assert!(matches!(enable(&tree, "u.service"), Err(UnitError::NothingToDo { .. })));
    }
}
