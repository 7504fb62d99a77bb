// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keeps the store from growing for ever.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Store, StoreError, failed, record_path, remove_tree};

/// How many artifacts of one recipe are kept in any case, those used last.
const KEPT: usize = 4;
/// Artifacts used more recently than this are kept too: another build may be reading them.
const RECENT: Duration = Duration::from_secs(2 * 60 * 60);

impl Store {
    /// Removes what killed builds left, and artifacts that were not used for long while newer
    /// ones of the same recipe were. What a running build has claimed stays.
    ///
    /// # Errors
    /// Something cannot be read or removed.
    pub fn sweep(&self) -> Result<(), StoreError> {
        let tmp = self.top.join("tmp");
        for folder in entries(&tmp)? {
            if let Some(_claim) = self.claim_now(&folder)? {
                remove_tree(&folder)?;
            }
        }
        for folder in self.unused(SystemTime::now())? {
            if let Some(_claim) = self.claim_now(&folder)? {
                // Without its record it does not count any more, however far the rest gets.
                let record = record_path(&folder);
                fs::remove_file(&record).map_err(failed("removing", &record))?;
                remove_tree(&folder)?;
            }
        }
        Ok(())
    }

    /// Notes that an artifact is used now.
    pub(super) fn note_use(&self, record: &Path) {
        // Where this fails, the artifact is at worst built again some day.
        if let Ok(file) = File::options().append(true).open(record) {
            let _ = file.set_modified(SystemTime::now());
        }
    }

    /// Complete artifacts that need not be kept.
    fn unused(&self, now: SystemTime) -> Result<Vec<PathBuf>, StoreError> {
        let mut by_recipe: BTreeMap<String, Vec<(SystemTime, PathBuf)>> = BTreeMap::new();
        for path in entries(&self.top.join("artifacts"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(folder) = name.strip_suffix(".json") else { continue };
            let Some((recipe, _key)) = folder.rsplit_once('-') else { continue };
            // One that goes away meanwhile is another sweep's.
            let Ok(used) = fs::metadata(&path).and_then(|meta| meta.modified()) else { continue };
            let artifact = path.with_file_name(folder);
            by_recipe.entry(recipe.to_owned()).or_default().push((used, artifact));
        }
        let mut unused = Vec::new();
        for mut artifacts in by_recipe.into_values() {
            artifacts.sort();
            artifacts.reverse();
            let old = |used: SystemTime| now.duration_since(used).is_ok_and(|age| age > RECENT);
            let rest = artifacts.into_iter().skip(KEPT);
            unused.extend(rest.filter(|(used, _)| old(*used)).map(|(_, path)| path));
        }
        Ok(unused)
    }

    /// The claim of a folder's name, where nobody else has it.
    fn claim_now(&self, folder: &Path) -> Result<Option<super::Claim>, StoreError> {
        let path = self.top.join("locks").join(folder.file_name().unwrap_or_default());
        let file = super::lock_file(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(super::Claim { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(failed("locking", &path)(error)),
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = fs::read_dir(folder).map_err(failed("reading", folder))?;
    let mut paths = Vec::new();
    for entry in read {
        paths.push(entry.map_err(failed("reading", folder))?.path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;

    #[test]
    fn only_old_artifacts_with_newer_ones_of_the_same_recipe_go() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path()).unwrap();
        let hour = Duration::from_secs(3600);
        let add = |name: &str, number: u8, hours: u32| {
            let key = crate::digest::of_bytes(&[number]);
            let built = store.workspace(name, &key).unwrap();
            let record = Record { key, bytes: 0, seconds: 0.0, inputs: Vec::new() };
            let folder = store.commit(name, &record, &built).unwrap();
            let file = File::options().append(true).open(record_path(&folder)).unwrap();
            file.set_modified(SystemTime::now() - hour * hours).unwrap();
            folder
        };
        let lonely = add("rootfs-ci", 0, 900);
        let folders: Vec<PathBuf> = (1..=7).map(|n| add("iso-ci", n, u32::from(n) - 1)).collect();
        // The fourth looks unused, but somebody builds from it at this moment.
        let held = store.claim_now(&folders[6]).unwrap().unwrap();
        let busy = dir.path().join("v1/tmp").join(folders[6].file_name().unwrap());
        let dead = dir.path().join("v1/tmp/xen-0123");
        fs::create_dir_all(&busy).unwrap();
        fs::create_dir_all(&dead).unwrap();
        store.sweep().unwrap();
        let there = |folder: &PathBuf| folder.is_dir() && record_path(folder).is_file();
        let left: Vec<bool> = folders.iter().map(there).collect();
        assert_eq!(left, [true, true, true, true, false, false, true]);
        assert!(there(&lonely) && busy.is_dir() && !dead.exists());
        drop(held);
        store.sweep().unwrap();
        assert!(!there(&folders[6]) && !busy.exists());
    }
}
