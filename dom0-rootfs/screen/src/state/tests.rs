// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys on every screen.

use super::*;
use crate::facts::Storage;

pub(crate) fn facts() -> Facts {
    let card = |number: u8, management| Interface {
        reference: format!("P{number}"),
        device: format!("eth{number}"),
        mac: format!("52:54:00:00:00:0{number}"),
        link: Some(management),
        speed: if management { 1000 } else { 0 },
        mode: if management { "DHCP" } else { "None" }.to_owned(),
        ip: if management { "192.0.2.10".to_owned() } else { String::new() },
        netmask: if management { "255.255.255.0".to_owned() } else { String::new() },
        gateway: if management { "192.0.2.1".to_owned() } else { String::new() },
        dns: if management { "192.0.2.53,192.0.2.54".to_owned() } else { String::new() },
        ipv6: if management { vec!["2001:db8::10/64".to_owned()] } else { Vec::new() },
        ipv6_mode: if management { "Autoconf" } else { "None" }.to_owned(),
        management,
        attached: true,
        ..Interface::default()
    };
    Facts {
        host: "H".to_owned(),
        name: "node1".to_owned(),
        version: "0.1.0".to_owned(),
        xen: "4.20.3".to_owned(),
        pool: "lab".to_owned(),
        cpus: "8 x Example CPU E5 at 2.40GHz".to_owned(),
        memory: 64 << 30,
        free: 50 << 30,
        fingerprint: vec!["A5"; 32].join(":"),
        interfaces: vec![card(0, true), card(1, false)],
        storage: vec![
            Storage {
                name: "Local storage".to_owned(),
                kind: "lvmthin".to_owned(),
                size: 2 << 40,
                used: 300 << 30,
                attached: true,
            },
            Storage { name: "media".to_owned(), kind: "iso".to_owned(), ..Storage::default() },
        ],
        vms: vec![
            vm("db", "Halted", &["start"], false),
            vm("web", "Running", &["clean_shutdown", "clean_reboot", "hard_shutdown"], true),
        ],
        alerts: vec!["11-30 01:02 VM_STARTED: VM 'web' was started".to_owned()],
    }
}

fn vm(name: &str, state: &str, allowed: &[&str], console: bool) -> Vm {
    Vm {
        reference: format!("V-{name}"),
        uuid: format!("uuid-{name}"),
        name: name.to_owned(),
        state: state.to_owned(),
        memory: 4 << 30,
        vcpus: 2,
        allowed: allowed.iter().map(|name| (*name).to_owned()).collect(),
        console: console.then(|| format!("console-{name}")),
    }
}

/// Nobody has logged in.
pub(crate) fn locked() -> State {
    let mut state = State::new(Leave::Never);
    state.on(Event::Tick(Duration::from_secs(1), Duration::from_secs(90_000)));
    state.on(Event::Facts(Box::new(facts())));
    state
}

pub(crate) fn press(state: &mut State, keys: &[Key]) -> Option<Action> {
    keys.iter().fold(None, |_, key| state.on(Event::Key(*key)))
}

pub(crate) fn type_in(state: &mut State, text: &str) {
    for c in text.chars() {
        state.on(Event::Key(Key::Char(c)));
    }
}

/// On the menu's entry, opened.
pub(crate) fn open(state: &mut State, entry: usize) -> Option<Action> {
    state.menu = entry;
    press(state, &[Key::Enter])
}

pub(crate) fn unlocked() -> State {
    let mut state = locked();
    open(&mut state, 5);
    type_in(&mut state, "xenith");
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::LogIn("xenith".to_owned())));
    assert_eq!(state.on(Event::LoggedIn(Ok(()))), None);
    assert!(state.unlocked && state.screen == Screen::Status);
    state
}

fn tick(state: &mut State, seconds: u64) -> Option<Action> {
    state.on(Event::Tick(Duration::from_secs(seconds), Duration::ZERO))
}

#[test]
fn nothing_but_looking_goes_without_the_password() {
    let keys: Vec<Key> = ('a'..='z').map(Key::Char).chain([Key::Enter, Key::Test]).collect();
    for (entry, down) in [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (4, 0)] {
        for key in &keys {
            let mut state = locked();
            let opened = open(&mut state, entry);
            assert_eq!(opened, None);
            press(&mut state, &vec![Key::Down; down]);
            let shown = state.screen;
            let action = press(&mut state, &[*key]);
            assert_eq!(action, None, "{entry} {key:?}");
            assert_eq!(state.question, None, "{entry} {key:?}");
            assert!(!state.unlocked);
            // What the key does not do here leaves the screen, or leads to the password.
            assert!([shown, Screen::Login, Screen::Status].contains(&state.screen), "{key:?}");
        }
    }
    assert_eq!(press(&mut locked(), &[Key::Leave]), None);
    assert_eq!(press(&mut locked(), &[Key::Redraw]), Some(Action::Redraw));
    for leave in [Leave::LoginPrompt, Leave::Caller] {
        assert_eq!(press(&mut State::new(leave), &[Key::Char('q')]), Some(Action::Leave));
    }
}

#[test]
fn the_password_leads_on_to_what_was_asked_for() {
    let mut state = locked();
    open(&mut state, 2);
    press(&mut state, &[Key::Down, Key::Char('d')]);
    assert_eq!(state.screen, Screen::Login);
    type_in(&mut state, "xenith");
    press(&mut state, &[Key::Enter]);
    assert_eq!(state.on(Event::LoggedIn(Ok(()))), None);
    let web = facts().vms[1].clone();
    let request = Request::Vm(VmRequest::Shutdown, web);
    assert_eq!((state.screen, state.selected), (Screen::Vms, 1));
    assert_eq!(state.question, Some(request.clone()));
    for key in [Key::Enter, Key::Char('x')] {
        assert_eq!(press(&mut state, &[key]), None);
        assert!(state.question.is_some());
    }
    assert_eq!(press(&mut state, &[Key::Char('y')]), Some(Action::Request(request.clone())));
    state.on(Event::Done(request, Err("no".to_owned())));
    assert_eq!(state.message.as_deref(), Some("Shutting down web: no"));
}

#[test]
fn a_wrong_password_waits_longer_each_time() {
    let mut state = locked();
    open(&mut state, 4);
    for (failures, seconds) in [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 32)] {
        type_in(&mut state, "wrong");
        assert!(press(&mut state, &[Key::Enter]).is_some(), "{failures}");
        // While it is looked at nothing more is taken.
        assert_eq!(press(&mut state, &[Key::Char('x'), Key::Enter]), None);
        state.on(Event::LoggedIn(Err("The password is wrong.".to_owned())));
        assert!(!state.unlocked && state.login_waits() == seconds);
        type_in(&mut state, "wrong");
        assert_eq!(press(&mut state, &[Key::Enter]), None);
        // Leaving the screen is no way around it.
        press(&mut state, &[Key::Esc]);
        open(&mut state, 4);
        assert_eq!(state.login_waits(), seconds);
        let now = state.now.as_secs() + seconds;
        tick(&mut state, now);
        press(&mut state, &[Key::Clear]);
    }
    type_in(&mut state, "xenith");
    press(&mut state, &[Key::Enter]);
    assert_eq!(state.on(Event::LoggedIn(Ok(()))), Some(Action::Shell));
}

#[test]
fn nobody_there_locks_it() {
    let mut state = unlocked();
    open(&mut state, 3);
    assert_eq!(tick(&mut state, IDLE.as_secs()), None);
    press(&mut state, &[Key::Down]);
    let again = 2 * IDLE.as_secs();
    assert_eq!(tick(&mut state, again - 1), None);
    assert_eq!(tick(&mut state, again), Some(Action::LogOut));
    assert!(!state.unlocked && state.screen == Screen::Status);
    // Back from a shell that somebody left alone, and from a short one.
    let mut state = unlocked();
    assert_eq!(state.on(Event::Back(IDLE, Ok(()))), Some(Action::LogOut));
    let mut state = unlocked();
    assert_eq!(state.on(Event::Back(Duration::from_secs(9), Err("gone".to_owned()))), None);
    assert!(state.unlocked && state.message.as_deref() == Some("gone"));
    // By hand.
    assert_eq!(open(&mut state, 5), Some(Action::LogOut));
}

#[test]
fn a_toolstack_that_ends_takes_the_session_along() {
    let mut state = unlocked();
    press(&mut state, &[Key::Home, Key::Enter]);
    assert_eq!(state.on(Event::Lost("refused".to_owned())), Some(Action::LogOut));
    assert!(!state.unlocked && state.screen == Screen::Status);
    open(&mut state, 4);
    type_in(&mut state, "xenith");
    assert_eq!(press(&mut state, &[Key::Enter]), None);
    assert!(state.message.as_deref().unwrap().contains("does not answer"));
    state.on(Event::Facts(Box::new(facts())));
    assert!(state.lost.is_none());
    assert!(press(&mut state, &[Key::Enter]).is_some());
    // An answer that comes when it is not waited for any more opens nothing.
    state.on(Event::Lost("refused".to_owned()));
    assert_eq!(state.on(Event::LoggedIn(Ok(()))), Some(Action::LogOut));
    assert!(!state.unlocked);
}

#[test]
fn keys_of_a_vm_are_those_that_its_state_allows() {
    let mut state = unlocked();
    open(&mut state, 2);
    let vms = facts().vms;
    for key in ['d', 'r', 'f', 'c'] {
        assert_eq!(press(&mut state, &[Key::Char(key)]), None);
        assert_eq!(state.question, None);
    }
    let start = Request::Vm(VmRequest::Start, vms[0].clone());
    assert_eq!(press(&mut state, &[Key::Char('s')]), Some(Action::Request(start)));
    press(&mut state, &[Key::Down, Key::Char('s')]);
    assert_eq!(state.question, None);
    for (key, what) in
        [('d', VmRequest::Shutdown), ('r', VmRequest::Reboot), ('f', VmRequest::ForceOff)]
    {
        press(&mut state, &[Key::Char(key)]);
        assert_eq!(state.question, Some(Request::Vm(what, vms[1].clone())));
        press(&mut state, &[Key::Char('n')]);
        assert_eq!(state.question, None);
    }
    let console = Some(Action::Console(vms[1].clone()));
    assert_eq!(press(&mut state, &[Key::Char('c')]), console);
    // A list that gets shorter keeps a selected entry.
    let mut fewer = facts();
    fewer.vms.truncate(1);
    state.on(Event::Facts(Box::new(fewer)));
    assert_eq!(state.selected, 0);
    press(&mut state, &[Key::End, Key::PageDown, Key::PageUp, Key::Home, Key::Up, Key::Esc]);
    assert_eq!(state.screen, Screen::Status);
}

#[test]
fn the_host_stays_on_while_vms_run() {
    let mut state = unlocked();
    open(&mut state, 3);
    for _ in 0..2 {
        assert_eq!(press(&mut state, &[Key::Enter]), None);
        let refused = Some("One virtual machine runs; shut down or suspend first.");
        assert_eq!((state.message.as_deref(), &state.question), (refused, &None));
        press(&mut state, &[Key::Down]);
    }
    press(&mut state, &[Key::Enter]);
    assert_eq!(state.question, Some(Request::RestartToolstack("H".to_owned())));
    press(&mut state, &[Key::Esc]);
    let mut idle = facts();
    idle.vms.clear();
    state.on(Event::Facts(Box::new(idle)));
    press(&mut state, &[Key::Up, Key::Enter]);
    assert_eq!(state.question, Some(Request::PowerOff("H".to_owned())));
    press(&mut state, &[Key::Esc, Key::Home, Key::Enter]);
    let reboot = Some(Action::Request(Request::Reboot("H".to_owned())));
    assert_eq!(press(&mut state, &[Key::Char('y')]), reboot);
}

#[test]
fn an_address_is_checked_before_it_is_asked_about() {
    let mut state = unlocked();
    open(&mut state, 0);
    assert_eq!(press(&mut state, &[Key::Char('t')]), Some(Action::TestNetwork));
    press(&mut state, &[Key::Char('a'), Key::Enter]);
    let Some(Request::Address { mode: "DHCP", ip, .. }) = &state.question else {
        panic!("{:?}", state.question)
    };
    assert_eq!(ip, "");
    press(&mut state, &[Key::Esc, Key::Right, Key::Down, Key::Clear]);
    for (typed, word) in [
        ("192.0.2.9", "prefix length"),
        ("192.0.2/24", "no IPv4 address"),
        ("192.0.2.9/0", "from 1 to 32"),
        ("192.0.2.9/33", "from 1 to 32"),
    ] {
        type_in(&mut state, typed);
        press(&mut state, &[Key::Enter]);
        let message = state.message.clone().unwrap();
        assert!(state.question.is_none() && message.contains(word), "{message}");
        press(&mut state, &[Key::Clear]);
    }
    type_in(&mut state, "192.0.2.9/25");
    press(&mut state, &[Key::Tab, Key::Clear]);
    type_in(&mut state, "x");
    press(&mut state, &[Key::Enter]);
    assert!(state.message.as_deref().unwrap().contains("gateway x"));
    press(&mut state, &[Key::Clear, Key::Tab, Key::Clear]);
    type_in(&mut state, "192.0.2.1 y");
    press(&mut state, &[Key::Enter]);
    assert!(state.message.as_deref().unwrap().contains("name server y"));
    press(&mut state, &[Key::Backspace, Key::Enter]);
    let request = Request::Address {
        pif: "P0".to_owned(),
        mode: "Static",
        ip: "192.0.2.9".to_owned(),
        netmask: "255.255.255.128".to_owned(),
        gateway: String::new(),
        dns: "192.0.2.1".to_owned(),
    };
    assert_eq!(press(&mut state, &[Key::Char('y')]), Some(Action::Request(request)));
    assert_eq!(state.screen, Screen::Network);
}
