// SPDX-License-Identifier: MIT OR Apache-2.0
//! The terms that our programs are passed on under: our own, and those of every crate in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use isobuild::recipe::BoxError;
use isobuild::rust;
use serde::Deserialize;

/// Where the text goes in the root image.
pub(super) const FILE: &str = "usr/share/doc/xenith/copyright";

/// Our own, in the repository.
pub(super) const OWN: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

/// How the names of files with terms begin, in capitals.
const NAMES: &[&str] = &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// What `cargo metadata` prints, format version 1; only what is used here.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: PathBuf,
    /// The registry; none for a crate of the workspace.
    source: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    /// `dev` and `build` are not linked, so they have nothing in the program.
    kind: Option<String>,
}

/// The terms of the programs that are compiled from `packages` of the workspace.
///
/// A text that several crates have stands there once, under all their names.
pub(super) fn text(repository: &Path, packages: &[&str]) -> Result<String, BoxError> {
    let json = rust::metadata(repository)?;
    let metadata: Metadata = serde_json::from_str(&json)
        .map_err(|error| format!("reading the output of cargo metadata: {error}"))?;
    let mut own = String::from("Xenith is under MIT or Apache-2.0, at your choice.\n");
    for name in OWN {
        write!(own, "\n{}\n", read(&repository.join(name))?.trim_end())?;
    }
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in linked(&metadata, packages) {
        let license = package.license.as_deref().unwrap_or("see below");
        let name = format!("{} {} ({license})", package.name, package.version);
        for text in texts(package)? {
            names.entry(text).or_default().push(name.clone());
        }
    }
    let mut sections: Vec<(Vec<String>, String)> =
        names.into_iter().map(|(text, names)| (names, text)).collect();
    sections.sort();
    let mut all = own;
    for (names, text) in sections {
        write!(all, "\n{}\n\n{}\n\n{}\n", "-".repeat(72), names.join("\n"), text.trim_end())?;
    }
    Ok(all)
}

/// The crates of registries that end up in the programs, by name and version.
fn linked<'m>(metadata: &'m Metadata, packages: &[&str]) -> Vec<&'m Package> {
    let mut wanted: Vec<&str> = metadata
        .packages
        .iter()
        .filter(|p| p.source.is_none() && packages.contains(&&*p.name))
        .map(|p| &*p.id)
        .collect();
    let mut found = BTreeSet::new();
    while let Some(id) = wanted.pop() {
        let node = metadata.resolve.nodes.iter().find(|node| node.id == id);
        if let Some(node) = node.filter(|_| found.insert(id)) {
            let linked = |dep: &&Dependency| dep.dep_kinds.iter().any(|kind| kind.kind.is_none());
            wanted.extend(node.deps.iter().filter(linked).map(|dep| &*dep.pkg));
        }
    }
    let mut crates: Vec<&Package> =
        metadata.packages.iter().filter(|p| p.source.is_some() && found.contains(&*p.id)).collect();
    crates.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    crates
}

/// The files of a crate that have its terms, in the order of their names; those of a crate that was
/// published without any are its licence's name.
fn texts(package: &Package) -> Result<Vec<String>, BoxError> {
    let folder = package.manifest_path.parent().unwrap_or(Path::new("."));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| format!("reading {}: {e}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            files.push(path);
        }
    }
    files.sort();
    match (files.as_slice(), &package.license) {
        ([], Some(license)) => Ok(vec![format!("Published without a text; {license}.")]),
        ([], None) => {
            Err(format!("the crate {} does not say under which terms it is", package.name).into())
        }
        (files, _) => files.iter().map(|file| read(file)).collect(),
    }
}

fn read(path: &Path) -> Result<String, BoxError> {
    let bytes = fs::read(path).map_err(|error| format!("reading {}: {error}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        let json = r#"{
            "packages": [
                {"id": "tool", "name": "tool", "version": "1.0.0", "license": null,
                 "manifest_path": "/x/tool/Cargo.toml", "source": null},
                {"id": "b", "name": "b", "version": "2.0.0", "license": "MIT",
                 "manifest_path": "/x/b/Cargo.toml", "source": "registry"},
                {"id": "a", "name": "a", "version": "1.0.0", "license": "MIT",
                 "manifest_path": "/x/a/Cargo.toml", "source": "registry"},
                {"id": "t", "name": "t", "version": "1.0.0", "license": "MIT",
                 "manifest_path": "/x/t/Cargo.toml", "source": "registry"}
            ],
            "resolve": {"nodes": [
                {"id": "tool", "deps": [
                    {"pkg": "b", "dep_kinds": [{"kind": "build"}, {"kind": null}]},
                    {"pkg": "t", "dep_kinds": [{"kind": "dev"}]}
                ]},
                {"id": "b", "deps": [{"pkg": "a", "dep_kinds": [{"kind": null}]}]},
                {"id": "a", "deps": []},
                {"id": "t", "deps": []}
            ]}
        }"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn only_what_is_linked_counts() {
        let metadata = metadata();
        let names = |packages: &[&str]| -> Vec<String> {
            linked(&metadata, packages).into_iter().map(|package| package.name.clone()).collect()
        };
        assert_eq!(names(&["tool"]), ["a", "b"]);
        assert!(names(&["other"]).is_empty());
    }

    #[test]
    fn every_file_with_terms_is_read_and_a_crate_without_terms_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [("LICENSE-MIT", "m\r\n"), ("Copying.txt", "c"), ("src", "no")] {
            fs::write(dir.path().join(file), text).unwrap();
        }
        let mut package = metadata().packages.remove(1);
        package.manifest_path = dir.path().join("Cargo.toml");
        assert_eq!(texts(&package).unwrap(), ["c", "m\n"]);
        package.manifest_path = dir.path().join("empty/Cargo.toml");
        fs::create_dir(dir.path().join("empty")).unwrap();
        assert_eq!(texts(&package).unwrap(), ["Published without a text; MIT."]);
        package.license = None;
        assert!(texts(&package).unwrap_err().to_string().contains("the crate b"));
    }
}
