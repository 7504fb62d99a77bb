// SPDX-License-Identifier: MIT OR Apache-2.0
//! A person's way through a reinstallation that keeps guests.

use installer_core::answers::Answers;
use installer_core::discovery::{Content, HostPartition, HostTable};
use installer_core::events::Step;

use super::tests::{disk, found, machine, press, type_in};
use super::*;

/// A machine with a host on its disk.
pub(crate) fn machine_with_host() -> Discovery {
    let mut found = machine();
    let text = "hostname = \"a\"\nroot-password = \"correct horse\"\n\
                disk = { device = \"/dev/sda\", wipe = true }";
    let fresh = Plan::make(&Answers::from_toml(text).unwrap(), &found, Ids::random()).unwrap();
    let types = [
        "21686148-6449-6e6f-744e-656564454649",
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
        "0fc63daf-8483-4772-8e79-3d69d8477de4",
        "0fc63daf-8483-4772-8e79-3d69d8477de4",
        "0fc63daf-8483-4772-8e79-3d69d8477de4",
        "e6d6d379-f507-44c2-a23c-238f2a3df928",
    ];
    let partitions = fresh.layout.partitions().iter().zip(types);
    let partitions = partitions.map(|(planned, type_guid)| HostPartition {
        number: planned.role.number(),
        name: planned.role.name().to_owned(),
        guid: planned.guid,
        type_guid: type_guid.parse().unwrap(),
        first_sector: planned.first_sector,
        last_sector: planned.last_sector(),
    });
    let disk = &mut found.disks[1];
    disk.host_table =
        Some(HostTable { guid: fresh.layout.guid(), partitions: partitions.collect() });
    disk.contents = vec![Content {
        device: "sda6".into(),
        kind: "LVM2_member".into(),
        label: None,
        part_of: Some("xsr-00000000-0000-0000-0000-00000000005a".into()),
    }];
    found
}

/// A machine with a host, at the screen that asks which.
pub(crate) fn at_the_host() -> State {
    let mut state = found();
    let machine = Box::new(machine_with_host());
    state.on(Event::Found(Ok(machine), Box::new(Ids::random())));
    press(&mut state, &[Key::Enter]);
    state.on(Event::Owner(Ok(())));
    press(&mut state, &[Key::Enter, Key::Down, Key::Enter, Key::Enter, Key::Enter]);
    assert_eq!(state.screen, Screen::Disk, "{:?}", state.message);
    state
}

/// From there to the summary.
pub(crate) fn to_kept_summary(state: &mut State) {
    press(state, &[Key::Enter, Key::Enter, Key::Enter, Key::Enter, Key::Enter]);
    assert_eq!(state.screen, Screen::Password, "{:?}", state.message);
    type_in(state, "correct horse");
    press(state, &[Key::Enter]);
    type_in(state, "correct horse");
    press(state, &[Key::Enter, Key::Enter]);
    assert_eq!(state.screen, Screen::Summary, "{:?}", state.message);
}

#[test]
fn a_host_is_installed_again_with_its_guests() {
    let mut state = at_the_host();
    // Storage is no question.
    press(&mut state, &[Key::Right]);
    assert_eq!(state.form.storage, 0);
    to_kept_summary(&mut state);
    press(&mut state, &[Key::Enter]);
    assert!(state.message.as_ref().unwrap().contains("over the host that is there"));
    type_in(&mut state, "yes");
    let Some(Action::Install(plan)) = press(&mut state, &[Key::Enter]) else {
        panic!("no installation")
    };
    assert!(plan.kept.is_some() && plan.handover.local_sr.is_none());
    assert_eq!(state.run.steps, Step::KEEPING);
}

#[test]
fn without_a_host_nothing_can_be_kept() {
    let mut state = found();
    press(&mut state, &[Key::Enter]);
    state.on(Event::Owner(Ok(())));
    press(&mut state, &[Key::Enter, Key::Down, Key::Enter]);
    assert_eq!(state.screen, Screen::Choose);
    assert!(state.message.as_ref().unwrap().contains("there is nothing that could be kept"));
    // A disk beside the host's.
    let mut state = at_the_host();
    let found = state.found.as_mut().unwrap();
    found.disks.push(disk("sdc", 500_000_000_000, "WDC WD5000"));
    press(&mut state, &[Key::Down, Key::Enter]);
    assert_eq!(state.screen, Screen::Disk);
    let text = "No host is installed on /dev/sdc, so nothing can be kept";
    assert!(state.message.as_ref().unwrap().starts_with(text), "{:?}", state.message);
    // What was begun as a reinstallation is not one for ever.
    press(&mut state, &[Key::Esc, Key::Esc, Key::Esc, Key::Up, Key::Enter]);
    assert!(!state.form.keep);
}
