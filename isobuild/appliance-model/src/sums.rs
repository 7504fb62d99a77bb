// SPDX-License-Identifier: MIT OR Apache-2.0
//! The list of the medium's files with their digests, in the format of sha256sum(1): one line each,
//! 64 hexadecimal digits, two blanks (or a blank and `*`), the path.
//!
//! On the medium it is [`crate::medium::SUMS`]; `sha256sum -c` at the medium's root understands it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::Digest;

/// Paths relative to the medium's root, each with its digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums(BTreeMap<String, Digest>);

/// A text that is not such a list.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadSums {
    /// Nothing is listed.
    #[error("no file is listed")]
    Empty,
    /// The text was cut.
    #[error("the last line is not whole")]
    Cut,
    /// A line of another form.
    #[error("line {line}: not a SHA-256 digest, two blanks and a path")]
    Form {
        /// Counted from 1.
        line: usize,
    },
    /// A path that leaves the medium or cannot be written in one line.
    #[error("line {line}: {path:?} is not a path on the medium")]
    Path {
        /// Counted from 1.
        line: usize,
        /// As it is there.
        path: String,
    },
    /// One path on two lines.
    #[error("line {line}: {path:?} is listed twice")]
    Twice {
        /// Counted from 1.
        line: usize,
        /// As it is there.
        path: String,
    },
}

impl Sums {
    /// Adds a file, or replaces its digest.
    pub fn put(&mut self, path: &str, digest: Digest) {
        self.0.insert(path.to_owned(), digest);
    }

    /// What a file must be like; none if it is not listed.
    pub fn get(&self, path: &str) -> Option<Digest> {
        self.0.get(path).copied()
    }

    /// Every path with its digest, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Digest)> {
        self.0.iter().map(|(path, digest)| (path.as_str(), *digest))
    }
}

impl FromStr for Sums {
    type Err = BadSums;

    fn from_str(text: &str) -> Result<Self, BadSums> {
        let text = match text.strip_suffix('\n') {
            Some(lines) => lines,
            None if text.is_empty() => return Err(BadSums::Empty),
            None => return Err(BadSums::Cut),
        };
        let mut sums = BTreeMap::new();
        for (at, text) in text.split('\n').enumerate() {
            let line = at + 1;
            let (digest, path) = split(text).ok_or(BadSums::Form { line })?;
            let path = path.to_owned();
            if !is_plain(&path) {
                return Err(BadSums::Path { line, path });
            }
            if sums.contains_key(&path) {
                return Err(BadSums::Twice { line, path });
            }
            sums.insert(path, digest);
        }
        Ok(Self(sums))
    }
}

fn split(line: &str) -> Option<(Digest, &str)> {
    let (digest, path) = line.split_once(' ')?;
    let path = path.strip_prefix([' ', '*'])?;
    Some((digest.parse().ok()?, path))
}

/// Relative, without steps upwards, and in one line of plain characters (sha256sum(1) escapes
/// others, which no path of ours has).
fn is_plain(path: &str) -> bool {
    let part = |part: &str| !matches!(part, "" | "." | "..");
    path.split('/').all(part) && !path.contains(|c: char| c.is_control() || c == '\\')
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(path, digest)| writeln!(f, "{digest}  {path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(pair: &str) -> Digest {
        pair.repeat(32).parse().unwrap()
    }

    #[test]
    fn a_list_is_sorted_and_round_trips() {
        let mut sums = Sums::default();
        sums.put("xenith/root.img", digest("bb"));
        sums.put("boot/xen.gz", digest("aa"));
        let (a, b) = ("aa".repeat(32), "bb".repeat(32));
        let text = format!("{a}  boot/xen.gz\n{b}  xenith/root.img\n");
        assert_eq!(sums.to_string(), text);
        assert_eq!(text.parse::<Sums>(), Ok(sums.clone()));
        assert_eq!(text.replace("  ", " *").parse(), Ok(sums.clone()), "as sha256sum --binary");
        assert_eq!(sums.get("boot/xen.gz"), Some(digest("aa")));
        assert_eq!(sums.get("boot/vmlinuz"), None);
    }

    #[test]
    fn what_is_not_a_list_is_refused() {
        let a = "aa".repeat(32);
        let path = |path: &str| BadSums::Path { line: 1, path: path.to_owned() };
        for (text, error) in [
            (String::new(), BadSums::Empty),
            ("\n".to_owned(), BadSums::Form { line: 1 }),
            (format!("{a}  x"), BadSums::Cut),
            (format!("{a} x\n"), BadSums::Form { line: 1 }),
            (format!("{a}  x\n\n"), BadSums::Form { line: 2 }),
            (format!("{}  x\n", &a[1..]), BadSums::Form { line: 1 }),
            (format!("SHA256 (x) = {a}\n"), BadSums::Form { line: 1 }),
            (format!("{a}  \n"), path("")),
            (format!("{a}  /x\n"), path("/x")),
            (format!("{a}  x/../../y\n"), path("x/../../y")),
            (format!("{a}  x\r\n"), path("x\r")),
            (format!("{a}  x\n{a}  x\n"), BadSums::Twice { line: 2, path: "x".to_owned() }),
        ] {
            assert_eq!(text.parse::<Sums>(), Err(error), "{text:?}");
        }
    }
}
