// SPDX-License-Identifier: MIT OR Apache-2.0
//! Input and output of the screens.

use std::io::stdin;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use crossterm::event;
use installer_core::hardware::Finding;
use installer_core::hooks::Hooks;
use installer_core::lock::{LockError, Owner};
use installer_core::logs::Destination;
use installer_core::plan::Ids;
use installer_core::regional::{self, Regional};
use installer_core::steps::chain;
use widgets::Screen;

use crate::draw::draw;
use crate::log::Log;
use crate::state::{Action, Event, Key, RegionalForm, State};
use crate::worker::Machine;
use crate::{collect, follow, licence, log, network_test, program, remote, worker};

/// How long keys are waited for before the running work is asked for news.
const PATIENCE: Duration = Duration::from_millis(100);

struct App {
    machine: Machine,
    screen: Screen,
    state: State,
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    owner: Option<Owner>,
    follows: bool,
    /// Tells the check of the medium to stop.
    stop_check: Arc<AtomicBool>,
    /// Start of the installation.
    begin: Option<Instant>,
}

/// Where the screens begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With a look at the machine.
    Look,
    /// With the check of the medium.
    CheckMedium,
}

/// Shows the screens until the machine restarts or the person leaves.
pub fn run(machine: Machine, log: &Log, begin: Begin) -> Result<()> {
    let (sender, receiver) = channel();
    log.show_on(sender.clone());
    let mut state = match begin {
        Begin::Look => State::new(Ids::random()),
        Begin::CheckMedium => State::checking(Ids::random()),
    };
    let there = Regional::look(Path::new("/")).context("looking for keymaps and time zones")?;
    state.form.regional = RegionalForm::new(there);
    state.licence = licence::lines();
    let mut app = App {
        machine,
        screen: Screen::open()?,
        state,
        sender,
        receiver,
        owner: None,
        follows: false,
        stop_check: Arc::default(),
        begin: None,
    };
    remote::announce_on_screens(&crate::kernel_line()?, &app.sender);
    let result = app.work(match begin {
        Begin::Look => Action::Look,
        Begin::CheckMedium => Action::CheckMedium,
    });
    app.screen.close()?;
    result
}

impl App {
    fn work(&mut self, first: Action) -> Result<()> {
        self.act(first)?;
        loop {
            let state = &self.state;
            self.screen.draw(|frame| draw(state, frame))?;
            let mut actions = Vec::new();
            if event::poll(PATIENCE).context("waiting for a key")? {
                match event::read().context("reading a key")? {
                    event::Event::Key(event) => {
                        let key = Key::of(event).map(Event::Key);
                        actions.extend(key.and_then(|key| self.state.on(key)));
                    }
                    event::Event::Resize(..) => self.screen.fit()?,
                    _ => {}
                }
            }
            while let Ok(event) = self.receiver.try_recv() {
                actions.extend(self.state.on(event));
            }
            if let Some(begin) = self.begin {
                self.state.on(Event::Tick(begin.elapsed()));
            }
            for action in actions {
                if self.act(action)? {
                    return Ok(());
                }
            }
        }
    }

    /// True if this was the last thing to do.
    fn act(&mut self, action: Action) -> Result<bool> {
        let sender = self.sender.clone();
        match action {
            Action::Look => {
                let machine = self.machine.clone();
                thread::spawn(move || {
                    let found = machine.look().map(Box::new);
                    let found = found.map_err(|error| format!("{error:#}"));
                    // The receiver is gone only when the installer ends.
                    let _ = sender.send(Event::Found(found, Box::new(Ids::random())));
                });
            }
            Action::Own => {
                let result = self.own().map(|owner| self.owner = Some(owner));
                if let Some(action) = self.state.on(Event::Owner(result)) {
                    return self.act(action);
                }
            }
            Action::Release => self.owner = None,
            Action::CheckMedium => {
                // Held by the check alone, so that any console can install after it.
                let owner = match self.owner {
                    Some(_) => None,
                    None => match self.own() {
                        Ok(owner) => Some(owner),
                        Err(error) => {
                            self.state.on(Event::Owner(Err(error)));
                            return Ok(false);
                        }
                    },
                };
                self.check_medium(owner);
            }
            Action::StopCheck => self.stop_check.store(true, Ordering::Relaxed),
            Action::TestNetwork(management, nics) => {
                thread::spawn(move || {
                    let tested = network_test::try_out(&management, &nics, &[]);
                    let findings = tested.unwrap_or_else(|error| {
                        vec![Finding::failed(
                            "Network",
                            format!("it could not be tried: {error:#}"),
                        )]
                    });
                    let _ = sender.send(Event::Tested(findings));
                });
            }
            Action::Install(plan) => {
                let begin = Instant::now();
                self.begin = Some(begin);
                thread::spawn(move || {
                    let sink = &mut |event| {
                        let _ = sender.send(Event::Install(begin.elapsed(), event));
                    };
                    // The failure has been told as an event.
                    let _ = worker::run(&plan, &Hooks::default(), sink);
                });
            }
            Action::Shell => {
                self.screen.close()?;
                program::shell()?;
                self.screen = Screen::open()?;
                if let Some(action) = self.state.on(Event::BackFromShell) {
                    return self.act(action);
                }
            }
            Action::ApplyKeymap(keymap) => {
                let applied = regional::apply_keymap(&keymap).map_err(|error| chain(&error));
                let applied = Event::KeymapApplied(applied.map(|()| keymap));
                if let Some(action) = self.state.on(applied) {
                    return self.act(action);
                }
            }
            Action::LookForVolumes => {
                let machine = self.machine.clone();
                thread::spawn(move || {
                    let found = machine.volumes().map_err(|error| format!("{error:#}"));
                    let _ = sender.send(Event::Volumes(found));
                });
            }
            Action::SaveLogs(destination) => self.save_logs(destination)?,
            Action::Redraw => self.screen.fit()?,
            Action::Reboot => return self.end(worker::reboot),
            Action::Poweroff => return self.end(worker::poweroff),
        }
        Ok(false)
    }

    /// Takes the installation for this console, or shows what the one does that has it.
    fn own(&mut self) -> Result<Owner, String> {
        worker::own().map_err(|error| {
            if let LockError::Taken(console) = &error {
                self.follow(console);
            }
            chain(&error)
        })
    }

    fn check_medium(&mut self, owner: Option<Owner>) {
        let (machine, sender) = (self.machine.clone(), self.sender.clone());
        self.stop_check = Arc::default();
        let stop = Arc::clone(&self.stop_check);
        thread::spawn(move || {
            let checked = machine.check_medium(&mut |pace| {
                let shown = sender.send(Event::Check(pace)).is_ok();
                match shown && !stop.load(Ordering::Relaxed) {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            });
            drop(owner);
            // The receiver is gone only when the installer ends.
            let _ = sender.send(Event::Checked(checked.map_err(|error| chain(&error))));
        });
    }

    /// scp talks with the person, so it gets the terminal; nothing else needs it.
    fn save_logs(&mut self, destination: Destination) -> Result<()> {
        let (machine, sender) = (self.machine.clone(), self.sender.clone());
        let talks = matches!(destination, Destination::Scp(_));
        let save = move || {
            let saved = collect::save(&machine, &destination);
            // The receiver is gone only when the installer ends.
            let _ = sender.send(Event::Saved(saved.map_err(|error| format!("{error:#}"))));
        };
        if !talks {
            thread::spawn(save);
            return Ok(());
        }
        self.screen.close()?;
        save();
        // What scp said would be gone at once.
        println!("Press Enter to go back to the installer.");
        stdin().read_line(&mut String::new()).context("waiting for Enter")?;
        self.screen = Screen::open()?;
        Ok(())
    }

    fn end(&mut self, how: fn() -> Result<()>) -> Result<bool> {
        match how() {
            Ok(()) => Ok(true),
            Err(error) => {
                self.state.message = Some(format!("{error:#}"));
                Ok(false)
            }
        }
    }

    /// Shows the other console's log in ours.
    fn follow(&mut self, console: &str) {
        if std::mem::replace(&mut self.follows, true) {
            return;
        }
        let (sender, path) = (self.sender.clone(), log::path(console));
        thread::spawn(move || {
            let followed =
                follow::lines(&path, |line| sender.send(Event::Log(line.to_owned())).is_ok());
            if let Err(error) = followed {
                tracing::warn!("{error:#}");
            }
        });
    }
}
