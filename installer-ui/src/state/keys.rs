// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each key does on each screen.

use installer_core::answers::DiskChoice;
use installer_core::medium::Checked;
use installer_core::pace::Pace;
use installer_core::plan::{Plan, Refusal};

use super::{Action, Key, LEAVE, Run, STORAGE, Saving, Screen, State};

/// What has to be typed before anything is written.
const CONSENT: &str = "yes";

impl State {
    pub(super) fn on_key(&mut self, key: Key) -> Option<Action> {
        if key == Key::Redraw {
            return Some(Action::Redraw);
        }
        if self.log_open.is_some() {
            self.log_key(key);
            return None;
        }
        if self.leave.is_some() {
            return self.leave_key(key);
        }
        match (key, &self.screen) {
            (Key::Log, _) => {
                self.log_open = Some(0);
                None
            }
            // What is under way is not left; a test takes down what it made.
            (Key::Leave, Screen::Progress | Screen::NetworkTest(None)) => None,
            (Key::Leave, Screen::SaveLogs) if self.logs.saving == Saving::Now => None,
            (Key::Leave, _) => {
                self.leave = Some(0);
                None
            }
            _ => self.screen_key(key),
        }
    }

    fn log_key(&mut self, key: Key) {
        let Some(up) = self.log_open else { return };
        self.log_open = match key {
            Key::Up => Some((up + 1).min(self.log.len())),
            Key::Down => Some(up.saturating_sub(1)),
            Key::PageUp => Some((up + 15).min(self.log.len())),
            Key::PageDown => Some(up.saturating_sub(15)),
            Key::Esc | Key::Log | Key::Enter | Key::Char('q' | 'l') => None,
            _ => Some(up),
        };
    }

    fn leave_key(&mut self, key: Key) -> Option<Action> {
        let selected = self.leave?;
        match key {
            Key::Up => self.leave = Some(selected.saturating_sub(1)),
            Key::Down => self.leave = Some((selected + 1).min(LEAVE.len() - 1)),
            Key::Esc | Key::Leave => self.leave = None,
            Key::Enter => {
                self.leave = None;
                return match selected {
                    1 => Some(Action::Shell),
                    2 => Some(Action::Reboot),
                    3 => Some(Action::Poweroff),
                    4 if self.screen != Screen::SaveLogs => self.save_logs(),
                    _ => None,
                };
            }
            _ => {}
        }
        None
    }

    fn screen_key(&mut self, key: Key) -> Option<Action> {
        match self.screen {
            Screen::Looking | Screen::Progress => {
                if key == Key::Char('l') {
                    self.log_open = Some(0);
                }
                None
            }
            Screen::LookFailed(_) => self.after_failure(key, Screen::Looking),
            Screen::Welcome => match key {
                Key::Enter => Some(Action::Own),
                Key::Char('c') => self.check_medium(),
                _ => None,
            },
            Screen::Checking(_) => (key == Key::Esc).then_some(Action::StopCheck),
            Screen::Checked(_) => self.checked_key(key),
            Screen::Taken(_) => {
                match key {
                    Key::Enter => return Some(Action::Own),
                    Key::Esc => return self.leave_check(),
                    Key::Char('l') => self.log_open = Some(0),
                    _ => {}
                }
                None
            }
            Screen::Hardware => self.hardware_key(key),
            Screen::Choose => self.choose_key(key),
            Screen::Keymap => self.keymap_key(key),
            Screen::Licence => {
                self.licence_key(key);
                None
            }
            Screen::Disk => self.disk_key(key),
            Screen::MoreDisks => self.more_disks_key(key),
            Screen::Hostname => {
                match key {
                    Key::Enter => self.next_if(self.form.hostname().map(drop), Screen::Network),
                    Key::Esc => self.go(self.before_hostname()),
                    key => self.typed(key, |state| &mut state.form.hostname),
                }
                None
            }
            Screen::Network => self.network_key(key),
            Screen::NetworkTest(_) => self.network_test_key(key),
            Screen::Zone => {
                self.zone_key(key);
                None
            }
            Screen::Password => {
                self.password_key(key);
                None
            }
            Screen::Summary => self.summary_key(key),
            Screen::Success => match key {
                Key::Enter | Key::Char('r') => Some(Action::Reboot),
                Key::Char('p') => Some(Action::Poweroff),
                Key::Char('s') => Some(Action::Shell),
                Key::Char('l') => {
                    self.log_open = Some(0);
                    None
                }
                _ => None,
            },
            Screen::Failure => self.after_failure(key, Screen::Looking),
            Screen::SaveLogs => self.save_logs_key(key),
        }
    }

    pub(super) fn check_medium(&mut self) -> Option<Action> {
        self.go(Screen::Checking(Pace::default()));
        Some(Action::CheckMedium)
    }

    fn checked_key(&mut self, key: Key) -> Option<Action> {
        let last = match &self.screen {
            // Each takes four lines.
            Screen::Checked(Ok(Checked::Damaged(findings))) => findings.len() * 4,
            _ => 0,
        };
        match key {
            Key::Enter | Key::Esc => return self.leave_check(),
            Key::Char('c') => return self.check_medium(),
            Key::Char('s') => return Some(Action::Shell),
            Key::Char('r') => return Some(Action::Reboot),
            Key::Char('p') => return Some(Action::Poweroff),
            Key::Up => self.scroll = self.scroll.saturating_sub(1),
            Key::Down => self.scroll = (self.scroll + 1).min(last),
            Key::Char('l') => self.log_open = Some(0),
            _ => {}
        }
        None
    }

    fn after_failure(&mut self, key: Key, again: Screen) -> Option<Action> {
        match key {
            Key::Enter | Key::Char('t') => {
                self.go(again);
                Some(Action::Look)
            }
            Key::Char('s') => Some(Action::Shell),
            Key::Char('v') => self.save_logs(),
            Key::Char('r') => Some(Action::Reboot),
            Key::Char('p') => Some(Action::Poweroff),
            Key::Char('l') => {
                self.log_open = Some(0);
                None
            }
            _ => None,
        }
    }

    fn disk_key(&mut self, key: Key) -> Option<Action> {
        let count = self.found.as_ref().map_or(0, |found| found.candidates().count());
        self.message = None;
        match key {
            Key::Up => self.form.disk = self.form.disk.saturating_sub(1),
            Key::Down => self.form.disk = (self.form.disk + 1).min(count.saturating_sub(1)),
            Key::Left | Key::Right if self.form.keep => {}
            Key::Left => self.form.storage = self.form.storage.saturating_sub(1),
            Key::Right => self.form.storage = (self.form.storage + 1).min(STORAGE.len() - 1),
            Key::Esc => self.go(Screen::Licence),
            Key::Char('r') => {
                self.next = Some(Screen::Disk);
                return self.look();
            }
            Key::Enter => {
                let disk = self.found.as_ref().and_then(|found| self.form.disk(found));
                match disk.map(Refusal::of) {
                    Some(None) => match self.unkept() {
                        Some(why) => self.message = Some(sentence(&why)),
                        None => self.go(self.after_disk()),
                    },
                    Some(Some(refusal)) => {
                        self.message = Some(format!("This disk cannot be used: {refusal}."));
                    }
                    None => {
                        let text = "There is no disk. Attach one, then press r.";
                        self.message = Some(text.to_owned());
                    }
                }
            }
            _ => {}
        }
        None
    }

    /// Why the host on the selected disk cannot be installed again, if one is to be.
    fn unkept(&self) -> Option<String> {
        let found = self.found.as_ref().filter(|_| self.form.keep)?;
        let disk = DiskChoice::Device(self.form.disk(found)?.path.clone());
        Plan::can_keep(&disk, found).err().map(|error| error.to_string())
    }

    fn password_key(&mut self, key: Key) {
        let form = &mut self.form.password;
        match key {
            Key::Esc => self.go(Screen::Zone),
            Key::Up | Key::BackTab => form.focus = form.focus.saturating_sub(1),
            Key::Down | Key::Tab => form.focus = (form.focus + 1).min(2),
            Key::Enter if form.focus < 2 => form.focus += 1,
            Key::Enter => self.show_summary(),
            Key::Left | Key::Right | Key::Char(' ') if form.focus == 2 => form.ssh = !form.ssh,
            key => match form.focus {
                0 => self.typed(key, |state| &mut state.form.password.first),
                1 => self.typed(key, |state| &mut state.form.password.second),
                _ => {}
            },
        }
    }

    fn show_summary(&mut self) {
        let Some(found) = &self.found else { return };
        let answers = match self.form.answers(found) {
            Ok(answers) => answers,
            Err(error) => {
                self.message = Some(sentence(&error.to_string()));
                return;
            }
        };
        match Plan::make(&answers, found, self.ids) {
            Ok(plan) => {
                self.plan = Some(plan);
                self.form.consent.on(Key::Clear);
                self.go(Screen::Summary);
            }
            Err(error) => self.message = Some(sentence(&error.to_string())),
        }
    }

    fn summary_key(&mut self, key: Key) -> Option<Action> {
        let lines = self.plan.as_ref().map_or(0, |plan| plan.to_string().lines().count() * 2);
        match key {
            Key::Esc => {
                self.plan = None;
                self.go(Screen::Password);
            }
            Key::Up => self.scroll = self.scroll.saturating_sub(1),
            Key::Down => self.scroll = (self.scroll + 1).min(lines.saturating_sub(1)),
            Key::PageUp => self.scroll = self.scroll.saturating_sub(10),
            Key::PageDown => self.scroll = (self.scroll + 10).min(lines.saturating_sub(1)),
            Key::Enter if self.form.consent.text().trim() == CONSENT => {
                let plan = self.plan.clone()?;
                self.run = Run::of(&plan);
                self.go(Screen::Progress);
                return Some(Action::Install(Box::new(plan)));
            }
            Key::Enter => {
                let what = match self.form.keep {
                    true => "install over the host that is there",
                    false => "wipe what is listed and install",
                };
                let text = format!("Type the word \"{CONSENT}\" to {what}.");
                self.message = Some(text);
            }
            key => self.typed(key, |state| &mut state.form.consent),
        }
        None
    }

    fn typed(&mut self, key: Key, field: impl FnOnce(&mut Self) -> &mut super::Field) {
        if field(self).on(key) {
            self.message = None;
        }
    }

    pub(super) fn next_if(
        &mut self,
        result: Result<(), installer_core::answers::BadField>,
        screen: Screen,
    ) {
        match result {
            Ok(()) => self.go(screen),
            Err(error) => self.message = Some(sentence(&error.to_string())),
        }
    }
}

/// "the host name is empty" as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str()),
        None => String::new(),
    }
}
