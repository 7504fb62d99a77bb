// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where objects are kept between runs of the daemon.

mod memory;
mod sqlite;

pub use memory::MemoryDatabase;
pub use sqlite::SqliteDatabase;

/// What one transaction changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The object now has this body.
    Put(StoredObject),
    /// The object is gone.
    Delete {
        /// Its reference.
        reference: String,
    },
    /// A note of the daemon itself now says this; none removes it.
    Note {
        /// Its name.
        key: String,
        /// What it says.
        value: Option<String>,
    },
    /// A deletion is remembered, or one that will be when the daemon ends.
    Remember(StoredDeletion),
    /// What was made up to this transaction and would end with the daemon has ended, by this one.
    Settle {
        /// Number of the transaction.
        generation: u64,
    },
    /// Deletions up to this transaction are remembered no longer.
    Forget {
        /// Number of the transaction.
        generation: u64,
    },
}

impl Change {
    /// Whether it says how things are, not merely what clients were told of them.
    pub fn is_state(&self) -> bool {
        matches!(self, Change::Put(_) | Change::Delete { .. } | Change::Note { .. })
    }
}

/// A deletion as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDeletion {
    /// The object's reference.
    pub reference: String,
    /// Its class.
    pub class: String,
    /// Its uuid.
    pub uuid: String,
    /// Number of the transaction that made it.
    pub created: u64,
    /// Number of the transaction; none if the object is there and ends with the daemon.
    pub generation: Option<u64>,
}

/// An object as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its reference.
    pub reference: String,
    /// Its class.
    pub class: String,
    /// Its fields, as a JSON object.
    pub body: String,
    /// Number of the transaction that made it; nought if an earlier version did.
    pub created: u64,
    /// Number of the newest transaction whose change of it is kept.
    pub modified: u64,
}

/// Everything that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// All objects.
    pub objects: Vec<StoredObject>,
    /// All notes.
    pub notes: Vec<(String, String)>,
    /// All deletions, those without a number last.
    pub deletions: Vec<StoredDeletion>,
}

/// Why the database failed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file is of a version that this program does not know.
    #[error("the database has version {found}, this program knows version {known}")]
    Version {
        /// Version of the file.
        found: i64,
        /// Version of the program.
        known: i64,
    },
    /// SQLite failed.
    #[error("{doing}")]
    Sqlite {
        /// A lower-case gerund with its object.
        doing: String,
        /// What it said.
        #[source]
        source: rusqlite::Error,
    },
    /// Something in it makes no sense.
    #[error("reading {what}: {problem}")]
    Corrupt {
        /// Which part.
        what: String,
        /// What is wrong.
        problem: String,
    },
}

/// Keeps objects.
pub trait Database: Send {
    /// Everything that is kept; called once, at the start.
    fn load(&mut self) -> Result<Contents, DatabaseError>;

    /// Makes all changes or none of them. When it returns `Ok`, they survive a loss of power.
    fn commit(&mut self, changes: &[Change]) -> Result<(), DatabaseError>;

    /// The same, but only the end of the daemon is survived. A loss of power may take what was
    /// written so since the last commit, from some change on.
    fn write_down(&mut self, changes: &[Change]) -> Result<(), DatabaseError> {
        self.commit(changes)
    }
}
