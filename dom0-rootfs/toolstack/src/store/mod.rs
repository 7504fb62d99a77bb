// SPDX-License-Identifier: MIT OR Apache-2.0
//! All objects in memory, written through to the database, with a feed of changes.
//!
//! Every change is a transaction: either all of it is in memory and on disk, or none. Readers never
//! see half of one. Each transaction has a number, greater than all before it, also across
//! restarts; events are told apart by it.

mod history;
mod mirror;
mod object;
mod transaction;
mod undo;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError, RwLock};

use tokio::sync::watch;
use xapi_model::{ApiError, Class, DateTime, Ref, classes, errors};

use crate::database::{Change, Database, DatabaseError, StoredDeletion};

use history::History;

pub use history::Token;
pub use object::Object;
pub use transaction::Transaction;
pub use undo::Undo;

/// How many deletions are remembered at least for those who ask what changed, and how many more until
/// the oldest are forgotten.
const REMEMBERED_DELETIONS: usize = 5000;
const MORE_DELETIONS: usize = 500;

/// Note with a number above those of all transactions so far. It is written ahead, once for many.
const NUMBERS: &str = "transactions";
/// Note with the runs of the daemon (`History`), written together with the former.
const RUNS: &str = "runs";
/// Note with the number of the newest deletion that was forgotten.
const HORIZON: &str = "horizon";
/// Numbers that are set aside at once, and numbers in a second.
const BLOCK: u64 = 1 << 20;

/// A deletion that is remembered.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// Number of the transaction.
    pub generation: u64,
    /// Class of the object.
    pub class: &'static Class,
    /// The object's reference.
    pub reference: Ref,
    /// The object's uuid.
    pub uuid: String,
    /// Number of the transaction that made it.
    pub created: u64,
}

impl Deleted {
    fn of(object: &Object, generation: u64) -> Deleted {
        Deleted {
            generation,
            class: object.class(),
            reference: object.reference().clone(),
            uuid: object.uuid().to_owned(),
            created: object.created,
        }
    }

    /// As it comes out of the database. What ends with the daemon has ended by the transaction `start`.
    fn load(stored: StoredDeletion, start: u64) -> Option<Deleted> {
        Some(Deleted {
            generation: stored.generation.unwrap_or(start),
            class: classes::find(&stored.class)?,
            reference: Ref::new(&stored.reference),
            uuid: stored.uuid,
            created: stored.created,
        })
    }

    fn stored(&self) -> StoredDeletion {
        StoredDeletion {
            reference: self.reference.to_string(),
            class: self.class.name.to_owned(),
            uuid: self.uuid.clone(),
            created: self.created,
            generation: Some(self.generation),
        }
    }
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
    history: History,
    /// The newest number when the daemon started.
    start: u64,
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

    /// The token of whoever knows all objects as they are now.
    pub fn token(&self) -> Token {
        self.history.token(self.generation)
    }

    /// The number of a token, of this run of the daemon or an earlier one; none if it is not known what
    /// has happened since.
    pub fn heard(&self, token: Token) -> Option<u64> {
        // A number that was not given yet is of another database, or of this one before it was put back.
        let known = (self.horizon..=self.generation).contains(&token.generation);
        (known && self.history.knows(token)).then_some(token.generation)
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

    /// Notes of the daemon itself whose names begin so.
    pub fn notes<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let range = self.notes.range(prefix.to_owned()..);
        let notes = range.map(|(key, value)| (key.as_str(), value.as_str()));
        notes.take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// All numbers of transactions are below this, as the database knows.
    fn reserved(&self) -> u64 {
        self.number(NUMBERS)
    }

    fn number(&self, note: &str) -> u64 {
        self.note(note).and_then(|number| number.parse().ok()).unwrap_or_default()
    }

    /// What the database must know instead before the next transaction; none if there is room.
    fn reserve(&self) -> Option<u64> {
        let full = self.generation + 1 >= self.reserved();
        full.then_some(self.generation + BLOCK)
    }

    /// The same as changes, of a transaction after which this is the newest number.
    fn reservation(&self, reserved: u64, newest: u64) -> Vec<Change> {
        let mut changes = vec![
            note(NUMBERS, reserved.to_string()),
            note(RUNS, self.history.note(reserved, newest)),
            Change::Settle { generation: self.start },
        ];
        // A program that does not know of deletions may have made objects of their names anew.
        changes.extend(self.history.is_new().then_some(Change::Forget { generation: self.start }));
        changes
    }

    fn insert(&mut self, object: Object) {
        let reference = object.reference().clone();
        let class = object.class().name;
        self.by_class.entry(class).or_default().insert(reference.clone());
        self.by_generation.insert((object.modified, reference.clone()));
        self.by_uuid.insert((class, object.uuid().to_owned()), reference.clone());
        self.objects.insert(reference, object);
    }

    /// Says which transaction has changed an object, or made it; false if it is not there.
    fn stamp(&mut self, reference: &Ref, generation: u64, made: bool) -> bool {
        let Some(object) = self.objects.get_mut(reference) else { return false };
        self.by_generation.remove(&(object.modified, reference.clone()));
        self.by_generation.insert((generation, reference.clone()));
        object.modified = generation;
        if made {
            object.created = generation;
        }
        true
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

fn note(key: &str, value: String) -> Change {
    Change::Note { key: key.to_owned(), value: Some(value) }
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
    pub fn open(database: Box<dyn Database>, derive: Derive) -> Result<Store, DatabaseError> {
        Store::open_at(database, derive, DateTime::now())
    }

    fn open_at(
        mut database: Box<dyn Database>,
        derive: Derive,
        now: DateTime,
    ) -> Result<Store, DatabaseError> {
        let contents = database.load()?;
        let mut objects =
            Objects { notes: contents.notes.into_iter().collect(), ..Objects::default() };
        let stored = contents.objects.iter().map(|object| object.modified);
        let deleted = contents.deletions.iter().map(|gone| gone.generation.unwrap_or(gone.created));
        let newest = stored.chain(deleted).max().unwrap_or_default();
        objects.history = History::open(objects.note(RUNS), objects.reserved(), newest);
        // Numbers grow with the clock and never go back with it, so that those of an earlier run, or
        // of a database that was put back, are told apart.
        let clock = u64::try_from(now.0).unwrap_or_default().saturating_mul(BLOCK);
        let start = clock.max(objects.reserved()).max(newest);
        (objects.start, objects.generation) = (start, start);
        objects.history.written(start);
        // What was deleted before the first run is not known.
        objects.horizon = start;
        if !objects.history.is_new() {
            objects.horizon = objects.number(HORIZON);
            let deletions = contents.deletions.into_iter();
            objects.deleted = deletions.filter_map(|gone| Deleted::load(gone, start)).collect();
        }
        for stored in contents.objects {
            objects.insert(Object::load(&stored, start + 1)?);
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
        let mut changes = transaction.changes();
        let needed = changes.iter().any(Change::is_state);
        changes.extend(transaction.forgotten());
        let number = transaction.number();
        let reserve = transaction.objects().reserve();
        if let Some(reserved) = reserve {
            changes.extend(transaction.objects().reservation(reserved, number));
        }
        let numbered = changes.iter().any(|change| !matches!(change, Change::Note { .. }));
        let kept = {
            let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
            match changes.as_slice() {
                [] => Ok(()),
                changes if needed || reserve.is_some() => database.commit(changes),
                changes => database.write_down(changes),
            }
        };
        if let Err(error) = &kept {
            tracing::error!(error = error as &dyn std::error::Error, "the database failed");
            // Without numbers set aside there is only the clock to go by, which is right as a rule.
            if needed {
                transaction.roll_back();
                return Err(errors::INTERNAL_ERROR.with([format!("the database failed: {error}")]));
            }
        }
        let generation = transaction.publish();
        if kept.is_ok() {
            if numbered {
                objects.history.written(generation);
            }
            if let Some(number) = reserve {
                objects.notes.insert(NUMBERS.to_owned(), number.to_string());
            }
        }
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
