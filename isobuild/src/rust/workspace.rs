// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which crates of this workspace a program is made of, read from the manifests: what cargo would
//! answer too, but without starting it for a build that changes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// A manifest that does not serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkspaceError {
    /// It cannot be read.
    #[error("reading {}", path.display())]
    Read {
        /// The manifest.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("reading {}", path.display())]
    Syntax {
        /// The manifest.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Something that every manifest here has is not there.
    #[error("{} has no {key}", path.display())]
    Missing {
        /// The manifest.
        path: PathBuf,
        /// What is missing.
        key: &'static str,
    },
    /// A program's package is no member.
    #[error("the workspace has no package {0}")]
    NoPackage(String),
}

/// A crate of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// The package's name.
    pub(super) package: String,
    /// Its folder, relative to the repository.
    pub(super) folder: PathBuf,
    /// Names of the packages that it is compiled with, tests left out.
    needs: BTreeSet<String>,
}

/// All crates of the workspace.
#[derive(Debug)]
pub(super) struct Workspace {
    /// The repository.
    pub(super) folder: PathBuf,
    /// Its crates.
    pub(super) members: Vec<Member>,
}

impl Workspace {
    /// Reads the root manifest and each member's.
    pub(super) fn read(folder: &Path) -> Result<Self, WorkspaceError> {
        let path = folder.join("Cargo.toml");
        let root = manifest(&path)?;
        let members = root
            .get("workspace")
            .and_then(|w| w.get("members")?.as_array())
            .ok_or(WorkspaceError::Missing { path, key: "workspace.members" })?;
        let members = members.iter().filter_map(Value::as_str);
        let members =
            members.map(|member| read_member(folder, member)).collect::<Result<_, _>>()?;
        Ok(Self { folder: folder.to_owned(), members })
    }

    /// The crates that `packages` are compiled from, in the workspace's order.
    pub(super) fn closure(&self, packages: &[&str]) -> Result<Vec<&Member>, WorkspaceError> {
        let mut wanted: Vec<&str> = packages.to_vec();
        let mut found: BTreeSet<&str> = BTreeSet::new();
        while let Some(package) = wanted.pop() {
            let member = self.members.iter().find(|member| member.package == package);
            match member {
                Some(member) if found.insert(&member.package) => {
                    wanted.extend(member.needs.iter().map(String::as_str));
                }
                Some(_) => {}
                None if packages.contains(&package) => {
                    return Err(WorkspaceError::NoPackage(package.to_owned()));
                }
                // Of a registry.
                None => {}
            }
        }
        Ok(self.members.iter().filter(|m| found.contains(&*m.package)).collect())
    }
}

fn manifest(path: &Path) -> Result<Table, WorkspaceError> {
    let text = fs::read_to_string(path)
        .map_err(|source| WorkspaceError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|source| WorkspaceError::Syntax {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

fn read_member(root: &Path, folder: &str) -> Result<Member, WorkspaceError> {
    let path = root.join(folder).join("Cargo.toml");
    let table = manifest(&path)?;
    let package = table
        .get("package")
        .and_then(|p| p.get("name")?.as_str())
        .ok_or(WorkspaceError::Missing { path, key: "package.name" })?
        .to_owned();
    let targets = table.get("target").and_then(Value::as_table).into_iter().flatten();
    let tables = targets.filter_map(|(_, target)| target.as_table()).chain([&table]);
    let mut needs = BTreeSet::new();
    for table in tables {
        for kind in ["dependencies", "build-dependencies"] {
            for (name, entry) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
                let renamed = entry.get("package").and_then(Value::as_str);
                needs.insert(renamed.unwrap_or(name).to_owned());
            }
        }
    }
    Ok(Member { package, folder: PathBuf::from(folder), needs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(members: &[(&str, &str)]) -> Result<Workspace, WorkspaceError> {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<&str> = members.iter().map(|m| m.0).collect();
        fs::write(dir.path().join("Cargo.toml"), format!("[workspace]\nmembers = {names:?}\n"))
            .unwrap();
        for (name, text) in members {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("Cargo.toml"), text).unwrap();
        }
        Workspace::read(dir.path())
    }

    #[test]
    fn a_closure_follows_every_kind_of_dependency_but_those_of_tests() {
        let workspace = workspace(&[
            ("a", "[package]\nname='a'\n[dependencies]\nb.workspace=true\nserde='1'\n"),
            ("b", "[package]\nname='b'\n[build-dependencies]\nother={package='c',path='../c'}\n"),
            ("c", "[package]\nname='c'\n[target.'cfg(unix)'.dependencies]\nd.workspace=true\n"),
            ("d", "[package]\nname='d'\n[dev-dependencies]\ne.workspace=true\n[dependencies]\na={path='../a'}"),
            ("e", "[package]\nname='e'\n"),
        ])
        .unwrap();
        let folders = |packages: &[&str]| -> Vec<String> {
            let closure = workspace.closure(packages).unwrap();
            closure.iter().map(|m| m.folder.display().to_string()).collect()
        };
        assert_eq!(folders(&["a"]), ["a", "b", "c", "d"]);
        assert_eq!(folders(&["e"]), ["e"]);
        let error = workspace.closure(&["serde"]).unwrap_err();
        assert!(error.to_string().contains("serde"), "{error}");
    }

    #[test]
    fn broken_manifests_are_named() {
        for (text, word) in [("[package", "reading"), ("[package]\n", "package.name")] {
            let error = workspace(&[("a", text)]).unwrap_err().to_string();
            assert!(error.contains("a/Cargo.toml") && error.contains(word), "{error}");
        }
    }

    #[test]
    fn this_repository_can_be_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let workspace = Workspace::read(&root).unwrap();
        let closure = workspace.closure(&["isobuild"]).unwrap();
        let packages: Vec<&str> = closure.iter().map(|m| &*m.package).collect();
        assert_eq!(packages, ["isobuild", "appliance-model", "image-formats"]);
    }
}
