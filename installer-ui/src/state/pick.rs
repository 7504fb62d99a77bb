// SPDX-License-Identifier: MIT OR Apache-2.0
//! One name out of a long list, found by typing a part of it.

use super::{Field, Key};

/// Names that the screen shows at once.
pub const PICK_SHOWN: usize = 12;

/// What was typed, and what is selected of the names that have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pick {
    /// A part of the name.
    pub typed: Field,
    /// Index among the names that have it.
    pub selected: usize,
}

impl Pick {
    /// With the name selected, if it is among them.
    pub fn at(names: &[impl AsRef<str>], name: &str) -> Self {
        let selected = names.iter().position(|other| other.as_ref() == name).unwrap_or(0);
        Self { typed: Field::default(), selected }
    }

    /// The names that have what was typed, capital letters or not, with blanks for `_`: first the
    /// one that is just that, then those that begin with it.
    pub fn matching<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        let plain = |text: &str| text.to_lowercase().replace('_', " ");
        let typed = plain(self.typed.text().trim());
        let mut names: Vec<&str> =
            names.iter().copied().filter(|name| plain(name).contains(&typed)).collect();
        if !typed.is_empty() {
            names.sort_by_key(|name| match plain(name) {
                same if same == typed => 0,
                begins if begins.starts_with(&typed) => 1,
                _ => 2,
            });
        }
        names
    }

    /// The selected name.
    pub fn chosen<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        self.matching(names).get(self.selected).copied()
    }

    /// Takes a key that selects or types.
    pub fn on(&mut self, key: Key, names: &[&str]) {
        let last = self.matching(names).len().saturating_sub(1);
        match key {
            Key::Up => self.selected = self.selected.saturating_sub(1),
            Key::Down => self.selected = (self.selected + 1).min(last),
            Key::PageUp => self.selected = self.selected.saturating_sub(PICK_SHOWN),
            Key::PageDown => self.selected = (self.selected + PICK_SHOWN).min(last),
            key => {
                let before = self.typed.text().to_owned();
                self.typed.on(key);
                if self.typed.text() != before {
                    self.selected = 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_narrows_the_list_and_keys_stay_within_it() {
        let names = ["Argentina/Buenos_Aires", "Lima", "New_York"];
        let mut pick = Pick::at(&names, "Lima");
        assert_eq!(pick.chosen(&names), Some("Lima"));
        for key in [Key::PageDown, Key::Down, Key::Down] {
            pick.on(key, &names);
        }
        assert_eq!(pick.chosen(&names), Some("New_York"));
        for c in "buenos a".chars() {
            pick.on(Key::Char(c), &names);
        }
        assert_eq!(pick.chosen(&names), Some("Argentina/Buenos_Aires"));
        pick.on(Key::Down, &names);
        pick.on(Key::Char('x'), &names);
        assert_eq!((pick.chosen(&names), pick.selected), (None, 0));
        let maps = ["mac-usb-us", "lisp-us", "us-latin1", "us"];
        let typed = Pick { typed: Field::new("US"), selected: 0 };
        assert_eq!(typed.matching(&maps), ["us", "us-latin1", "mac-usb-us", "lisp-us"]);
        pick.on(Key::Clear, &names);
        pick.on(Key::PageUp, &names);
        assert_eq!(pick.matching(&names).len(), 3);
        assert_eq!(Pick::at(&names, "Nowhere").chosen(&names), Some(names[0]));
    }
}
