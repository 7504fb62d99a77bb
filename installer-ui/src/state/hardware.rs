// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is found out about the machine, in lines that are scrolled.

use installer_core::hardware::Severity;
use widgets::wrap;

use super::{Action, Key, Screen, State};

/// Lines of it that a screen shows.
pub const HARDWARE_SHOWN: usize = 16;
/// Columns of a line.
const WIDTH: usize = 76;
/// Columns of the mark before each finding, with a blank.
const MARK: usize = 7;

impl State {
    /// Each finding, long ones broken with the rest below where their text begins.
    pub fn hardware_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for finding in &self.hardware {
            let line = finding.to_string();
            let (mark, text) = line.split_at(line.floor_char_boundary(MARK));
            for (index, part) in wrap(text, WIDTH - MARK).into_iter().enumerate() {
                lines.push(format!("{:MARK$}{part}", if index == 0 { mark } else { "" }));
            }
        }
        lines
    }

    /// How many findings matter as much as this.
    pub fn findings(&self, severity: Severity) -> usize {
        self.hardware.iter().filter(|finding| finding.severity == severity).count()
    }

    pub(super) fn hardware_key(&mut self, key: Key) -> Option<Action> {
        self.message = None;
        let last = self.hardware_lines().len().saturating_sub(HARDWARE_SHOWN);
        match key {
            Key::Esc => {
                // Nobody else could begin while nobody sits here.
                self.owned = false;
                self.go(Screen::Welcome);
                return Some(Action::Release);
            }
            Key::Char('r') => return self.look(),
            Key::Up => self.scroll = self.scroll.saturating_sub(1),
            Key::Down => self.scroll = (self.scroll + 1).min(last),
            Key::PageUp => self.scroll = self.scroll.saturating_sub(HARDWARE_SHOWN),
            Key::PageDown => self.scroll = (self.scroll + HARDWARE_SHOWN).min(last),
            Key::Char('l') => self.log_open = Some(0),
            Key::Enter => self.go(Screen::Choose),
            _ => {}
        }
        None
    }
}
