// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store in the user's cache folder: downloads by SHA-256, artifacts by key.
//!
//! ```text
//! v1/objects/ab/abcd…           a downloaded file, verified
//! v1/objects/ab/abcd….part      one that is on its way
//! v1/artifacts/xen-0123…/       a finished artifact; complete only where the next is there too
//! v1/artifacts/xen-0123….json   its record
//! v1/tmp/xen-0123…/             one that is being built
//! v1/kept/                      what a recipe keeps from build to build to be faster
//! v1/locks/                     files that are locked while a download or a build runs
//! ```
//!
//! The version is in the path: a change of form takes the next number and never migrates.

mod sweep;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use appliance_model::Digest;
use serde::{Deserialize, Serialize};

/// The version of the store's form.
const FORM: &str = "v1";

/// An operation of the store that failed.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}{}", path.display(), full_text(source))]
pub struct StoreError {
    /// What was tried: `creating`.
    pub what: &'static str,
    /// With which file or folder.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// What to do about a full disk.
const FULL: &str = "the disk is full: free some space, or put the cache elsewhere with \
    XENITH_CACHE; then run the same command again";

fn full_text(error: &io::Error) -> String {
    if is_full(error) { format!(" ({FULL})") } else { String::new() }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What to do where a full disk is behind `error`: an I/O error anywhere in the chain of causes, or
/// what a program of the build said last. None where it is not, or where a text of the chain says
/// so already.
pub fn full_disk_hint(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let chain = || std::iter::successors(Some(error), |error| error.source());
    let full = |error: &(dyn std::error::Error + 'static)| {
        let text = error.to_string();
        error.downcast_ref::<io::Error>().is_some_and(is_full)
            || ["No space left on device", "Disk quota exceeded"].iter().any(|w| text.contains(w))
    };
    let said = chain().any(|error| error.to_string().contains(FULL));
    (!said && chain().any(full)).then_some(FULL)
}

/// Puts the operation and its subject to an I/O error.
pub(crate) fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError { what, path, source }
}

/// The store.
#[derive(Debug, Clone)]
pub struct Store {
    top: PathBuf,
}

/// What is known of a finished artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// The whole key.
    pub key: Digest,
    /// Sum of its files' sizes in bytes.
    pub bytes: u64,
    /// How long it took to build, in seconds.
    pub seconds: f64,
    /// What the key was made of, a line each.
    pub inputs: Vec<String>,
}

/// The exclusive right to write one object or artifact, until dropped.
#[derive(Debug)]
pub struct Claim {
    _file: File,
}

impl Store {
    /// The store of this user: `$XENITH_CACHE`, or `xenith` below `$XDG_CACHE_HOME` or `~/.cache`.
    ///
    /// # Errors
    /// No home folder is known, or the folder cannot be made.
    pub fn of_user() -> Result<Self, StoreError> {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let folder = var("XENITH_CACHE")
            .or_else(|| var("XDG_CACHE_HOME").map(|cache| cache.join("xenith")))
            .or_else(|| var("HOME").map(|home| home.join(".cache/xenith")));
        match folder {
            Some(folder) => Self::at(&folder),
            None => Err(StoreError {
                what: "finding",
                path: PathBuf::from("~/.cache/xenith"),
                source: io::Error::other("none of XENITH_CACHE, XDG_CACHE_HOME and HOME is set"),
            }),
        }
    }

    /// The store below `folder`, which is made where it is missing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn at(folder: &Path) -> Result<Self, StoreError> {
        let folder = std::path::absolute(folder).map_err(failed("finding", folder))?;
        let store = Self { top: folder.join(FORM) };
        for name in ["objects", "artifacts", "kept", "tmp", "locks"] {
            let path = store.top.join(name);
            fs::create_dir_all(&path).map_err(failed("creating", &path))?;
        }
        Ok(store)
    }

    /// The folder that all of it is in.
    pub fn folder(&self) -> &Path {
        &self.top
    }

    /// Where the object with this digest is, once fetched.
    pub fn object(&self, sha256: &Digest) -> PathBuf {
        let name = sha256.to_string();
        self.top.join("objects").join(&name[..2]).join(name)
    }

    /// Whether the object was fetched. It was verified then.
    pub fn has_object(&self, sha256: &Digest) -> bool {
        self.object(sha256).is_file()
    }

    /// Where the artifact of this name and key is, once built.
    pub fn artifact(&self, name: &str, key: &Digest) -> PathBuf {
        self.top.join("artifacts").join(folder_name(name, key))
    }

    /// The record of an artifact, where it is complete; asking counts as using it.
    pub fn record(&self, name: &str, key: &Digest) -> Option<Record> {
        let folder = self.artifact(name, key);
        let text = fs::read_to_string(record_path(&folder)).ok()?;
        let record: Record = serde_json::from_str(&text).ok()?;
        let complete = record.key == *key && folder.is_dir();
        if complete {
            self.note_use(&record_path(&folder));
        }
        complete.then_some(record)
    }

    /// A folder for building the artifact in; what an earlier build left there is removed. Hold
    /// the artifact's claim.
    ///
    /// # Errors
    /// It cannot be emptied or made.
    pub fn workspace(&self, name: &str, key: &Digest) -> Result<PathBuf, StoreError> {
        let folder = self.top.join("tmp").join(folder_name(name, key));
        remove_tree(&folder)?;
        fs::create_dir_all(&folder).map_err(failed("creating", &folder))?;
        Ok(folder)
    }

    /// A folder that outlives builds, such as a compiler's incremental state. Claim `name` while
    /// using it; what is in it must never decide what comes out.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn kept(&self, name: &str) -> Result<PathBuf, StoreError> {
        let folder = self.top.join("kept").join(name);
        fs::create_dir_all(&folder).map_err(failed("creating", &folder))?;
        Ok(folder)
    }

    /// Makes the folder `built` the artifact of this name and key, in one step.
    ///
    /// # Errors
    /// It cannot be moved there; then there is no artifact.
    pub fn commit(&self, name: &str, record: &Record, built: &Path) -> Result<PathBuf, StoreError> {
        let target = self.artifact(name, &record.key);
        let marker = record_path(&target);
        // An artifact without a record is left from a run that was killed right here.
        if marker.exists() {
            fs::remove_file(&marker).map_err(failed("removing", &marker))?;
        }
        remove_tree(&target)?;
        // After a power cut a record on the disk must mean files on the disk.
        let synced = File::open(built).and_then(|dir| Ok(rustix::fs::syncfs(&dir)?));
        synced.map_err(failed("writing to the disk", built))?;
        fs::rename(built, &target).map_err(failed("finishing", &target))?;
        let text = serde_json::to_string_pretty(record)
            .map_err(|e| failed("describing", &marker)(io::Error::other(e)))?;
        let fresh = marker.with_extension("json.new");
        fs::write(&fresh, text).map_err(failed("writing", &fresh))?;
        fs::rename(&fresh, &marker).map_err(failed("finishing", &marker))?;
        Ok(target)
    }

    /// Waits for the exclusive right to write `what` (an object's digest, an artifact's folder
    /// name); another build may hold it. `waiting` is called where that is so.
    ///
    /// # Errors
    /// The lock file cannot be made or locked.
    pub fn claim(&self, what: &str, waiting: impl FnOnce()) -> Result<Claim, StoreError> {
        let path = self.top.join("locks").join(what);
        let file = lock_file(&path)?;
        if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
            waiting();
            file.lock().map_err(failed("locking", &path))?;
        }
        Ok(Claim { _file: file })
    }

    /// As [`Store::claim`] for an artifact.
    ///
    /// # Errors
    /// As [`Store::claim`].
    pub fn claim_artifact(
        &self,
        name: &str,
        key: &Digest,
        waiting: impl FnOnce(),
    ) -> Result<Claim, StoreError> {
        self.claim(&folder_name(name, key), waiting)
    }

    /// Removes every artifact and what builds go on from, every download, or both.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn clean(&self, artifacts: bool, downloads: bool) -> Result<(), StoreError> {
        let tmp = self.top.join("tmp");
        let names = [("artifacts", artifacts), ("kept", artifacts), ("objects", downloads)];
        for (name, _) in names.iter().filter(|(_, wanted)| *wanted) {
            let path = self.top.join(name);
            // Out of sight in one step: half a tree beside its record would count as whole.
            let removed = tmp.join(format!("removed-{name}"));
            remove_tree(&removed)?;
            fs::rename(&path, &removed).map_err(failed("renaming", &path))?;
            fs::create_dir_all(&path).map_err(failed("creating", &path))?;
        }
        remove_tree(&tmp)?;
        fs::create_dir_all(&tmp).map_err(failed("creating", &tmp))
    }
}

fn lock_file(path: &Path) -> Result<File, StoreError> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    options.open(path).map_err(failed("opening the lock", path))
}

fn folder_name(name: &str, key: &Digest) -> String {
    format!("{name}-{}", &key.to_string()[..16])
}

fn record_path(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

/// Removes a tree, also where folders in it are not writable.
///
/// # Errors
/// Something cannot be removed.
pub fn remove_tree(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) => return Err(failed("removing", path)(error)),
    }
    for entry in walkdir::WalkDir::new(path).into_iter().filter_map(Result::ok) {
        if entry.file_type().is_dir() {
            use std::os::unix::fs::PermissionsExt;
            // The removal below reports what this could not open.
            let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700));
        }
    }
    fs::remove_dir_all(path).map_err(failed("removing", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Digest) -> Record {
        Record { key, bytes: 3, seconds: 0.5, inputs: vec!["name x".into()] }
    }

    #[test]
    fn an_artifact_is_there_only_with_its_record() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path()).unwrap();
        let key = crate::digest::of_bytes(b"key");
        let built = store.workspace("xen", &key).unwrap().join("out");
        fs::create_dir(&built).unwrap();
        fs::write(built.join("xen.gz"), "abc").unwrap();
        assert_eq!(store.record("xen", &key), None);
        let folder = store.commit("xen", &record(key), &built).unwrap();
        assert_eq!(store.record("xen", &key), Some(record(key)));

        // Killed between the two steps of a commit: not complete, and built again.
        fs::remove_file(record_path(&folder)).unwrap();
        assert_eq!(store.record("xen", &key), None);
        let built = store.workspace("xen", &key).unwrap().join("out");
        fs::create_dir(&built).unwrap();
        store.commit("xen", &record(key), &built).unwrap();
        assert!(!folder.join("xen.gz").exists());

        // A record that was cut off or is of another key does not count.
        fs::write(record_path(&folder), "{").unwrap();
        assert_eq!(store.record("xen", &key), None);
    }

    #[test]
    fn a_workspace_is_empty_even_after_a_killed_build_with_read_only_folders() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path()).unwrap();
        let key = crate::digest::of_bytes(b"key");
        let folder = store.workspace("a", &key).unwrap();
        fs::create_dir(folder.join("ro")).unwrap();
        fs::write(folder.join("ro/file"), "").unwrap();
        fs::set_permissions(folder.join("ro"), fs::Permissions::from_mode(0o500)).unwrap();
        let again = store.workspace("a", &key).unwrap();
        assert_eq!(fs::read_dir(again).unwrap().count(), 0);
    }

    #[test]
    fn cleaning_takes_what_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path()).unwrap();
        let key = crate::digest::of_bytes(b"key");
        let built = store.workspace("a", &key).unwrap().join("out");
        fs::create_dir(&built).unwrap();
        store.commit("a", &record(key), &built).unwrap();
        let object = store.folder().join("objects/0");
        fs::write(&object, "0").unwrap();
        store.clean(false, true).unwrap();
        assert!(!object.exists() && store.record("a", &key).is_some());
        store.clean(true, false).unwrap();
        assert_eq!(store.record("a", &key), None);
        assert!(!store.artifact("a", &key).exists());
        assert!(store.workspace("a", &key).unwrap().is_dir());
    }

    #[test]
    fn a_full_disk_says_what_to_do() {
        let error = failed("writing", Path::new("/x"))(io::ErrorKind::StorageFull.into());
        assert!(error.to_string().contains("XENITH_CACHE"), "{error}");
        assert_eq!(full_disk_hint(&error), None, "it says so itself");
        assert_eq!(full_disk_hint(&io::Error::from(io::ErrorKind::StorageFull)), Some(FULL));
        assert_eq!(full_disk_hint(&io::Error::from(io::ErrorKind::NotFound)), None);
    }
}
