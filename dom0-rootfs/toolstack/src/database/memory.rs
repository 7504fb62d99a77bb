// SPDX-License-Identifier: MIT OR Apache-2.0
//! A database that forgets, for tests.

use std::collections::BTreeMap;

use super::{Change, Contents, Database, DatabaseError, StoredDeletion, StoredObject};

/// Objects in memory.
#[derive(Debug, Default)]
pub struct MemoryDatabase {
    objects: BTreeMap<String, StoredObject>,
    notes: BTreeMap<String, String>,
    deletions: BTreeMap<(String, u64), StoredDeletion>,
}

impl Database for MemoryDatabase {
    fn load(&mut self) -> Result<Contents, DatabaseError> {
        let mut deletions: Vec<_> = self.deletions.values().cloned().collect();
        deletions.sort_by_key(|deletion| deletion.generation.unwrap_or(u64::MAX));
        Ok(Contents {
            objects: self.objects.values().cloned().collect(),
            notes: self.notes.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            deletions,
        })
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), DatabaseError> {
        for change in changes {
            match change.clone() {
                Change::Put(object) => {
                    self.objects.insert(object.reference.clone(), object);
                }
                Change::Delete { reference } => {
                    self.objects.remove(&reference);
                }
                Change::Note { key, value: Some(value) } => {
                    self.notes.insert(key, value);
                }
                Change::Note { key, value: None } => {
                    self.notes.remove(&key);
                }
                Change::Remember(deletion) => {
                    let key = (deletion.reference.clone(), deletion.created);
                    self.deletions.insert(key, deletion);
                }
                Change::Settle { generation } => {
                    let all = self.deletions.values_mut();
                    for deletion in all.filter(|deletion| deletion.created <= generation) {
                        deletion.generation.get_or_insert(generation);
                    }
                }
                Change::Forget { generation } => {
                    self.deletions.retain(|_, d| d.generation.is_none_or(|of| of > generation));
                }
            }
        }
        Ok(())
    }
}
