// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the state looks like. ASCII and reverse video only, so that every terminal shows it.

mod ask;
mod check;
mod choose;
mod disk;
mod hardware;
mod more_disks;
mod network;
mod progress;
mod regional;
mod save_logs;
mod summary;

use ratatui::Frame;
use ratatui::layout::Rect;
use widgets::{BODY_ROWS, Body, Page, wrap};

use crate::state::{LEAVE, Screen, State};

/// The questions in their order.
const QUESTIONS: &[Screen] = &[
    Screen::Keymap,
    Screen::Licence,
    Screen::Disk,
    Screen::Hostname,
    Screen::Network,
    Screen::Zone,
    Screen::Password,
    Screen::Summary,
];

/// Keys of the screens that say what failed.
const FAILED_KEYS: &str = "Enter try again  s shell  v save logs  r restart  p power off  l log";

/// Draws everything, for at least 80 columns and 24 rows.
pub fn draw(state: &State, frame: &mut Frame<'_>) {
    let area = frame.area();
    let (title, help, body) = match (state.log_open, state.leave) {
        (Some(up), _) => log(state, up, area),
        (None, Some(selected)) => leave(selected),
        (None, None) => screen(state),
    };
    let message = match (state.log_open, state.leave) {
        (None, None) => state.message.as_deref(),
        _ => None,
    };
    Page {
        title: &format!("Xenith installer - {title}"),
        right: &counter(state),
        body,
        message,
        keys: help,
    }
    .draw(frame);
}

fn counter(state: &State) -> String {
    // What the other disks are for belongs to the question of the disk, and a test to the network's.
    let asked = match state.screen {
        Screen::MoreDisks => &Screen::Disk,
        Screen::NetworkTest(_) => &Screen::Network,
        ref screen => screen,
    };
    match QUESTIONS.iter().position(|screen| screen == asked) {
        Some(at) => format!("{} of {} ", at + 1, QUESTIONS.len()),
        None => String::new(),
    }
}

type Drawn = (&'static str, &'static str, Body);

fn screen(state: &State) -> Drawn {
    match &state.screen {
        Screen::Looking => ("looking at this machine", "Please wait  F2 log", looking()),
        Screen::LookFailed(error) => ("failed", FAILED_KEYS, failed(state, error)),
        Screen::Welcome => {
            let help = "Enter begin  c check the medium  F2 log  Ctrl-C leave";
            ("welcome", help, ask::welcome(state))
        }
        Screen::Checking(pace) => ("checking the medium", "Esc stop  F2 log", check::running(pace)),
        Screen::Checked(result) => (
            "medium checked",
            "Enter go on  c check again  s shell  r restart  p power off  l log",
            check::ended(result, state.scroll),
        ),
        Screen::Taken(owner) => {
            ("in use", "Enter try again  Esc back  l log  Ctrl-C leave", taken(state, owner))
        }
        Screen::Hardware => (
            "this machine",
            "Up/Down scroll  Enter next  r look again  Esc back  F2 log",
            hardware::body(state),
        ),
        Screen::Choose => {
            ("what to do", "Up/Down select  Enter do it  Esc back  F2 log", choose::body(state))
        }
        Screen::Keymap => (
            "keyboard",
            "Type to search  Up/Down select  Enter next  Esc back  F2 log",
            regional::keymap(state),
        ),
        Screen::Licence => (
            "licence",
            "Up/Down PageUp/PageDown scroll  Enter next  Esc back  F2 log",
            regional::licence(state),
        ),
        Screen::Disk if state.form.keep => {
            ("host", "Up/Down disk  Enter next  r look again  Esc back  F2 log", disk::body(state))
        }
        Screen::Disk => (
            "disk",
            "Up/Down disk  Left/Right storage  Enter next  r look again  Esc back  F2 log",
            disk::body(state),
        ),
        Screen::MoreDisks => (
            "other disks",
            "Up/Down disk  Left/Right purpose  u rest  Enter next  Esc back  F2 log",
            more_disks::body(state),
        ),
        Screen::Hostname => ("host name", "Enter next  Esc back  F2 log", ask::hostname(state)),
        Screen::Network => (
            "network",
            "Up/Down field  Left/Right change  F3 test  Enter next  Esc back  F2 log",
            network::body(state),
        ),
        Screen::NetworkTest(None) => ("testing the network", "l log", network::tested(None, 0)),
        Screen::NetworkTest(Some(findings)) => (
            "network tested",
            "Enter back  t test again  s shell  l log",
            network::tested(Some(findings), state.scroll),
        ),
        Screen::Zone => (
            "time zone",
            "Type to search  Up/Down select  Enter next  Esc back  F2 log",
            regional::zone(state),
        ),
        Screen::Password => (
            "login",
            "Up/Down field  Left/Right change  Enter next  Esc back  F2 log",
            ask::password(state),
        ),
        Screen::Summary => (
            "summary",
            "Up/Down scroll  type yes + Enter: install  Esc back  F2 log",
            summary::body(state),
        ),
        Screen::Progress => ("installing", "l log", progress::body(state)),
        Screen::Success => {
            ("complete", "Enter restart  p power off  s shell  l log", progress::success(state))
        }
        Screen::Failure => ("failed", FAILED_KEYS, progress::failure(state)),
        Screen::SaveLogs => (
            "save the logs",
            "Up/Down field  Left/Right change  Enter save  r look again  Esc back  F2 log",
            save_logs::body(state),
        ),
    }
}

fn looking() -> Body {
    let mut body = Body::default();
    body.text("Looking at disks, network cards and the installation medium ...");
    body
}

fn failed(state: &State, error: &str) -> Body {
    let mut body = Body::default();
    body.bold("The machine could not be looked at, so nothing can be installed.");
    body.gap();
    body.wrapped(error);
    body.gap();
    body.text("Nothing was written to any disk.");
    ask::remote(&mut body, state);
    body
}

fn taken(state: &State, owner: &str) -> Body {
    let mut body = Body::default();
    body.bold(&format!("Not here: {owner}."));
    body.gap();
    body.wrapped(
        "Only one console can install at a time. Go on at that one, or go back there to the first \
         screen (Esc), which gives it free. If nobody is there, restart the machine (Ctrl-C) and \
         begin here. What happens there is logged here: press l.",
    );
    ask::remote(&mut body, state);
    body
}

fn leave(selected: usize) -> Drawn {
    let mut body = Body::default();
    body.text("What now? Nothing has been written unless an installation was started.");
    body.gap();
    for (index, entry) in LEAVE.iter().enumerate() {
        body.choice(index == selected, entry);
    }
    ("leave", "Up/Down select  Enter do it  Esc back", body)
}

fn log(state: &State, up: usize, area: Rect) -> Drawn {
    let mut body = Body::default();
    let width = usize::from(area.width.saturating_sub(4));
    let lines: Vec<String> = state.log.iter().flat_map(|line| wrap(line, width)).collect();
    let rows = usize::from(BODY_ROWS);
    let end = lines.len().saturating_sub(up).max(rows.min(lines.len()));
    for line in &lines[end.saturating_sub(rows)..end] {
        body.text(line);
    }
    if lines.is_empty() {
        body.text("Nothing has been logged yet.");
    }
    ("log", "Up/Down PageUp/PageDown scroll  Esc back", body)
}

#[cfg(test)]
mod tests;
