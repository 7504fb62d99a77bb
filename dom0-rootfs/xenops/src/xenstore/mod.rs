// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small client of xenstore over its Unix socket.
//!
//! libxl has its own; this one is for device nodes that we write ourselves, and for waiting
//! until a node has a value. What can be is sent together and answered together (`…_all`, the changes of a
//! transaction): each answer that is waited for alone costs two changes of the process that runs.

mod wire;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use wire::{Kind, Message, watch_event};

/// How often a transaction is repeated that collides with others.
const ATTEMPTS: u32 = 50;

/// Why xenstore did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum XenstoreError {
    /// The connection does not work, or xenstored talks nonsense.
    #[error("talking to xenstored")]
    Connection(#[source] io::Error),
    /// xenstored refused: `ENOENT`, `EACCES`, ….
    #[error("{doing} in xenstore: {code}")]
    Refused {
        /// A lower-case gerund with its object: "writing /a/b".
        doing: String,
        /// The name of the error.
        code: String,
    },
    /// The node did not get the value in time.
    #[error("{path} in xenstore was not written within {} s", .within.as_secs_f32())]
    TimedOut {
        /// The node.
        path: String,
        /// How long it was waited for.
        within: Duration,
    },
}

/// A connection to xenstored.
#[derive(Debug)]
pub struct Xenstore {
    socket: UnixStream,
    requests: u32,
    /// Watch events that arrived while an answer was waited for.
    events: VecDeque<WatchEvent>,
}

/// A watched node, or one below it, may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchEvent {
    /// Which node.
    pub path: String,
    /// What the watch was registered with.
    pub token: String,
}

/// What a transaction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Gives a node a value. A new one, and those above it that are new, have the permissions of the node
    /// above.
    Write(String, String),
    /// Says who may use a node: its owner with what all others may, then those who may more, each as in
    /// `docs/misc/xenstore.txt` (`n7`, `r0`).
    Permit(String, [String; 2]),
    /// Removes a node with all below it; one that is not there is no error.
    Remove(String),
}

impl Change {
    fn kind(&self) -> Kind {
        match self {
            Change::Write(..) => Kind::Write,
            Change::Permit(..) => Kind::SetPermissions,
            Change::Remove(_) => Kind::Remove,
        }
    }

    fn payload(&self) -> Vec<u8> {
        match self {
            // The value is not ended.
            Change::Write(path, value) => format!("{path}\0{value}"),
            Change::Permit(path, [owner, other]) => format!("{path}\0{owner}\0{other}\0"),
            Change::Remove(path) => format!("{path}\0"),
        }
        .into_bytes()
    }

    fn doing(&self) -> String {
        match self {
            Change::Write(path, _) => format!("writing {path}"),
            Change::Permit(path, _) => format!("setting the permissions of {path}"),
            Change::Remove(path) => format!("removing {path}"),
        }
    }
}

/// A request.
struct Ask {
    kind: Kind,
    transaction: u32,
    payload: Vec<u8>,
    doing: String,
}

/// So many requests are on their way at most: their answers have room in the socket.
const TOGETHER: usize = 64;

impl Xenstore {
    /// Where xenstored listens.
    pub const SOCKET: &'static str = "/run/xenstored/socket";

    /// Connects to the xenstored that listens at `socket`.
    pub fn connect(socket: &Path) -> Result<Xenstore, XenstoreError> {
        let socket = UnixStream::connect(socket).map_err(XenstoreError::Connection)?;
        Ok(Xenstore { socket, requests: 0, events: VecDeque::new() })
    }

    /// The value of a node, if it exists.
    pub fn read(&mut self, path: &str) -> Result<Option<String>, XenstoreError> {
        Ok(self.read_all(&[path])?.pop().flatten())
    }

    /// The value of each node that exists.
    pub fn read_all(&mut self, paths: &[&str]) -> Result<Vec<Option<String>>, XenstoreError> {
        let found = self.look(Kind::Read, paths, "reading")?;
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        Ok(found.into_iter().map(|value| value.map(text)).collect())
    }

    /// Removes a node with all below it; one that is not there is no error.
    pub fn remove(&mut self, path: &str) -> Result<(), XenstoreError> {
        self.look(Kind::Remove, &[path], "removing").map(drop)
    }

    /// Names of the nodes right below one; none if it does not exist.
    pub fn children(&mut self, path: &str) -> Result<Vec<String>, XenstoreError> {
        Ok(self.children_all(&[path])?.pop().unwrap_or_default())
    }

    /// Names of the nodes right below each; none if it does not exist.
    pub fn children_all(&mut self, paths: &[&str]) -> Result<Vec<Vec<String>>, XenstoreError> {
        let found = self.look(Kind::Directory, paths, "listing")?;
        let names = |names: Vec<u8>| {
            let names = String::from_utf8_lossy(&names).into_owned();
            names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        Ok(found.into_iter().map(|found| found.map(names).unwrap_or_default()).collect())
    }

    /// Asks the same of nodes; nothing for those that do not exist.
    fn look(
        &mut self,
        kind: Kind,
        paths: &[&str],
        doing: &str,
    ) -> Result<Vec<Option<Vec<u8>>>, XenstoreError> {
        let ask = |path: &&str| Ask {
            kind,
            transaction: 0,
            payload: format!("{path}\0").into_bytes(),
            doing: format!("{doing} {path}"),
        };
        let answers = self.together(paths.iter().map(ask).collect())?;
        let found = answers.into_iter().map(|answer| match answer {
            Err(XenstoreError::Refused { code, .. }) if code == "ENOENT" => Ok(None),
            answer => answer.map(Some),
        });
        found.collect()
    }

    /// Writes all nodes, or none.
    pub fn write_all(&mut self, nodes: &[(String, String)]) -> Result<(), XenstoreError> {
        let write = |(path, value): &(String, String)| Change::Write(path.clone(), value.clone());
        self.change(&nodes.iter().map(write).collect::<Vec<_>>())
    }

    /// Does all of it in this order, or nothing.
    pub fn change(&mut self, changes: &[Change]) -> Result<(), XenstoreError> {
        for attempt in 1.. {
            let id = self.transaction(Kind::TransactionStart, 0, "")?;
            let id: u32 = String::from_utf8_lossy(&id)
                .trim_end_matches('\0')
                .parse()
                .map_err(|_| nonsense("a transaction without a number"))?;
            if let Err(error) = self.change_within(id, changes) {
                if !matches!(error, XenstoreError::Connection(_)) {
                    self.end(id, false)?;
                }
                return Err(error);
            }
            match self.end(id, true) {
                Err(XenstoreError::Refused { code, .. })
                    if code == "EAGAIN" && attempt < ATTEMPTS => {}
                result => return result,
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// Does each in this order, though some may fail: the first error counts.
    pub fn change_each(&mut self, changes: &[Change]) -> Result<(), XenstoreError> {
        self.change_within(0, changes)
    }

    fn change_within(&mut self, transaction: u32, changes: &[Change]) -> Result<(), XenstoreError> {
        let ask = |change: &Change| Ask {
            kind: change.kind(),
            transaction,
            payload: change.payload(),
            doing: change.doing(),
        };
        let answers = self.together(changes.iter().map(ask).collect())?;
        let mut result = Ok(());
        for (change, answer) in changes.iter().zip(answers) {
            match answer {
                Err(XenstoreError::Refused { code, .. })
                    if code == "ENOENT" && matches!(change, Change::Remove(_)) => {}
                answer => result = result.and(answer.map(drop)),
            }
        }
        result
    }

    /// Sends requests, then hears the answer to each: what was sent after an error is answered all the same.
    fn together(
        &mut self,
        asks: Vec<Ask>,
    ) -> Result<Vec<Result<Vec<u8>, XenstoreError>>, XenstoreError> {
        let mut answers = Vec::new();
        for asks in asks.chunks(TOGETHER) {
            let mut bytes = Vec::new();
            let mut messages = Vec::new();
            for ask in asks {
                self.requests = self.requests.wrapping_add(1);
                let Ask { kind, transaction, payload, doing } = ask;
                let payload = payload.clone();
                let (request, transaction) = (self.requests, *transaction);
                let message = Message { kind: *kind, request, transaction, payload };
                let too_long =
                    || XenstoreError::Refused { doing: doing.clone(), code: "E2BIG".into() };
                bytes.extend(message.encode().ok_or_else(too_long)?);
                messages.push(message);
            }
            self.socket.write_all(&bytes).map_err(XenstoreError::Connection)?;
            for (ask, message) in asks.iter().zip(&messages) {
                match self.answer(message, || ask.doing.clone()) {
                    Err(XenstoreError::Connection(error)) => {
                        return Err(XenstoreError::Connection(error));
                    }
                    answer => answers.push(answer),
                }
            }
        }
        Ok(answers)
    }

    /// Asks to be told about `path`; the first event comes at once.
    pub fn watch(&mut self, path: &str, token: &str) -> Result<(), XenstoreError> {
        self.watches(Kind::Watch, &[(path, token)], "watching")
    }

    /// Ends a watch.
    pub fn unwatch(&mut self, path: &str, token: &str) -> Result<(), XenstoreError> {
        self.watches(Kind::Unwatch, &[(path, token)], "no longer watching")
    }

    fn watches(
        &mut self,
        kind: Kind,
        watches: &[(&str, &str)],
        doing: &str,
    ) -> Result<(), XenstoreError> {
        let ask = |(path, token): &(&str, &str)| Ask {
            kind,
            transaction: 0,
            payload: format!("{path}\0{token}\0").into_bytes(),
            doing: format!("{doing} {path}"),
        };
        let answers = self.together(watches.iter().map(ask).collect())?;
        answers.into_iter().try_for_each(|answer| answer.map(drop))
    }

    /// Waits for the next event of any watch.
    pub fn next_event(&mut self) -> Result<WatchEvent, XenstoreError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let message = Message::receive(&mut self.socket).map_err(XenstoreError::Connection)?;
            self.keep_event(&message)?;
        }
    }

    /// Waits until a node has a value that `wanted` accepts, and returns that.
    pub fn wait_for(
        &mut self,
        path: &str,
        within: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String, XenstoreError> {
        // Often it has it already; a watch is four requests more.
        if let Some(value) = self.read(path)?.filter(|value| wanted(value)) {
            return Ok(value);
        }
        self.wait_until(&[path], within, |store| {
            Ok(store.read(path)?.filter(|value| wanted(value)))
        })
    }

    /// Waits until `look` finds something, asking it again whenever one of `paths` changes. An error
    /// names the first of them.
    pub fn wait_until<T>(
        &mut self,
        paths: &[&str],
        within: Duration,
        mut look: impl FnMut(&mut Xenstore) -> Result<Option<T>, XenstoreError>,
    ) -> Result<T, XenstoreError> {
        let deadline = Instant::now() + within;
        let watches: Vec<_> = paths.iter().map(|path| (*path, *path)).collect();
        self.watches(Kind::Watch, &watches, "watching")?;
        let first = paths.first().copied().unwrap_or_default();
        let result = loop {
            if let Some(found) = look(self)? {
                break Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let timed_out = || XenstoreError::TimedOut { path: first.into(), within };
            if left.is_zero() {
                break Err(timed_out());
            }
            self.socket.set_read_timeout(Some(left)).map_err(XenstoreError::Connection)?;
            match self.next_event() {
                Ok(_) => {}
                Err(XenstoreError::Connection(error))
                    if error.kind() == io::ErrorKind::WouldBlock =>
                {
                    break Err(timed_out());
                }
                Err(error) => return Err(error),
            }
        };
        self.socket.set_read_timeout(None).map_err(XenstoreError::Connection)?;
        self.watches(Kind::Unwatch, &watches, "no longer watching")?;
        result
    }

    fn end(&mut self, id: u32, commit: bool) -> Result<(), XenstoreError> {
        self.transaction(Kind::TransactionEnd, id, if commit { "T" } else { "F" }).map(drop)
    }

    /// Begins or ends a transaction.
    fn transaction(&mut self, kind: Kind, id: u32, word: &str) -> Result<Vec<u8>, XenstoreError> {
        let payload = format!("{word}\0").into_bytes();
        let doing = "beginning or ending a transaction".to_owned();
        let mut answers = self.together(vec![Ask { kind, transaction: id, payload, doing }])?;
        answers.pop().unwrap_or_else(|| Err(nonsense("no answer")))
    }

    /// Waits for the answer to a request that was sent.
    fn answer(
        &mut self,
        message: &Message,
        doing: impl Fn() -> String,
    ) -> Result<Vec<u8>, XenstoreError> {
        loop {
            let answer = Message::receive(&mut self.socket).map_err(XenstoreError::Connection)?;
            match answer.kind {
                Kind::WatchEvent => self.keep_event(&answer)?,
                Kind::Error if answer.request == message.request => {
                    let code = String::from_utf8_lossy(&answer.payload);
                    let code = code.trim_end_matches('\0').to_owned();
                    return Err(XenstoreError::Refused { doing: doing(), code });
                }
                kind if kind == message.kind && answer.request == message.request => {
                    return Ok(answer.payload);
                }
                _ => return Err(nonsense("an answer that was not asked for")),
            }
        }
    }

    fn keep_event(&mut self, message: &Message) -> Result<(), XenstoreError> {
        let event = Some(message)
            .filter(|message| message.kind == Kind::WatchEvent)
            .and_then(|message| watch_event(&message.payload));
        let (path, token) = event.ok_or_else(|| nonsense("no watch event where one was due"))?;
        self.events.push_back(WatchEvent { path, token });
        Ok(())
    }
}

fn nonsense(what: &str) -> XenstoreError {
    XenstoreError::Connection(io::Error::new(io::ErrorKind::InvalidData, what))
}

#[cfg(test)]
pub(crate) mod tests;
