// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lock: every file that a build may fetch, by size and SHA-256 and pool path, without a host.
//!
//! Text form (`profiles/lock.toml`) has a `version`, which changes when an old reader would go
//! wrong, and a `revision`, which changes when something was added that an old reader may ignore.

mod raw;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Digest;
use raw::{RawLock, RawPackage, RawSet, RawSource};

/// The `version` that this program reads and writes.
pub const LOCK_VERSION: u32 = 1;
/// The `revision` that this program writes.
pub const LOCK_REVISION: u32 = 0;

/// What to run when a lock does not serve.
const REFRESH: &str = "run: cargo xtask lock";

/// The Debian archive that a file is in; mirrors serve them below different addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Archive {
    /// The main archive: `trixie`, `trixie-updates`.
    Debian,
    /// The security archive: `trixie-security`.
    DebianSecurity,
}

impl Archive {
    /// The name that mirrors and the lock use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::DebianSecurity => "debian-security",
        }
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedFile {
    /// Which archive it is in.
    pub archive: Archive,
    /// Path below the archive's address: `pool/main/…`.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the whole file.
    pub sha256: Digest,
}

impl LockedFile {
    /// The last part of the path.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// One binary package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Debian's name.
    pub name: String,
    /// Debian's version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// The `.deb`.
    pub file: LockedFile,
}

/// One source package: the files that are unpacked to build it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Source {
    /// Debian's version.
    pub version: String,
    /// Tarballs, the upstream one first.
    #[serde(rename = "file")]
    pub files: Vec<LockedFile>,
}

/// What a set was resolved from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Request {
    /// Names asked for, whose dependencies come along.
    pub packages: Vec<String>,
    /// Names that are there without Debian's package: dependencies on them count as satisfied.
    pub provided: Vec<String>,
    /// Names that must not be taken, even where something depends on them.
    pub exclude: Vec<String>,
}

impl Request {
    /// The same request with its lists sorted and without repetitions, so that equal requests are
    /// equal values.
    #[must_use]
    pub fn normal(mut self) -> Self {
        for list in [&mut self.packages, &mut self.provided, &mut self.exclude] {
            list.sort();
            list.dedup();
        }
        self
    }
}

/// A resolved set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// What it was resolved from, normal.
    pub request: Request,
    /// The packages by name, sorted.
    pub packages: Vec<String>,
}

/// The whole lock, checked: every package that a set names is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    timestamp: String,
    epoch: u64,
    sets: BTreeMap<String, Set>,
    packages: BTreeMap<String, Package>,
    sources: BTreeMap<String, Source>,
}

/// A lock that does not serve.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Not TOML, or not of the lock's form.
    #[error("reading the lock")]
    Syntax(#[source] toml::de::Error),
    /// Written by another generation of this program.
    #[error("the lock has version {found}, this program reads version {LOCK_VERSION}; {REFRESH}")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// The timestamp is not of the form `20261123T101500Z`.
    #[error("the lock's timestamp is not of the form 20261123T101500Z: {0:?}")]
    Timestamp(String),
    /// A path that leads out of the archive.
    #[error("the lock has a path that is not below an archive: {0:?}")]
    Path(String),
    /// Something is there twice.
    #[error("the lock has {kind} {name} twice")]
    Twice {
        /// `set`, `package` or `source`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A set names a package that the lock does not have.
    #[error("the lock's set {set} names the package {package}, which the lock does not have")]
    Dangling {
        /// The set.
        set: String,
        /// The package.
        package: String,
    },
    /// A set, package or source that is asked for is not there.
    #[error("the lock has no {kind} {name}; {REFRESH}")]
    Missing {
        /// `set`, `package` or `source`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// No set was resolved from this request.
    #[error(
        "the lock is older than the package list of {what}{}; {REFRESH}{}",
        changes_text(changes),
        profile_text(profile)
    )]
    Stale {
        /// Whose list.
        what: String,
        /// What is different from the set of that name.
        changes: Vec<String>,
        /// The file of the list, where a plain refresh does not read it.
        profile: Option<PathBuf>,
    },
}

impl LockError {
    /// Of a list that is in the file `path`, which a plain refresh does not read.
    #[must_use]
    pub(crate) fn of_profile(self, path: &Path) -> Self {
        match self {
            Self::Stale { what, changes, .. } => {
                Self::Stale { what, changes, profile: Some(path.to_owned()) }
            }
            other => other,
        }
    }
}

fn profile_text(profile: &Option<PathBuf>) -> String {
    profile.as_ref().map(|path| format!(" --profile {}", path.display())).unwrap_or_default()
}

fn changes_text(changes: &[String]) -> String {
    if changes.is_empty() { String::new() } else { format!(" ({})", changes.join(", ")) }
}

impl Lock {
    /// Puts a lock together.
    ///
    /// # Errors
    /// As [`Lock::parse`], apart from syntax.
    pub fn new(
        timestamp: String,
        sets: BTreeMap<String, Set>,
        packages: BTreeMap<String, Package>,
        sources: BTreeMap<String, Source>,
    ) -> Result<Self, LockError> {
        let epoch = epoch_of(&timestamp).ok_or_else(|| LockError::Timestamp(timestamp.clone()))?;
        for (name, set) in &sets {
            if let Some(package) = set.packages.iter().find(|p| !packages.contains_key(*p)) {
                return Err(LockError::Dangling { set: name.clone(), package: package.clone() });
            }
        }
        let files = packages.values().map(|p| &p.file);
        for file in files.chain(sources.values().flat_map(|s| &s.files)) {
            let bad = |part: &str| part.is_empty() || part == "." || part == "..";
            if file.path.split('/').any(bad) || file.path.contains(['?', '#', '\\']) {
                return Err(LockError::Path(file.path.clone()));
            }
        }
        Ok(Self { timestamp, epoch, sets, packages, sources })
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// Text that is not a lock of this version, or that contradicts itself.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        #[derive(Deserialize)]
        struct Header {
            version: u32,
        }
        let header: Header = toml::from_str(text).map_err(LockError::Syntax)?;
        if header.version != LOCK_VERSION {
            return Err(LockError::Version { found: header.version });
        }
        let raw: RawLock = toml::from_str(text).map_err(LockError::Syntax)?;
        let sets = unique("set", raw.sets, |s| {
            let set = Set { request: s.request.normal(), packages: s.packages };
            (s.name, set)
        })?;
        let packages = unique("package", raw.packages, |p| {
            let RawPackage { name, version, architecture, archive, path, size, sha256 } = p;
            let file = LockedFile { archive, path, size, sha256 };
            (name.clone(), Package { name, version, architecture, file })
        })?;
        let sources = unique("source", raw.sources, |s| (s.name, s.source))?;
        Self::new(raw.timestamp, sets, packages, sources)
    }

    /// The text form.
    ///
    /// # Errors
    /// None in practice; the TOML writer has one.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let set = |(name, set): (&String, &Set)| RawSet {
            name: name.clone(),
            request: set.request.clone(),
            packages: set.packages.clone(),
        };
        let package = |p: &Package| RawPackage {
            name: p.name.clone(),
            version: p.version.clone(),
            architecture: p.architecture.clone(),
            archive: p.file.archive,
            path: p.file.path.clone(),
            size: p.file.size,
            sha256: p.file.sha256,
        };
        let source = |(name, source): (&String, &Source)| RawSource {
            name: name.clone(),
            source: source.clone(),
        };
        let raw = RawLock {
            version: LOCK_VERSION,
            revision: LOCK_REVISION,
            timestamp: self.timestamp.clone(),
            sets: self.sets.iter().map(set).collect(),
            sources: self.sources.iter().map(source).collect(),
            packages: self.packages.values().map(package).collect(),
        };
        let text = toml::to_string_pretty(&raw)?;
        Ok(format!("# Written by `cargo xtask lock`; not for editing by hand.\n{text}"))
    }

    /// When the archive was looked at, `20261123T101500Z`: the name that a snapshot archive has
    /// for it.
    pub fn timestamp(&self) -> &str {
        &self.timestamp
    }

    /// The same in seconds since 1970; all files of the appliance get this time.
    pub fn source_date_epoch(&self) -> u64 {
        self.epoch
    }

    /// All sets.
    pub fn sets(&self) -> &BTreeMap<String, Set> {
        &self.sets
    }

    /// All packages of all sets.
    pub fn packages(&self) -> &BTreeMap<String, Package> {
        &self.packages
    }

    /// All sources.
    pub fn sources(&self) -> &BTreeMap<String, Source> {
        &self.sources
    }

    /// The packages of a set, sorted by name.
    ///
    /// # Errors
    /// There is no such set.
    pub fn set(&self, name: &str) -> Result<Vec<&Package>, LockError> {
        let set = self
            .sets
            .get(name)
            .ok_or_else(|| LockError::Missing { kind: "set", name: name.to_owned() })?;
        set.packages.iter().map(|name| self.package(name)).collect()
    }

    /// A package.
    ///
    /// # Errors
    /// There is no such package in any set.
    pub fn package(&self, name: &str) -> Result<&Package, LockError> {
        self.packages
            .get(name)
            .ok_or_else(|| LockError::Missing { kind: "package", name: name.to_owned() })
    }

    /// A source.
    ///
    /// # Errors
    /// There is no such source.
    pub fn source(&self, name: &str) -> Result<&Source, LockError> {
        self.sources
            .get(name)
            .ok_or_else(|| LockError::Missing { kind: "source", name: name.to_owned() })
    }

    /// The name of the set that was resolved from `request`: `name` itself, or else any other, so
    /// that a profile that asks for the same as the one it inherits from needs no set of its own.
    ///
    /// # Errors
    /// There is none: the lock is older than the request.
    pub fn set_for(&self, name: &str, request: &Request) -> Result<&str, LockError> {
        let request = request.clone().normal();
        let own = self.sets.get_key_value(name);
        let mut candidates = own.into_iter().chain(self.sets.iter());
        if let Some((found, _)) = candidates.find(|(_, set)| set.request == request) {
            return Ok(found);
        }
        let changes = own.map(|(_, set)| difference(&set.request, &request)).unwrap_or_default();
        Err(LockError::Stale { what: name.to_owned(), changes, profile: None })
    }
}

/// What must be added and removed, in words.
fn difference(old: &Request, new: &Request) -> Vec<String> {
    let mut words = Vec::new();
    let lists = [
        (&old.packages, &new.packages, ""),
        (&old.provided, &new.provided, "provided "),
        (&old.exclude, &new.exclude, "excluded "),
    ];
    for (old, new, kind) in lists {
        words.extend(new.iter().filter(|n| !old.contains(n)).map(|n| format!("new: {kind}{n}")));
        words.extend(old.iter().filter(|n| !new.contains(n)).map(|n| format!("gone: {kind}{n}")));
    }
    words
}

fn unique<R, T>(
    kind: &'static str,
    raw: Vec<R>,
    named: impl Fn(R) -> (String, T),
) -> Result<BTreeMap<String, T>, LockError> {
    let mut map = BTreeMap::new();
    for item in raw {
        let (name, item) = named(item);
        if map.insert(name.clone(), item).is_some() {
            return Err(LockError::Twice { kind, name });
        }
    }
    Ok(map)
}

/// `20261123T101500Z` in seconds since 1970.
fn epoch_of(timestamp: &str) -> Option<u64> {
    let bytes = timestamp.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = timestamp.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !valid {
        return None;
    }
    // Days since 1970 in the proleptic Gregorian calendar, years beginning in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests;
