// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which programs clients are.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Most programs that are remembered; those that come later are not.
const MOST: usize = 128;
/// Longest name and longest version that is remembered, in bytes.
const LONGEST: usize = 64;

/// Programs and their versions, as the headers of calls said (`User-Agent: name/version`, RFC 9110).
#[derive(Debug, Default)]
pub struct UserAgents(Mutex<BTreeMap<String, String>>);

impl UserAgents {
    /// Remembers the first program that a header names; the last version that it had counts.
    pub fn note(&self, header: &str) {
        let first = header.split_whitespace().next().unwrap_or_default();
        let (name, version) = first.split_once('/').unwrap_or((first, ""));
        let fits = |text: &str| text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_graphic());
        if name.is_empty() || !fits(name) || !fits(version) {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = all.len() < MOST || all.contains_key(name);
        if room && all.get(name).is_none_or(|known| known != version) {
            all.insert(name.to_owned(), version.to_owned());
        }
    }

    /// All of them.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_an_end() {
        let agents = UserAgents::default();
        for header in ["a/1 (x)", "a/2", "", "/1", "b", &"x".repeat(65), "c/\u{e4}"] {
            agents.note(header);
        }
        let all = agents.all();
        assert_eq!(
            all.into_iter().collect::<Vec<_>>(),
            [("a".into(), "2".into()), ("b".into(), String::new())]
        );
        (0..500).for_each(|number| agents.note(&format!("n{number}/1")));
        assert_eq!(agents.all().len(), MOST);
    }
}
