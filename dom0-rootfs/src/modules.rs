// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel modules: which are kept, and unpacking those.
//!
//! They lie in the image uncompressed: the image's own compression does better over all of them,
//! and neither the kernel nor the initramfs needs a decompressor. Their signatures stay.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;

use lzma_rust2::XzReader;
use walkdir::WalkDir;

use crate::glob::Patterns;
use crate::kernel_module::{NotAModule, depends, name};
use crate::tree::{Tree, TreeError, failed};

/// Where kernels have their modules.
const MODULES: &str = "usr/lib/modules";

/// The modules cannot be chosen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModulesError {
    /// There is not exactly one kernel.
    #[error("the image must have one kernel in {MODULES}, it has {found:?}")]
    OneKernel {
        /// Their versions.
        found: Vec<String>,
    },
    /// A pattern is out of date or wrong.
    #[error("the profile keeps kernel modules by {pattern:?}, which matches none")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// A file that should be a module is not one.
    #[error("reading the kernel module {path}")]
    Module {
        /// Below `kernel/`.
        path: String,
        /// What is wrong.
        source: NotAModule,
    },
    /// Two modules of the same name, or a dependency on one that is not there.
    #[error("the kernel module {name}, which {needed_by} needs, is not there")]
    Missing {
        /// The name.
        name: String,
        /// The module that needs it.
        needed_by: String,
    },
    /// The tree cannot be read or written.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// The version of the tree's only kernel: `6.12.43+deb13-amd64`.
pub(crate) fn kernel_version(tree: &Tree) -> Result<String, ModulesError> {
    let folder = tree.path(MODULES);
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed("reading", &folder))? {
        let entry = entry.map_err(failed("reading", &folder))?;
        found.push(entry.file_name().to_string_lossy().into_owned());
    }
    match found.as_slice() {
        [version] => Ok(version.clone()),
        _ => Err(ModulesError::OneKernel { found }),
    }
}

/// Folder of a kernel's modules in the tree.
pub(crate) fn folder(version: &str) -> String {
    format!("{MODULES}/{version}")
}

/// Unpacks the modules that match and what they need, and removes the others. Returns how many
/// are left.
pub(crate) fn prune(tree: &Tree, version: &str, keep: &[String]) -> Result<usize, ModulesError> {
    let kernel = format!("{}/kernel", folder(version));
    let files = files(tree, &kernel)?;
    let chosen = choose(&files, keep)?;
    let by_name: BTreeMap<String, &String> = files.keys().map(|stem| (name(stem), stem)).collect();
    let mut todo: Vec<&String> = chosen.into_iter().collect();
    let mut kept = BTreeSet::new();
    while let Some(stem) = todo.pop() {
        if !kept.insert(stem) {
            continue;
        }
        let module = unpack(tree, &format!("{kernel}/{}", files[stem]))?;
        let needs = depends(&module)
            .map_err(|source| ModulesError::Module { path: stem.clone(), source })?;
        for need in needs {
            let found = by_name.get(&name(need)).ok_or_else(|| ModulesError::Missing {
                name: need.to_owned(),
                needed_by: stem.clone(),
            })?;
            todo.push(found);
        }
        tree.remove(&format!("{kernel}/{}", files[stem]))?;
        tree.write(&format!("{kernel}/{stem}.ko"), &module, 0o644)?;
    }
    for (stem, file) in &files {
        if !kept.contains(stem) {
            tree.remove(&format!("{kernel}/{file}"))?;
        }
    }
    remove_empty_folders(tree, &kernel)?;
    Ok(kept.len())
}

/// The modules that are asked for by name: every pattern must match one at least.
fn choose<'f>(
    files: &'f BTreeMap<String, String>,
    keep: &[String],
) -> Result<BTreeSet<&'f String>, ModulesError> {
    let mut chosen = BTreeSet::new();
    for pattern in keep {
        let patterns = Patterns::new([pattern]);
        let mut matched = files.keys().filter(|stem| patterns.matches(stem)).peekable();
        if matched.peek().is_none() {
            return Err(ModulesError::NoMatch { pattern: pattern.clone() });
        }
        chosen.extend(matched);
    }
    Ok(chosen)
}

/// Modules below `kernel/`: path without ending, and file.
fn files(tree: &Tree, kernel: &str) -> Result<BTreeMap<String, String>, ModulesError> {
    let folder = tree.path(kernel);
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(&folder) {
        let entry = entry.map_err(|error| failed("reading", &folder)(error.into()))?;
        let path = entry.path().strip_prefix(&folder).unwrap_or(entry.path());
        let file = path.to_string_lossy().into_owned();
        if let Some(stem) = file.strip_suffix(".ko.xz").or_else(|| file.strip_suffix(".ko")) {
            files.insert(stem.to_owned(), file);
        }
    }
    Ok(files)
}

fn unpack(tree: &Tree, inside: &str) -> Result<Vec<u8>, ModulesError> {
    let path = tree.path(inside);
    let mut bytes = Vec::new();
    let file = File::open(&path).map_err(failed("opening", &path))?;
    let read = if inside.ends_with(".xz") {
        XzReader::new(std::io::BufReader::new(file), false).read_to_end(&mut bytes)
    } else {
        std::io::BufReader::new(file).read_to_end(&mut bytes)
    };
    read.map_err(failed("unpacking", &path))?;
    Ok(bytes)
}

fn remove_empty_folders(tree: &Tree, kernel: &str) -> Result<(), ModulesError> {
    let folder = tree.path(kernel);
    for entry in WalkDir::new(&folder).contents_first(true) {
        let entry = entry.map_err(|error| failed("reading", &folder)(error.into()))?;
        if entry.file_type().is_dir() {
            let path = entry.path();
            let empty = fs::read_dir(path).map_err(failed("reading", path))?.next().is_none();
            if empty {
                fs::remove_dir(path).map_err(failed("removing", path))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel_module::tests::module;

    fn tree(modules: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::at(dir.path());
        for (path, needs) in modules {
            let bytes = module(&[&format!("depends={needs}")]);
            tree.write(&format!("{MODULES}/6.1/kernel/{path}.ko"), &bytes, 0o600).unwrap();
        }
        (dir, tree)
    }

    fn left(tree: &Tree) -> Vec<String> {
        files(tree, &format!("{MODULES}/6.1/kernel")).unwrap().into_keys().collect()
    }

    #[test]
    fn what_is_kept_keeps_what_it_needs() {
        let (_dir, tree) = tree(&[
            ("fs/ext4/ext4", "jbd2,crc-16"),
            ("fs/jbd2/jbd2", "lib_a"),
            ("lib/crc-16", ""),
            ("lib/lib-a", ""),
            ("sound/beep", "lib_a"),
        ]);
        assert_eq!(kernel_version(&tree).unwrap(), "6.1");
        assert_eq!(prune(&tree, "6.1", &["fs/ext4/*".to_owned()]).unwrap(), 4);
        assert_eq!(left(&tree), ["fs/ext4/ext4", "fs/jbd2/jbd2", "lib/crc-16", "lib/lib-a"]);
        assert!(!tree.path(&format!("{MODULES}/6.1/kernel/sound")).exists());
    }

    #[test]
    fn a_pattern_without_a_match_and_a_missing_dependency_are_errors() {
        let (_dir, one) = tree(&[("a", "")]);
        let error = prune(&one, "6.1", &["a".to_owned(), "b/**".to_owned()]).unwrap_err();
        assert!(matches!(error, ModulesError::NoMatch { pattern } if pattern == "b/**"));
        let (_dir, two) = tree(&[("a", "b")]);
        let error = prune(&two, "6.1", &["a".to_owned()]).unwrap_err();
        assert!(matches!(error, ModulesError::Missing { .. }), "{error}");
    }
}
