// SPDX-License-Identifier: MIT OR Apache-2.0
//! Accounts: `overlay/etc/passwd` and `group` say them all, with numbers that never change.
//!
//! Nobody can log in with a password until the installer sets root's. Every account that a
//! package's `sysusers.d` file asks for must be there, so that a new package cannot bring a
//! service that fails at boot.

use std::collections::BTreeSet;

use crate::tree::{Tree, TreeError};

/// Where packages say what accounts they need.
const SYSUSERS: &str = "usr/lib/sysusers.d";

/// Accounts of Debian's base system that nothing on a host runs as.
const UNUSED: &[&str] = &[
    "_apt", "backup", "games", "irc", "list", "lp", "mail", "man", "news", "proxy", "sync", "uucp",
    "www-data", "fax", "voice", "sudo", "dip", "operator", "src", "sasl", "plugdev",
];

/// The accounts do not fit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountsError {
    /// A line of `passwd` or `group` is not one.
    #[error("etc/{file} of the overlay has a line with the wrong number of fields: {line:?}")]
    Line {
        /// Which file.
        file: &'static str,
        /// The line.
        line: String,
    },
    /// A name or number is there twice.
    #[error("etc/{file} of the overlay has {what} twice")]
    Twice {
        /// Which file.
        file: &'static str,
        /// Name or number.
        what: String,
    },
    /// An account's first group is not there.
    #[error("the account {name} is of group {gid}, which etc/group of the overlay does not have")]
    NoGroup {
        /// The account.
        name: String,
        /// The number.
        gid: String,
    },
    /// A package needs an account.
    #[error("{file} asks for the {kind} {name}: add it to etc/{into} of the overlay")]
    Missing {
        /// The package's file.
        file: String,
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Where to add it.
        into: &'static str,
    },
    /// The tree cannot be read or written.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Checks the accounts and writes `shadow` and `gshadow`, with no password for anyone.
pub(crate) fn complete(tree: &Tree) -> Result<(), AccountsError> {
    let users = names("passwd", &tree.read("etc/passwd")?, 7)?;
    let groups = names("group", &tree.read("etc/group")?, 4)?;
    for line in tree.read("etc/passwd")?.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let group = |line: &str| line.split(':').nth(2) == Some(fields[3]);
        if !tree.read("etc/group")?.lines().any(group) {
            let (name, gid) = (fields[0].to_owned(), fields[3].to_owned());
            return Err(AccountsError::NoGroup { name, gid });
        }
    }
    for file in sysusers_files(tree)? {
        check_sysusers(&file, &tree.read(&format!("{SYSUSERS}/{file}"))?, &users, &groups)?;
    }
    // Root is locked ("*"), not without a password; the date is that of no change ever.
    let shadow: String =
        users.iter().map(|name| format!("{name}:*:20000:0:99999:7:::\n")).collect();
    tree.write("etc/shadow", shadow.as_bytes(), 0o600)?;
    let gshadow: String = groups.iter().map(|name| format!("{name}:*::\n")).collect();
    tree.write("etc/gshadow", gshadow.as_bytes(), 0o600)?;
    Ok(())
}

fn sysusers_files(tree: &Tree) -> Result<Vec<String>, AccountsError> {
    let folder = tree.path(SYSUSERS);
    let read = |error| AccountsError::Tree(crate::tree::failed("reading", &folder)(error));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(read)? {
        let read = |error| AccountsError::Tree(crate::tree::failed("reading", &folder)(error));
        files.push(entry.map_err(read)?.file_name().to_string_lossy().into_owned());
    }
    files.sort();
    Ok(files)
}

/// The names of a file in its order, checked for repetition of names and numbers.
fn names(file: &'static str, text: &str, fields: usize) -> Result<Vec<String>, AccountsError> {
    let (mut seen_names, mut seen_numbers) = (BTreeSet::new(), BTreeSet::new());
    let mut names = Vec::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.split(':').collect();
        if parts.len() != fields {
            return Err(AccountsError::Line { file, line: line.to_owned() });
        }
        if !seen_names.insert(parts[0]) || !seen_numbers.insert(parts[2]) {
            let what = format!("{} or {}", parts[0], parts[2]);
            return Err(AccountsError::Twice { file, what });
        }
        names.push(parts[0].to_owned());
    }
    Ok(names)
}

fn check_sysusers(
    file: &str,
    text: &str,
    users: &[String],
    groups: &[String],
) -> Result<(), AccountsError> {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (kind, Some(name)) = (words.next().unwrap_or(""), words.next()) else { continue };
        let (kind, list, into) = match kind {
            "u" | "u!" => ("user", users, "passwd"),
            "g" => ("group", groups, "group"),
            _ => continue,
        };
        if !list.iter().any(|known| known == name) && !UNUSED.contains(&name) {
            let (file, name) = (format!("{SYSUSERS}/{file}"), name.to_owned());
            return Err(AccountsError::Missing { file, kind, name, into });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(passwd: &str, group: &str, sysusers: &str) -> (tempfile::TempDir, Tree) {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::at(dir.path());
        tree.write("etc/passwd", passwd.as_bytes(), 0o644).unwrap();
        tree.write("etc/group", group.as_bytes(), 0o644).unwrap();
        tree.write(&format!("{SYSUSERS}/a.conf"), sysusers.as_bytes(), 0o644).unwrap();
        (dir, tree)
    }

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nd:x:5:5::/:/bin/false\n";
    const GROUP: &str = "root:x:0:\nd:x:5:\n";

    #[test]
    fn nobody_has_a_password() {
        let (_dir, tree) = tree(PASSWD, GROUP, "# c\nu! d - \"D\"\ng root -\nm d root\n");
        complete(&tree).unwrap();
        let shadow = tree.read("etc/shadow").unwrap();
        assert_eq!(shadow.lines().count(), 2);
        assert!(shadow.lines().all(|line| line.split(':').nth(1) == Some("*")), "{shadow}");
    }

    #[test]
    fn what_a_package_asks_for_must_be_there() {
        let (_dir, tree) = tree(PASSWD, GROUP, "u newd - - /\n");
        let error = complete(&tree).unwrap_err().to_string();
        assert!(error.contains("newd") && error.contains("a.conf"), "{error}");
    }

    #[test]
    fn repeated_numbers_and_unknown_groups_are_refused() {
        let twice = PASSWD.replace("d:x:5", "d:x:0");
        let (_dir, bad) = tree(&twice, GROUP, "");
        assert!(matches!(complete(&bad), Err(AccountsError::Twice { .. })));
        let (_dir, bad) = tree(PASSWD, "root:x:0:\n", "");
        assert!(matches!(complete(&bad), Err(AccountsError::NoGroup { .. })));
    }

    #[test]
    fn the_overlay_s_own_accounts_are_consistent() {
        let overlay = Tree::at(concat!(env!("CARGO_MANIFEST_DIR"), "/overlay"));
        let passwd = overlay.read("etc/passwd").unwrap();
        assert_eq!(names("passwd", &passwd, 7).unwrap()[0], "root");
        let (_dir, tree) = tree(&passwd, &overlay.read("etc/group").unwrap(), "");
        complete(&tree).unwrap();
    }
}
