// SPDX-License-Identifier: MIT OR Apache-2.0
//! All objects in memory, written through to the database, with a feed of changes.
//!
//! Every change is a transaction: either all of it is in memory and on disk, or none. Readers never
//! see half of one. Each transaction has a number, greater than all before it, also across
//! restarts; events are told apart by it.

mod mirror;
mod object;
mod transaction;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError, RwLock};

use tokio::sync::watch;
use xapi_model::{ApiError, Class, DateTime, Ref, errors};

use crate::database::{Database, DatabaseError};

pub use object::Object;
pub use transaction::Transaction;

/// How many deletions are remembered for those who ask what changed.
const REMEMBERED_DELETIONS: usize = 5000;

/// A deletion that is remembered.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// Number of the transaction.
    pub generation: u64,
    /// The object as it was at last.
    pub object: Object,
}

/// Every object.
#[derive(Debug, Default)]
pub struct Objects {
    objects: HashMap<Ref, Object>,
    by_class: BTreeMap<&'static str, BTreeSet<Ref>>,
    by_uuid: HashMap<(&'static str, String), Ref>,
    by_generation: BTreeSet<(u64, Ref)>,
    deleted: VecDeque<Deleted>,
    notes: BTreeMap<String, String>,
    generation: u64,
    horizon: u64,
}

impl Objects {
    /// The object, whatever its class.
    pub fn find(&self, reference: &Ref) -> Option<&Object> {
        self.objects.get(reference)
    }

    /// The object of this class, or `HANDLE_INVALID`.
    pub fn get(&self, class: &str, reference: &Ref) -> Result<&Object, ApiError> {
        match self.objects.get(reference) {
            Some(object) if object.class().name == class => Ok(object),
            _ => Err(errors::HANDLE_INVALID.with([class, reference.as_str()])),
        }
    }

    /// All objects of a class.
    pub fn all(&self, class: &str) -> impl Iterator<Item = &Object> {
        let references = self.by_class.get(class).into_iter().flatten();
        references.filter_map(|reference| self.objects.get(reference))
    }

    /// The object of this class with this uuid.
    pub fn by_uuid(&self, class: &'static str, uuid: &str) -> Option<&Object> {
        self.by_uuid.get(&(class, uuid.to_owned())).and_then(|r| self.objects.get(r))
    }

    /// Number of the newest transaction.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What happened before this transaction is not known any more.
    pub fn horizon(&self) -> u64 {
        self.horizon
    }

    /// Objects changed after a transaction, oldest change first.
    pub fn changed_since(&self, generation: u64) -> impl Iterator<Item = &Object> {
        let range = self.by_generation.range((generation + 1, Ref::new("A"))..);
        range.filter_map(|(_, reference)| self.objects.get(reference))
    }

    /// Deletions after a transaction.
    pub fn deleted_since(&self, generation: u64) -> impl Iterator<Item = &Deleted> {
        self.deleted.iter().filter(move |deleted| deleted.generation > generation)
    }

    /// A note of the daemon itself.
    pub fn note(&self, key: &str) -> Option<&str> {
        self.notes.get(key).map(String::as_str)
    }

    fn insert(&mut self, object: Object) {
        let reference = object.reference().clone();
        let class = object.class().name;
        self.by_class.entry(class).or_default().insert(reference.clone());
        self.by_generation.insert((object.modified, reference.clone()));
        self.by_uuid.insert((class, object.uuid().to_owned()), reference.clone());
        self.objects.insert(reference, object);
    }

    fn take(&mut self, reference: &Ref) -> Option<Object> {
        let object = self.objects.remove(reference)?;
        let class = object.class().name;
        if let Some(references) = self.by_class.get_mut(class) {
            references.remove(reference);
        }
        self.by_generation.remove(&(object.modified, reference.clone()));
        self.by_uuid.remove(&(class, object.uuid().to_owned()));
        Some(object)
    }
}

/// What to work out anew whenever objects have changed, before the change is seen.
pub type Derive = fn(&mut Transaction<'_>);

/// The store.
pub struct Store {
    objects: RwLock<Objects>,
    database: Mutex<Box<dyn Database>>,
    derive: Derive,
    news: watch::Sender<u64>,
}

impl Store {
    /// Reads everything out of the database.
    pub fn open(mut database: Box<dyn Database>, derive: Derive) -> Result<Store, DatabaseError> {
        let contents = database.load()?;
        let mut objects = Objects::default();
        // Numbers of transactions grow with the clock, so those of an earlier run are smaller
        // without a write for each; what they say of deletions is lost, hence the horizon.
        let start = u64::try_from(DateTime::now().0).unwrap_or_default() << 20;
        objects.generation = start;
        objects.horizon = start;
        objects.notes = contents.notes.into_iter().collect();
        for stored in &contents.objects {
            let mut object = Object::load(stored)?;
            (object.created, object.modified) = (start, start);
            objects.insert(object);
        }
        let store = Store {
            objects: RwLock::new(objects),
            database: Mutex::new(database),
            derive,
            news: watch::Sender::new(start),
        };
        // Mirrors and allowed operations are not kept, so they are worked out now.
        store
            .write(|transaction| {
                transaction.rebuild();
                Ok(())
            })
            .map_err(|error| DatabaseError::Corrupt {
                what: "the database".into(),
                problem: error.to_string(),
            })?;
        Ok(store)
    }

    /// Looks at the objects.
    pub fn read<T>(&self, look: impl FnOnce(&Objects) -> T) -> T {
        look(&self.objects.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes objects: all that `change` does, or nothing if it fails or the disk does.
    pub fn write<T>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let mut transaction = Transaction::new(&mut objects);
        let result = match change(&mut transaction) {
            Ok(result) => result,
            Err(error) => {
                transaction.roll_back();
                return Err(error);
            }
        };
        (self.derive)(&mut transaction);
        let changes = transaction.changes();
        if !changes.is_empty() {
            let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = database.commit(&changes) {
                transaction.roll_back();
                tracing::error!(error = &error as &dyn std::error::Error, "the database failed");
                return Err(errors::INTERNAL_ERROR.with([format!("the database failed: {error}")]));
            }
        }
        let generation = transaction.publish();
        drop(objects);
        self.news.send_replace(generation);
        Ok(result)
    }

    /// The number of the newest transaction, whenever it changes.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// All references of a class.
    pub fn references(&self, class: &'static Class) -> Vec<Ref> {
        self.read(|objects| objects.all(class.name).map(|o| o.reference().clone()).collect())
    }
}

#[cfg(test)]
mod tests;
