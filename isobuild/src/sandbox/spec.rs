// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the helper process is told, as JSON in one argument.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// First argument of the helper that makes the namespaces.
pub(super) const OUTER: &str = "__sandbox";
/// First argument of the helper that is process 1 in them.
pub(super) const INNER: &str = "__sandbox-init";
/// Exit status that says: the sandbox failed, not the program.
pub(super) const SETUP_FAILED: i32 = 121;
/// What the helper's last words on standard error begin with when it ends with [`SETUP_FAILED`].
pub(super) const SETUP_WORDS: &str = "sandbox: ";

/// A sandbox and the program to run in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) root: PathBuf,
    pub(super) binds: Vec<Bind>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: PathBuf,
    pub(super) network: bool,
    pub(super) program: String,
    pub(super) args: Vec<String>,
}

/// A file or folder of the host that is seen inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bind {
    pub(super) host: PathBuf,
    pub(super) inside: PathBuf,
    pub(super) writable: bool,
}

impl Spec {
    /// The command line as a person would type it.
    pub(super) fn command_line(&self) -> String {
        let mut line = quoted(&self.program);
        for arg in &self.args {
            line.push(' ');
            line.push_str(&quoted(arg));
        }
        line
    }
}

/// Quotes a word for a shell where it needs it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(quoted("-O2"), "-O2");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
