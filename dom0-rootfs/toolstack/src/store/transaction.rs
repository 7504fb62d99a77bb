// SPDX-License-Identifier: MIT OR Apache-2.0
//! A change under way.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;
use xapi_model::{ApiError, Class, Ref, Value, classes};

use super::object::begins_anew;
use super::{
    Deleted, HORIZON, MORE_DELETIONS, Object, Objects, REMEMBERED_DELETIONS, mirror, note,
};
use crate::database::{Change, StoredDeletion};

/// A change under way. Sees its own changes; nobody else does yet.
pub struct Transaction<'a> {
    objects: &'a mut Objects,
    /// What each touched object was before.
    before: BTreeMap<Ref, Option<Object>>,
    /// Touched objects whose change must reach the database.
    durable: BTreeSet<Ref>,
    notes: BTreeMap<String, Option<String>>,
    /// All objects have just been read. What follows from them is worked out, which is not a change of
    /// theirs, and nothing is there to go back to.
    rebuilt: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(objects: &'a mut Objects) -> Self {
        let (before, durable, notes) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { objects, before, durable, notes, rebuilt: false }
    }

    /// The objects as they are with the changes so far.
    pub fn objects(&self) -> &Objects {
        self.objects
    }

    /// The object of this class, or `HANDLE_INVALID`.
    pub fn get(&self, class: &str, reference: &Ref) -> Result<&Object, ApiError> {
        self.objects.get(class, reference)
    }

    /// Whether all objects have just been read, so that all that follows from any has to be worked out.
    pub fn is_rebuilt(&self) -> bool {
        self.rebuilt
    }

    /// Touched objects.
    pub fn touched(&self) -> Vec<Ref> {
        self.before.keys().cloned().collect()
    }

    /// What a touched object was before; none if it is new or was not touched.
    pub fn before(&self, reference: &Ref) -> Option<&Object> {
        self.before.get(reference).and_then(Option::as_ref)
    }

    /// Makes an object with a new reference, a new uuid unless one is given, and these fields.
    pub fn create(&mut self, class: &'static Class, fields: Vec<(&str, Value)>) -> Ref {
        let reference = Ref::new(&format!("OpaqueRef:{}", Uuid::new_v4()));
        self.bring_back(class, &reference, &fields);
        for (name, value) in fields.into_iter().filter(|(name, _)| *name != "uuid") {
            self.set(&reference, name, value);
        }
        reference
    }

    /// Makes an object with a reference that none has, and of these fields its uuid alone, or a new one.
    pub(super) fn bring_back(
        &mut self,
        class: &'static Class,
        reference: &Ref,
        fields: &[(&str, Value)],
    ) {
        let given = fields.iter().find(|(name, _)| *name == "uuid");
        let new = || Value::String(Uuid::new_v4().to_string());
        let mut object = Object::new(class, reference.clone());
        object.put(object.index("uuid"), given.map_or_else(new, |(_, uuid)| uuid.clone()));
        self.before.entry(reference.clone()).or_insert(None);
        self.durable.insert(reference.clone());
        self.objects.insert(object);
    }

    /// Sets a field. An object that does not exist is left alone: the caller has looked.
    pub fn set(&mut self, reference: &Ref, field: &str, value: impl Into<Value>) {
        if self.assign(reference, field, value.into()) {
            self.durable.insert(reference.clone());
        }
    }

    /// Sets a field whose loss in a crash does no harm: nothing is written to disk for it.
    pub fn set_live(&mut self, reference: &Ref, field: &str, value: impl Into<Value>) {
        let object = self.objects.find(reference);
        debug_assert!(
            object.is_none_or(|o| !o.class().stored || begins_anew(o.class())),
            "{field}"
        );
        self.assign(reference, field, value.into());
    }

    /// Adds to or replaces an entry of a map field.
    pub fn set_entry(&mut self, reference: &Ref, field: &str, key: &str, value: Option<Value>) {
        let Some(object) = self.objects.find(reference) else { return };
        let mut map = object.map(field).clone();
        match value {
            Some(value) => map.insert(key.to_owned(), value),
            None => map.remove(key),
        };
        self.set(reference, field, Value::Map(map));
    }

    /// Makes an event for an object that does not change.
    pub fn touch(&mut self, reference: &Ref) {
        self.remember(reference);
    }

    /// Removes an object.
    pub fn remove(&mut self, reference: &Ref) {
        self.remember(reference);
        let Some(object) = self.objects.take(reference) else { return };
        for (index, _) in object.class().fields.iter().enumerate() {
            self.unmirror(&object, index);
        }
        self.durable.insert(reference.clone());
    }

    /// Sets or removes a note of the daemon itself.
    pub fn set_note(&mut self, key: &str, value: Option<String>) {
        self.notes.insert(key.to_owned(), value);
    }

    /// The notes that were set, as they were before.
    pub(super) fn notes_before(&self) -> Vec<(String, Option<String>)> {
        let was = |key: &String| self.objects.note(key).map(str::to_owned);
        self.notes.keys().map(|key| (key.clone(), was(key))).collect()
    }

    fn remember(&mut self, reference: &Ref) {
        if !self.rebuilt && !self.before.contains_key(reference) {
            self.before.insert(reference.clone(), self.objects.find(reference).cloned());
        }
    }

    fn assign(&mut self, reference: &Ref, field: &str, value: Value) -> bool {
        let Some(object) = self.objects.find(reference) else { return false };
        let (class, index) = (object.class().name, object.index(field));
        if *object.at(index) == value {
            return false;
        }
        let target = value.as_ref().cloned();
        self.remember(reference);
        let Some(object) = self.objects.objects.get_mut(reference) else { return false };
        let before = object.put(index, value);
        if let Value::Ref(before) = before {
            self.in_mirror(class, index, &before, |set| {
                set.retain(|r| r.as_ref() != Some(reference))
            });
        }
        if let Some(target) = target {
            self.in_mirror(class, index, &target, |set| {
                if !set.iter().any(|item| item.as_ref() == Some(reference)) {
                    set.push(reference.into());
                }
            });
        }
        true
    }

    fn unmirror(&mut self, object: &Object, index: usize) {
        let Value::Ref(target) = object.at(index) else { return };
        let reference = object.reference();
        self.in_mirror(object.class().name, index, target, |set| {
            set.retain(|item| item.as_ref() != Some(reference));
        });
    }

    /// Changes the set that mirrors field `index` of `class` in the object that the field refers to.
    fn in_mirror(
        &mut self,
        class: &'static str,
        index: usize,
        target: &Ref,
        change: impl FnOnce(&mut Vec<Value>),
    ) {
        let Some((class, mirror)) = mirror::of(class, index) else { return };
        if self.objects.get(class, target).is_err() {
            return;
        }
        self.remember(target);
        if let Some(target) = self.objects.objects.get_mut(target) {
            let mut set = target.put(mirror, Value::Void).into_set();
            change(&mut set);
            target.put(mirror, Value::Set(set));
        }
    }

    /// Works out every mirror of objects that have just been read; what derives from them comes next.
    pub(super) fn rebuild(&mut self) {
        self.rebuilt = true;
        let mut mirrors: HashMap<(Ref, usize), Vec<Value>> = HashMap::new();
        for class in classes::ALL {
            let mirrored: Vec<_> = (0..class.fields.len())
                .filter_map(|index| Some((index, mirror::of(class.name, index)?)))
                .collect();
            for object in self.objects.all(class.name) {
                for (index, (class, mirror)) in &mirrored {
                    let Value::Ref(target) = object.at(*index) else { continue };
                    if self.objects.get(class, target).is_ok() {
                        let set = mirrors.entry((target.clone(), *mirror)).or_default();
                        set.push(object.reference().into());
                    }
                }
            }
        }
        for ((target, mirror), set) in mirrors {
            if let Some(target) = self.objects.objects.get_mut(&target) {
                target.put(mirror, Value::Set(set));
            }
        }
    }

    /// The number that it gets.
    pub(super) fn number(&self) -> u64 {
        self.objects.generation + u64::from(self.rebuilt || !self.before.is_empty())
    }

    /// What must reach the database.
    pub(super) fn changes(&self) -> Vec<Change> {
        let (mut changes, number) = (Vec::new(), self.number());
        for reference in &self.durable {
            let before = self.before.get(reference).and_then(Option::as_ref);
            match (self.objects.find(reference), before) {
                (Some(now), _) if now.class().stored => {
                    changes.push(Change::Put(now.stored(number, before.is_none())));
                }
                // One that ends with the daemon is told of as gone after the next start.
                (Some(now), None) if now.class().events => {
                    let gone = Deleted { created: number, ..Deleted::of(now, number) };
                    let gone = StoredDeletion { generation: None, ..gone.stored() };
                    changes.push(Change::Remember(gone));
                }
                (None, Some(before)) => {
                    if before.class().stored {
                        changes.push(Change::Delete { reference: reference.to_string() });
                    }
                    changes.push(Change::Remember(Deleted::of(before, number).stored()));
                }
                _ => {}
            }
        }
        changes.extend(
            self.notes
                .iter()
                .map(|(key, value)| Change::Note { key: key.clone(), value: value.clone() }),
        );
        changes
    }

    /// What the database need not remember any more.
    pub(super) fn forgotten(&self) -> Vec<Change> {
        match self.horizon() {
            horizon if horizon == self.objects.horizon => Vec::new(),
            horizon => {
                vec![Change::Forget { generation: horizon }, note(HORIZON, horizon.to_string())]
            }
        }
    }

    /// Deletions up to this number are forgotten then.
    fn horizon(&self) -> u64 {
        let gone = |(reference, before): &(&Ref, &Option<Object>)| {
            before.is_some() && self.objects.find(reference).is_none()
        };
        let deleted = &self.objects.deleted;
        let count = deleted.len() + self.before.iter().filter(gone).count();
        if count <= REMEMBERED_DELETIONS + MORE_DELETIONS {
            return self.objects.horizon;
        }
        let newest = deleted.get(count - REMEMBERED_DELETIONS - 1);
        newest.map_or(self.number(), |gone| gone.generation)
    }

    /// Gives the changed objects the transaction's number and returns it.
    pub(super) fn publish(self) -> u64 {
        let (generation, horizon) = (self.number(), self.horizon());
        for (key, value) in self.notes {
            match value {
                Some(value) => self.objects.notes.insert(key, value),
                None => self.objects.notes.remove(&key),
            };
        }
        self.objects.generation = generation;
        for (reference, before) in self.before {
            let there = self.objects.stamp(&reference, generation, before.is_none());
            if let (false, Some(object)) = (there, before) {
                self.objects.deleted.push_back(Deleted::of(&object, generation));
            }
        }
        if horizon > self.objects.horizon {
            self.objects.horizon = horizon;
            let remembered = self.objects.deleted.iter();
            let forgotten = remembered.take_while(|gone| gone.generation <= horizon).count();
            self.objects.deleted.drain(..forgotten);
        }
        generation
    }

    /// Puts everything back.
    pub(super) fn roll_back(self) {
        for (reference, before) in self.before {
            self.objects.take(&reference);
            if let Some(object) = before {
                self.objects.insert(object);
            }
        }
    }
}
