// SPDX-License-Identifier: MIT OR Apache-2.0
//! The root file system while it is put together: a folder of the build host.
//!
//! Existing files are never written into, only replaced, because a tree may share its files with
//! the artifact that it was made from.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::glob::Patterns;

/// Something in the tree cannot be changed.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}", path.display())]
pub(crate) struct TreeError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Makes a [`TreeError`] of an [`io::Error`].
pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TreeError {
    let path = path.to_owned();
    move |source| TreeError { doing, path, source }
}

/// A folder that becomes the root image. Paths are relative to it and name no link in a folder's
/// place: `usr/lib/…`, never `lib/…`.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The tree in an existing folder.
    pub(crate) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder on the build host.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path of the tree as one of the build host.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside)
    }

    /// Reads a text file.
    pub(crate) fn read(&self, inside: &str) -> Result<String, TreeError> {
        let path = self.path(inside);
        fs::read_to_string(&path).map_err(failed("reading", &path))
    }

    /// Removes what is there, a folder with all that is in it; nothing there is no error.
    pub(crate) fn remove(&self, inside: &str) -> Result<(), TreeError> {
        let path = self.path(inside);
        let result = match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        result.map_err(failed("removing", &path))
    }

    /// Writes a file in place of what is there; its folder is made.
    pub(crate) fn write(&self, inside: &str, content: &[u8], mode: u32) -> Result<(), TreeError> {
        let path = self.fresh(inside)?;
        fs::write(&path, content).map_err(failed("writing", &path))?;
        set_mode(&path, mode)
    }

    /// Makes a symbolic link in place of what is there; its folder is made.
    pub(crate) fn link(&self, inside: &str, target: &str) -> Result<(), TreeError> {
        let path = self.fresh(inside)?;
        symlink(target, &path).map_err(failed("linking", &path))
    }

    /// Makes a folder with this mode, and those above it.
    pub(crate) fn folder(&self, inside: &str, mode: u32) -> Result<(), TreeError> {
        let path = self.path(inside);
        fs::create_dir_all(&path).map_err(failed("making the folder", &path))?;
        set_mode(&path, mode)
    }

    fn fresh(&self, inside: &str) -> Result<PathBuf, TreeError> {
        self.remove(inside)?;
        let path = self.path(inside);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed("making the folder", folder))?;
        }
        Ok(path)
    }

    /// Lays the files and links of a folder of the build host over the tree; files get the mode
    /// 0755 or 0644, by whether they may be executed.
    pub(crate) fn lay_over(&self, folder: &Path) -> Result<(), TreeError> {
        for (inside, path) in entries(folder)? {
            let meta = fs::symlink_metadata(&path).map_err(failed("reading", &path))?;
            if meta.is_dir() {
                if !self.path(&inside).is_dir() {
                    self.folder(&inside, 0o755)?;
                }
            } else if meta.is_symlink() {
                let target = fs::read_link(&path).map_err(failed("reading", &path))?;
                self.link(&inside, &target.to_string_lossy())?;
            } else {
                let to = self.fresh(&inside)?;
                fs::copy(&path, &to).map_err(failed("copying", &path))?;
                let executable = meta.permissions().mode() & 0o100 != 0;
                set_mode(&to, if executable { 0o755 } else { 0o644 })?;
            }
        }
        Ok(())
    }

    /// Makes this empty tree one of the same files as `other`, without copying their bytes.
    pub(crate) fn share(&self, other: &Path) -> Result<(), TreeError> {
        for (inside, path) in entries(other)? {
            let meta = fs::symlink_metadata(&path).map_err(failed("reading", &path))?;
            if meta.is_dir() {
                self.folder(&inside, meta.permissions().mode() & 0o7777 | 0o700)?;
            } else if meta.is_symlink() {
                let target = fs::read_link(&path).map_err(failed("reading", &path))?;
                self.link(&inside, &target.to_string_lossy())?;
            } else {
                let to = self.path(&inside);
                fs::hard_link(&path, &to).map_err(failed("linking", &to))?;
            }
        }
        Ok(())
    }

    /// Files and links below a folder, relative to it; none if it is not there.
    pub(crate) fn files(&self, inside: &str) -> Result<Vec<String>, TreeError> {
        let folder = self.path(inside);
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let all = entries(&folder)?.into_iter();
        Ok(all
            .filter(|(_, path)| path.is_symlink() || !path.is_dir())
            .map(|(file, _)| file)
            .collect())
    }

    /// Removes every file, link and folder whose path matches, with all below it; of that, what
    /// matches `kept` stays, in its folders.
    pub(crate) fn trim(&self, patterns: &Patterns, kept: &Patterns) -> Result<(), TreeError> {
        let mut top: Option<String> = None;
        let mut folders = Vec::new();
        for (inside, path) in entries(&self.root)? {
            let below = |folder: &String| {
                inside.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
            };
            if !top.as_ref().is_some_and(below) {
                if !patterns.matches(&inside) {
                    continue;
                }
                top = Some(inside.clone());
            }
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if !kept.matches(&inside) {
                fs::remove_file(&path).map_err(failed("removing", &path))?;
            }
        }
        for path in folders.into_iter().rev() {
            match fs::remove_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                    return Err(failed("removing", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes modes independent of who unpacks: no set-id bits on files, everything readable by
    /// its owner.
    pub(crate) fn settle_modes(&self) -> Result<(), TreeError> {
        for (_, path) in entries(&self.root)? {
            let meta = fs::symlink_metadata(&path).map_err(failed("reading", &path))?;
            let mode = meta.permissions().mode() & 0o7777;
            let settled = match () {
                () if meta.is_symlink() => continue,
                () if meta.is_dir() => mode & 0o1777 | 0o700,
                () => mode & 0o777 | 0o400,
            };
            if settled != mode {
                set_mode(&path, settled)?;
            }
        }
        Ok(())
    }
}

/// Everything below a folder, folders before what is in them, by name.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, TreeError> {
    let mut found = Vec::new();
    for entry in WalkDir::new(folder).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_owned();
            TreeError { doing: "reading", path, source: error.into() }
        })?;
        let inside = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        found.push((inside.to_string_lossy().into_owned(), entry.path().to_owned()));
    }
    Ok(found)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), TreeError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(failed("setting the mode of", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn trim_takes_folders_whole_and_nothing_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::at(dir.path());
        for file in ["usr/share/doc/a/b", "usr/share/doc-base/c", "usr/share/documents/d", "e"] {
            tree.write(file, b"", 0o644).unwrap();
        }
        let patterns = Patterns::new(["usr/share/doc{,-base}", "none"]);
        tree.trim(&patterns, &Patterns::default()).unwrap();
        let left: Vec<_> = entries(dir.path()).unwrap().into_iter().map(|(p, _)| p).collect();
        assert_eq!(left, ["e", "usr", "usr/share", "usr/share/documents", "usr/share/documents/d"]);
    }

    #[test]
    fn trim_leaves_what_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::at(dir.path());
        for file in ["doc/a/copyright", "doc/a/changelog", "doc/b/examples/x", "doc/c"] {
            tree.write(file, b"", 0o644).unwrap();
        }
        tree.link("doc/d", "a").unwrap();
        tree.trim(&Patterns::new(["doc"]), &Patterns::new(["doc/*/copyright", "doc/d"])).unwrap();
        let left: Vec<_> = entries(dir.path()).unwrap().into_iter().map(|(p, _)| p).collect();
        assert_eq!(left, ["doc", "doc/a", "doc/a/copyright", "doc/d"]);
    }

    #[test]
    fn a_shared_tree_can_be_changed_without_changing_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (Tree::at(dir.path().join("1")), Tree::at(dir.path().join("2")));
        one.write("etc/a", b"old", 0o600).unwrap();
        one.link("etc/l", "a").unwrap();
        fs::create_dir(two.root()).unwrap();
        two.share(one.root()).unwrap();
        two.write("etc/a", b"new", 0o644).unwrap();
        assert_eq!(one.read("etc/a").unwrap(), "old");
        assert_eq!(two.read("etc/l").unwrap(), "new");
        assert_eq!((mode(&one.path("etc/a")), mode(&two.path("etc/a"))), (0o600, 0o644));
    }

    #[test]
    fn an_overlay_replaces_links_and_keeps_only_the_executable_bit() {
        let dir = tempfile::tempdir().unwrap();
        let (over, tree) = (Tree::at(dir.path().join("o")), Tree::at(dir.path().join("t")));
        tree.write("target", b"kept", 0o644).unwrap();
        tree.link("etc/f", "../target").unwrap();
        over.write("etc/f", b"over", 0o600).unwrap();
        over.write("usr/bin/p", b"", 0o700).unwrap();
        tree.lay_over(over.root()).unwrap();
        assert_eq!(tree.read("target").unwrap(), "kept");
        assert_eq!(tree.read("etc/f").unwrap(), "over");
        assert_eq!((mode(&tree.path("etc/f")), mode(&tree.path("usr/bin/p"))), (0o644, 0o755));
    }

    #[test]
    fn set_id_bits_go_and_sticky_folders_stay() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::at(dir.path());
        tree.write("su", b"", 0o4755).unwrap();
        tree.write("closed", b"", 0o000).unwrap();
        tree.folder("tmp", 0o1777).unwrap();
        tree.settle_modes().unwrap();
        let modes = ["su", "closed", "tmp"].map(|p| mode(&tree.path(p)));
        assert_eq!(modes, [0o755, 0o400, 0o1777]);
    }
}
