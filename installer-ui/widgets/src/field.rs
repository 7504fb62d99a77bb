// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line of text that a person edits.

use crate::Key;

/// Longest text, in characters; nothing that is asked for is longer.
const LONGEST: usize = 200;

/// The text and where the cursor is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    text: String,
    /// In characters from the start.
    cursor: usize,
}

impl Field {
    /// With a text in it, the cursor at its end.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), cursor: text.chars().count() }
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// In characters from the start.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Takes a key; false if it means nothing here.
    pub fn on(&mut self, key: Key) -> bool {
        let length = self.text.chars().count();
        match key {
            Key::Char(c) if length < LONGEST => {
                self.text.insert(self.byte(self.cursor), c);
                self.cursor += 1;
            }
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.byte(self.cursor));
            }
            Key::Delete if self.cursor < length => {
                self.text.remove(self.byte(self.cursor));
            }
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(length),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = length,
            Key::Clear => *self = Self::default(),
            _ => return false,
        }
        true
    }

    fn byte(&self, cursor: usize) -> usize {
        self.text.char_indices().nth(cursor).map_or(self.text.len(), |(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editing_keeps_characters_whole() {
        let mut field = Field::new("aö");
        for key in [Key::Left, Key::Char('é'), Key::Home, Key::Delete, Key::End, Key::Char('z')] {
            assert!(field.on(key));
        }
        assert_eq!((field.text(), field.cursor()), ("éöz", 3));
        field.on(Key::Backspace);
        field.on(Key::Backspace);
        assert_eq!(field.text(), "é");
        assert!(!field.on(Key::Enter));
        field.on(Key::Clear);
        assert_eq!(field.text(), "");
        assert!(!field.on(Key::Backspace));
    }
}
