// SPDX-License-Identifier: MIT OR Apache-2.0
//! The screens as a fold: events go in, actions come out, nothing else happens here.

mod choose;
mod form;
mod hardware;
mod keys;
mod more_disks;
mod network;
mod pick;
mod regional;
mod run;
mod save_logs;

use std::time::Duration;

use appliance_model::handover::Management;
use installer_core::answers::Keymap;
use installer_core::discovery::{Discovery, Nic};
use installer_core::events;
use installer_core::hardware::{Finding, check};
use installer_core::logs::{Destination, Volume};
use installer_core::medium::Checked;
use installer_core::pace::Pace;
use installer_core::plan::{Ids, Plan};

pub use choose::Choice;
pub use form::{Form, STORAGE};
pub use hardware::HARDWARE_SHOWN;
pub use more_disks::{PURPOSES, Purpose};
pub use network::{BONDS, IPV4, IPV6, Item, NetworkForm};
pub use pick::{PICK_SHOWN, Pick};
pub use regional::{LICENCE_SHOWN, RegionalForm};
pub use run::Run;
pub use save_logs::{SaveLogs, Saving, WAYS};
pub use widgets::{Field, Key};

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// Looking at the machine ended. The ids are for the next plan.
    Found(Result<Box<Discovery>, String>, Box<Ids>),
    /// Whether this console has the installation now.
    Owner(Result<(), String>),
    /// How far the check of the medium is.
    Check(Pace),
    /// It ended, or could not even begin.
    Checked(Result<Checked, String>),
    /// The test of the network ended.
    Tested(Vec<Finding>),
    /// From the running installation, with the time since its start.
    Install(Duration, events::Event),
    /// Time went by while an installation ran; since its start.
    Tick(Duration),
    /// A line was logged.
    Log(String),
    /// The keyboard has the keymap now; or not, with why.
    KeymapApplied(Result<Keymap, String>),
    /// How to come in over SSH, in lines.
    Remote(String),
    /// Looking for volumes that logs can be saved on ended.
    Volumes(Result<Vec<Volume>, String>),
    /// The logs are saved, with where in words; or not, with why.
    Saved(Result<String, String>),
    /// The person has left the shell, where anything may have happened to the disks.
    BackFromShell,
}

/// What the caller is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Look at the machine, then send [`Event::Found`].
    Look,
    /// Take the installation for this console, then send [`Event::Owner`].
    Own,
    /// Leave the installation to whoever takes it next.
    Release,
    /// Take the installation for this console and check the medium, sending [`Event::Check`] and at
    /// last [`Event::Checked`], or only [`Event::Owner`] if another console has it.
    CheckMedium,
    /// Stop that.
    StopCheck,
    /// Try a network on these cards, then send [`Event::Tested`].
    TestNetwork(Box<Management>, Vec<Nic>),
    /// Run the plan, sending [`Event::Install`].
    Install(Box<Plan>),
    /// Give the keyboard a keymap, then send [`Event::KeymapApplied`].
    ApplyKeymap(Keymap),
    /// Look for volumes, then send [`Event::Volumes`].
    LookForVolumes,
    /// Save the logs there, then send [`Event::Saved`].
    SaveLogs(Destination),
    /// Give the person a shell, then draw everything anew.
    Shell,
    /// Restart the machine.
    Reboot,
    /// Switch the machine off.
    Poweroff,
    /// Draw everything anew.
    Redraw,
}

/// Which screen is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screen {
    /// The machine is being looked at.
    Looking,
    /// That failed.
    LookFailed(String),
    /// Before the first question.
    Welcome,
    /// The medium is being read.
    Checking(Pace),
    /// What came out.
    Checked(Result<Checked, String>),
    /// Another console has the installation.
    Taken(String),
    /// What will and will not work on this machine.
    Hardware,
    /// What to do on it.
    Choose,
    /// Which keyboard.
    Keymap,
    /// The terms.
    Licence,
    /// Which disk.
    Disk,
    /// What the other disks are for, if there are any.
    MoreDisks,
    /// The host's name.
    Hostname,
    /// The management network.
    Network,
    /// What came out of trying it; none while it is being tried.
    NetworkTest(Option<Vec<Finding>>),
    /// In which time zone.
    Zone,
    /// Root's password.
    Password,
    /// The plan, and the consent.
    Summary,
    /// The installation runs.
    Progress,
    /// It is complete.
    Success,
    /// It failed.
    Failure,
    /// Where the logs go.
    SaveLogs,
}

/// Everything that is shown.
#[derive(Debug)]
pub struct State {
    /// Which screen is shown.
    pub screen: Screen,
    /// What the machine has.
    pub found: Option<Discovery>,
    /// What was chosen and typed so far.
    pub form: Form,
    /// The decided installation, from the summary on.
    pub plan: Option<Plan>,
    /// Why the person cannot go on.
    pub message: Option<String>,
    /// First line of the plan that is shown.
    pub scroll: usize,
    /// The running installation.
    pub run: Run,
    /// Everything logged.
    pub log: Vec<String>,
    /// Lines that the log is scrolled up by, while it is open.
    pub log_open: Option<usize>,
    /// Selected entry of the menu to leave, while it is open.
    pub leave: Option<usize>,
    /// What is found out about the machine, the worst first.
    pub hardware: Vec<Finding>,
    /// Selected entry of [`Choice::ALL`].
    pub choice: usize,
    /// How to come in over SSH, in lines, if that was asked for.
    pub remote: Option<String>,
    /// The terms, in lines.
    pub licence: Vec<String>,
    /// Saving the logs.
    pub logs: SaveLogs,
    /// Whether this console has the installation.
    owned: bool,
    /// What comes after a look at the machine that was asked for there.
    next: Option<Screen>,
    ids: Ids,
}

/// Entries of the menu to leave.
pub const LEAVE: &[&str] = &["Go on", "Shell", "Restart", "Power off", "Save the logs"];

/// Log lines that are kept for the screen; the file has them all.
const LOG_LINES: usize = 2000;

impl State {
    /// Before anything is known; the caller looks at the machine first.
    pub fn new(ids: Ids) -> Self {
        Self {
            screen: Screen::Looking,
            found: None,
            form: Form::default(),
            plan: None,
            message: None,
            scroll: 0,
            run: Run::default(),
            log: Vec::new(),
            log_open: None,
            leave: None,
            hardware: Vec::new(),
            choice: 0,
            remote: None,
            licence: Vec::new(),
            logs: SaveLogs::default(),
            owned: false,
            next: None,
            ids,
        }
    }

    /// The same, but the medium is checked first.
    pub fn checking(ids: Ids) -> Self {
        Self { screen: Screen::Checking(Pace::default()), ..Self::new(ids) }
    }

    /// Folds one event in.
    pub fn on(&mut self, event: Event) -> Option<Action> {
        match event {
            Event::Key(key) => self.on_key(key),
            Event::Found(found, ids) => {
                self.ids = *ids;
                match found {
                    Ok(found) => {
                        self.form.fit(&found, self.found.as_ref());
                        self.hardware = check(&found);
                        self.found = Some(*found);
                        self.plan = None;
                        let next = self.next.take();
                        self.go(match self.owned {
                            true => next.unwrap_or(Screen::Hardware),
                            false => Screen::Welcome,
                        });
                    }
                    Err(error) => self.screen = Screen::LookFailed(error),
                }
                None
            }
            Event::Owner(Ok(())) => {
                self.owned = true;
                self.begin()
            }
            Event::Owner(Err(owner)) => {
                self.go(Screen::Taken(owner));
                None
            }
            Event::Check(pace) => {
                if let Screen::Checking(shown) = &mut self.screen {
                    *shown = pace;
                }
                None
            }
            Event::Checked(Ok(Checked::Stopped)) => self.leave_check(),
            Event::Checked(result) => {
                self.go(Screen::Checked(result));
                None
            }
            Event::Tested(findings) => {
                if matches!(self.screen, Screen::NetworkTest(_)) {
                    self.go(Screen::NetworkTest(Some(findings)));
                }
                None
            }
            Event::Install(at, event) => {
                match &event {
                    events::Event::Complete => self.screen = Screen::Success,
                    events::Event::Failed { .. } => self.screen = Screen::Failure,
                    _ => {}
                }
                self.run.on(at, event);
                None
            }
            Event::Tick(at) => {
                if self.screen == Screen::Progress {
                    self.run.elapsed = at;
                }
                None
            }
            Event::Remote(lines) => {
                self.remote = Some(lines);
                None
            }
            Event::KeymapApplied(result) => {
                self.keymap_applied(result);
                None
            }
            Event::Volumes(found) => {
                self.logs.volumes = Some(found);
                None
            }
            Event::Saved(result) => {
                self.logs.saving = match result {
                    Ok(place) => Saving::Done(place),
                    Err(error) => Saving::Failed(error),
                };
                None
            }
            Event::BackFromShell => {
                let run =
                    matches!(self.screen, Screen::Progress | Screen::Success | Screen::Failure);
                let checking = matches!(self.screen, Screen::Checking(_) | Screen::Checked(_));
                let saving = self.screen == Screen::SaveLogs;
                if run || checking || saving || self.found.is_none() {
                    return None;
                }
                self.next = (self.screen == Screen::Choose).then_some(Screen::Choose);
                self.look()
            }
            Event::Log(line) => {
                self.log.push(line);
                if self.log.len() > LOG_LINES {
                    self.log.drain(..LOG_LINES / 10);
                }
                None
            }
        }
    }

    /// To what the machine is like; it may not have been looked at before.
    fn begin(&mut self) -> Option<Action> {
        match self.found {
            Some(_) => self.go(Screen::Hardware),
            None => return self.look(),
        }
        None
    }

    /// From the check of the medium back to where it was asked for.
    fn leave_check(&mut self) -> Option<Action> {
        match (&self.found, self.owned) {
            (Some(_), true) => self.go(Screen::Choose),
            (Some(_), false) => self.go(Screen::Welcome),
            (None, _) => return self.look(),
        }
        None
    }

    fn look(&mut self) -> Option<Action> {
        self.go(Screen::Looking);
        Some(Action::Look)
    }

    fn go(&mut self, screen: Screen) {
        self.message = None;
        self.scroll = 0;
        self.screen = screen;
    }
}

#[cfg(test)]
pub(crate) mod reinstall_tests;
#[cfg(test)]
pub(crate) mod tests;
