// SPDX-License-Identifier: MIT OR Apache-2.0
//! The workspace's sources as a build sees them: copied, so that nothing changes under the
//! compiler, and with modification times that mean something.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Hasher;
use crate::recipe::BoxError;
use appliance_model::Digest;
use walkdir::{DirEntry, WalkDir};

use super::workspace::Workspace;

/// Files of the root that cargo reads.
const ROOT_FILES: &[&str] = &["Cargo.toml", "Cargo.lock"];

/// The files of a workspace that cargo needs to compile some of its packages.
#[derive(Debug)]
pub(super) struct Sources {
    root: PathBuf,
    /// Relative paths, each with whether it decides the outcome. Manifests and target files of the
    /// other crates do not: cargo only wants them to be there.
    files: BTreeMap<PathBuf, bool>,
}

/// Lists the sources of `packages`.
pub(super) fn sources(workspace: &Workspace, packages: &[&str]) -> Result<Sources, BoxError> {
    let closure = workspace.closure(packages)?;
    let mut files: BTreeMap<PathBuf, bool> =
        ROOT_FILES.iter().map(|name| (PathBuf::from(name), true)).collect();
    for member in &workspace.members {
        let decides = closure.contains(&member);
        let folder = workspace.folder.join(&member.folder);
        // A crate's folder may have other crates in it; those speak for themselves.
        let nested = |entry: &DirEntry| {
            entry.depth() > 0
                && entry.file_type().is_dir()
                && entry.path().join("Cargo.toml").exists()
        };
        let walk = WalkDir::new(&folder)
            .into_iter()
            .filter_entry(|entry| !skipped(entry) && !nested(entry));
        for entry in walk {
            let entry = entry?;
            let path = entry.path();
            let rust = path.extension().is_some_and(|e| e == "rs") || path.ends_with("Cargo.toml");
            if entry.file_type().is_file() && (decides || rust) {
                let relative = path.strip_prefix(&workspace.folder)?.to_owned();
                files.insert(relative, decides);
            }
        }
    }
    Ok(Sources { root: workspace.folder.clone(), files })
}

/// Build output and what editors and git keep.
fn skipped(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    entry.depth() > 0 && (name.starts_with('.') || (entry.file_type().is_dir() && name == "target"))
}

impl Sources {
    /// The digest of every file that decides the outcome.
    pub(super) fn digest(&self) -> io::Result<Digest> {
        self.digest_of_copy(&self.root)
    }

    /// The same of a copy.
    pub(super) fn digest_of_copy(&self, folder: &Path) -> io::Result<Digest> {
        let mut hasher = Hasher::default();
        for path in self.files.iter().filter(|(_, decides)| **decides).map(|(path, _)| path) {
            hasher.field(path.as_os_str().as_encoded_bytes());
            hasher.field(&read(&folder.join(path))?);
        }
        Ok(hasher.finish())
    }

    /// Makes `folder` hold exactly these files. A file that is the same already is not touched, so
    /// that its modification time says when its contents changed.
    pub(super) fn copy_to(&self, folder: &Path) -> Result<(), BoxError> {
        fs::create_dir_all(folder)?;
        for entry in WalkDir::new(folder) {
            let entry = entry?;
            let relative = entry.path().strip_prefix(folder)?;
            if !entry.file_type().is_dir() && !self.files.contains_key(relative) {
                fs::remove_file(entry.path())?;
            }
        }
        for path in self.files.keys() {
            let wanted = read(&self.root.join(path))?;
            let to = folder.join(path);
            if fs::read(&to).is_ok_and(|there| there == wanted) {
                continue;
            }
            fs::create_dir_all(to.parent().unwrap_or(folder))?;
            fs::write(&to, wanted).map_err(|e| format!("writing {}: {e}", to.display()))?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|e| io::Error::new(e.kind(), format!("reading {}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "Cargo.toml", "[workspace]\nmembers = ['app', 'app/part', 'other']\n");
        write(root, "Cargo.lock", "");
        write(
            root,
            "app/Cargo.toml",
            "[package]\nname='app'\n[dependencies]\npart.workspace=true\n",
        );
        write(root, "app/src/main.rs", "fn main() {}");
        write(root, "app/src/shim.c", "");
        write(root, "app/target/junk", "junk");
        write(root, "app/part/Cargo.toml", "[package]\nname='part'\n");
        write(root, "app/part/src/lib.rs", "");
        write(root, "other/Cargo.toml", "[package]\nname='other'\n");
        write(root, "other/src/lib.rs", "");
        write(root, "other/picture.png", "");
        dir
    }

    fn of(root: &Path) -> Sources {
        sources(&Workspace::read(root).unwrap(), &["app"]).unwrap()
    }

    #[test]
    fn the_programs_crates_come_whole_and_the_others_as_far_as_cargo_asks() {
        let dir = repository();
        let sources = of(dir.path());
        let files: Vec<(&str, bool)> =
            sources.files.iter().map(|(p, d)| (p.to_str().unwrap(), *d)).collect();
        let expected = [
            ("Cargo.lock", true),
            ("Cargo.toml", true),
            ("app/Cargo.toml", true),
            ("app/part/Cargo.toml", true),
            ("app/part/src/lib.rs", true),
            ("app/src/main.rs", true),
            ("app/src/shim.c", true),
            ("other/Cargo.toml", false),
            ("other/src/lib.rs", false),
        ];
        assert_eq!(files, expected);
    }

    #[test]
    fn the_digest_follows_the_programs_crates_only_and_not_the_place() {
        let (one, two) = (repository(), repository());
        let before = of(one.path()).digest().unwrap();
        assert_eq!(before, of(two.path()).digest().unwrap());
        write(one.path(), "other/src/lib.rs", "// changed");
        assert_eq!(before, of(one.path()).digest().unwrap());
        write(one.path(), "app/src/shim.c", "int x;");
        assert_ne!(before, of(one.path()).digest().unwrap());
    }

    #[test]
    fn a_copy_keeps_times_of_equal_files_and_loses_files_that_are_gone() {
        let (dir, copy) = (repository(), tempfile::tempdir().unwrap());
        let time = |path: &str| fs::metadata(copy.path().join(path)).unwrap().modified().unwrap();
        of(dir.path()).copy_to(copy.path()).unwrap();
        let (main, shim) = (time("app/src/main.rs"), time("app/src/shim.c"));
        let old = std::time::SystemTime::UNIX_EPOCH;
        write(dir.path(), "app/src/shim.c", "int x;");
        // Older than the copy, as an unpacked archive would leave it.
        let file = fs::File::options().write(true).open(dir.path().join("app/src/shim.c")).unwrap();
        file.set_modified(old).unwrap();
        fs::remove_file(dir.path().join("app/part/src/lib.rs")).unwrap();
        let sources = of(dir.path());
        sources.copy_to(copy.path()).unwrap();
        assert_eq!(time("app/src/main.rs"), main);
        assert!(time("app/src/shim.c") > shim);
        assert!(!copy.path().join("app/part/src/lib.rs").exists());
        assert_eq!(sources.digest().unwrap(), sources.digest_of_copy(copy.path()).unwrap());
    }
}
