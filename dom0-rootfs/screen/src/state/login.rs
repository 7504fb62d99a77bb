// SPDX-License-Identifier: MIT OR Apache-2.0
//! Root's password.

use std::time::Duration;

use widgets::{Field, Key};

use super::{Action, Screen, State, Want};

/// Longest wait after wrong passwords.
const LONGEST: Duration = Duration::from_secs(32);

/// The password's screen.
#[derive(Debug)]
pub struct Login {
    /// What is typed.
    pub password: Field,
    /// The toolstack is being asked.
    pub checking: bool,
    /// Wrong passwords one after another.
    failures: u32,
    /// No password is looked at before, since this program began.
    wait_until: Duration,
    /// What it was asked for.
    want: Want,
    /// Where it was asked for.
    back: Screen,
    /// The entry that was selected there.
    selected: usize,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            password: Field::default(),
            checking: false,
            failures: 0,
            wait_until: Duration::ZERO,
            want: Want::Unlock,
            back: Screen::Status,
            selected: 0,
        }
    }
}

impl Login {
    pub(super) fn begin(&mut self, want: Want, back: Screen, selected: usize) {
        self.password = Field::default();
        self.want = want;
        self.back = back;
        self.selected = selected;
    }
}

impl State {
    /// Seconds until a password is looked at again.
    pub fn login_waits(&self) -> u64 {
        self.login.wait_until.saturating_sub(self.now).as_millis().div_ceil(1000) as u64
    }

    pub(super) fn login_key(&mut self, key: Key) -> Option<Action> {
        if self.login.checking {
            return None;
        }
        match key {
            Key::Esc => {
                self.login.password = Field::default();
                let selected = self.login.selected;
                self.go(self.login.back);
                self.selected = selected;
            }
            Key::Enter if self.login_waits() > 0 || self.login.password.text().is_empty() => {}
            Key::Enter => {
                if self.lost.is_some() || self.facts.is_none() {
                    let other = "it checks passwords. Alt-F2 has a login without it.";
                    self.message = Some(format!("The toolstack does not answer; {other}"));
                    return None;
                }
                self.message = None;
                self.login.checking = true;
                let password = std::mem::take(&mut self.login.password);
                return Some(Action::LogIn(password.text().to_owned()));
            }
            key => {
                self.login.password.on(key);
            }
        }
        None
    }

    pub(super) fn logged_in(&mut self, result: Result<(), String>) -> Option<Action> {
        // Locked, or the toolstack is gone, in the meantime.
        if !std::mem::take(&mut self.login.checking) {
            return result.is_ok().then_some(Action::LogOut);
        }
        match result {
            Ok(()) => {
                let login = std::mem::take(&mut self.login);
                self.unlocked = true;
                self.last_key = self.now;
                self.go(login.back);
                self.selected = login.selected;
                self.grant(login.want)
            }
            Err(why) => {
                self.login.failures = self.login.failures.saturating_add(1);
                let wait = Duration::from_secs(1 << self.login.failures.min(5)).min(LONGEST);
                self.login.wait_until = self.now + wait;
                self.message = Some(why);
                None
            }
        }
    }
}
