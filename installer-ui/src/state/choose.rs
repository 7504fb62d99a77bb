// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the person wants to do on this machine.

use installer_core::hardware;

use super::{Action, Key, Screen, State};

/// One entry of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The questions, then the installation.
    Install,
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
                Choice::Install => match hardware::refusal(&self.hardware) {
                    None => self.go(Screen::Keymap),
                    Some(_) => {
                        let text = "Nothing can be installed on this machine, for the reasons \
                                    marked [STOP] one screen back (Esc).";
                        self.message = Some(text.to_owned());
                    }
                },
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
