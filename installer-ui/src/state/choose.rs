// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the person wants to do on this machine.

use installer_core::discovery::Disk;
use installer_core::hardware;

use super::{Action, Key, Screen, State};

/// One entry of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The questions, then the installation.
    Install,
    /// The same over a host that is there, whose guests stay.
    Reinstall,
    /// A root shell.
    Shell,
    /// Reads the whole medium.
    CheckMedium,
    /// Brings the logs to a stick or another machine.
    SaveLogs,
    /// Restarts the machine.
    Restart,
    /// Switches the machine off.
    Poweroff,
}

impl Choice {
    /// The entries in their order.
    pub const ALL: &[Self] = &[
        Self::Install,
        Self::Reinstall,
        Self::Shell,
        Self::CheckMedium,
        Self::SaveLogs,
        Self::Restart,
        Self::Poweroff,
    ];

    /// One line.
    pub fn title(self) -> &'static str {
        match self {
            Self::Install => "Install on a disk of this machine",
            Self::Reinstall => "Reinstall the host of this machine, and keep its guests",
            Self::Shell => "Rescue shell",
            Self::CheckMedium => "Check the installation medium",
            Self::SaveLogs => "Save the logs",
            Self::Restart => "Restart, to start from the disk",
            Self::Poweroff => "Power off",
        }
    }

    /// What it does.
    pub fn about(self) -> &'static str {
        match self {
            Self::Install => {
                "Asks for the disk, the network and the rest, shows what it is going to do, and \
                 wipes the disk once you type \"yes\"."
            }
            Self::Reinstall => {
                "Asks for the network and the rest, and writes the host's system anew. Guests, their \
                 storage, networks and the pool stay; logs and files of root are lost."
            }
            Self::Shell => {
                "A root shell with the tools of a host: disks, LVM, network, xl. No disk is \
                 mounted. \"exit\" comes back here."
            }
            Self::CheckMedium => {
                "Reads every file of the medium and compares it with what was built. Takes a \
                 minute or two; nothing is written."
            }
            Self::SaveLogs => {
                "Packs what was logged since the machine was started, and brings it to a USB \
                 stick, by scp to another machine, or to a server by HTTP."
            }
            Self::Restart => {
                "Nothing is written. Remove the medium (USB stick, CD), or select \"Boot from the \
                 local disk\" in its menu."
            }
            Self::Poweroff => "Nothing is written.",
        }
    }
}

impl State {
    /// The questions of an installation, which may be over a host that is there.
    fn begin_questions(&mut self, keep: bool) {
        let disks = self.found.as_ref().map(|found| found.candidates().collect::<Vec<_>>());
        let disks = disks.unwrap_or_default();
        let is_host = |disk: &&Disk| disk.host_table.is_some();
        let selected = disks.get(self.form.disk).is_some_and(is_host);
        let host = match selected {
            true => Some(self.form.disk),
            false => disks.iter().position(is_host),
        };
        let refused = match (hardware::refusal(&self.hardware), keep, host) {
            (Some(_), ..) => {
                "Nothing can be installed on this machine, for the reasons marked [STOP] one screen \
                 back (Esc)."
            }
            (None, true, None) => {
                "No host is installed on this machine, so there is nothing that could be kept."
            }
            (None, _, host) => {
                self.form.disk = host.filter(|_| keep).unwrap_or(self.form.disk);
                self.form.keep = keep;
                self.go(Screen::Keymap);
                return;
            }
        };
        self.message = Some(refused.to_owned());
    }

    pub(super) fn choose_key(&mut self, key: Key) -> Option<Action> {
        self.message = None;
        match key {
            Key::Up => self.choice = self.choice.saturating_sub(1),
            Key::Down => self.choice = (self.choice + 1).min(Choice::ALL.len() - 1),
            Key::Home => self.choice = 0,
            Key::End => self.choice = Choice::ALL.len() - 1,
            Key::Esc => self.go(Screen::Hardware),
            Key::Char('l') => self.log_open = Some(0),
            Key::Enter => match Choice::ALL[self.choice] {
                Choice::Install => self.begin_questions(false),
                Choice::Reinstall => self.begin_questions(true),
                Choice::Shell => return Some(Action::Shell),
                Choice::CheckMedium => return self.check_medium(),
                Choice::SaveLogs => return self.save_logs(),
                Choice::Restart => return Some(Action::Reboot),
                Choice::Poweroff => return Some(Action::Poweroff),
            },
            _ => {}
        }
        None
    }
}
