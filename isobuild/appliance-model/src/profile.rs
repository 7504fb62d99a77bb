// SPDX-License-Identifier: MIT OR Apache-2.0
//! The profile: what is in the appliance.
//!
//! A profile is a TOML file that may `inherit` one other. A value replaces the inherited one; a
//! list adds to the inherited list, and an element that begins with `-` takes the rest of it out
//! again (it must be there). Unknown keys are errors that name the nearest known one.

mod merge;
mod schema;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::boot::BootOption;
use crate::lock::{Lock, LockError, Request};

/// How deep profiles may inherit.
const MAX_DEPTH: usize = 8;

/// A checked profile, inheritance resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The file's name without `.toml`.
    pub name: String,
    /// The files that it was read from, itself first.
    pub files: Vec<PathBuf>,
    /// Whether it is not one of those that `cargo xtask lock` knows.
    pub own: bool,
    /// One line for people.
    pub description: String,
    /// The hypervisor.
    pub xen: Xen,
    /// The Dom0 root file system.
    pub dom0: Dom0,
    /// How the root image is packed.
    pub image: Image,
    /// What lies beside the ISO.
    pub output: Output,
}

/// The hypervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Xen {
    /// The lock's name of the source.
    pub source: String,
    /// Kconfig fragments by file name below `hypervisor/kconfig/`; a later one wins.
    pub fragments: Vec<String>,
    /// Options of Xen's command line, on media and on installed hosts.
    pub options: Vec<BootOption>,
}

/// The Dom0 root file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Dom0 {
    /// Debian packages; their dependencies come along.
    pub packages: Vec<String>,
    /// Debian package names that our own parts stand for.
    pub provided: Vec<String>,
    /// Debian packages that are left out although something depends on them.
    pub exclude: Vec<String>,
    /// Kernel modules kept: paths below `kernel/` with `*`; what they depend on stays too.
    pub modules: Vec<String>,
    /// Firmware files kept, paths below `/usr/lib/firmware` with `*`.
    pub firmware: Vec<String>,
    /// Paths removed, with `*` and `**`.
    pub trim: Vec<String>,
    /// systemd units enabled.
    pub enable: Vec<String>,
    /// Whether guests with a device model (HVM) can be run.
    pub device_model: bool,
    /// Options of the Dom0 kernel's command line, on media and on installed hosts.
    pub options: Vec<BootOption>,
}

/// How the root image is packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Image {
    /// `squashfs` or `erofs`.
    pub format: Format,
    /// `zstd`, `xz`, `lz4`, `gzip`, `lzma`.
    pub compression: String,
    /// Level of the compression.
    pub level: u32,
    /// Block size in KiB.
    pub block_kib: u32,
}

/// File systems of the root image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// squashfs, by `mksquashfs`.
    Squashfs,
    /// EROFS, by `mkfs.erofs`.
    Erofs,
}

/// What lies beside the ISO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Output {
    /// Volume name of the ISO, at most 32 of `A-Z0-9_`.
    pub volume: String,
    /// Where the menu begins: `install`, `install-serial`, `live`, `disk`.
    pub default_entry: String,
    /// Seconds that the menu waits.
    pub menu_seconds: u32,
}

impl Default for Xen {
    fn default() -> Self {
        Self { source: "xen".to_owned(), fragments: Vec::new(), options: Vec::new() }
    }
}

impl Default for Image {
    fn default() -> Self {
        let compression = "zstd".to_owned();
        Self { format: Format::Squashfs, compression, level: 15, block_kib: 256 }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self { volume: "XENITH".to_owned(), default_entry: "install".to_owned(), menu_seconds: 5 }
    }
}

/// The file as written, after merging.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawProfile {
    description: String,
    xen: Xen,
    dom0: Dom0,
    image: Image,
    output: Output,
}

/// A profile that does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A file cannot be read.
    #[error("reading the profile {}{}", path.display(), inherited_text(inherited_by))]
    Read {
        /// The file.
        path: PathBuf,
        /// The profile that inherits it.
        inherited_by: Option<PathBuf>,
        /// The cause.
        source: io::Error,
    },
    /// Not TOML, or a value of the wrong type.
    #[error("reading the profile {}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The cause, with line and column where known.
        source: Box<toml::de::Error>,
    },
    /// A key that no profile has.
    #[error("the profile {} has an unknown key {key}{}", path.display(), nearest_text(nearest))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key with its table: `dom0.pakages`.
        key: String,
        /// The nearest known key.
        nearest: Option<String>,
    },
    /// `-element` where there is no such element.
    #[error("the profile {} takes {element:?} out of {key}, which does not have it", path.display())]
    NotThere {
        /// The file.
        path: PathBuf,
        /// The list.
        key: String,
        /// The element.
        element: String,
    },
    /// Profiles that inherit each other, or too deep a chain.
    #[error("the profile {} inherits from itself, or more than {MAX_DEPTH} deep", path.display())]
    Cycle {
        /// The file where it was noticed.
        path: PathBuf,
    },
    /// A value that cannot be.
    #[error("the profile {} has {key} = {value:?}: {why}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

fn inherited_text(by: &Option<PathBuf>) -> String {
    by.as_ref().map(|by| format!(", which {} inherits", by.display())).unwrap_or_default()
}

fn nearest_text(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default()
}

impl Profile {
    /// Reads the profile at `path` and what it inherits, through `read`. `known` is the folder of
    /// the profiles that the lock is made for: a file elsewhere can inherit one of these by its
    /// bare name, unless there is a file of that name beside it.
    ///
    /// # Errors
    /// Any file that is not a profile, named.
    pub fn load(
        path: &Path,
        known: &Path,
        read: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, ProfileError> {
        let mut files = Vec::new();
        let table = merge::load(path, &merge::Place { known, read }, &mut files)?;
        let at = || path.to_owned();
        let raw: RawProfile = table
            .try_into()
            .map_err(|e| ProfileError::Syntax { path: at(), source: Box::new(e) })?;
        let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let profile = Self {
            name,
            files,
            own: path.parent() != Some(known),
            description: raw.description,
            xen: raw.xen,
            dom0: raw.dom0,
            image: raw.image,
            output: raw.output,
        };
        match profile.wrong_value() {
            None => Ok(profile),
            Some((key, value, why)) => Err(ProfileError::Value { path: at(), key, value, why }),
        }
    }

    /// What must be locked for the Dom0.
    pub fn request(&self) -> Request {
        Request {
            packages: self.dom0.packages.clone(),
            provided: self.dom0.provided.clone(),
            exclude: self.dom0.exclude.clone(),
        }
        .normal()
    }

    /// The lock's name of this profile's own set; see [`Profile::set_in`].
    pub fn set_name(&self) -> String {
        format!("dom0-{}", self.name)
    }

    /// The name of the lock's set for this profile; see [`Lock::set_for`].
    ///
    /// # Errors
    /// There is none: the lock is older than the profile.
    pub fn set_in<'l>(&self, lock: &'l Lock) -> Result<&'l str, LockError> {
        lock.set_for(&self.set_name(), &self.request()).map_err(|error| match self.files.first() {
            Some(path) if self.own => error.of_profile(path),
            _ => error,
        })
    }

    fn wrong_value(&self) -> Option<(&'static str, String, &'static str)> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if self.name.is_empty() || !self.name.chars().all(plain) {
            let why = "a profile's file is named with letters, digits, - and _";
            return Some(("(file name)", self.name.clone(), why));
        }
        let package = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        let lists = [
            ("dom0.packages", &self.dom0.packages),
            ("dom0.provided", &self.dom0.provided),
            ("dom0.exclude", &self.dom0.exclude),
        ];
        for (key, list) in lists {
            let bad = list.iter().find(|name| name.len() < 2 || !name.chars().all(package));
            if let Some(bad) = bad {
                return Some((key, bad.clone(), "not a Debian package name"));
            }
        }
        let paths = [("xen.fragments", &self.xen.fragments), ("dom0.trim", &self.dom0.trim)];
        for (key, list) in paths {
            if let Some(bad) = list.iter().find(|p| p.is_empty() || p.split('/').any(|s| s == ".."))
            {
                return Some((key, bad.clone(), "not a path below its folder"));
            }
        }
        let compressions = ["zstd", "xz", "lz4", "gzip", "lzma"];
        if !compressions.contains(&self.image.compression.as_str()) {
            let why = "must be zstd, xz, lz4, gzip or lzma";
            return Some(("image.compression", self.image.compression.clone(), why));
        }
        if !(4..=1024).contains(&self.image.block_kib) || !self.image.block_kib.is_power_of_two() {
            let why = "must be a power of two from 4 to 1024";
            return Some(("image.block-kib", self.image.block_kib.to_string(), why));
        }
        let volume = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let name = &self.output.volume;
        if name.is_empty() || name.len() > 32 || !name.chars().all(volume) {
            return Some(("output.volume", name.clone(), "must be 1 to 32 of A-Z, 0-9 and _"));
        }
        let entries = ["install", "install-serial", "live", "disk"];
        if !entries.contains(&self.output.default_entry.as_str()) {
            let why = "must be install, install-serial, live or disk";
            return Some(("output.default-entry", self.output.default_entry.clone(), why));
        }
        None
    }
}

#[cfg(test)]
mod tests;
