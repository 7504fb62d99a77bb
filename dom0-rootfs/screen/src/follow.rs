// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host as it changes.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use xapi_model::{ApiError, Value, errors};

use crate::client::{Toolstack, ask};
use crate::facts::Facts;
use crate::mirror::{CLASSES, Mirror};
use crate::state::Event;

/// Longest wait for news, in seconds.
const WAIT: f64 = 20.0;
/// A toolstack that answers nothing at all for so long is said not to answer.
const PATIENCE: Duration = Duration::from_secs(40);
/// From one answer to the next question: what happens meanwhile is told, and painted, at once. A machine that
/// starts makes a dozen events.
const GATHER: Duration = Duration::from_millis(500);
/// Before the next try.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends [`Event::Facts`] whenever the host has changed and [`Event::Lost`] when the toolstack does
/// not answer, which is tried again; until `send` is false or the sender of `stop` is gone.
pub fn follow(toolstack: &Toolstack, stop: &Receiver<()>, mut send: impl FnMut(Event) -> bool) {
    loop {
        let Err(error) = listen(toolstack, stop, &mut send) else { return };
        let gone = !send(Event::Lost(format!("{error:#}")));
        if gone || stop.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// Follows one run of the toolstack. Returns without an error when nobody hears any more.
fn listen(
    toolstack: &Toolstack,
    stop: &Receiver<()>,
    send: &mut impl FnMut(Event) -> bool,
) -> Result<()> {
    let mut connection = toolstack.connect(Some(PATIENCE))?;
    let session = toolstack.look(&mut connection)?;
    let (mut mirror, mut token) = (Mirror::default(), String::new());
    let mut shown = None;
    loop {
        let classes = Value::strings(CLASSES.iter().copied());
        let params = vec![session.clone(), classes, token.as_str().into(), WAIT.into()];
        match ask(&mut connection, "event.from", params) {
            Ok(answer) => token = mirror.take(answer).context("reading events")?,
            Err(error) => match error.downcast_ref::<ApiError>() {
                Some(lost) if lost.is(&errors::EVENTS_LOST) => {
                    (mirror, token) = (Mirror::default(), String::new());
                }
                _ => return Err(error),
            },
        }
        let facts = Facts::of(&mirror);
        if facts.is_some() && facts != shown {
            shown.clone_from(&facts);
            if !facts.is_some_and(|facts| send(Event::Facts(Box::new(facts)))) {
                return Ok(());
            }
        }
        if stop.recv_timeout(GATHER) != Err(RecvTimeoutError::Timeout) {
            return Ok(());
        }
    }
}
