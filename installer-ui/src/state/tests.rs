// SPDX-License-Identifier: MIT OR Apache-2.0
//! A person's way through the screens, without a terminal.

use std::collections::BTreeMap;

use appliance_model::boot::BootOptions;
use appliance_model::handover::{AddressMode, LocalSrKind};
use installer_core::answers::DiskChoice;
use installer_core::discovery::{Content, Disk, Firmware, Machine, Medium, Nic, Virtualization};
use installer_core::events::{Event as News, Step};
use installer_core::regional::Regional;

use super::*;

pub(crate) fn disk(name: &str, size: u64, model: &str) -> Disk {
    Disk {
        path: format!("/dev/{name}").into(),
        links: vec![],
        model: Some(model.into()),
        serial: Some(format!("SN{name}")),
        size,
        sector_size: 512,
        removable: false,
        read_only: false,
        is_medium: false,
        contents: vec![],
        uses: vec![],
        path_of: None,
        multipath: None,
        unreadable: None,
        host_table: None,
        holders: vec![],
        properties: BTreeMap::new(),
    }
}

pub(crate) fn machine() -> Discovery {
    let content = |device: &str, kind: &str, label: Option<&str>| Content {
        device: device.into(),
        kind: kind.into(),
        label: label.map(str::to_owned),
        part_of: None,
    };
    let mut small = disk("nvme0n1", 8_000_000_000, "FlashCo 8");
    small.contents = vec![content("nvme0n1", "ext4", None)];
    let mut big = disk("sda", 480_000_000_000, "INTEL SSDSC2KB48");
    big.contents = vec![
        content("sda", "gpt", None),
        content("sda1", "vfat", Some("EFI")),
        content("sda2", "ext4", Some("photos")),
    ];
    let mut medium = disk("sdb", 16_000_000_000, "USB stick");
    medium.is_medium = true;
    let nic = |name: &str, last: u8, carrier| Nic {
        name: name.into(),
        mac: format!("52:54:00:12:34:{last:02x}").parse().unwrap(),
        driver: Some("e1000e".into()),
        carrier,
        max_mtu: None,
    };
    Discovery {
        disks: vec![small, big, medium],
        nics: vec![nic("eno1", 1, Some(false)), nic("eno2", 2, Some(true))],
        unusable: vec![],
        machine: Machine {
            firmware: Firmware::Uefi,
            memory: Some(68_719_476_736),
            cpus: Some(16),
            virtualization: Virtualization::Present,
            product: Some("Example Server 2000".into()),
            serial: None,
            uuid: None,
            xen: true,
            virt_caps: Some(["pv", "hvm", "hap", "shadow"].map(str::to_owned).into()),
            free_memory: None,
            secure_boot: Some(false),
            device_model: true,
            clock: 1_764_000_000,
        },
        medium: Medium {
            path: "/run/xenith/medium".into(),
            build_id: "0123456789abcdef".parse().unwrap(),
            made: Some(1_763_000_000),
            boot_options: BootOptions { xen: Vec::new(), dom0: Vec::new() },
            root_image_size: 130_000_000,
            boot_size: 40_000_000,
        },
    }
}

/// What the image has, in small.
pub(crate) fn regional() -> RegionalForm {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    RegionalForm::new(Regional {
        keymaps: owned(&[
            "ANSI-dvorak",
            "br-abnt2",
            "de",
            "de-latin1",
            "de-latin1-nodeadkeys",
            "us",
        ]),
        zones: owned(&[
            "Africa/Cairo",
            "America/Argentina/Buenos_Aires",
            "America/Lima",
            "America/New_York",
            "Etc/GMT+1",
            "Europe/Berlin",
            "Europe/Paris",
            "UTC",
        ]),
    })
}

pub(crate) fn found() -> State {
    let mut state = State::new(Ids::random());
    state.form.regional = regional();
    assert_eq!(state.on(Event::Found(Ok(Box::new(machine())), Box::new(Ids::random()))), None);
    state
}

pub(crate) fn press(state: &mut State, keys: &[Key]) -> Option<Action> {
    keys.iter().map(|key| state.on(Event::Key(*key))).last().flatten()
}

pub(crate) fn type_in(state: &mut State, text: &str) {
    for c in text.chars() {
        assert_eq!(state.on(Event::Key(Key::Char(c))), None);
    }
}

/// Up to the summary, with every field filled.
pub(crate) fn to_summary(state: &mut State) {
    assert_eq!(press(state, &[Key::Enter]), Some(Action::Own));
    state.on(Event::Owner(Ok(())));
    press(state, &[Key::Enter, Key::Enter, Key::Enter, Key::Enter]);
    press(state, &[Key::Right, Key::Enter, Key::Enter, Key::Clear]);
    type_in(state, "xen1.example.org");
    press(state, &[Key::Enter, Key::Down, Key::Right, Key::Down]);
    type_in(state, "192.0.2.10/24");
    press(state, &[Key::Down]);
    type_in(state, "192.0.2.1");
    press(state, &[Key::Down]);
    type_in(state, "192.0.2.53 192.0.2.54");
    press(state, &[Key::Enter, Key::Enter]);
    assert_eq!(state.screen, Screen::Password, "{:?}", state.message);
    type_in(state, "correct horse");
    press(state, &[Key::Enter]);
    type_in(state, "correct horse");
    press(state, &[Key::Enter, Key::Right, Key::Enter]);
    assert_eq!(state.screen, Screen::Summary, "{:?}", state.message);
}

#[test]
fn the_whole_way_makes_the_plan_that_was_typed() {
    let mut state = found();
    to_summary(&mut state);
    // Nothing happens without the word.
    assert_eq!(press(&mut state, &[Key::Enter]), None);
    assert!(state.message.as_ref().unwrap().contains("\"yes\""));
    type_in(&mut state, "yes");
    let Some(Action::Install(plan)) = press(&mut state, &[Key::Enter]) else {
        panic!("no installation")
    };
    assert_eq!(plan.disk.path.to_str(), Some("/dev/sda"));
    assert_eq!(plan.hostname.as_str(), "xen1.example.org");
    assert!(plan.ssh);
    let handover = plan.handover;
    assert_eq!(handover.local_sr.unwrap().kind, LocalSrKind::LvmThin);
    let management = handover.management.unwrap();
    assert_eq!(management.mac, "52:54:00:12:34:02", "the connected card is preselected");
    let AddressMode::Static { address, gateway } = management.mode else { panic!() };
    assert_eq!((address.as_str(), gateway.as_deref()), ("192.0.2.10/24", Some("192.0.2.1")));
    assert_eq!(management.dns, ["192.0.2.53", "192.0.2.54"]);
    assert_eq!(state.screen, Screen::Progress);
}

/// A machine with one more disk, at the screen with the other disks.
pub(crate) fn with_more_disks() -> State {
    let mut state = found();
    let mut machine = machine();
    machine.disks.push(disk("sdc", 500_000_000_000, "WDC WD5000"));
    machine.disks.push(disk("sdd", 600_000_000_000, "WDC WD6000"));
    state.on(Event::Found(Ok(Box::new(machine)), Box::new(Ids::random())));
    press(&mut state, &[Key::Enter]);
    state.on(Event::Owner(Ok(())));
    press(&mut state, &[Key::Enter; 5]);
    assert_eq!(state.screen, Screen::MoreDisks);
    state
}

#[test]
fn a_second_disk_becomes_the_mirror() {
    let mut state = with_more_disks();
    press(&mut state, &[Key::Down, Key::Right, Key::Right, Key::Down]);
    press(&mut state, &[Key::Char(' '), Key::Char(' ')]);
    let path = |name: &str| std::path::PathBuf::from(format!("/dev/{name}"));
    assert_eq!(state.form.purposes[&path("sdd")], Purpose::Mirror);
    assert_eq!(state.form.purposes.get(&path("sdc")), None, "there is one mirror");
    // The disk that is selected as the system disk is no longer anything else.
    press(&mut state, &[Key::Esc, Key::Down, Key::Down, Key::Enter]);
    let names = |state: &State| -> Vec<String> {
        let disks = state.form.more_disks(state.found.as_ref().unwrap());
        disks.iter().map(|disk| disk.path.display().to_string()).collect()
    };
    assert_eq!(names(&state), ["/dev/nvme0n1", "/dev/sda", "/dev/sdc"]);
    press(&mut state, &[Key::Esc, Key::Up, Key::Up, Key::Enter, Key::Enter]);
    assert_eq!(state.screen, Screen::Hostname);
    assert_eq!(press(&mut state, &[Key::Esc]), None);
    assert_eq!(state.screen, Screen::MoreDisks);
    press(&mut state, &[Key::Enter, Key::Enter, Key::Down, Key::Enter, Key::Enter]);
    type_in(&mut state, "correct horse");
    press(&mut state, &[Key::Enter]);
    type_in(&mut state, "correct horse");
    press(&mut state, &[Key::Enter, Key::Enter]);
    let plan = state.plan.as_ref().unwrap();
    assert_eq!(plan.disk_names(), "/dev/sda and /dev/sdd");
    // A look at the machine forgets disks that are gone.
    press(&mut state, &[Key::Esc]);
    state.on(Event::Found(Ok(Box::new(machine())), Box::new(Ids::random())));
    assert!(state.form.purposes.is_empty());
}

#[test]
fn further_disks_become_guests_storage() {
    let mut state = with_more_disks();
    // Too small for a host, large enough for guests.
    press(&mut state, &[Key::Right, Key::Right, Key::Enter]);
    assert!(state.message.as_ref().unwrap().starts_with("/dev/nvme0n1 cannot be a mirror: it is"));
    press(&mut state, &[Key::Left, Key::Down, Key::Left, Key::Right, Key::Enter]);
    assert_eq!(state.screen, Screen::Hostname);
    let found = state.found.clone().unwrap();
    let storage = state.form.storage(&found).unwrap().unwrap();
    let device = |name: &str| DiskChoice::Device(format!("/dev/{name}").into());
    assert_eq!(storage.disks, [device("nvme0n1"), device("sdc")]);
    assert!(storage.on_system);
    press(&mut state, &[Key::Esc, Key::Char('u')]);
    assert!(!state.form.storage(&found).unwrap().unwrap().on_system);
    press(&mut state, &[Key::Esc, Key::Right, Key::Right, Key::Enter, Key::Enter]);
    let said = state.message.clone().unwrap();
    assert!(said.starts_with("Disks are chosen for guests' storage"), "{said}");
}

#[test]
fn esc_goes_back_through_every_question_and_keeps_what_was_typed() {
    let mut state = found();
    to_summary(&mut state);
    let mut seen = Vec::new();
    for _ in 0..11 {
        let last = state.screen == Screen::Hardware;
        assert_eq!(press(&mut state, &[Key::Esc]), last.then_some(Action::Release));
        seen.push(state.screen.clone());
    }
    use Screen::*;
    let expected = [
        Password, Zone, Network, Hostname, MoreDisks, Disk, Licence, Keymap, Choose, Hardware,
        Welcome,
    ];
    assert_eq!(seen, expected);
    assert_eq!(state.form.hostname.text(), "xen1.example.org");
    assert!(state.plan.is_none());
}

#[test]
fn what_is_wrong_is_said_and_holds_the_person_back() {
    let mut state = found();
    press(&mut state, &[Key::Enter]);
    state.on(Event::Owner(Ok(())));
    press(&mut state, &[Key::Enter, Key::Enter, Key::Enter, Key::Enter, Key::Up, Key::Enter]);
    let said = |state: &State| state.message.clone().unwrap_or_default();
    assert!(said(&state).starts_with("This disk cannot be used: it is too small"));
    press(&mut state, &[Key::Down]);
    assert_eq!(state.message, None);
    press(&mut state, &[Key::Enter, Key::Enter, Key::Char('_'), Key::Enter]);
    assert_eq!(said(&state), "'_' is not allowed in a host name: use a-z, 0-9 and -.");
    press(&mut state, &[Key::Backspace, Key::Enter, Key::Down, Key::Right]);
    press(&mut state, &[Key::Enter, Key::Enter, Key::Enter, Key::Enter]);
    assert!(said(&state).contains("has no prefix length"), "{}", said(&state));
    press(&mut state, &[Key::Up, Key::Up, Key::Up, Key::Left, Key::Enter, Key::Enter]);
    assert_eq!(state.screen, Screen::Password);
    type_in(&mut state, "short");
    press(&mut state, &[Key::Enter, Key::Enter, Key::Enter]);
    assert_eq!(said(&state), "The password is shorter than 6 characters.");
    press(&mut state, &[Key::Up, Key::Up]);
    type_in(&mut state, "er");
    press(&mut state, &[Key::Enter, Key::Enter, Key::Enter]);
    assert_eq!(said(&state), "The two passwords are not the same.");
}

#[test]
fn a_failure_can_be_tried_again() {
    let mut state = found();
    to_summary(&mut state);
    type_in(&mut state, "yes");
    press(&mut state, &[Key::Enter]);
    // A running installation is not left.
    assert_eq!(press(&mut state, &[Key::Leave, Key::Esc, Key::Enter]), None);
    assert_eq!((state.leave, &state.screen), (None, &Screen::Progress));
    let at = Duration::from_secs(1);
    state.on(Event::Install(at, News::Started(Step::Wipe)));
    let error = "no".to_owned();
    state.on(Event::Install(at, News::Failed { step: Step::Wipe, error }));
    assert_eq!(state.screen, Screen::Failure);
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::Look));
    state.on(Event::Found(Ok(Box::new(machine())), Box::new(Ids::random())));
    assert_eq!(state.screen, Screen::Hardware);
    assert_eq!(state.form.consent.text(), "", "the consent was for the other run");
    assert_eq!(state.form.hostname.text(), "xen1.example.org");
}

#[test]
fn another_console_may_have_the_installation() {
    let mut state = found();
    state.on(Event::Owner(Err("the installer is in use on hvc0".into())));
    assert!(matches!(state.screen, Screen::Taken(_)));
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::Own));
    press(&mut state, &[Key::Esc]);
    assert_eq!(state.screen, Screen::Welcome);
}

#[test]
fn log_and_leaving_are_one_key_away() {
    let mut state = found();
    assert_eq!(press(&mut state, &[Key::Log]), None);
    assert_eq!(state.log_open, Some(0));
    press(&mut state, &[Key::Esc]);
    assert_eq!(state.log_open, None);
    press(&mut state, &[Key::Leave, Key::Down]);
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::Shell));
    press(&mut state, &[Key::Leave, Key::Down, Key::Down]);
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::Reboot));
    assert_eq!(press(&mut state, &[Key::Redraw]), Some(Action::Redraw));
}

#[test]
fn the_medium_can_be_checked_before_anything_else() {
    let mut state = found();
    assert_eq!(press(&mut state, &[Key::Char('c')]), Some(Action::CheckMedium));
    let pace = Pace { done: 1, total: 2, elapsed: Duration::from_secs(1) };
    state.on(Event::Check(pace));
    assert_eq!(state.screen, Screen::Checking(pace));
    assert_eq!(press(&mut state, &[Key::Enter]), None, "a running check is not left");
    assert_eq!(press(&mut state, &[Key::Esc]), Some(Action::StopCheck));
    assert_eq!(state.on(Event::Checked(Ok(Checked::Stopped))), None);
    assert_eq!(state.screen, Screen::Welcome);
    state.on(Event::Check(pace));
    assert_eq!(state.screen, Screen::Welcome, "late news");
}

#[test]
fn the_menus_check_of_the_medium_goes_on_to_the_installer() {
    let mut state = State::checking(Ids::random());
    state.on(Event::Checked(Ok(Checked::Damaged(vec!["boot/xen.gz".to_owned()]))));
    assert_eq!(press(&mut state, &[Key::Char('c')]), Some(Action::CheckMedium));
    state.on(Event::Checked(Ok(Checked::Whole { bytes: 1 })));
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::Look));
    state.on(Event::Found(Ok(Box::new(machine())), Box::new(Ids::random())));
    assert_eq!(state.screen, Screen::Welcome);

    // Another console checks: this one waits for it, or begins without.
    let mut state = State::checking(Ids::random());
    state.on(Event::Owner(Err("the installer is in use on hvc0".into())));
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::Own));
    assert_eq!(state.on(Event::Owner(Ok(()))), Some(Action::Look));
}

#[test]
fn a_machine_that_cannot_be_installed_on_goes_no_further() {
    let mut state = found();
    let mut none = machine();
    none.disks.clear();
    state.on(Event::Found(Ok(Box::new(none)), Box::new(Ids::random())));
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::Own));
    state.on(Event::Owner(Ok(())));
    press(&mut state, &[Key::Enter, Key::Enter]);
    assert_eq!(state.screen, Screen::Choose);
    assert!(state.message.as_ref().unwrap().contains("[STOP]"));
    // All the rest is there on such a machine too.
    press(&mut state, &[Key::Down, Key::Enter]);
    assert!(state.message.as_ref().unwrap().contains("[STOP]"));
    assert_eq!(press(&mut state, &[Key::Down, Key::Enter]), Some(Action::Shell));
    assert_eq!(state.on(Event::BackFromShell), Some(Action::Look));
    // A disk is plugged in.
    state.on(Event::Found(Ok(Box::new(machine())), Box::new(Ids::random())));
    assert_eq!((&state.screen, &state.message), (&Screen::Choose, &None));
    press(&mut state, &[Key::Esc]);
    assert_eq!(press(&mut state, &[Key::Char('r')]), Some(Action::Look));
    state.on(Event::Found(Ok(Box::new(machine())), Box::new(Ids::random())));
    assert_eq!(state.screen, Screen::Hardware);
    press(&mut state, &[Key::Enter, Key::Home, Key::Enter, Key::Enter, Key::Enter]);
    assert_eq!(state.screen, Screen::Disk);
    assert_eq!(press(&mut state, &[Key::Char('r')]), Some(Action::Look));
    state.on(Event::Found(Ok(Box::new(machine())), Box::new(Ids::random())));
    assert_eq!(state.screen, Screen::Disk);
}

#[test]
fn every_choice_does_what_it_says_and_comes_back() {
    let mut state = found();
    press(&mut state, &[Key::Enter]);
    state.on(Event::Owner(Ok(())));
    press(&mut state, &[Key::Enter]);
    assert_eq!(state.screen, Screen::Choose);
    let mut chosen = |choice: Choice| {
        state.choice = Choice::ALL.iter().position(|other| *other == choice).unwrap();
        (press(&mut state, &[Key::Enter]), state.screen.clone())
    };
    assert_eq!(chosen(Choice::Restart), (Some(Action::Reboot), Screen::Choose));
    assert_eq!(chosen(Choice::Poweroff), (Some(Action::Poweroff), Screen::Choose));
    assert_eq!(chosen(Choice::Shell), (Some(Action::Shell), Screen::Choose));
    let checking = Screen::Checking(Pace::default());
    assert_eq!(chosen(Choice::CheckMedium), (Some(Action::CheckMedium), checking));
    state.on(Event::Checked(Ok(Checked::Whole { bytes: 1 })));
    press(&mut state, &[Key::Enter]);
    assert_eq!(state.screen, Screen::Choose);
}

#[test]
fn a_failure_is_still_there_after_the_shell() {
    let mut state = found();
    to_summary(&mut state);
    type_in(&mut state, "yes");
    press(&mut state, &[Key::Enter]);
    let (step, error) = (Step::Wipe, "no".to_owned());
    state.on(Event::Install(Duration::ZERO, News::Started(step)));
    state.on(Event::Install(Duration::ZERO, News::Failed { step, error }));
    assert_eq!(press(&mut state, &[Key::Char('s')]), Some(Action::Shell));
    assert_eq!(state.on(Event::BackFromShell), None);
    assert_eq!(state.screen, Screen::Failure);
    assert_eq!(press(&mut state, &[Key::Char('v')]), Some(Action::LookForVolumes));
    press(&mut state, &[Key::Esc]);
    assert_eq!(state.screen, Screen::Failure);
}

pub(crate) fn volume(label: &str) -> Volume {
    Volume {
        device: format!("/dev/{}1", label.to_lowercase()).into(),
        kind: "vfat".into(),
        label: Some(label.into()),
        model: Some("Example USB stick".into()),
        size: 8_000_000_000,
    }
}

#[test]
fn logs_are_saved_from_any_screen_and_it_goes_on_there() {
    let mut state = found();
    press(&mut state, &[Key::Leave]);
    let last = vec![Key::Down; LEAVE.len()];
    assert_eq!(press(&mut state, &last), None);
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::LookForVolumes));
    assert_eq!(press(&mut state, &[Key::Enter, Key::Enter]), None, "still looking");
    assert!(state.message.as_ref().unwrap().starts_with("No USB stick"));
    state.on(Event::Volumes(Ok(vec![volume("SDB"), volume("SDC")])));
    let save = |device: &str| Some(Action::SaveLogs(Destination::Device(device.into())));
    assert_eq!(press(&mut state, &[Key::Right, Key::Enter]), save("/dev/sdc1"));
    // Nothing is left half-way.
    assert_eq!(press(&mut state, &[Key::Esc, Key::Leave, Key::Enter]), None);
    assert_eq!((&state.screen, state.leave), (&Screen::SaveLogs, None));
    state.on(Event::Saved(Err("no room".into())));
    assert_eq!(state.logs.saving, Saving::Failed("no room".into()));
    assert_eq!(press(&mut state, &[Key::Left, Key::Enter]), save("/dev/sdb1"));
    state.on(Event::Saved(Ok("there".into())));
    assert_eq!(press(&mut state, &[Key::Char('r')]), Some(Action::LookForVolumes));
    press(&mut state, &[Key::Esc]);
    assert_eq!(state.screen, Screen::Welcome);
}

#[test]
fn logs_go_by_scp_and_http_to_what_was_typed() {
    let mut state = found();
    state.save_logs();
    press(&mut state, &[Key::Up, Key::Right, Key::Enter]);
    let said = |state: &State| state.message.clone().unwrap_or_default();
    press(&mut state, &[Key::Enter]);
    assert!(said(&state).starts_with("No destination is given"), "{}", said(&state));
    type_in(&mut state, "/dev/sda");
    press(&mut state, &[Key::Enter]);
    assert!(said(&state).starts_with("Type user@host:path"), "{}", said(&state));
    press(&mut state, &[Key::Clear]);
    type_in(&mut state, "me@192.0.2.1:");
    let destination = "me@192.0.2.1:".parse().unwrap();
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::SaveLogs(destination)));
    state.on(Event::Saved(Ok("there".into())));
    press(&mut state, &[Key::Up, Key::Right, Key::Right, Key::Enter]);
    type_in(&mut state, "http://192.0.2.1/in/");
    let destination: Destination = "http://192.0.2.1/in/".parse().unwrap();
    let by_post = destination.clone().with_method(installer_core::logs::Method::Post);
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::SaveLogs(by_post)));
    state.on(Event::Saved(Ok("there".into())));
    let put = press(&mut state, &[Key::Up, Key::Left, Key::Enter, Key::Enter]);
    assert_eq!(put, Some(Action::SaveLogs(destination)));
}

#[test]
fn a_keymap_is_tried_at_once_and_kept() {
    let mut state = found();
    state.screen = Screen::Keymap;
    type_in(&mut state, "de-lat");
    let keymap = || "de-latin1".parse::<Keymap>().unwrap();
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::ApplyKeymap(keymap())));
    state.on(Event::KeymapApplied(Err("running `loadkeys` failed".into())));
    assert_eq!(state.screen, Screen::Keymap, "it would not work on the host either");
    assert_eq!(state.message.as_deref(), Some("Running `loadkeys` failed."));
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::ApplyKeymap(keymap())));
    state.on(Event::KeymapApplied(Ok(keymap())));
    assert_eq!(state.screen, Screen::Licence);
    assert_eq!(press(&mut state, &[Key::Esc, Key::Enter]), None, "it has it already");
    assert_eq!(state.screen, Screen::Licence);
    assert_eq!(state.form.regional.answer().keymap, Some(keymap()));
    press(&mut state, &[Key::Esc]);
    type_in(&mut state, "nowhere");
    press(&mut state, &[Key::Enter]);
    assert_eq!(state.message.as_deref(), Some("No keymap has that in its name."));
    // Back to what needs no answer.
    press(&mut state, &[Key::Clear]);
    type_in(&mut state, "us");
    assert_eq!(press(&mut state, &[Key::Enter]), Some(Action::ApplyKeymap("us".parse().unwrap())));
    state.on(Event::KeymapApplied(Ok("us".parse().unwrap())));
    assert_eq!(state.form.regional.answer().keymap, None);
}

#[test]
fn a_time_zone_is_a_region_and_a_city() {
    let mut state = found();
    state.screen = Screen::Zone;
    press(&mut state, &[Key::Enter]);
    assert_eq!(state.screen, Screen::Password);
    assert_eq!(state.form.regional.answer().zone, None, "UTC needs no answer");
    press(&mut state, &[Key::Esc, Key::Up, Key::Up, Key::Up, Key::Enter]);
    type_in(&mut state, "buenos");
    press(&mut state, &[Key::Enter]);
    assert_eq!(state.screen, Screen::Password);
    let zone = |state: &State| state.form.regional.answer().zone;
    let expected = "America/Argentina/Buenos_Aires".parse().unwrap();
    assert_eq!(zone(&state), Some(expected));
    // From the city to the region, and from there back to the network.
    press(&mut state, &[Key::Esc, Key::Esc]);
    assert_eq!(state.screen, Screen::Zone);
    press(&mut state, &[Key::Esc]);
    assert_eq!(state.screen, Screen::Network);
}

#[test]
fn a_system_without_lists_is_installed_all_the_same() {
    let mut state = found();
    state.form.regional = RegionalForm::default();
    state.screen = Screen::Keymap;
    press(&mut state, &[Key::Enter]);
    assert_eq!(state.screen, Screen::Licence);
    state.screen = Screen::Zone;
    press(&mut state, &[Key::Enter]);
    assert_eq!(state.screen, Screen::Password);
    assert_eq!(state.form.regional.answer(), Default::default());
}

#[test]
fn terms_are_scrolled_within_their_length() {
    let mut state = found();
    state.screen = Screen::Licence;
    press(&mut state, &[Key::PageDown, Key::End, Key::Down]);
    assert_eq!(state.scroll, 0, "there are none");
    state.licence = (0..100).map(|line| line.to_string()).collect();
    press(&mut state, &[Key::End, Key::Down, Key::Up]);
    assert_eq!(state.scroll, 100 - LICENCE_SHOWN - 1);
    press(&mut state, &[Key::Enter]);
    assert_eq!((&state.screen, state.scroll), (&Screen::Disk, 0));
}
