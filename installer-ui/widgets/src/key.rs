// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys, whatever the terminal sends for them.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key, whatever the terminal sent for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// What is typed.
    Char(char),
    /// Goes on.
    Enter,
    /// Goes back.
    Esc,
    /// To the next field.
    Tab,
    /// To the one before.
    BackTab,
    /// Up.
    Up,
    /// Down.
    Down,
    /// Left.
    Left,
    /// Right.
    Right,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// Deletes what is before the cursor.
    Backspace,
    /// Deletes what is under it.
    Delete,
    /// Empties a field (Ctrl-U).
    Clear,
    /// Shows the log (F2).
    Log,
    /// Tries what the screen asks for (F3).
    Test,
    /// Opens the menu to leave (Ctrl-C).
    Leave,
    /// Draws everything anew (Ctrl-L).
    Redraw,
}

impl Key {
    /// The key of an event of the terminal; none for what no screen knows.
    pub fn of(event: KeyEvent) -> Option<Key> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        if event.modifiers.contains(KeyModifiers::CONTROL) {
            return match event.code {
                KeyCode::Char('c') => Some(Key::Leave),
                KeyCode::Char('l') => Some(Key::Redraw),
                KeyCode::Char('u') => Some(Key::Clear),
                // For terminals whose function keys do not get through.
                KeyCode::Char('t') => Some(Key::Test),
                // What some serial terminals send for Backspace and Enter.
                KeyCode::Char('h') => Some(Key::Backspace),
                KeyCode::Char('j') => Some(Key::Enter),
                _ => None,
            };
        }
        match event.code {
            KeyCode::Char(c) => Some(Key::Char(c)),
            KeyCode::Enter => Some(Key::Enter),
            KeyCode::Esc => Some(Key::Esc),
            KeyCode::Tab => Some(Key::Tab),
            KeyCode::BackTab => Some(Key::BackTab),
            KeyCode::Up => Some(Key::Up),
            KeyCode::Down => Some(Key::Down),
            KeyCode::Left => Some(Key::Left),
            KeyCode::Right => Some(Key::Right),
            KeyCode::Home => Some(Key::Home),
            KeyCode::End => Some(Key::End),
            KeyCode::PageUp => Some(Key::PageUp),
            KeyCode::PageDown => Some(Key::PageDown),
            KeyCode::Backspace => Some(Key::Backspace),
            KeyCode::Delete => Some(Key::Delete),
            KeyCode::F(2) => Some(Key::Log),
            KeyCode::F(3) => Some(Key::Test),
            _ => None,
        }
    }
}
