// SPDX-License-Identifier: MIT OR Apache-2.0
//! The arrows between crates: those of `cargo metadata` against the table in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::program::Cargo;

/// The head of the table, its columns.
const HEAD: &str = "| crate | folder | what it is | depends on |";

/// Crates, each with those of the workspace that it depends on.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Every arrow that is not drawn, and every drawn one that is not there.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let path = root.join("ARCHITECTURE.md");
    let page = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let metadata = Cargo::new("metadata").args(["--format-version=1", "--no-deps"]).output()?;
    let metadata: Value =
        serde_json::from_slice(&metadata).context("reading the output of cargo metadata")?;
    Ok(compare(&drawn(&page), &real(&metadata)))
}

/// The table of the page.
fn drawn(page: &str) -> Arrows {
    let rows = page.lines().skip_while(|line| *line != HEAD).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let (name, targets) = (cells.next()?, cells.nth(2)?);
        let targets = targets.split(", ").filter(|target| *target != "-");
        Some((name.to_owned(), targets.map(str::to_owned).collect()))
    })
    .collect()
}

/// What the crates' manifests say, dependencies of tests included.
fn real(metadata: &Value) -> Arrows {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let targets = |package: &Value| {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        dependencies.filter(|d| d["path"].is_string()).map(|d| text(&d["name"])).collect()
    };
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages.map(|package| (text(&package["name"]), targets(package))).collect()
}

fn compare(drawn: &Arrows, real: &Arrows) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, targets) in real {
        let Some(allowed) = drawn.get(name) else {
            findings.push(format!("crate {name} is not in the table of ARCHITECTURE.md"));
            continue;
        };
        let undrawn = targets.difference(allowed);
        findings.extend(undrawn.map(|target| {
            format!("arrow {name} -> {target} is not in the table of ARCHITECTURE.md")
        }));
        findings.extend(allowed.difference(targets).map(|target| {
            format!("arrow {name} -> {target} of ARCHITECTURE.md is in no Cargo.toml")
        }));
    }
    let gone = drawn.keys().filter(|name| !real.contains_key(*name));
    findings.extend(gone.map(|name| format!("crate {name} of ARCHITECTURE.md is not there")));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n| other | table |\n|---|---|\n| a | b |\n\n\
        | crate | folder | what it is | depends on |\n|---|---|---|---|\n\
        | top | `top` | the top, of all | pure, middle |\n| middle | `m` | it | pure |\n\
        | pure | `p` | it | - |\n\nText.\n| late | l | it | - |\n";

    fn found(packages: &str) -> Vec<String> {
        compare(&drawn(PAGE), &real(&serde_json::from_str(packages).unwrap()))
    }

    fn package(name: &str, inside: &[&str]) -> String {
        let inside = inside.iter().map(|name| format!(r#"{{"name":"{name}","path":"/{name}"}}"#));
        let outside = [r#"{"name":"serde"}"#.to_owned()];
        let all: Vec<_> = inside.chain(outside).collect();
        format!(r#"{{"name":"{name}","dependencies":[{}]}}"#, all.join(","))
    }

    #[test]
    fn arrows_and_crates_must_be_on_both_sides() {
        let metadata = |top: &[&str], last: &str| {
            let packages = [package("top", top), package("middle", &["pure"]), package(last, &[])];
            format!(r#"{{"packages":[{}]}}"#, packages.join(","))
        };
        assert_eq!(found(&metadata(&["pure", "middle"], "pure")), [""; 0]);
        assert_eq!(
            found(&metadata(&["pure", "top"], "fresh")),
            [
                "crate fresh is not in the table of ARCHITECTURE.md",
                "arrow top -> top is not in the table of ARCHITECTURE.md",
                "arrow top -> middle of ARCHITECTURE.md is in no Cargo.toml",
                "crate pure of ARCHITECTURE.md is not there",
            ]
        );
    }
}
