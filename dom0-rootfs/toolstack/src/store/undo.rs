// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking a change back after others have seen it: field by field, so that what they changed since stays.

use serde::{Deserialize, Serialize};
use xapi_model::Ref;

use super::{Object, Transaction};
use crate::database::{DatabaseError, StoredObject};

/// What takes a change back, as text that a note can keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// Objects that were made.
    made: Vec<String>,
    /// Of each other object what was changed, or all of one that is gone.
    was: Vec<Was>,
    /// Notes as they were.
    notes: Vec<(String, Option<String>)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Was {
    reference: String,
    class: String,
    body: String,
}

impl Transaction<'_> {
    /// What takes the changes so far back.
    pub fn undo(&self) -> Undo {
        let (mut made, mut was) = (Vec::new(), Vec::new());
        for reference in self.touched() {
            let Some(before) = self.before(&reference) else {
                made.push(reference.to_string());
                continue;
            };
            let now = self.objects().find(&reference);
            let stored = before
                .stored_where(|index| now.is_none_or(|now| now.at(index) != before.at(index)));
            if let Some(StoredObject { reference, class, body, .. }) = stored {
                was.push(Was { reference, class, body });
            }
        }
        Undo { made, was, notes: self.notes_before() }
    }

    /// Takes a change back that this says how to. Objects that are gone since stay so.
    ///
    /// # Errors
    /// It says something else than what [`Transaction::undo`] gives.
    pub fn take_back(&mut self, undo: &Undo) -> Result<(), DatabaseError> {
        let mut was = Vec::new();
        for Was { reference, class, body } in &undo.was {
            let (reference, class, body) = (reference.clone(), class.clone(), body.clone());
            let (created, modified) = (0, 0);
            let part = StoredObject { reference, class, body, created, modified };
            let (class, reference, fields) = Object::load_fields(&part)?;
            let named = fields.into_iter().map(|(index, value)| (class.fields[index].name, value));
            was.push((class, reference, named.collect::<Vec<_>>()));
        }
        for reference in &undo.made {
            self.remove(&Ref::new(reference));
        }
        // They may refer to each other.
        for (class, reference, fields) in &was {
            if fields.iter().any(|(name, _)| *name == "uuid")
                && self.objects().find(reference).is_none()
            {
                self.bring_back(class, reference, fields);
            }
        }
        for (_, reference, fields) in was {
            for (name, value) in fields {
                self.set(&reference, name, value);
            }
        }
        for (key, value) in &undo.notes {
            self.set_note(key, value.clone());
        }
        Ok(())
    }
}
