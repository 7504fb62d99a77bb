// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may log in: root, and the accounts that were made subjects.

mod host_accounts;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

pub use host_accounts::HostAccounts;

/// A user or group that can be made a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What a subject is kept under; does not change with the name.
    pub identifier: String,
    /// Name to log in with.
    pub name: String,
    /// Name of the person, as far as it is known.
    pub full_name: String,
    /// It is a group.
    pub group: bool,
}

impl Account {
    /// As `auth.get_subject_information_from_identifier` tells it, under the names that clients of
    /// XenServer look for.
    pub fn information(&self) -> BTreeMap<String, String> {
        [
            ("subject-name", self.name.as_str()),
            (
                "subject-displayname",
                if self.full_name.is_empty() { &self.name } else { &self.full_name },
            ),
            ("subject-gecos", self.full_name.as_str()),
            ("subject-sid", self.identifier.as_str()),
            ("subject-is-group", if self.group { "true" } else { "false" }),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }
}

/// Whose password was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Root of the host, who may do everything.
    Root,
    /// A user, who may do what the roles of its subjects allow.
    User(Account),
}

/// A source of accounts. The host's own files are one; a directory service would be another.
/// Errors are the host's fault, never the user's.
pub trait Accounts: Send + Sync {
    /// Whose name and password these are; none if they are wrong.
    fn check(&self, user: &str, password: &str) -> anyhow::Result<Option<Login>>;

    /// The user of this name, or else the group.
    fn by_name(&self, name: &str) -> anyhow::Result<Option<Account>>;

    /// The account with this identifier.
    fn by_identifier(&self, identifier: &str) -> anyhow::Result<Option<Account>>;

    /// Identifiers of the groups that an account belongs to.
    fn groups(&self, identifier: &str) -> anyhow::Result<Vec<String>>;

    /// Gives root another password, which counts once this returns.
    fn set_root_password(&self, password: &str) -> anyhow::Result<()>;
}

/// Root's password given on the command line of the simulator, and three made-up users with the same
/// one: `ann` and `bob`, who is in the group `operators`.
#[derive(Debug)]
pub struct MadeUp {
    password: String,
    /// Root's, once it was changed.
    root: Mutex<Option<String>>,
}

impl MadeUp {
    /// Everybody has this password.
    pub fn new(password: &str) -> MadeUp {
        MadeUp { password: password.to_owned(), root: Mutex::default() }
    }

    fn all() -> [Account; 3] {
        let account = |identifier: &str, name: &str, full_name: &str, group| Account {
            identifier: identifier.to_owned(),
            name: name.to_owned(),
            full_name: full_name.to_owned(),
            group,
        };
        [
            account("uid-1000", "ann", "Ann Example", false),
            account("uid-1001", "bob", "Bob Example", false),
            account("gid-2000", "operators", "", true),
        ]
    }
}

impl Accounts for MadeUp {
    fn check(&self, user: &str, password: &str) -> anyhow::Result<Option<Login>> {
        if user == "root" {
            let root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = password == root.as_deref().unwrap_or(&self.password);
            return Ok(fits.then_some(Login::Root));
        }
        if password != self.password {
            return Ok(None);
        }
        Ok(self.by_name(user)?.filter(|account| !account.group).map(Login::User))
    }

    fn by_name(&self, name: &str) -> anyhow::Result<Option<Account>> {
        Ok(Self::all().into_iter().find(|account| account.name == name))
    }

    fn by_identifier(&self, identifier: &str) -> anyhow::Result<Option<Account>> {
        Ok(Self::all().into_iter().find(|account| account.identifier == identifier))
    }

    fn groups(&self, identifier: &str) -> anyhow::Result<Vec<String>> {
        Ok(if identifier == "uid-1001" { vec!["gid-2000".to_owned()] } else { Vec::new() })
    }

    fn set_root_password(&self, password: &str) -> anyhow::Result<()> {
        *self.root.lock().unwrap_or_else(PoisonError::into_inner) = Some(password.to_owned());
        Ok(())
    }
}
