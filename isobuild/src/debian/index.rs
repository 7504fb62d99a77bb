// SPDX-License-Identifier: MIT OR Apache-2.0
//! Package indices: which binary packages there are, of all suites together.

use std::collections::{BTreeMap, BTreeSet};

use appliance_model::Digest;
use appliance_model::lock::{Archive, LockedFile};

use super::deb822::{self, ControlError, Paragraph};
use super::relation::{self, Relation, RelationError};
use super::version;

/// One binary package of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// `Depends` and `Pre-Depends`.
    pub depends: Vec<Vec<Relation>>,
    /// `Conflicts`.
    pub conflicts: Vec<Relation>,
    /// `Provides`.
    pub provides: Vec<Relation>,
    /// How essential it is: 0 `required` … 4 `extra` or unknown.
    pub priority: u8,
    /// The `.deb`.
    pub file: LockedFile,
}

/// An index that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Not a control file.
    #[error("reading the package index {index}")]
    Control {
        /// Which index.
        index: String,
        /// The cause.
        source: ControlError,
    },
    /// A relation that is not one.
    #[error("reading {field} of the package {package} in {index}")]
    Relation {
        /// Which index.
        index: String,
        /// Which package.
        package: String,
        /// Which field.
        field: &'static str,
        /// The cause.
        source: RelationError,
    },
    /// A field that is missing or wrong.
    #[error("the package {package} in {index} has no usable {field}")]
    Field {
        /// Which index.
        index: String,
        /// Which package.
        package: String,
        /// Which field.
        field: &'static str,
    },
}

/// All packages of several suites.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// By name, newest version first.
    packages: BTreeMap<String, Vec<Binary>>,
    /// Virtual package to names that provide it.
    providers: BTreeMap<String, BTreeSet<String>>,
}

impl Index {
    /// Adds the packages of one `Packages` file; `name` is what errors call it.
    ///
    /// # Errors
    /// It is not one.
    pub fn add(&mut self, name: &str, archive: Archive, text: &str) -> Result<(), IndexError> {
        let paragraphs = deb822::parse(text)
            .map_err(|source| IndexError::Control { index: name.to_owned(), source })?;
        for paragraph in &paragraphs {
            let binary = read(name, archive, paragraph)?;
            for provided in &binary.provides {
                let names = self.providers.entry(provided.name.clone()).or_default();
                names.insert(binary.name.clone());
            }
            let versions = self.packages.entry(binary.name.clone()).or_default();
            // Of equal versions the one that was added first stays first.
            let newer = |old: &Binary| version::compare(&old.version, &binary.version).is_ge();
            let at = versions.partition_point(newer);
            versions.insert(at, binary);
        }
        Ok(())
    }

    /// The versions of a package, newest first.
    pub fn versions(&self, name: &str) -> &[Binary] {
        self.packages.get(name).map_or(&[], |versions| versions.as_slice())
    }

    /// The names of packages that provide `name`, some version of them at least.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.providers.get(name).into_iter().flatten().map(String::as_str)
    }

    /// The names of all packages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.packages.keys().map(String::as_str)
    }

    /// How many packages there are.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }
}

fn read(index: &str, archive: Archive, paragraph: &Paragraph<'_>) -> Result<Binary, IndexError> {
    let package = paragraph.get("Package").unwrap_or("(without name)");
    let wrong =
        |field| IndexError::Field { index: index.to_owned(), package: package.to_owned(), field };
    let text = |field: &'static str| {
        paragraph.get(field).filter(|v| !v.is_empty()).ok_or_else(|| wrong(field))
    };
    let relations = |field: &'static str| {
        relation::parse(paragraph.get(field).unwrap_or_default()).map_err(|source| {
            let (index, package) = (index.to_owned(), package.to_owned());
            IndexError::Relation { index, package, field, source }
        })
    };
    let flat = |field| Ok(relations(field)?.into_iter().flatten().collect());
    let mut depends = relations("Pre-Depends")?;
    depends.extend(relations("Depends")?);
    let path = text("Filename")?.to_owned();
    if !path.starts_with("pool/") {
        return Err(wrong("Filename"));
    }
    let sha256: Digest = text("SHA256")?.parse().map_err(|_| wrong("SHA256"))?;
    let size = text("Size")?.parse().map_err(|_| wrong("Size"))?;
    let priority = match paragraph.get("Priority").unwrap_or_default() {
        "required" => 0,
        "important" => 1,
        "standard" => 2,
        "optional" => 3,
        _ => 4,
    };
    Ok(Binary {
        name: text("Package")?.to_owned(),
        version: text("Version")?.to_owned(),
        architecture: text("Architecture")?.to_owned(),
        depends,
        conflicts: flat("Conflicts")?,
        provides: flat("Provides")?,
        priority,
        file: LockedFile { archive, path, size, sha256 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Package: aa\nVersion: 1\nArchitecture: all\nFilename: pool/a\nSize: 3\n\
        SHA256: abababababababababababababababababababababababababababababababab\n";

    #[test]
    fn the_newest_version_comes_first() {
        let mut index = Index::default();
        for version in ["1", "2", "10", "2~rc1"] {
            let text = GOOD.replace("Version: 1", &format!("Version: {version}\nProvides: bb"));
            index.add("test", Archive::Debian, &text).unwrap();
        }
        let versions: Vec<&str> = index.versions("aa").iter().map(|b| &*b.version).collect();
        assert_eq!(versions, ["10", "2", "2~rc1", "1"]);
        assert_eq!(index.providers("bb").collect::<Vec<_>>(), ["aa"]);
        assert_eq!(index.versions("bb"), []);
    }

    #[test]
    fn bad_packages_are_named() {
        let cases = [
            ("Version: 1\n", "", "package aa in test has no usable Version"),
            ("pool/a", "/etc/a", "no usable Filename"),
            ("Size: 3", "Size: three", "no usable Size"),
            ("SHA256: ab", "SHA256: xy", "no usable SHA256"),
            ("Version: 1", "Version: 1\nDepends: B", "Depends of the package aa"),
            ("Version: 1", "Version 1", "reading the package index test"),
            ("Package: aa\n", "", "(without name)"),
        ];
        for (from, to, expected) in cases {
            let text = GOOD.replace(from, to);
            let error = Index::default().add("test", Archive::Debian, &text).unwrap_err();
            assert!(error.to_string().contains(expected), "{to}: {error}");
        }
    }
}
