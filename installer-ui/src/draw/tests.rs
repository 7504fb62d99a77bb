// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every screen as text at 80x24, in `tests/screens`. `UPDATE_GOLDEN=1` writes them anew.

use std::fs;
use std::path::Path;
use std::time::Duration;

use installer_core::discovery::{Kind, Unusable, Virtualization};
use installer_core::events::{Event as News, Step};
use installer_core::hardware::Finding;
use installer_core::medium::Checked;
use installer_core::pace::Pace;
use installer_core::plan::Ids;
use ratatui::backend::{CrosstermBackend, TestBackend};
use ratatui::style::{Color, Modifier};
use ratatui::{Terminal, TerminalOptions, Viewport};

use super::*;
use crate::state::reinstall_tests::{at_the_host, to_kept_summary};
use crate::state::tests::{found, press, to_summary, type_in, volume, with_more_disks};
use crate::state::{Event, Key};

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
    assert_plain(state);
    let rows = buffer.content().chunks(80);
    let lines = rows.map(|row| {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

/// What goes to a terminal is what a VT100 does or passes over (VT100 User Guide, EK-VT100-UG,
/// chapter 3): cursor, erasing, attributes; setting a colour is none of it.
fn assert_plain(state: &State) {
    let mut sent = Vec::new();
    let viewport = Viewport::Fixed(Rect::new(0, 0, 80, 24));
    let backend = CrosstermBackend::new(&mut sent);
    let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport }).unwrap();
    terminal.draw(|frame| draw(state, frame)).unwrap();
    drop(terminal);
    let text = String::from_utf8(sent).unwrap();
    let mut parts = text.split('\u{1b}');
    let printed = |text: &str| assert!(text.chars().all(|c| matches!(c, ' '..='~')), "{text:?}");
    printed(parts.next().unwrap());
    for part in parts {
        let rest = part.strip_prefix('[').unwrap_or_else(|| panic!("{part:?}"));
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        let (numbers, last) = (&rest[..end], &rest[end..=end]);
        let known = match last {
            "H" | "J" | "K" => numbers.bytes().all(|b| b.is_ascii_digit() || b == b';'),
            // Everything off, bold on and off, reverse on and off, and colours as they were.
            "m" => {
                let known = ["", "0", "1", "7", "22", "27", "39", "49", "59"];
                numbers.split(';').all(|number| known.contains(&number))
            }
            // Whether the cursor is seen; a VT100 passes over it.
            "h" | "l" => numbers == "?25",
            _ => false,
        };
        assert!(known, "{part:?}");
        printed(&rest[end + 1..]);
    }
}

/// Also holds that the log is one key away.
fn golden(name: &str, state: &State) {
    let text = shown(state);
    let keys = text.lines().last().unwrap();
    let opens = ["F2 log", "l log"].iter().any(|word| keys.contains(word));
    // On the log itself, and on what lies over a screen, the person goes back first.
    assert!(opens || ["log", "leave"].contains(&name), "{name}: {keys}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(name);
    let file = file.with_extension("txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&file).unwrap(), "{name}");
}

#[test]
fn before_the_questions() {
    let mut state = State::new(Ids::random());
    golden("looking", &state);
    let error = "reading /run/xenith/medium/xenith/build-id: No such file or directory".to_owned();
    state.on(Event::Found(Err(error), Box::new(Ids::random())));
    golden("look-failed", &state);
    let mut state = found();
    golden("welcome", &state);
    let access = "Over SSH: ssh installer@192.0.2.10   password k4mp-x7qe-n2ra\nalso at \
                  2001:db8::10\nkey of this machine \
                  SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
    state.on(Event::Remote(access.to_owned()));
    golden("welcome-ssh", &state);
    state.on(Event::Owner(Err("the installer is in use on hvc0".into())));
    golden("taken", &state);
    press(&mut state, &[Key::Leave, Key::Down]);
    golden("leave", &state);
}

#[test]
fn checking_the_medium() {
    let mut state = State::checking(Ids::random());
    let elapsed = Duration::from_secs(3);
    let (done, total) = (67_000_000, 151_000_000);
    state.on(Event::Check(Pace { done, total, elapsed }));
    golden("checking", &state);
    state.on(Event::Checked(Ok(Checked::Whole { bytes: total })));
    golden("checked-whole", &state);
    let names = ["EFI/BOOT/BOOTX64.EFI", "boot/initrd.img", "boot/vmlinuz", "xenith/root.img"];
    let digest = |pair: &str| pair.repeat(32);
    let wrong = names.map(|name| {
        format!(
            "{name} on the medium is damaged: its SHA-256 is {} instead of {}; write the medium again",
            digest("0f"),
            digest("a5")
        )
    });
    state.on(Event::Checked(Ok(Checked::Damaged(wrong.into()))));
    golden("checked-damaged", &state);
    press(&mut state, &[Key::Down, Key::Down]);
    golden("checked-damaged-scrolled", &state);
    let error = "the medium has no list of its files (xenith/sha256sums): it is not whole, or an \
                 older one; write it again: opening /run/xenith/medium/xenith/sha256sums: No such \
                 file or directory (os error 2)";
    state.on(Event::Checked(Err(error.to_owned())));
    golden("check-failed", &state);
}

#[test]
fn the_questions() {
    let mut state = found();
    press(&mut state, &[Key::Enter]);
    state.on(Event::Owner(Ok(())));
    golden("hardware", &state);
    press(&mut state, &[Key::Enter]);
    golden("choose", &state);
    press(&mut state, &[Key::Enter]);
    golden("keyboard", &state);
    type_in(&mut state, "DE");
    golden("keyboard-searched", &state);
    press(&mut state, &[Key::Clear]);
    type_in(&mut state, "us");
    press(&mut state, &[Key::Enter]);
    state.licence = crate::licence::lines_of(Ok("Permission is hereby granted\n".repeat(30)));
    golden("licence", &state);
    press(&mut state, &[Key::PageDown]);
    golden("licence-scrolled", &state);
    press(&mut state, &[Key::Enter]);
    golden("disk", &state);
    press(&mut state, &[Key::Up, Key::Enter]);
    golden("disk-refused", &state);
    press(&mut state, &[Key::Down, Key::Enter, Key::Enter]);
    golden("hostname", &state);
    type_in(&mut state, "_");
    press(&mut state, &[Key::Enter]);
    golden("hostname-wrong", &state);
    press(&mut state, &[Key::Backspace, Key::Enter]);
    golden("network-dhcp", &state);
    press(&mut state, &[Key::Down, Key::Right, Key::Down]);
    type_in(&mut state, "192.0.2.10/24");
    golden("network-fixed", &state);
    press(&mut state, &[Key::Down, Key::Down, Key::Down, Key::Right]);
    golden("network-more", &state);
    press(&mut state, &[Key::Down, Key::Right, Key::Right, Key::Right, Key::Down]);
    type_in(&mut state, "2001:db8::10/64");
    press(&mut state, &[Key::Down, Key::Down, Key::Right, Key::Right, Key::Right, Key::Down]);
    press(&mut state, &[Key::Down]);
    type_in(&mut state, "42");
    press(&mut state, &[Key::Down]);
    type_in(&mut state, "1279");
    press(&mut state, &[Key::Enter]);
    golden("network-everything", &state);
    press(&mut state, &[Key::Clear, Key::Test]);
    golden("network-testing", &state);
    let findings = [
        Finding::failed("Link", "eno1: no cable, or the other side is off"),
        Finding::failed(
            "Address",
            "no IPv4 address from the network: no DHCP server answers on xn-vlan, the VLAN is another \
             one, or another host has the address",
        ),
    ];
    state.on(Event::Tested(findings.to_vec()));
    golden("network-tested", &state);
    press(&mut state, &[Key::Enter, Key::Enter]);
    golden("zone-region", &state);
    type_in(&mut state, "am");
    press(&mut state, &[Key::Enter, Key::Down]);
    golden("zone-city", &state);
    type_in(&mut state, "berlin");
    press(&mut state, &[Key::Enter]);
    golden("zone-city-none", &state);
    press(&mut state, &[Key::Clear, Key::Enter]);
    type_in(&mut state, "secret");
    golden("password", &state);
}

#[test]
fn further_disks() {
    let mut state = with_more_disks();
    golden("more-disks", &state);
    press(&mut state, &[Key::Down, Key::Right, Key::Right]);
    golden("more-disks-mirror", &state);
    press(&mut state, &[Key::Up, Key::Right]);
    golden("more-disks-storage", &state);
    press(&mut state, &[Key::Enter; 5]);
    type_in(&mut state, "correct horse");
    press(&mut state, &[Key::Enter]);
    type_in(&mut state, "correct horse");
    press(&mut state, &[Key::Enter, Key::Enter]);
    golden("summary-mirror", &state);
}

#[test]
fn a_machine_with_nothing() {
    let mut state = State::new(Ids::random());
    let mut machine = crate::state::tests::machine();
    machine.disks.clear();
    machine.nics.clear();
    state.on(Event::Found(Ok(Box::new(machine)), Box::new(Ids::random())));
    state.on(Event::Owner(Ok(())));
    golden("hardware-refused", &state);
    press(&mut state, &[Key::Enter, Key::Enter]);
    golden("choose-refused", &state);
    state.screen = Screen::Disk;
    state.message = None;
    golden("disk-none", &state);
    state.screen = Screen::Network;
    golden("network-none", &state);
    state.screen = Screen::Keymap;
    golden("keyboard-none", &state);
    state.screen = Screen::Zone;
    golden("zone-none", &state);
}

#[test]
fn a_machine_on_which_little_works() {
    let mut machine = crate::state::tests::machine();
    machine.machine.virtualization = Virtualization::Absent;
    machine.machine.virt_caps = Some(vec!["pv".to_owned()]);
    machine.machine.memory = Some(1_600_000_000);
    machine.machine.secure_boot = Some(true);
    machine.machine.clock = 978_307_200;
    machine.unusable = vec![Unusable {
        kind: Kind::Network,
        name: "PCI 0000:02:00.0 (1969:1063)".to_owned(),
        why: "Linux has no driver for it".to_owned(),
    }];
    let mut state = State::new(Ids::random());
    state.on(Event::Found(Ok(Box::new(machine)), Box::new(Ids::random())));
    state.on(Event::Owner(Ok(())));
    golden("hardware-warnings", &state);
    press(&mut state, &[Key::PageDown, Key::PageDown]);
    golden("hardware-warnings-scrolled", &state);
}

#[test]
fn plan_and_installation() {
    let mut state = found();
    to_summary(&mut state);
    golden("summary", &state);
    press(&mut state, &[Key::PageDown, Key::Enter]);
    golden("summary-scrolled", &state);
    type_in(&mut state, "yes");
    press(&mut state, &[Key::Enter]);
    for step in &Step::ALL[..4] {
        state.on(Event::Install(Duration::from_secs(2), News::Started(*step)));
        state.on(Event::Install(Duration::from_secs(3), News::Done(*step)));
    }
    state.on(Event::Install(Duration::from_secs(3), News::Started(Step::RootImage)));
    let news = News::Progress { done: 60_000_000, total: 130_000_000 };
    state.on(Event::Install(Duration::from_secs(5), news));
    golden("progress", &state);
    for line in 0..30 {
        state.on(Event::Log(format!("{line}.123s INFO running `program {line}`")));
    }
    press(&mut state, &[Key::Char('l'), Key::Up, Key::Up]);
    golden("log", &state);
    press(&mut state, &[Key::Esc]);
    let error = "writing /dev/sda3: Input/output error (os error 5)".to_owned();
    let news = News::Failed { step: Step::RootImage, error };
    state.on(Event::Install(Duration::from_secs(9), news));
    golden("failure", &state);
}

#[test]
fn a_host_that_is_installed_again() {
    let mut state = at_the_host();
    golden("host", &state);
    press(&mut state, &[Key::Up, Key::Enter]);
    golden("host-refused", &state);
    press(&mut state, &[Key::Down]);
    to_kept_summary(&mut state);
    golden("summary-kept", &state);
    type_in(&mut state, "yes");
    press(&mut state, &[Key::Enter]);
    for step in &Step::KEEPING[..4] {
        state.on(Event::Install(Duration::from_secs(2), News::Started(*step)));
        state.on(Event::Install(Duration::from_secs(3), News::Done(*step)));
    }
    state.on(Event::Install(Duration::from_secs(3), News::Started(Step::RootImage)));
    golden("progress-kept", &state);
    let error = "writing /dev/sda3: Input/output error (os error 5)".to_owned();
    let news = News::Failed { step: Step::RootImage, error };
    state.on(Event::Install(Duration::from_secs(9), news));
    golden("failure-kept", &state);
}

#[test]
fn the_end() {
    let mut state = found();
    to_summary(&mut state);
    type_in(&mut state, "yes");
    press(&mut state, &[Key::Enter]);
    state.on(Event::Install(Duration::from_secs(61), News::Complete));
    golden("success", &state);
}

#[test]
fn saving_the_logs() {
    let mut state = found();
    press(&mut state, &[Key::Leave, Key::End, Key::Down, Key::Down, Key::Down, Key::Down]);
    press(&mut state, &[Key::Enter]);
    golden("save-logs-looking", &state);
    state.on(Event::Volumes(Ok(Vec::new())));
    golden("save-logs-no-volume", &state);
    state.on(Event::Volumes(Ok(vec![volume("SDB"), volume("SDC")])));
    press(&mut state, &[Key::Down]);
    golden("save-logs-volume", &state);
    press(&mut state, &[Key::Enter]);
    golden("save-logs-saving", &state);
    let name = "xenith-logs-example-server-2000-20251124T160000Z.tar.gz";
    let place = format!("{name} on /dev/sdb1, which can be pulled out");
    state.on(Event::Saved(Ok(place)));
    golden("save-logs-saved", &state);
    press(&mut state, &[Key::Up, Key::Right, Key::Down]);
    type_in(&mut state, "me@192.0.2.1:logs/");
    golden("save-logs-scp", &state);
    press(&mut state, &[Key::Up, Key::Right, Key::Down]);
    type_in(&mut state, "http://192.0.2.1/in/");
    press(&mut state, &[Key::Enter]);
    let error = "sending the logs to http://192.0.2.1/in/ by PUT: http status: 403";
    state.on(Event::Saved(Err(error.to_owned())));
    golden("save-logs-http-refused", &state);
}

#[test]
fn small_and_large_terminals_do_not_panic() {
    let state = found();
    for (columns, rows) in [(1, 1), (20, 5), (80, 25), (250, 70)] {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| draw(&state, frame)).unwrap();
    }
}
