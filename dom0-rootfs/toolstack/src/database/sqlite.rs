// SPDX-License-Identifier: MIT OR Apache-2.0
//! The database of one host: SQLite, one transaction for each change.

use std::path::Path;

use rusqlite::{Connection, ToSql, Transaction};

use super::{Change, Contents, Database, DatabaseError, StoredDeletion, StoredObject};

/// Version of the tables. An incompatible change takes the next number.
const VERSION: i64 = 1;

/// What a file of an earlier revision does not have; programs of then do not mind it.
const NUMBERS: &str = "BEGIN IMMEDIATE;
    ALTER TABLE objects ADD COLUMN created INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE objects ADD COLUMN modified INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE deletions (
        reference TEXT NOT NULL, created INTEGER NOT NULL, class TEXT NOT NULL, uuid TEXT NOT NULL,
        generation INTEGER, PRIMARY KEY (reference, created)
    ) WITHOUT ROWID, STRICT;
    COMMIT;";

/// A SQLite file.
#[derive(Debug)]
pub struct SqliteDatabase {
    connection: Connection,
    /// Whether a commit waits for the disk.
    flushes: bool,
}

impl SqliteDatabase {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let doing = || format!("opening the database {}", path.display());
        let failed = |source| DatabaseError::Sqlite { doing: doing(), source };
        let connection = Connection::open(path).map_err(failed)?;
        // WAL with synchronous=FULL: a commit is on the disk when it returns, and a crash at any
        // moment leaves either all of it or nothing.
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        // One process has the file; this also keeps a second daemon out.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(failed)?;
        connection.pragma_update(None, "cache_size", -512).map_err(failed)?;
        let found: i64 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(failed)?;
        if found == 0 {
            let make = format!(
                "BEGIN IMMEDIATE;
                 CREATE TABLE IF NOT EXISTS objects (
                     reference TEXT PRIMARY KEY, class TEXT NOT NULL, body TEXT NOT NULL
                 ) WITHOUT ROWID, STRICT;
                 CREATE TABLE IF NOT EXISTS notes (
                     key TEXT PRIMARY KEY, value TEXT NOT NULL
                 ) WITHOUT ROWID, STRICT;
                 PRAGMA user_version = {VERSION};
                 COMMIT;"
            );
            connection.execute_batch(&make).map_err(failed)?;
        } else if found != VERSION {
            return Err(DatabaseError::Version { found, known: VERSION });
        }
        let numbered =
            "SELECT EXISTS (SELECT 1 FROM pragma_table_info('objects') WHERE name = 'modified')";
        let numbered: bool =
            connection.query_row(numbered, [], |row| row.get(0)).map_err(failed)?;
        if !numbered {
            connection.execute_batch(NUMBERS).map_err(failed)?;
        }
        Ok(Self { connection, flushes: true })
    }

    /// One transaction, flushed to the disk or not.
    fn write(&mut self, changes: &[Change], flush: bool) -> Result<(), DatabaseError> {
        let failed =
            |source| DatabaseError::Sqlite { doing: "writing to the database".into(), source };
        if self.flushes != flush {
            let level = if flush { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", level).map_err(failed)?;
            self.flushes = flush;
        }
        let write = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            for change in changes {
                apply(&transaction, change)?;
            }
            transaction.commit()
        };
        write(&mut self.connection).map_err(failed)
    }

    /// Reads every page.
    ///
    /// # Errors
    /// Something of it is damaged.
    pub fn verify(&self) -> Result<(), DatabaseError> {
        let doing = || "checking the database".to_owned();
        let failed = |source| DatabaseError::Sqlite { doing: doing(), source };
        let said: String = self
            .connection
            .pragma_query_value(None, "integrity_check", |row| row.get(0))
            .map_err(failed)?;
        match said.as_str() {
            "ok" => Ok(()),
            _ => Err(DatabaseError::Corrupt { what: "the database".into(), problem: said }),
        }
    }
}

impl Database for SqliteDatabase {
    fn load(&mut self) -> Result<Contents, DatabaseError> {
        let failed =
            |source| DatabaseError::Sqlite { doing: "reading the database".into(), source };
        let read = || {
            let mut objects = self
                .connection
                .prepare("SELECT reference, class, body, created, modified FROM objects")?;
            let objects = objects
                .query_map([], |row| {
                    Ok(StoredObject {
                        reference: row.get(0)?,
                        class: row.get(1)?,
                        body: row.get(2)?,
                        created: unsigned(row.get(3)?),
                        modified: unsigned(row.get(4)?),
                    })
                })?
                .collect::<Result<_, _>>()?;
            let mut notes = self.connection.prepare("SELECT key, value FROM notes")?;
            let notes = notes
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            let mut deletions = self.connection.prepare(
                "SELECT reference, class, uuid, created, generation FROM deletions
                 ORDER BY generation NULLS LAST",
            )?;
            let deletions = deletions
                .query_map([], |row| {
                    Ok(StoredDeletion {
                        reference: row.get(0)?,
                        class: row.get(1)?,
                        uuid: row.get(2)?,
                        created: unsigned(row.get(3)?),
                        generation: row.get::<_, Option<i64>>(4)?.map(unsigned),
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(Contents { objects, notes, deletions })
        };
        read().map_err(failed)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), DatabaseError> {
        self.write(changes, true)
    }

    fn write_down(&mut self, changes: &[Change]) -> Result<(), DatabaseError> {
        self.write(changes, false)
    }
}

fn apply(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<usize> {
    let run = |sql: &str, params: &[&dyn ToSql]| transaction.prepare_cached(sql)?.execute(params);
    match change {
        Change::Put(StoredObject { reference, class, body, created, modified }) => run(
            "INSERT INTO objects (reference, class, body, created, modified)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (reference) DO UPDATE
             SET body = excluded.body, created = excluded.created, modified = excluded.modified",
            &[reference, class, body, &signed(*created), &signed(*modified)],
        ),
        Change::Delete { reference } => {
            run("DELETE FROM objects WHERE reference = ?1", &[reference])
        }
        Change::Note { key, value: Some(value) } => {
            run("INSERT OR REPLACE INTO notes (key, value) VALUES (?1, ?2)", &[key, value])
        }
        Change::Note { key, value: None } => run("DELETE FROM notes WHERE key = ?1", &[key]),
        Change::Remember(StoredDeletion { reference, class, uuid, created, generation }) => run(
            "INSERT OR REPLACE INTO deletions (reference, class, uuid, created, generation)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            &[reference, class, uuid, &signed(*created), &generation.map(signed)],
        ),
        Change::Settle { generation } => run(
            "UPDATE deletions SET generation = ?1 WHERE generation IS NULL AND created <= ?1",
            &[&signed(*generation)],
        ),
        Change::Forget { generation } => {
            run("DELETE FROM deletions WHERE generation <= ?1", &[&signed(*generation)])
        }
    }
}

/// SQLite has signed numbers, which ours do not grow beyond.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(reference: &str, body: &str) -> Change {
        Change::Put(StoredObject {
            reference: reference.into(),
            class: "VM".into(),
            body: body.into(),
            created: 3,
            modified: 4,
        })
    }

    fn deletion(reference: &str, generation: Option<u64>) -> StoredDeletion {
        let (reference, class) = (reference.to_owned(), "VM".to_owned());
        StoredDeletion { reference, class, uuid: "u".into(), created: 7, generation }
    }

    #[test]
    fn what_is_committed_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let note = Change::Note { key: "k".into(), value: Some("v".into()) };
        {
            let mut database = SqliteDatabase::open(&path).unwrap();
            database.commit(&[put("a", "1"), put("b", "1"), note]).unwrap();
            let delete = Change::Delete { reference: "b".into() };
            database.commit(&[put("a", "2"), delete]).unwrap();
        }
        let contents = SqliteDatabase::open(&path).unwrap().load().unwrap();
        assert_eq!(contents.objects.len(), 1);
        let StoredObject { body, created, modified, .. } = &contents.objects[0];
        assert_eq!((body.as_str(), *created, *modified), ("2", 3, 4));
        assert_eq!(contents.notes, [("k".into(), "v".into())]);
    }

    #[test]
    fn a_second_daemon_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let mut first = SqliteDatabase::open(&path).unwrap();
        first.commit(&[put("a", "1")]).unwrap();
        let second = SqliteDatabase::open(&path).map(|mut d| d.commit(&[put("b", "1")]));
        assert!(matches!(second, Err(_) | Ok(Err(_))));
    }

    #[test]
    fn a_newer_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let error = SqliteDatabase::open(&path).unwrap_err();
        assert!(matches!(error, DatabaseError::Version { found: 99, known: VERSION }));
    }

    #[test]
    fn deletions_are_remembered_until_they_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let deletions = || SqliteDatabase::open(&path).unwrap().load().unwrap().deletions;
        let commit = |changes: &[Change]| {
            SqliteDatabase::open(&path).unwrap().write_down(changes).unwrap();
        };
        let (gone, other) = (deletion("a", Some(8)), deletion("b", Some(9)));
        let (live, ended) = (deletion("c", None), deletion("c", Some(10)));
        commit(&[live.clone(), other.clone(), gone.clone()].map(Change::Remember));
        assert_eq!(deletions(), [gone, other.clone(), live.clone()]);
        commit(&[Change::Settle { generation: 6 }, Change::Forget { generation: 8 }]);
        assert_eq!(deletions(), [other.clone(), live]);
        commit(&[Change::Settle { generation: 10 }]);
        assert_eq!(deletions(), [other, ended]);
    }

    /// Tables as they were before they had numbers, and a program that goes on using them so.
    #[test]
    fn a_file_without_numbers_gets_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let connection = Connection::open(&path).unwrap();
        let earlier = "CREATE TABLE objects (
                reference TEXT PRIMARY KEY, class TEXT NOT NULL, body TEXT NOT NULL
            ) WITHOUT ROWID, STRICT;
            CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
            PRAGMA user_version = 1;";
        connection.execute_batch(earlier).unwrap();
        let insert = "INSERT INTO objects (reference, class, body) VALUES (?1, 'VM', '1')";
        connection.execute(insert, ["a"]).unwrap();
        drop(connection);
        SqliteDatabase::open(&path).unwrap().commit(&[put("b", "1")]).unwrap();
        Connection::open(&path).unwrap().execute(insert, ["c"]).unwrap();
        let objects = SqliteDatabase::open(&path).unwrap().load().unwrap().objects;
        let numbers: Vec<_> = objects.iter().map(|object| object.modified).collect();
        assert_eq!(numbers, [0, 4, 0]);
    }
}
