// SPDX-License-Identifier: MIT OR Apache-2.0
//! A database that forgets, for tests.

use std::collections::BTreeMap;

use super::{Change, Contents, Database, DatabaseError, StoredObject};

/// Objects in memory.
#[derive(Debug, Default)]
pub struct MemoryDatabase {
    objects: BTreeMap<String, StoredObject>,
    notes: BTreeMap<String, String>,
}

impl Database for MemoryDatabase {
    fn load(&mut self) -> Result<Contents, DatabaseError> {
        Ok(Contents {
            objects: self.objects.values().cloned().collect(),
            notes: self.notes.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
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
            }
        }
        Ok(())
    }
}
