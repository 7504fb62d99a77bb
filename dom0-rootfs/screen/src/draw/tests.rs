// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every screen as text at 80x24, in `tests/screens`. `UPDATE_GOLDEN=1` writes them anew.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};
use widgets::Key;

use super::*;
use crate::facts::{Interface, Vm};
use crate::state::tests::{facts, locked, open, press, type_in, unlocked};
use crate::state::{Event, VmRequest};

fn shown(state: &State) -> String {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(state, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    for cell in buffer.content() {
        let known = Modifier::BOLD | Modifier::REVERSED;
        assert!(cell.symbol().chars().all(|c| matches!(c, ' '..='~')), "{:?}", cell.symbol());
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "no colour says anything");
        assert!(known.contains(cell.modifier), "{:?}", cell.modifier);
    }
    let rows = buffer.content().chunks(80);
    let lines = rows.map(|row| {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

fn golden(name: &str, state: &State) {
    let text = shown(state);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(name);
    let file = file.with_extension("txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&file).unwrap(), "{name}");
}

#[test]
fn status() {
    let mut state = State::new(Leave::Never);
    golden("starting", &state);
    let why = "connecting to /run/xenith/xapi.sock: Connection refused (os error 111)";
    state.on(Event::Lost(why.to_owned()));
    golden("no-toolstack", &state);
    let mut state = locked();
    golden("status", &state);
    state.on(Event::Lost(why.to_owned()));
    golden("status-lost", &state);
    let mut nothing = facts();
    nothing.vms.clear();
    nothing.alerts.clear();
    nothing.interfaces[0].ip.clear();
    nothing.interfaces[0].ipv6.clear();
    state.on(Event::Facts(Box::new(nothing.clone())));
    golden("status-no-address", &state);
    nothing.interfaces.clear();
    nothing.storage.clear();
    state.on(Event::Facts(Box::new(nothing)));
    golden("status-no-card", &state);
    open(&mut state, 0);
    golden("network-none", &state);
    press(&mut state, &[Key::Esc]);
    open(&mut state, 1);
    golden("storage-none", &state);
    press(&mut state, &[Key::Esc]);
    open(&mut state, 2);
    golden("vms-none", &state);
    golden("status-unlocked", &unlocked());
    for (name, leave) in
        [("status-by-a-person", Leave::Caller), ("status-serial-line", Leave::LoginPrompt)]
    {
        let mut left = State::new(leave);
        left.on(Event::Facts(Box::new(facts())));
        golden(name, &left);
    }
}

#[test]
fn login() {
    let mut state = locked();
    open(&mut state, 5);
    type_in(&mut state, "secret");
    golden("login", &state);
    press(&mut state, &[Key::Enter]);
    golden("login-checking", &state);
    state.on(Event::LoggedIn(Err("The password is wrong.".to_owned())));
    golden("login-wrong", &state);
}

#[test]
fn lists() {
    let mut state = locked();
    open(&mut state, 0);
    golden("network", &state);
    press(&mut state, &[Key::Down]);
    golden("network-second", &state);
    press(&mut state, &[Key::Esc]);
    open(&mut state, 1);
    golden("storage", &state);
    press(&mut state, &[Key::Esc]);
    open(&mut state, 2);
    golden("vms", &state);
    press(&mut state, &[Key::Down]);
    golden("vms-running", &state);
    press(&mut state, &[Key::Esc]);
    open(&mut state, 3);
    golden("host", &state);
    let mut many = facts();
    let name = |n: usize| format!("a virtual machine with quite a long name, {n}");
    many.vms = (0..40).map(|n| Vm { name: name(n), ..many.vms[0].clone() }).collect();
    state.on(Event::Facts(Box::new(many)));
    press(&mut state, &[Key::Esc]);
    open(&mut state, 2);
    press(&mut state, &[Key::PageDown, Key::PageDown]);
    golden("vms-many", &state);
    let mut many = facts();
    let card = |n: usize| Interface { device: format!("eth{n}"), ..many.interfaces[1].clone() };
    many.interfaces = (0..20).map(card).collect();
    state.on(Event::Facts(Box::new(many)));
    press(&mut state, &[Key::Esc]);
    open(&mut state, 0);
    press(&mut state, &[Key::PageDown]);
    golden("network-many", &state);
}

#[test]
fn changes() {
    let mut state = unlocked();
    open(&mut state, 0);
    press(&mut state, &[Key::Char('a')]);
    golden("address", &state);
    press(&mut state, &[Key::Right, Key::Down]);
    press(&mut state, &[Key::Backspace; 3]);
    press(&mut state, &[Key::Enter]);
    golden("address-wrong", &state);
    type_in(&mut state, "/24");
    press(&mut state, &[Key::Enter]);
    golden("address-sure", &state);
    press(&mut state, &[Key::Esc, Key::Esc, Key::Esc]);
    open(&mut state, 2);
    press(&mut state, &[Key::Down, Key::Char('f')]);
    golden("force-off-sure", &state);
    press(&mut state, &[Key::Char('y')]);
    golden("force-off", &state);
    let request = Request::Vm(VmRequest::ForceOff, facts().vms[1].clone());
    state.on(Event::Done(request, Ok(())));
    golden("force-off-done", &state);
    press(&mut state, &[Key::Esc]);
    open(&mut state, 3);
    press(&mut state, &[Key::Enter]);
    golden("host-in-use", &state);
    press(&mut state, &[Key::End, Key::Enter]);
    golden("toolstack-sure", &state);
}

#[test]
fn sizes_and_times() {
    for (bytes, text) in
        [(0, "0.0 KiB"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (1 << 41, "2.0 TiB")]
    {
        assert_eq!(size(bytes), text);
    }
    assert_eq!(size(u64::MAX), "16777215.9 TiB");
    let mut state = locked();
    state.on(Event::Tick(Duration::ZERO, Duration::from_secs(200_000)));
    assert!(shown(&state).contains("2 days, 7:33 h"));
}

#[test]
fn small_and_large_terminals_do_not_panic() {
    let state = locked();
    for (columns, rows) in [(1, 1), (20, 5), (80, 25), (250, 70)] {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| draw(&state, frame)).unwrap();
    }
}
