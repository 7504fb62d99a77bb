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
}

/// All of them with their words, in the order of the keys.
pub const PURPOSES: &[(&str, Purpose)] =
    &[("not used", Purpose::Unused), ("mirror of the system disk", Purpose::Mirror)];

impl Form {
    /// The disks that could be used beside the selected one.
    pub fn more_disks<'a>(&self, found: &'a Discovery) -> Vec<&'a Disk> {
        let system = self.disk(found).map(|disk| &disk.path);
        let others = found.candidates().filter(|disk| Some(&disk.path) != system);
        others.filter(|disk| Refusal::of(disk).is_none()).collect()
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
        match self.more_disks().is_empty() {
            true => Screen::Hostname,
            false => Screen::MoreDisks,
        }
    }

    /// The screen before that of the host's name.
    pub(super) fn before_hostname(&self) -> Screen {
        match self.more_disks().is_empty() {
            true => Screen::Disk,
            false => Screen::MoreDisks,
        }
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
            Key::Enter => self.go(Screen::Hostname),
            Key::Esc => self.go(Screen::Disk),
            _ => {}
        }
        None
    }
}
