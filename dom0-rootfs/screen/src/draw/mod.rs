// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the state looks like. ASCII and reverse video only, so that every terminal shows it.

mod network;
mod status;
mod vms;

use ratatui::Frame;
use widgets::{Body, Page};

use crate::facts::Facts;
use crate::state::{HOST, Leave, Request, Screen, State};

/// Rows of lists.
const ROWS: usize = 15;

/// Draws everything, for at least 80 columns and 24 rows.
pub fn draw(state: &State, frame: &mut Frame<'_>) {
    let (title, keys, body) = match &state.question {
        Some(request) => ("sure?", "y do it  n back".to_owned(), question(request)),
        None => screen(state),
    };
    let name = state.facts.as_ref().map(|facts| facts.name.as_str()).unwrap_or_default();
    let title = match (name, title) {
        ("", "") => "Xenith".to_owned(),
        (name, "") => format!("Xenith - {name}"),
        ("", title) => format!("Xenith - {title}"),
        (name, title) => format!("Xenith - {name} - {title}"),
    };
    let right = if state.unlocked { "unlocked " } else { "" };
    let lost = state
        .lost
        .as_ref()
        .map(|why| format!("The toolstack does not answer; waiting for it. ({why})"));
    let message = match state.screen {
        Screen::Login => state.message.as_deref().or(lost.as_deref()),
        _ => lost.as_deref().or(state.message.as_deref()),
    };
    Page { title: &title, right, body, message, keys: &keys }.draw(frame);
}

fn screen(state: &State) -> (&'static str, String, Body) {
    let back = "Esc back";
    match state.screen {
        Screen::Status => {
            let leave = match state.leave {
                Leave::Never => "Alt-F2 login prompt",
                Leave::LoginPrompt => "q login prompt",
                Leave::Caller => "q leave",
            };
            ("", format!("Up/Down select  Enter open  {leave}"), status::body(state))
        }
        Screen::Login => ("login", format!("Enter log in  {back}"), login(state)),
        Screen::Network => {
            let change = state.management().map_or("", |_| "a address  ");
            let keys = format!("Up/Down select  {change}t test  {back}");
            ("network", keys, network::body(state))
        }
        Screen::Address => (
            "address",
            format!("Up/Down field  Left/Right change  Enter set it  {back}"),
            network::address(state),
        ),
        Screen::Storage => ("storage", format!("Up/Down select  {back}"), storage(state)),
        Screen::Vms => {
            ("virtual machines", format!("{}{back}", vms::keys(state)), vms::body(state))
        }
        Screen::Host => ("host", format!("Up/Down select  Enter do it  {back}"), host(state)),
    }
}

fn question(request: &Request) -> Body {
    let mut body = Body::default();
    let (asked, meaning) = request.question();
    body.bold(&asked);
    body.gap();
    body.wrapped(meaning);
    body
}

fn login(state: &State) -> Body {
    let mut body = Body::default();
    body.text("This needs root's password.");
    body.gap();
    body.field(true, "Password", &state.login.password, true);
    body.gap();
    match (state.login.checking, state.login_waits()) {
        (true, _) => body.text("Looking whether it is right ..."),
        (false, 0) => {}
        (false, seconds) => body.text(&format!("The next try can be made in {seconds} s.")),
    }
    body
}

fn storage(state: &State) -> Body {
    let mut body = Body::default();
    let none = Facts::default();
    let all = &state.facts.as_ref().unwrap_or(&none).storage;
    body.text(&format!(
        "  {:30} {:10} {:>10} {:>10}  {}",
        "Name", "Type", "Size", "Used", "Attached"
    ));
    for (index, sr) in shown(all, state.selected, ROWS) {
        // A library and a server's folder do not tell.
        let bytes = |bytes| if sr.size == 0 { "-".to_owned() } else { size(bytes) };
        let attached = if sr.attached { "yes" } else { "NO" };
        let (name, kind) = (cut(&sr.name, 30), cut(&sr.kind, 10));
        let (all, used) = (bytes(sr.size), bytes(sr.used));
        let line = format!("{name:30} {kind:10} {all:>10} {used:>10}  {attached}");
        body.choice(index == state.selected, &line);
    }
    if all.is_empty() {
        body.gap();
        body.text("There is none; xe sr-create makes one.");
    }
    body
}

fn host(state: &State) -> Body {
    let mut body = Body::default();
    match state.running() {
        0 => body.text("No virtual machine runs."),
        1 => body.text("One virtual machine runs."),
        n => body.text(&format!("{n} virtual machines run.")),
    }
    body.gap();
    for (index, entry) in HOST.iter().enumerate() {
        body.choice(index == state.selected, entry);
    }
    body
}

/// Entries of a list around the selected one, with their numbers.
fn shown<T>(all: &[T], selected: usize, rows: usize) -> impl Iterator<Item = (usize, &T)> {
    let first = (selected + 1).saturating_sub(rows);
    all.iter().enumerate().skip(first).take(rows)
}

/// A text in so many columns.
fn cut(text: &str, columns: usize) -> String {
    match text.chars().count() > columns {
        true => text.chars().take(columns.saturating_sub(1)).chain(['~']).collect(),
        false => text.to_owned(),
    }
}

/// Bytes as people read them, in powers of two.
fn size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20)];
    let (name, bits) = units.into_iter().find(|(_, bits)| bytes >> bits > 0).unwrap_or(("KiB", 10));
    let tenths = (u128::from(bytes) * 10) >> bits;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests;
