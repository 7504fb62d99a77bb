// SPDX-License-Identifier: MIT OR Apache-2.0
//! The trees that programs are run from: locked packages, unpacked.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use appliance_model::lock::{Package, Request};

use crate::debian::unpack_all;
use crate::inputs::Inputs;
use crate::recipe::{BoxError, Build, Recipe};
use crate::store::failed;

/// The recipe whose tree [`crate::recipe::BuildEnv::sandbox`] runs over.
pub const NAME: &str = "tools";
/// The recipe with the emulator.
pub const EMULATOR: &str = "emulator";
/// The recipe with clients of the API.
pub const CLIENTS: &str = "clients";
/// The folder of such an artifact that is the root of the tree.
pub const ROOT: &str = "root";

/// How many threads decompress.
const THREADS: usize = 2;

/// Raised when the code below makes another tree of the same packages.
const REVISION: u32 = 1;

/// What `sets.toml` cannot be.
#[derive(Debug, thiserror::Error)]
#[error("reading isobuild/sets.toml")]
pub struct SetsError(#[from] toml::de::Error);

/// The package sets of the build itself, by name.
///
/// # Errors
/// The list in this repository is malformed.
pub fn sets() -> Result<BTreeMap<String, Request>, SetsError> {
    Ok(toml::from_str(include_str!("../sets.toml"))?)
}

/// The recipe of the tree of this set: artifact `root/`.
#[derive(Debug, Clone, Copy)]
pub struct Tree(pub &'static str);

impl Recipe for Tree {
    fn name(&self) -> String {
        self.0.to_owned()
    }

    fn needs(&self) -> Vec<String> {
        Vec::new()
    }

    fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError> {
        declare(self.0, inputs)
    }

    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        tree(self.0, build)
    }
}

fn declare(set: &str, inputs: &mut Inputs) -> Result<(), BoxError> {
    inputs.revision(REVISION);
    if let Some(request) = sets()?.get(set) {
        // A list that was changed after the lock was made must not go unnoticed.
        inputs.lock().set_for(set, request)?;
    }
    inputs.set(set)?;
    Ok(())
}

fn tree(set: &str, build: &Build<'_>) -> Result<(), BoxError> {
    let packages = in_order(build.lock().set(set)?);
    build.status(&format!("unpacking {} packages", packages.len()));
    let root = build.out().join(ROOT);
    fs::create_dir(&root).map_err(failed("creating", &root))?;
    let debs: Vec<PathBuf> = packages
        .iter()
        .map(|package| build.locked_file(&package.file.sha256))
        .collect::<Result<_, _>>()?;
    unpack_all(&debs, &root, THREADS, build.interrupt())?;
    finish(&root)
}

/// `base-files` first: it brings the links that merge `/usr`.
pub fn in_order(mut packages: Vec<&Package>) -> Vec<&Package> {
    packages.sort_by_key(|package| (package.name != "base-files", &package.name));
    packages
}

/// Links that `update-alternatives` would make, the best target first.
const ALTERNATIVES: &[(&str, &[&str])] = &[
    ("usr/bin/awk", &["gawk", "mawk"]),
    ("usr/bin/cc", &["gcc"]),
    ("usr/bin/c++", &["g++"]),
    ("usr/bin/c99", &["c99-gcc"]),
    ("usr/bin/which", &["which.debianutils"]),
    ("usr/bin/yacc", &["bison.yacc"]),
];

/// Files that maintainer scripts would make.
const FILES: &[(&str, &str)] = &[
    (
        "etc/passwd",
        "root:x:0:0:root:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    ),
    ("etc/group", "root:x:0:\ntty:x:5:\ndisk:x:6:\nkvm:x:103:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost xenith\n::1 localhost\n"),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/// What maintainer scripts would have done and programs need.
fn finish(root: &Path) -> Result<(), BoxError> {
    for (link, targets) in ALTERNATIVES {
        let path = root.join(link);
        let there = |name: &&&str| path.with_file_name(name).exists();
        if let Some(target) = targets.iter().find(there)
            && fs::symlink_metadata(&path).is_err()
        {
            symlink(target, &path).map_err(failed("linking", &path))?;
        }
    }
    for (name, text) in FILES {
        let path = root.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed("creating", folder))?;
        }
        match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                io::Write::write_all(&mut file, text.as_bytes())
                    .map_err(failed("writing", &path))?;
            }
            // A package brought its own.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("creating", &path)(error).into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_are_well_formed_and_have_base_files() {
        let sets = sets().unwrap();
        assert_eq!(sets.keys().collect::<Vec<_>>(), [CLIENTS, EMULATOR, NAME]);
        for (name, set) in sets {
            assert!(set.packages.contains(&"base-files".to_owned()), "{name}");
        }
    }

    #[test]
    fn alternatives_are_linked_where_their_target_is_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("usr/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        for name in ["mawk", "gcc", "c++"] {
            fs::write(bin.join(name), name).unwrap();
        }
        fs::write(dir.path().join("etc/hosts"), "own").unwrap();
        finish(dir.path()).unwrap();
        assert_eq!(fs::read_link(bin.join("awk")).unwrap(), Path::new("mawk"));
        assert_eq!(fs::read_to_string(bin.join("cc")).unwrap(), "gcc");
        assert_eq!(fs::read_to_string(bin.join("c++")).unwrap(), "c++");
        assert!(fs::symlink_metadata(bin.join("yacc")).is_err());
        assert_eq!(fs::read_to_string(dir.path().join("etc/hosts")).unwrap(), "own");
    }
}
