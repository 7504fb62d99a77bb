// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the disks beside the system disk are for.

use std::path::PathBuf;

use installer_core::discovery::{Discovery, Disk};
use installer_core::plan::Refusal;

use super::{Action, Form, Key, Screen, State};

/// What a further disk is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing; it stays as it is.
    #[default]
    Unused,
    /// The second half of the system's mirror; one disk at the most.
    Mirror,
    /// Part of guests' storage.
    Storage,
}

/// All of them with their words, in the order of the keys. The mirror is last, so that no key passes by
/// it and takes it from another disk.
pub const PURPOSES: &[(&str, Purpose)] = &[
    ("not used", Purpose::Unused),
    ("guests' storage", Purpose::Storage),
    ("mirror of the system disk", Purpose::Mirror),
];

impl Form {
    /// The disks that could be used beside the selected one.
    pub fn more_disks<'a>(&self, found: &'a Discovery) -> Vec<&'a Disk> {
        let system = self.disk(found).map(|disk| &disk.path);
        let others = found.candidates().filter(|disk| Some(&disk.path) != system);
        others.filter(|disk| Refusal::of_storage(disk).is_none()).collect()
    }

    /// Whether any disk is for guests' storage.
    pub fn has_storage_disks(&self, found: &Discovery) -> bool {
        !self.disks_for(Purpose::Storage, found).is_empty()
    }

    /// What a disk is for.
    pub fn purpose(&self, disk: &Disk) -> Purpose {
        self.purposes.get(&disk.path).copied().unwrap_or_default()
    }

    /// Paths of the further disks that are for this.
    pub(super) fn disks_for(&self, purpose: Purpose, found: &Discovery) -> Vec<PathBuf> {
        let disks = self.more_disks(found).into_iter();
        disks.filter(|disk| self.purpose(disk) == purpose).map(|disk| disk.path.clone()).collect()
    }

    fn set_purpose(&mut self, disk: PathBuf, purpose: Purpose) {
        if purpose == Purpose::Mirror {
            self.purposes.retain(|_, purpose| *purpose != Purpose::Mirror);
        }
        self.purposes.insert(disk, purpose);
    }
}

impl State {
    fn more_disks(&self) -> Vec<&Disk> {
        self.found.as_ref().map(|found| self.form.more_disks(found)).unwrap_or_default()
    }

    /// The screen after that of the system disk; none if there is no other.
    pub(super) fn after_disk(&self) -> Screen {
        match self.form.keep || self.more_disks().is_empty() {
            true => Screen::Hostname,
            false => Screen::MoreDisks,
        }
    }

    /// The screen before that of the host's name.
    pub(super) fn before_hostname(&self) -> Screen {
        match self.form.keep || self.more_disks().is_empty() {
            true => Screen::Disk,
            false => Screen::MoreDisks,
        }
    }

    /// On, unless what was chosen cannot be.
    fn leave_more_disks(&mut self) {
        let Some(found) = &self.found else { return };
        let mirror =
            self.form.more_disks(found).into_iter().find(|disk| {
                self.form.purpose(disk) == Purpose::Mirror && Refusal::of(disk).is_some()
            });
        let small = mirror.and_then(|disk| Some((disk.path.display(), Refusal::of(disk)?)));
        let text = match (small, self.form.storage(found)) {
            (Some((path, refusal)), _) => format!("{path} cannot be a mirror: {refusal}."),
            (None, Err(error)) => super::keys::sentence(&error.to_string()),
            (None, Ok(_)) => return self.go(Screen::Hostname),
        };
        self.message = Some(text);
    }

    pub(super) fn more_disks_key(&mut self, key: Key) -> Option<Action> {
        self.message = None;
        let disks = self.more_disks();
        let selected = self.form.more.min(disks.len().saturating_sub(1));
        let now = disks.get(selected).map(|disk| (disk.path.clone(), self.form.purpose(disk)));
        let last = disks.len().saturating_sub(1);
        match key {
            Key::Up => self.form.more = selected.saturating_sub(1),
            Key::Down => self.form.more = (selected + 1).min(last),
            Key::Left | Key::Right | Key::Char(' ') => {
                let (disk, purpose) = now?;
                let at = PURPOSES.iter().position(|(_, known)| *known == purpose).unwrap_or(0);
                let next = match key {
                    Key::Left => at.saturating_sub(1),
                    Key::Right => (at + 1).min(PURPOSES.len() - 1),
                    _ => (at + 1) % PURPOSES.len(),
                };
                self.form.set_purpose(disk, PURPOSES[next].1);
            }
            Key::Char('u') => self.form.only_more = !self.form.only_more,
            Key::Enter => self.leave_more_disks(),
            Key::Esc => self.go(Screen::Disk),
            _ => {}
        }
        None
    }
}
