// SPDX-License-Identifier: MIT OR Apache-2.0
//! The database of one host: SQLite, one transaction for each change.

use std::path::Path;

use rusqlite::{Connection, params};

use super::{Change, Contents, Database, DatabaseError, StoredObject};

/// Version of the tables. An incompatible change takes the next number.
const VERSION: i64 = 1;

/// A SQLite file.
#[derive(Debug)]
pub struct SqliteDatabase {
    connection: Connection,
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
        Ok(Self { connection })
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
            let mut objects =
                self.connection.prepare("SELECT reference, class, body FROM objects")?;
            let objects = objects
                .query_map([], |row| {
                    Ok(StoredObject {
                        reference: row.get(0)?,
                        class: row.get(1)?,
                        body: row.get(2)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            let mut notes = self.connection.prepare("SELECT key, value FROM notes")?;
            let notes = notes
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            Ok(Contents { objects, notes })
        };
        read().map_err(failed)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), DatabaseError> {
        let failed =
            |source| DatabaseError::Sqlite { doing: "writing to the database".into(), source };
        let write = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            for change in changes {
                match change {
                    Change::Put(object) => transaction
                        .prepare_cached(
                            "INSERT INTO objects (reference, class, body) VALUES (?1, ?2, ?3)
                             ON CONFLICT (reference) DO UPDATE SET body = excluded.body",
                        )?
                        .execute(params![object.reference, object.class, object.body])?,
                    Change::Delete { reference } => transaction
                        .prepare_cached("DELETE FROM objects WHERE reference = ?1")?
                        .execute([reference])?,
                    Change::Note { key, value: Some(value) } => transaction
                        .prepare_cached(
                            "INSERT OR REPLACE INTO notes (key, value) VALUES (?1, ?2)",
                        )?
                        .execute([key, value])?,
                    Change::Note { key, value: None } => transaction
                        .prepare_cached("DELETE FROM notes WHERE key = ?1")?
                        .execute([key])?,
                };
            }
            transaction.commit()
        };
        write(&mut self.connection).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(reference: &str, body: &str) -> Change {
        Change::Put(StoredObject {
            reference: reference.into(),
            class: "VM".into(),
            body: body.into(),
        })
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
        assert_eq!(contents.objects[0].body, "2");
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
}
