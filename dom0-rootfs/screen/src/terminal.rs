// SPDX-License-Identifier: MIT OR Apache-2.0
//! Input and output of the screens.

use std::io::stdout;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use crossterm::cursor::MoveTo;
use crossterm::terminal::{Clear, ClearType};
use crossterm::{event, execute};
use widgets::{Key, Screen};
use xapi_model::Value;

use crate::client::Toolstack;
use crate::draw::draw;
use crate::follow::follow;
use crate::program;
use crate::state::{Action, Event, Leave, State};

/// How long keys are waited for before news are looked at.
const PATIENCE: Duration = Duration::from_millis(100);

/// Who comes to a serial line after so long has seen nothing of it, and the kernel may have written over
/// what is there: the first key draws all anew.
const PAUSE: Duration = Duration::from_secs(10);

struct App {
    toolstack: Arc<Toolstack>,
    screen: Screen,
    state: State,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    /// The session that the person's password opened.
    session: Option<Value>,
    begin: Instant,
    last_key: Instant,
}

/// From the threads that talk with the toolstack.
enum Message {
    Event(Event),
    LoggedIn(Result<Value, String>),
}

/// Shows the screens until the person leaves.
pub fn run(toolstack: Toolstack, leave: Leave) -> Result<()> {
    let (sender, receiver) = channel();
    let toolstack = Arc::new(toolstack);
    // Dropped at the end, which ends the thread.
    let (_stop, stopped) = channel();
    let (followed, news) = (Arc::clone(&toolstack), sender.clone());
    thread::spawn(move || {
        follow(&followed, &stopped, |event| news.send(Message::Event(event)).is_ok());
    });
    let mut app = App {
        toolstack,
        screen: Screen::open()?,
        state: State::new(leave),
        sender,
        receiver,
        session: None,
        begin: Instant::now(),
        last_key: Instant::now(),
    };
    let result = app.work();
    let ended = app.log_out();
    app.screen.close()?;
    ended.map(|ended| ended.join());
    result?;
    match leave {
        Leave::Never | Leave::Caller => Ok(()),
        Leave::LoginPrompt => {
            clear()?;
            Err(program::become_login_prompt())
        }
    }
}

impl App {
    fn work(&mut self) -> Result<()> {
        // What is drawn changes with what happens, and with the time.
        let mut drawn = None;
        loop {
            let uptime = rustix::system::sysinfo().uptime;
            let uptime = Duration::from_secs(u64::try_from(uptime).unwrap_or_default());
            if self.fold(Event::Tick(self.begin.elapsed(), uptime))? {
                return Ok(());
            }
            let shown = Some(self.state.of_the_time());
            if drawn != shown {
                let state = &self.state;
                self.screen.draw(|frame| draw(state, frame))?;
                drawn = shown;
            }
            if event::poll(PATIENCE).context("waiting for a key")? {
                drawn = None;
                match event::read().context("reading a key")? {
                    event::Event::Key(event) => {
                        if self.last_key.elapsed() >= PAUSE {
                            self.screen.fit()?;
                        }
                        self.last_key = Instant::now();
                        if let Some(key) = Key::of(event)
                            && self.fold(Event::Key(key))?
                        {
                            return Ok(());
                        }
                    }
                    event::Event::Resize(..) => self.screen.fit()?,
                    _ => {}
                }
            }
            while let Ok(message) = self.receiver.try_recv() {
                drawn = None;
                let event = match message {
                    Message::Event(event) => event,
                    Message::LoggedIn(result) => Event::LoggedIn(result.map(|session| {
                        self.session = Some(session);
                    })),
                };
                if self.fold(event)? {
                    return Ok(());
                }
            }
        }
    }

    /// True if this was the last thing to do.
    fn fold(&mut self, event: Event) -> Result<bool> {
        let mut next = self.state.on(event);
        while let Some(action) = next.take() {
            if action == Action::Leave {
                return Ok(true);
            }
            next = self.act(action)?;
        }
        Ok(false)
    }

    fn act(&mut self, action: Action) -> Result<Option<Action>> {
        let (toolstack, sender) = (Arc::clone(&self.toolstack), self.sender.clone());
        match action {
            Action::LogIn(password) => {
                let facts = self.state.facts.as_ref();
                let fingerprint = facts.map(|facts| facts.fingerprint.clone()).unwrap_or_default();
                thread::spawn(move || {
                    let session = toolstack.log_in(&password, &fingerprint);
                    // The receiver is gone only when the program ends.
                    let _ = sender.send(Message::LoggedIn(session));
                });
            }
            Action::LogOut => drop(self.log_out()),
            Action::Request(request) => {
                let Some(session) = self.session.clone() else { return Ok(None) };
                thread::spawn(move || {
                    let done = toolstack.carry_out(&session, &request);
                    let _ = sender.send(Message::Event(Event::Done(request, done)));
                });
            }
            Action::Console(vm) => {
                let (Some(session), Some(uuid)) = (self.session.clone(), vm.console) else {
                    return Ok(None);
                };
                return self.away(|| toolstack.console(&session, &uuid));
            }
            Action::Shell => return self.away(program::shell),
            Action::TestNetwork => return self.away(program::test_network),
            Action::Redraw => self.screen.fit()?,
            Action::Leave => {}
        }
        Ok(None)
    }

    /// Gives the terminal to something else.
    fn away(&mut self, other: impl FnOnce() -> Result<()>) -> Result<Option<Action>> {
        let begin = Instant::now();
        self.screen.close()?;
        clear()?;
        let result = other().map_err(|error| format!("{error:#}"));
        self.screen = Screen::open()?;
        Ok(self.state.on(Event::Back(begin.elapsed(), result)))
    }

    fn log_out(&mut self) -> Option<thread::JoinHandle<()>> {
        let session = self.session.take()?;
        let toolstack = Arc::clone(&self.toolstack);
        // A toolstack that does not answer has no sessions either.
        Some(thread::spawn(move || drop(toolstack.log_out(session))))
    }
}

/// Linux's console has no second screen below, nor have many terminals at a serial line.
fn clear() -> Result<()> {
    execute!(stdout(), Clear(ClearType::All), MoveTo(0, 0)).context("clearing the terminal")
}
