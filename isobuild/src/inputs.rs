// SPDX-License-Identifier: MIT OR Apache-2.0
//! What decides an artifact: collected by [`crate::recipe::Recipe::declare`], hashed into its key.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use appliance_model::Digest;
use appliance_model::lock::{Lock, LockError, LockedFile, Package, Source};
use walkdir::WalkDir;

use crate::digest;

/// An input that cannot be declared.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A file or folder cannot be read.
    #[error("reading the input {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The lock does not have what is asked for.
    #[error("looking up an input in the lock")]
    Lock(#[from] LockError),
}

/// The inputs of one recipe.
#[derive(Debug)]
pub struct Inputs {
    repository: PathBuf,
    lock: Arc<Lock>,
    lines: Vec<String>,
    locked: BTreeMap<Digest, LockedFile>,
}

impl Inputs {
    /// None yet; paths are of the repository at `repository`.
    pub fn new(repository: &Path, lock: Arc<Lock>) -> Self {
        let locked = BTreeMap::new();
        Self { repository: repository.to_owned(), lock, lines: Vec::new(), locked }
    }

    /// The recipe's own revision: to be raised when its code makes something else of the same
    /// inputs.
    pub fn revision(&mut self, revision: u32) {
        self.line("revision", "", &revision.to_string());
    }

    /// An option: anything that is not a file.
    pub fn value(&mut self, name: &str, value: impl AsRef<str>) {
        self.line("value", name, value.as_ref());
    }

    /// A list of options; its order counts.
    pub fn values<S: AsRef<str>>(&mut self, name: &str, values: impl IntoIterator<Item = S>) {
        for value in values {
            self.line("value", name, value.as_ref());
        }
        self.line("end", name, "");
    }

    /// A file; a relative path is of the repository, and only such a path is part of the key.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn file(&mut self, path: impl AsRef<Path>) -> Result<(), InputError> {
        let full = self.repository.join(path.as_ref());
        let name = self.key_path(&full);
        self.add_file(&full, &name)
    }

    /// A folder: every file (contents, executable or not) and link below it. Folders named
    /// `target` and hidden ones are left out, so that a crate's folder can be given.
    ///
    /// # Errors
    /// Something in it cannot be read.
    pub fn folder(&mut self, path: impl AsRef<Path>) -> Result<(), InputError> {
        let full = self.repository.join(path.as_ref());
        let walk = WalkDir::new(&full).sort_by_file_name().into_iter().filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            let skipped = entry.file_type().is_dir() && (name == "target" || name.starts_with('.'));
            entry.depth() == 0 || !skipped
        });
        for entry in walk {
            let entry = entry.map_err(|error| {
                let path = error.path().unwrap_or(&full).to_owned();
                InputError::Read { path, source: error.into() }
            })?;
            let name = self.key_path(entry.path());
            if entry.file_type().is_file() {
                self.add_file(entry.path(), &name)?;
            } else if entry.file_type().is_symlink() {
                let target = fs::read_link(entry.path())
                    .map_err(|source| InputError::Read { path: entry.path().to_owned(), source })?;
                self.line("link", &name, &target.to_string_lossy());
            }
        }
        Ok(())
    }

    /// All packages of a set of the lock; they are fetched before the build.
    ///
    /// # Errors
    /// The lock has no such set.
    pub fn set(&mut self, name: &str) -> Result<Vec<Package>, InputError> {
        let lock = Arc::clone(&self.lock);
        let packages: Vec<Package> = lock.set(name)?.into_iter().cloned().collect();
        for package in &packages {
            self.locked(&package.file);
        }
        Ok(packages)
    }

    /// All files of a source of the lock; they are fetched before the build.
    ///
    /// # Errors
    /// The lock has no such source.
    pub fn source(&mut self, name: &str) -> Result<Source, InputError> {
        let source = self.lock.source(name)?.clone();
        for file in &source.files {
            self.locked(file);
        }
        Ok(source)
    }

    /// One locked file; it is fetched before the build.
    pub fn locked(&mut self, file: &LockedFile) {
        self.line("locked", file.file_name(), &file.sha256.to_string());
        self.locked.insert(file.sha256, file.clone());
    }

    /// The lock.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// What was declared, a line each.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The files to fetch.
    pub fn locked_files(&self) -> &BTreeMap<Digest, LockedFile> {
        &self.locked
    }

    fn add_file(&mut self, full: &Path, name: &str) -> Result<(), InputError> {
        let read = |source| InputError::Read { path: full.to_owned(), source };
        let executable = fs::metadata(full).map_err(read)?.permissions().mode() & 0o111 != 0;
        let (sha256, _) = digest::of_file(full).map_err(read)?;
        self.line(if executable { "program" } else { "file" }, name, &sha256.to_string());
        Ok(())
    }

    /// The path as part of the key: never where the repository happens to be.
    fn key_path(&self, full: &Path) -> String {
        match full.strip_prefix(&self.repository) {
            Ok(relative) => relative.to_string_lossy().into_owned(),
            Err(_) => full.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    fn line(&mut self, kind: &str, name: &str, value: &str) {
        // Debug quoting keeps a value with a line break from looking like two inputs.
        self.lines.push(format!("{kind} {name:?} {value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(repository: &Path) -> Inputs {
        let none = BTreeMap::new;
        let lock = Lock::new("20260101T000000Z".into(), none(), BTreeMap::new(), BTreeMap::new());
        Inputs::new(repository, Arc::new(lock.unwrap()))
    }

    #[test]
    fn a_folder_counts_by_contents_and_not_by_place_or_build_output() {
        let lines = |place: &str| {
            let dir = tempfile::tempdir().unwrap();
            let crate_dir = dir.path().join(place).join("crate");
            fs::create_dir_all(crate_dir.join("src")).unwrap();
            fs::create_dir_all(crate_dir.join("target")).unwrap();
            fs::write(crate_dir.join("src/main.rs"), "fn main() {}").unwrap();
            fs::write(crate_dir.join("target/junk"), place).unwrap();
            let mut inputs = inputs(&dir.path().join(place));
            inputs.folder("crate").unwrap();
            inputs.lines().to_vec()
        };
        assert_eq!(lines("a"), lines("b"));
        assert_eq!(lines("a").len(), 1);
    }

    #[test]
    fn mode_and_contents_change_the_lines_and_a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let lines = || {
            let mut inputs = inputs(dir.path());
            inputs.file("run").unwrap();
            inputs.lines().to_vec()
        };
        fs::write(&path, "a").unwrap();
        let first = lines();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let second = lines();
        fs::write(&path, "b").unwrap();
        assert!(first != second && second != lines() && first != lines());
        let error = inputs(dir.path()).file("none").unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
    }
}
