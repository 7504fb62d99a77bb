// SPDX-License-Identifier: MIT OR Apache-2.0
//! An object in memory.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, LazyLock};

use xapi_model::{Class, Field, Record, Ref, Value, classes, decode_fields, encode_fields};

use crate::database::{DatabaseError, StoredObject};

/// Fields that say what is under way now; they begin empty at each start.
const MOMENTARY: [&str; 2] = ["allowed_operations", "current_operations"];

/// Classes with fields that change without a word to the database (`Transaction::set_live`).
const LIVE: [&str; 5] = ["Bond", "PBD", "PIF_metrics", "VM_guest_metrics", "host_metrics"];

/// Whether the database keeps a field.
fn is_kept(field: &Field) -> bool {
    field.mirrors.is_none() && !MOMENTARY.contains(&field.name)
}

/// Whether objects of a class may differ after a start from what clients saw before, though the
/// database knows of no change.
pub(super) fn begins_anew(class: &Class) -> bool {
    static ANEW: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        let follows = |class: &&&Class| !class.fields.iter().all(is_kept);
        let following = classes::ALL.iter().filter(follows).map(|class| class.name);
        following.chain(LIVE).collect()
    });
    ANEW.contains(class.name)
}

/// An object, or a part of it, out of the database: its class, reference and fields by their index.
pub(super) type Loaded = (&'static Class, Ref, Vec<(usize, Value)>);

/// An object: its class and its fields.
#[derive(Debug, Clone)]
pub struct Object {
    class: &'static Class,
    reference: Ref,
    /// Shared with records that were given out, and with a transaction that changes it.
    values: Arc<[Value]>,
    pub(super) created: u64,
    pub(super) modified: u64,
}

impl Object {
    /// A new object with the class's defaults.
    pub(super) fn new(class: &'static Class, reference: Ref) -> Object {
        let values = class.fields.iter().map(|field| field.initial()).collect();
        Object { class, reference, values, created: 0, modified: 0 }
    }

    /// Its class.
    pub fn class(&self) -> &'static Class {
        self.class
    }

    /// Its reference.
    pub fn reference(&self) -> &Ref {
        &self.reference
    }

    /// The value of a field.
    ///
    /// # Panics
    /// If the class has no such field: names are written in the program, not given by clients.
    pub fn get(&self, field: &str) -> &Value {
        &self.values[self.index(field)]
    }

    pub(super) fn at(&self, index: usize) -> &Value {
        &self.values[index]
    }

    pub(super) fn index(&self, field: &str) -> usize {
        match self.class.field(field) {
            Some((index, _)) => index,
            None => panic!("class {} has no field {field}", self.class.name),
        }
    }

    /// Sets a field and returns what it was.
    pub(super) fn put(&mut self, index: usize, value: Value) -> Value {
        std::mem::replace(&mut Arc::make_mut(&mut self.values)[index], value)
    }

    /// The text of a string or enum field.
    pub fn text(&self, field: &str) -> &str {
        self.get(field).as_str().unwrap_or_default()
    }

    /// An integer field.
    pub fn int(&self, field: &str) -> i64 {
        self.get(field).as_int().unwrap_or_default()
    }

    /// A boolean field.
    pub fn bool(&self, field: &str) -> bool {
        self.get(field).as_bool().unwrap_or_default()
    }

    /// A reference field.
    pub fn to(&self, field: &str) -> Ref {
        self.get(field).as_ref().cloned().unwrap_or_else(Ref::null)
    }

    /// A set of references.
    pub fn refs(&self, field: &str) -> Vec<Ref> {
        let items = self.get(field).as_set().unwrap_or_default();
        items.iter().filter_map(Value::as_ref).cloned().collect()
    }

    /// A map field.
    pub fn map(&self, field: &str) -> &BTreeMap<String, Value> {
        static EMPTY: BTreeMap<String, Value> = BTreeMap::new();
        self.get(field).as_map().unwrap_or(&EMPTY)
    }

    /// The text of a key of a map field.
    pub fn entry(&self, field: &str, key: &str) -> Option<&str> {
        self.map(field).get(key).and_then(Value::as_str)
    }

    /// Number of the transaction that made it.
    pub fn created_at(&self) -> u64 {
        self.created
    }

    /// Number of the last transaction that changed it.
    pub fn modified_at(&self) -> u64 {
        self.modified
    }

    /// Its uuid.
    pub fn uuid(&self) -> &str {
        self.text("uuid")
    }

    /// All fields.
    pub fn record(&self) -> Record {
        Record::new(self.class, self.values.clone())
    }

    /// As the database keeps it: without what follows from other objects or from the moment.
    /// `generation` is the number of the transaction that changes it now, or makes it.
    pub(super) fn stored(&self, generation: u64, made: bool) -> StoredObject {
        let created = if made { generation } else { self.created };
        StoredObject { created, modified: generation, ..self.encode(|_| true) }
    }

    /// The same with some of the fields only, by their index; none if there are none.
    pub(super) fn stored_where(&self, wanted: impl Fn(usize) -> bool) -> Option<StoredObject> {
        let mut fields = self.class.fields.iter().enumerate();
        let any = fields.any(|(index, field)| is_kept(field) && wanted(index));
        any.then(|| self.encode(wanted))
    }

    fn encode(&self, wanted: impl Fn(usize) -> bool) -> StoredObject {
        let fields = self.class.fields.iter().zip(self.values.iter()).enumerate();
        let kept = fields.filter(|(index, (field, _))| is_kept(field) && wanted(*index));
        StoredObject {
            reference: self.reference.to_string(),
            class: self.class.name.to_owned(),
            body: encode_fields(kept.map(|(_, (field, value))| (field.name, value))),
            created: self.created,
            modified: self.modified,
        }
    }

    /// The reverse of [`Object::stored`]. A field that the class has no longer is dropped, one
    /// that it has anew gets its default. That is a change by the transaction `now`, and so is what is not
    /// kept and may differ.
    pub(super) fn load(stored: &StoredObject, now: u64) -> Result<Object, DatabaseError> {
        let (class, reference, fields) = Object::load_fields(stored)?;
        let kept = class.fields.iter().filter(|field| is_kept(field)).count();
        let new = fields.len() != kept || begins_anew(class);
        let mut values: Vec<Option<Value>> = vec![None; class.fields.len()];
        for (index, value) in fields {
            values[index] = Some(value);
        }
        let values = values.into_iter().zip(class.fields);
        let values =
            values.map(|(value, field)| value.unwrap_or_else(|| field.initial())).collect();
        // Those of an earlier version have no numbers; nought is for one that is being made.
        let created = stored.created.max(1);
        let modified = if new { now } else { stored.modified.max(1) };
        Ok(Object { class, reference, values, created, modified })
    }

    /// Class, reference and fields of an object as the database keeps it, or as a part of it is kept.
    pub(super) fn load_fields(stored: &StoredObject) -> Result<Loaded, DatabaseError> {
        let corrupt = |problem: String| DatabaseError::Corrupt {
            what: format!("{} {}", stored.class, stored.reference),
            problem,
        };
        let class =
            classes::find(&stored.class).ok_or_else(|| corrupt("an unknown class".into()))?;
        let fields = decode_fields(class, &stored.body).map_err(|e| corrupt(e.to_string()))?;
        Ok((class, Ref::new(&stored.reference), fields))
    }
}
