// SPDX-License-Identifier: MIT OR Apache-2.0
//! Installs over a host on a machine in memory, and lets every operation fail.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use appliance_model::handover::Handover;
use appliance_model::records::{Records, SrRecord};

use super::super::tests::{fake, run};
use super::super::{chain, install};
use super::*;
use crate::answers::Answers;
use crate::discovery::{Discovery, Holder};
use crate::events::{DiskState, Step};
use crate::hooks::Hooks;
use crate::layout::EntryKind;
use crate::plan::Plan;
use crate::plan::kept::tests::put_host;
use crate::plan::tests::{answers, ids, machine};
use crate::system::fake::{Entered, Fake};

/// A host's plan, and the one that installs it again.
pub(crate) fn plans(mirrored: bool) -> (Plan, Plan) {
    let mut found = machine();
    found.disks[0].size = 20_000_000_000;
    found.disks[1].size = 21_000_000_000;
    let second = || crate::answers::DiskChoice::Device("/dev/sdb".into());
    let mirror = mirrored.then(second);
    let fresh = Plan::make(&Answers { mirror, ..answers() }, &found, ids()).unwrap();
    let kept = kept(&mut found, &fresh, Vec::new());
    (fresh, kept)
}

fn kept(found: &mut Discovery, fresh: &Plan, holders: Vec<Holder>) -> Plan {
    let array = |role| ids().mirror.arrays[role as usize];
    put_host(&mut found.disks[0], &fresh.layout, array);
    if let Some(mirror) = &fresh.mirror {
        put_host(&mut found.disks[1], &mirror.layout, array);
    }
    for disk in &mut found.disks[..2] {
        disk.holders.clone_from(&holders);
    }
    let text = "hostname = \"xen2\"\nroot-password = \"correct horse\"\n\
                disk = { keep-storage = true }";
    let mut ids = ids();
    // What is drawn anew must not matter to what is there.
    ids.guids.disk = uuid::Uuid::from_u128(0xbad);
    ids.mirror.arrays = std::array::from_fn(|_| uuid::Uuid::from_u128(0xbad));
    Plan::make(&Answers::from_toml(text).unwrap(), found, ids).unwrap()
}

fn records() -> Records {
    let sr =
        SrRecord { uuid: ids().sr.to_string(), name: "Local storage".into(), kind: "ext".into() };
    Records {
        host: "h".into(),
        name: "xen1".into(),
        vms: 2,
        vdis: 3,
        srs: vec![sr],
        folders: vec!["/var/iso".into()],
    }
}

/// A machine on which a host is, that begins to be installed again.
pub(crate) fn with_host(fresh: &Plan, kept: &Plan) -> Fake {
    let mut older = fake(fresh);
    install(fresh, &Hooks::default(), &mut older, &mut |_| {}).unwrap();
    let mut system = older.same_disks();
    system.files = fake(kept).files;
    system.records = Some(records());
    system
}

#[test]
fn only_the_system_is_written() {
    for mirrored in [false, true] {
        let (fresh, plan) = plans(mirrored);
        let mut system = with_host(&fresh, &plan);
        system.journal = Some(Vec::new());
        let (events, result) = run(&plan, &mut system);
        result.unwrap();
        let steps = events.iter().filter_map(|event| match event {
            Event::Done(step) => Some(*step),
            _ => None,
        });
        assert_eq!(steps.collect::<Vec<_>>(), Step::KEEPING);
        let said = "kept: host \"xen1\" with 2 VMs and 3 virtual disks".to_owned();
        assert!(events.contains(&Event::Said(said)), "{events:?}");

        // The table, slot B, the state (but for its own call) and storage.
        let (_, layout) = plan.disks().next().unwrap();
        let end_of = |role| (layout.partition(role).last_sector() + 1) * 512;
        for entry in system.journal.take().unwrap() {
            let Entered::Written { at, bytes, disk, .. } = entry else { continue };
            let to = at + bytes.len() as u64;
            let on = |from: u64, end: u64| from <= at && to <= end;
            let written = on(0, 512)
                || on(layout.partition(Role::BiosBoot).first_sector * 512, end_of(Role::SlotA));
            assert!(written, "bytes {at} to {to} of disk {disk}");
        }
        let programs: Vec<&str> =
            system.programs.iter().filter_map(|line| line.split(' ').next()).collect();
        assert!(programs.iter().all(|name| *name == "mdadm"), "{:?}", system.programs);
        assert_eq!(system.folders.as_deref(), Some(&["/var/iso".to_owned()][..]));

        let (device, entries) = system.state.as_ref().unwrap();
        let state = if mirrored { "/dev/md/xenith-state" } else { "/dev/sda5" };
        assert_eq!(device, Path::new(state));
        let handover = entries.iter().find(|entry| entry.path.ends_with("handover.toml")).unwrap();
        let EntryKind::File { bytes, .. } = &handover.kind else { panic!() };
        let handover: Handover = toml::from_str(&String::from_utf8_lossy(bytes)).unwrap();
        assert_eq!(handover.reinstallation, Some(ids().machine.to_string()));

        let files: BTreeMap<String, Vec<u8>> = system.esp_files(0).into_iter().collect();
        let menu = String::from_utf8_lossy(&files["/boot/grub/grub.cfg"]).into_owned();
        let root = if mirrored {
            "xenith.arrays=xenith-a=00000000-0000-0000-0000-0000000000a2,".to_owned()
        } else {
            format!("xenith.root=PARTUUID={} ", layout.partition(Role::SlotA).guid)
        };
        assert!(menu.contains(&root), "{menu}");
        assert!(system.starts());
    }
}

#[test]
fn arrays_are_looked_at_while_the_old_system_is_whole_and_let_go() {
    let (fresh, plan) = plans(true);
    let mut system = with_host(&fresh, &plan);
    run(&plan, &mut system).1.unwrap();
    let assemble = |name: &str, id: &str, number: u32| {
        format!(
            "mdadm --assemble /dev/md/{name} --run --uuid=00000000-0000-0000-0000-0000000000{id} \
             /dev/sda{number} /dev/sdb{number}"
        )
    };
    let all = [
        assemble("xenith-a", "a2", 3),
        assemble("xenith-b", "a3", 4),
        assemble("xenith-state", "a4", 5),
        assemble("xenith-sr", "a5", 6),
    ];
    let each = |what: &str| {
        ["a", "b", "state", "sr"].map(|name| format!("mdadm {what} /dev/md/xenith-{name}"))
    };
    let (test, stop) = (each("--detail --test"), each("--stop"));
    assert_eq!(
        system.programs,
        [&all, &test, &stop, &all, &stop].map(|five| five.to_vec()).concat()
    );
}

#[test]
fn a_host_without_records_or_half_a_mirror_stays_as_it_is() {
    let (fresh, plan) = plans(false);
    let mut system = with_host(&fresh, &plan);
    system.records = None;
    let error = run(&plan, &mut system).1.unwrap_err();
    assert_eq!((error.step, error.disk), (Step::Records, DiskState::Untouched));
    assert!(!system.written && system.starts());
    assert_eq!(
        chain(&error),
        "reading the records of the guests failed: the records of the guests cannot be kept, without which \
         their disks are of no use: what is left is an installation that wipes the disk, or an older backup \
         of the disk: there is no database in \"var/lib/xenith\" on /dev/sda5"
    );

    let (fresh, plan) = plans(true);
    let mut system = with_host(&fresh, &plan);
    system.degraded = Some("/dev/md/xenith-sr".into());
    let error = run(&plan, &mut system).1.unwrap_err();
    assert_eq!((error.step, error.disk), (Step::Records, DiskState::Untouched));
    assert!(!system.written && system.starts());
    let text = chain(&error);
    assert!(
        text.contains("the mirror xenith-sr is not whole on both disks: start the host"),
        "{text}"
    );
    assert_eq!(system.programs.last().unwrap(), "mdadm --stop /dev/md/xenith-sr");
}

#[test]
fn operations_may_fail_and_be_repeated() {
    for mirrored in [false, true] {
        let (fresh, plan) = plans(mirrored);
        let mut whole = with_host(&fresh, &plan);
        run(&plan, &mut whole).1.unwrap();
        // The next look at the machine finds what runs of the arrays.
        let arrays = ["xenith-a", "xenith-b", "xenith-state", "xenith-sr"];
        let arrays = arrays.map(|name| Holder::Raid(PathBuf::from(format!("/dev/md/{name}"))));
        let mut found = machine();
        found.disks[0].size = 20_000_000_000;
        found.disks[1].size = 21_000_000_000;
        let holders = if mirrored { arrays.into() } else { Vec::new() };
        let again = kept(&mut found, &fresh, holders);
        // Some in the middle of the long copies, and all of the last.
        let last = whole.operations.saturating_sub(12);
        for at in (1..last).step_by(1 + last / 20).chain(last..=whole.operations) {
            let mut system = with_host(&fresh, &plan);
            system.fail_at = Some(at);
            let error = run(&plan, &mut system).1.unwrap_err();
            assert!(chain(&error).contains("injected failure"), "{}", chain(&error));
            match error.disk {
                DiskState::Untouched => {
                    assert!(!system.written && system.starts(), "operation {at}");
                    assert!(error.step <= Step::Records || error.step == Step::Release);
                }
                state => assert_eq!(state, DiskState::GuestsOnly, "operation {at}"),
            }
            system.fail_at = None;
            run(&again, &mut system).1.unwrap();
            assert_eq!(system.get(0, 1 << 20), whole.get(0, 1 << 20), "operation {at}");
            for disk in 0..plan.disks().count() {
                assert_eq!(system.esp_files(disk), whole.esp_files(disk), "operation {at}");
            }
            assert_eq!(system.folders, whole.folders, "operation {at}");
        }
    }
}
