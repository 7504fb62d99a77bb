// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the logs go.

use installer_core::logs::{Destination, Method, Volume};

use super::keys::sentence;
use super::{Action, Field, Key, Screen, State};

/// Ways to save them, in the order of the screen.
pub const WAYS: [&str; 4] =
    ["a USB stick", "another machine, by scp", "a server, by HTTP PUT", "a server, by HTTP POST"];

/// How far saving is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Saving {
    /// Nothing was saved yet.
    #[default]
    No,
    /// It is under way.
    Now,
    /// Where the file is, in words.
    Done(String),
    /// Why it is nowhere.
    Failed(String),
}

/// The screen's choices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaveLogs {
    /// 0 the way, 1 the place.
    pub focus: usize,
    /// Index in [`WAYS`].
    pub way: usize,
    /// What is there; none while it is looked for.
    pub volumes: Option<Result<Vec<Volume>, String>>,
    /// Index among them.
    pub volume: usize,
    /// For scp.
    pub target: Field,
    /// For HTTP.
    pub url: Field,
    /// What came of it.
    pub saving: Saving,
    /// The screen that it was asked for on.
    back: Option<Screen>,
}

impl SaveLogs {
    /// The volume that is selected.
    pub fn selected(&self) -> Option<&Volume> {
        self.volumes.as_ref()?.as_ref().ok()?.get(self.volume)
    }

    /// Where the logs go.
    ///
    /// # Errors
    /// The sentence for the screen.
    fn destination(&self) -> Result<Destination, String> {
        let parse = |field: &Field| {
            let destination = field.text().trim().parse::<Destination>();
            destination.map_err(|error| sentence(&error.to_string()))
        };
        match self.way {
            0 => match self.selected() {
                Some(volume) => Ok(Destination::Device(volume.device.clone())),
                None => Err("No USB stick with a file system is there. Plug one in, then press r."
                    .to_owned()),
            },
            1 => match parse(&self.target)? {
                destination @ Destination::Scp(_) => Ok(destination),
                _ => Err("Type user@host:path, or scp://user@host:port/path.".to_owned()),
            },
            way => match parse(&self.url)? {
                destination @ Destination::Http { .. } => {
                    let method = if way == 2 { Method::Put } else { Method::Post };
                    Ok(destination.with_method(method))
                }
                _ => Err("Type a URL that begins with http:// or https://.".to_owned()),
            },
        }
    }
}

impl State {
    /// From any screen.
    pub(super) fn save_logs(&mut self) -> Option<Action> {
        let back = std::mem::replace(&mut self.screen, Screen::SaveLogs);
        self.message = None;
        self.logs.back = Some(back);
        self.logs.saving = Saving::No;
        self.look_for_volumes()
    }

    fn look_for_volumes(&mut self) -> Option<Action> {
        self.logs.volumes = None;
        self.logs.volume = 0;
        Some(Action::LookForVolumes)
    }

    pub(super) fn save_logs_key(&mut self, key: Key) -> Option<Action> {
        if self.logs.saving == Saving::Now {
            return None;
        }
        self.message = None;
        let logs = &mut self.logs;
        match key {
            Key::Esc => self.screen = self.logs.back.take().unwrap_or(Screen::Looking),
            Key::Up | Key::BackTab => logs.focus = 0,
            Key::Down | Key::Tab => logs.focus = 1,
            Key::Left | Key::Right | Key::Char(' ') if logs.focus == 0 => {
                logs.saving = Saving::No;
                logs.way = match key {
                    Key::Left => logs.way.saturating_sub(1),
                    _ => (logs.way + 1).min(WAYS.len() - 1),
                };
            }
            Key::Char('r') if logs.way == 0 => return self.look_for_volumes(),
            Key::Left | Key::Right | Key::Char(' ') if logs.way == 0 => {
                let count = logs.volumes.iter().flatten().flatten().count();
                logs.volume = match key {
                    Key::Left => logs.volume.saturating_sub(1),
                    _ => (logs.volume + 1).min(count.saturating_sub(1)),
                };
            }
            Key::Enter if logs.focus == 0 => logs.focus = 1,
            Key::Enter => match logs.destination() {
                Ok(destination) => {
                    logs.saving = Saving::Now;
                    return Some(Action::SaveLogs(destination));
                }
                Err(text) => self.message = Some(text),
            },
            key if logs.focus == 1 && logs.way == 1 => {
                logs.target.on(key);
            }
            key if logs.focus == 1 && logs.way > 1 => {
                logs.url.on(key);
            }
            _ => {}
        }
        None
    }
}
