// SPDX-License-Identifier: MIT OR Apache-2.0
//! Installs on a machine in memory, and lets every step fail.

use std::collections::BTreeMap;
use std::path::PathBuf;

use appliance_model::handover::{Handover, LocalSrKind};
use appliance_model::medium as paths;

use super::*;
use crate::answers::{Answers, DiskChoice, StorageAnswer};
use crate::discovery::Holder;
use crate::hooks::Script;
use crate::layout::EntryKind;
use crate::plan::ARRAY_START;
use crate::plan::tests::{answers, ids, machine, multipath};
use crate::system::fake::Fake;

pub(super) fn plan() -> Plan {
    let mut found = machine();
    found.disks[0].size = 20_000_000_000;
    found.disks[0].holders = vec![Holder::Mapper("old-root".into())];
    let mut answers = answers();
    answers.ssh_keys = vec![format!("ssh-ed25519 AAAA{}", "C3Nz".repeat(12)).parse().unwrap()];
    answers.ssh = true;
    answers.proxy = Some("http://me:it@192.0.2.1:3128".parse().unwrap());
    answers.ntp = vec!["ntp1.example.org".parse().unwrap(), "2001:db8::123".parse().unwrap()];
    answers.regional.keymap = Some("de".parse().unwrap());
    answers.regional.zone = Some("Europe/Berlin".parse().unwrap());
    Plan::make(&answers, &found, ids()).unwrap()
}

/// The same on two disks, of which the second is larger, and which were a mirror before.
pub(super) fn mirrored() -> Plan {
    mirrored_over(vec![Holder::Mapper("vg0-root".into()), Holder::Raid("/dev/md/old".into())])
}

fn mirrored_over(holders: Vec<Holder>) -> Plan {
    let mut found = machine();
    found.disks[0].size = 20_000_000_000;
    found.disks[1].size = 21_000_000_000;
    for disk in &mut found.disks[..2] {
        disk.holders.clone_from(&holders);
    }
    let mirror = Some(DiskChoice::Device("/dev/sdb".into()));
    Plan::make(&Answers { mirror, ..answers() }, &found, ids()).unwrap()
}

fn boot_img() -> Vec<u8> {
    let mut image = vec![0x11; 512];
    image[0x66] = 0xeb;
    image[510..].copy_from_slice(&[0x55, 0xaa]);
    image
}

fn core_img() -> Vec<u8> {
    let mut image = vec![0x22; 2048];
    image[0x1fc..0x1fe].copy_from_slice(&3u16.to_le_bytes());
    image
}

pub(super) fn fake(plan: &Plan) -> Fake {
    let mut fake = Fake::new(&plan.disk.path, plan.disk.size);
    for disk in plan.wiped().skip(1) {
        fake.attach(&disk.path, disk.size);
    }
    let image = (0..plan.medium.root_image_size).map(|i| (i % 251) as u8).collect();
    for (name, bytes) in [
        (paths::XEN, vec![1; 4000]),
        (paths::KERNEL, vec![2; 5000]),
        (paths::INITRD, vec![3; 6000]),
        (paths::GRUB_EFI, vec![4; 5000]),
        (paths::BOOT_IMG, boot_img()),
        (paths::CORE_IMG, core_img()),
        (paths::ROOT_IMAGE, image),
        (paths::BUILD_ID, format!("{}\n", plan.medium.build_id).into_bytes()),
        (paths::BOOT_OPTIONS, b"xen = []\ndom0 = []\n".to_vec()),
    ] {
        fake.files.insert(plan.source(name), bytes);
    }
    fake.list_medium(&plan.medium.path);
    fake.files.insert("/etc/shadow".into(), b"root:*:20000:0:99999:7:::\n".to_vec());
    fake.put_old_system();
    fake
}

/// Runs and returns the events with the number of operations before each.
pub(super) fn run(plan: &Plan, fake: &mut Fake) -> (Vec<Event>, Result<(), InstallError>) {
    let mut events = Vec::new();
    let result = install(plan, &Hooks::default(), fake, &mut |event| events.push(event));
    (events, result)
}

#[test]
fn a_whole_installation() {
    let plan = plan();
    let mut fake = fake(&plan);
    let (events, result) = run(&plan, &mut fake);
    result.unwrap();
    assert_eq!(events.last(), Some(&Event::Complete));
    let done = events.iter().filter(|event| matches!(event, Event::Done(_))).count();
    assert_eq!(done, Step::ALL.len());
    let size = plan.medium.root_image_size;
    assert!(events.contains(&Event::Progress { done: size, total: size }));

    assert!(fake.starts());
    let image = &fake.files[&plan.source(paths::ROOT_IMAGE)];
    assert_eq!(&fake.partition_bytes(0, 3, image.len()), image);
    assert_eq!(fake.partition_bytes(0, 1, 4)[..], [0x22; 4]);
    let files: BTreeMap<String, Vec<u8>> = fake.esp_files(0).into_iter().collect();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "/EFI/BOOT/BOOTX64.EFI",
            "/boot/grub/grub.cfg",
            "/xenith/a/initrd.img",
            "/xenith/a/vmlinuz",
            "/xenith/a/xen.gz",
            "/xenith/from-0123456789abcdef"
        ]
    );
    assert_eq!(files["/xenith/a/vmlinuz"], vec![2; 5000]);
    let menu = String::from_utf8(files["/boot/grub/grub.cfg"].clone()).unwrap();
    assert!(menu.contains("xenith.root=PARTUUID=00000000-0000-0000-0000-000000000012 "));
    assert!(menu.contains("xenith.state=PARTUUID=00000000-0000-0000-0000-000000000014 "));
    assert_eq!(
        fake.programs,
        [
            "dmsetup remove --retry old-root",
            "vgcreate --yes xsr-00000000-0000-0000-0000-00000000005a /dev/sda6",
            "lvcreate --yes --wipesignatures y --zero y --extents 100%FREE --name data \
             xsr-00000000-0000-0000-0000-00000000005a",
            "mkfs.ext4 -q -F -m 0 -T largefile -L sr \
             /dev/xsr-00000000-0000-0000-0000-00000000005a/data",
            "vgchange --activate n xsr-00000000-0000-0000-0000-00000000005a",
        ]
    );
}

#[test]
fn the_state_partition_holds_the_hosts_settings() {
    let plan = plan();
    let mut fake = fake(&plan);
    run(&plan, &mut fake).1.unwrap();
    let (device, entries) = fake.state.unwrap();
    assert_eq!(device, PathBuf::from("/dev/sda5"));
    let text = |path: &str| {
        let entry = entries.iter().find(|entry| entry.path.as_os_str() == path).unwrap();
        match &entry.kind {
            EntryKind::File { bytes, mode, .. } => {
                (String::from_utf8(bytes.clone()).unwrap(), *mode)
            }
            other => panic!("{path} is {other:?}"),
        }
    };
    assert_eq!(text("etc/upper/hostname").0, "xen1\n");
    assert_eq!(text("etc/upper/machine-id").0, "00000000000000000000000000000bac\n");
    let (shadow, mode) = text("etc/upper/shadow");
    assert!(shadow.starts_with("root:$6$") && mode == 0o640, "{shadow}");
    let (sources, mode) = text("etc/upper/chrony/sources.d/default.sources");
    assert_eq!(sources, "server ntp1.example.org iburst\nserver 2001:db8::123 iburst\n");
    assert_eq!(mode, 0o644);
    assert_eq!(text("etc/upper/default/keyboard"), ("KEYMAP=de\n".to_owned(), 0o644));
    let zone = entries.iter().find(|entry| entry.path.ends_with("upper/localtime")).unwrap();
    let target = PathBuf::from("../usr/share/zoneinfo/Europe/Berlin");
    assert_eq!(zone.kind, EntryKind::Link { target });
    let (handover, mode) = text("var/lib/xenith/handover.toml");
    let handover: Handover = toml::from_str(&handover).unwrap();
    assert_eq!(handover, plan.handover);
    assert_eq!(handover.local_sr.unwrap().kind, LocalSrKind::Ext);
    assert_eq!(mode, 0o600);
    let (proxy, mode) = text("etc/upper/profile.d/proxy.sh");
    let address = "http://me:it@192.0.2.1:3128";
    assert_eq!(proxy, format!("export http_proxy='{address}'\nexport https_proxy='{address}'\n"));
    assert_eq!(mode, 0o600);
    assert!(text("root/.ssh/authorized_keys").0.starts_with("ssh-ed25519 "));
    assert!(entries.iter().any(|entry| matches!(&entry.kind,
        EntryKind::Link { target } if target.ends_with("ssh.service"))));
}

#[test]
fn a_mirror_is_made_whole_on_both_disks() {
    let plan = mirrored();
    let mut fake = fake(&plan);
    run(&plan, &mut fake).1.unwrap();
    let image = &fake.files[&plan.source(paths::ROOT_IMAGE)];
    let start = usize::try_from(ARRAY_START).unwrap();
    for disk in 0..2 {
        assert_eq!(&fake.partition_bytes(disk, 3, start + image.len())[start..], image);
        assert_eq!(fake.partition_bytes(disk, 1, 4)[..], [0x22; 4]);
    }
    assert_eq!(fake.esp_files(0), fake.esp_files(1));
    let files: BTreeMap<String, Vec<u8>> = fake.esp_files(1).into_iter().collect();
    let menu = String::from_utf8(files["/boot/grub/grub.cfg"].clone()).unwrap();
    let line = "xenith.root=MD=xenith-a xenith.state=MD=xenith-state \
                xenith.arrays=xenith-a=00000000-0000-0000-0000-0000000000a2,\
                xenith-b=00000000-0000-0000-0000-0000000000a3,\
                xenith-state=00000000-0000-0000-0000-0000000000a4,\
                xenith-sr=00000000-0000-0000-0000-0000000000a5 xenith.build=";
    assert!(menu.contains(line), "{menu}");
    let (device, _) = fake.state.as_ref().unwrap();
    assert_eq!(device, &PathBuf::from("/dev/md/xenith-state"));
    let create = |name: &str, id: &str, number: u32| {
        format!(
            "mdadm --create /dev/md/{name} --run --level=1 --raid-devices=2 --metadata=1.2 \
             --data-offset=1024K --assume-clean --bitmap=internal --homehost=any --name={name} \
             --uuid=00000000-0000-0000-0000-0000000000{id} /dev/sda{number} /dev/sdb{number}"
        )
    };
    let programs: Vec<&str> = fake.programs.iter().map(String::as_str).collect();
    assert_eq!(programs[..2], ["dmsetup remove --retry vg0-root", "mdadm --stop /dev/md/old"]);
    assert_eq!(
        programs[2..6],
        [
            create("xenith-a", "a2", 3),
            create("xenith-b", "a3", 4),
            create("xenith-state", "a4", 5),
            create("xenith-sr", "a5", 6),
        ]
    );
    assert!(programs[6].ends_with(" /dev/md/xenith-sr"), "{}", programs[6]);
    assert_eq!(
        programs[programs.len() - 4..],
        [
            "mdadm --stop /dev/md/xenith-a",
            "mdadm --stop /dev/md/xenith-b",
            "mdadm --stop /dev/md/xenith-state",
            "mdadm --stop /dev/md/xenith-sr",
        ]
    );
}

/// On `sda`, with more storage on `sdb` and `sdc`, where something was.
fn with_storage(on_system: bool) -> Plan {
    let mut found = machine();
    found.disks[0].size = 20_000_000_000;
    found.disks[2].holders = vec![Holder::Mapper("old-vg".into())];
    let choice = |name: &str| DiskChoice::Device(name.into());
    let disks = vec![choice("/dev/sdb"), choice("/dev/sdc")];
    let storage = Some(StorageAnswer { kind: LocalSrKind::LvmThin, on_system, disks });
    Plan::make(&Answers { storage, ..answers() }, &found, ids()).unwrap()
}

#[test]
fn a_disk_over_several_paths_is_written_through_its_map() {
    let mut found = machine();
    found.disks[0] = multipath("3600a", ["sda", "sde"], 20_000_000_000);
    found.disks[0].holders = vec![Holder::Mapper("3600a-part1".into())];
    let disk = DiskChoice::Device("/dev/sde".into());
    let plan = Plan::make(&Answers { disk, ..answers() }, &found, ids()).unwrap();
    // The machine has no path by itself.
    let mut fake = fake(&plan);
    run(&plan, &mut fake).1.unwrap();
    assert!(fake.starts());
    let image = &fake.files[&plan.source(paths::ROOT_IMAGE)];
    assert_eq!(&fake.partition_bytes(0, 3, image.len()), image);
    let group = "xsr-00000000-0000-0000-0000-00000000005a";
    assert_eq!(fake.programs[0], "dmsetup remove --retry 3600a-part1");
    let create = format!("vgcreate --yes {group} /dev/mapper/3600a-part6");
    assert_eq!(fake.programs[1], create);
    let files: BTreeMap<String, Vec<u8>> = fake.esp_files(0).into_iter().collect();
    let menu = String::from_utf8(files["/boot/grub/grub.cfg"].clone()).unwrap();
    assert!(menu.contains(" xenith.multipath=3600a "), "{menu}");
}

#[test]
fn further_disks_are_in_the_same_group() {
    for (on_system, devices) in
        [(true, "/dev/sda6 /dev/sdb /dev/sdc"), (false, "/dev/sdb /dev/sdc")]
    {
        let plan = with_storage(on_system);
        let mut fake = fake(&plan);
        run(&plan, &mut fake).1.unwrap();
        assert_eq!(fake.programs[0], "dmsetup remove --retry old-vg");
        let group = "xsr-00000000-0000-0000-0000-00000000005a";
        assert_eq!(fake.programs[1], format!("vgcreate --yes {group} {devices}"));
    }
}

#[test]
fn every_step_with_further_disks_may_fail_and_be_repeated() {
    each_step_fails(&with_storage(true), &with_storage(true));
}

#[test]
fn every_step_may_fail_and_be_repeated() {
    each_step_fails(&plan(), &plan());
}

#[test]
fn every_step_of_a_mirror_may_fail_and_be_repeated() {
    // The next look at the machine finds what runs of the arrays.
    let arrays = ["xenith-a", "xenith-b", "xenith-state", "xenith-sr"];
    let arrays = arrays.map(|name| Holder::Raid(format!("/dev/md/{name}").into()));
    each_step_fails(&mirrored(), &mirrored_over(arrays.into()));
}

/// For every step, its first operation, its last and one in between fail (a write only half done);
/// afterwards the disk starts nothing, or everything is on it, and a new run, of the plan `again`,
/// succeeds.
fn each_step_fails(plan: &Plan, again: &Plan) {
    let mut whole = fake(plan);
    // How many operations there were when a step began, from a run without failures.
    let mut begins = Vec::new();
    for stop in 0..Step::ALL.len() {
        let mut probe = fake(plan);
        let hooks = Hooks::default();
        let (hooks, system, sink) = (&hooks, &mut probe, &mut |_| {});
        let mut run = Run::new(plan, hooks, system, sink);
        for step in &Step::ALL[..stop] {
            run.step(*step).unwrap();
        }
        begins.push(probe.operations);
    }
    run(plan, &mut whole).1.unwrap();
    begins.push(whole.operations);
    for (index, step) in Step::ALL.into_iter().enumerate() {
        let (first, last) = (begins[index] + 1, begins[index + 1]);
        assert!(first <= last, "{step} does nothing");
        for part in 0..=2 {
            let at = first + (last - first) * part / 2;
            let mut fake = fake(plan);
            fake.fail_at = Some(at);
            let (events, result) = run(plan, &mut fake);
            let error = result.unwrap_err();
            assert_eq!(error.step, step, "operation {at}");
            let text = chain(&error);
            assert!(text.contains("injected failure"), "{text}");
            assert!(matches!(events.last(), Some(Event::Failed { step: s, .. }) if *s == step));
            match error.disk {
                DiskState::Untouched => assert!(!fake.written && fake.starts(), "{at}"),
                // The very first write was cut: the second disk may be as it was.
                DiskState::DoesNotStart if at == first && plan.wiped().count() > 1 => {}
                DiskState::DoesNotStart => assert!(!fake.starts(), "{step}, operation {at}"),
                DiskState::MayStart => assert_eq!(step, Step::BootLoader),
                DiskState::GuestsOnly => panic!("nothing is kept"),
            }
            fake.fail_at = None;
            run(again, &mut fake).1.unwrap();
            assert_eq!(fake.get(0, 1 << 20), whole.get(0, 1 << 20), "operation {at}");
            for disk in 0..plan.disks().count() {
                assert_eq!(fake.esp_files(disk), whole.esp_files(disk), "operation {at}");
            }
        }
    }
}

#[test]
fn a_mirror_with_one_disk_that_forgets_is_noticed() {
    let plan = mirrored();
    for disk in 0..2 {
        let mut fake = fake(&plan);
        fake.rotten = Some(disk);
        let error = run(&plan, &mut fake).1.unwrap_err();
        assert_eq!(error.step, Step::Verify);
        let partition = ["the system in /dev/sda3", "the system in /dev/sdb3"][disk];
        assert!(chain(&error).contains(partition), "{}", chain(&error));
    }
}

#[test]
fn a_disk_that_forgets_is_noticed() {
    let plan = plan();
    let mut fake = fake(&plan);
    fake.rotten = Some(0);
    let error = run(&plan, &mut fake).1.unwrap_err();
    assert_eq!(error.step, Step::Verify);
    assert!(chain(&error).contains("the disk does not keep what is written to it"));
    assert!(!fake.starts());
}

/// Runs on a changed medium; nothing may be written. Gives what is told.
fn refused(change: impl FnOnce(&mut Fake, &Plan)) -> String {
    let plan = plan();
    let mut fake = fake(&plan);
    change(&mut fake, &plan);
    let error = run(&plan, &mut fake).1.unwrap_err();
    assert_eq!((error.step, error.disk), (Step::Medium, DiskState::Untouched));
    assert!(!fake.written && fake.starts());
    chain(&error)
}

#[test]
fn a_bad_medium_is_noticed_before_anything_is_written() {
    let text = refused(|fake, plan| {
        fake.files.get_mut(&plan.source(paths::KERNEL)).unwrap().truncate(9);
    });
    assert!(text.contains("boot/vmlinuz on the medium is damaged"), "{text}");
    refused(|fake, plan| drop(fake.files.remove(&plan.source(paths::ROOT_IMAGE))));
    // Listed as it is, but no boot sector.
    let text = refused(|fake, plan| {
        fake.files.get_mut(&plan.source(paths::BOOT_IMG)).unwrap()[510] = 0;
        fake.list_medium(&plan.medium.path);
    });
    assert!(text.contains("preparing the boot loader"), "{text}");
}

#[test]
fn one_flipped_byte_in_any_file_that_is_written_is_noticed() {
    for name in [
        paths::BUILD_ID,
        paths::BOOT_OPTIONS,
        paths::BOOT_IMG,
        paths::CORE_IMG,
        paths::GRUB_EFI,
        paths::XEN,
        paths::KERNEL,
        paths::INITRD,
        paths::ROOT_IMAGE,
    ] {
        for from_the_end in [false, true] {
            let text = refused(|fake, plan| {
                let bytes = fake.files.get_mut(&plan.source(name)).unwrap();
                let at = if from_the_end { bytes.len() - 1 } else { bytes.len() / 2 };
                bytes[at] ^= 0x10;
            });
            let expected = format!("{name} on the medium is damaged: its SHA-256 is ");
            assert!(text.contains(&expected), "{text}");
            assert!(text.ends_with("; write the medium again"), "{text}");
        }
    }
}

#[test]
fn a_medium_without_a_whole_list_is_refused() {
    let text = refused(|fake, plan| drop(fake.files.remove(&plan.source(paths::SUMS))));
    assert!(text.contains("the medium has no list of its files (xenith/sha256sums)"), "{text}");
    let text = refused(|fake, plan| {
        let list = fake.files.get_mut(&plan.source(paths::SUMS)).unwrap();
        list.pop();
    });
    assert!(text.ends_with("write the medium again: the last line is not whole"), "{text}");
    let text = refused(|fake, plan| {
        fake.files.get_mut(&plan.source(paths::SUMS)).unwrap()[3] = 0xff;
    });
    assert!(text.contains("is damaged"), "{text}");
    let text = refused(|fake, plan| {
        let list = fake.files.get_mut(&plan.source(paths::SUMS)).unwrap();
        let text = String::from_utf8(list.clone()).unwrap();
        let lines = text.lines().filter(|line| !line.ends_with(paths::INITRD));
        *list = lines.map(|line| format!("{line}\n")).collect::<String>().into_bytes();
    });
    assert!(text.contains("boot/initrd.img is not in the medium's list"), "{text}");
}

#[test]
fn another_medium_in_its_place_is_refused() {
    let text = refused(|fake, plan| {
        fake.files.insert(plan.source(paths::BUILD_ID), b"fedcba9876543210\n".to_vec());
        fake.list_medium(&plan.medium.path);
    });
    assert!(text.contains("this is another medium"), "{text}");
}

/// Bad contacts and worn flash: what was good in the first step comes out different later.
#[test]
fn a_medium_that_fades_meanwhile_is_noticed() {
    let plan = plan();
    for (name, good, step) in [
        (paths::ROOT_IMAGE, 1, Step::Verify),
        (paths::KERNEL, 1, Step::BootFiles),
        (paths::GRUB_EFI, 1, Step::BootLoader),
        (paths::CORE_IMG, 2, Step::BootLoader),
    ] {
        let mut fake = fake(&plan);
        fake.fades = Some((plan.source(name), good));
        let error = run(&plan, &mut fake).1.unwrap_err();
        assert_eq!(error.step, step);
        assert!(chain(&error).contains(&format!("{name} on the medium is damaged")));
    }
}

fn hooks(stages: &[Stage]) -> Hooks {
    let script = |stage: &Stage| Script { stage: *stage, bytes: b"#!/bin/sh".into() };
    let env = vec![("https_proxy".to_owned(), "http://192.0.2.1:3128".to_owned())];
    Hooks { scripts: stages.iter().map(script).collect(), timeout: 60, env }
}

#[test]
fn scripts_run_first_before_the_boot_loader_and_at_the_end() {
    let plan = plan();
    let mut fake = fake(&plan);
    let hooks = hooks(&Stage::ALL);
    let mut events = Vec::new();
    install(&plan, &hooks, &mut fake, &mut |event| events.push(event)).unwrap();
    let started: Vec<Step> = events
        .iter()
        .filter_map(|event| match event {
            Event::Started(step) => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(started.len(), Step::ALL.len() + 2);
    assert_eq!(
        (started[0], started[10], started[11]),
        (Step::Before, Step::Populated, Step::BootLoader)
    );
    assert!(events.contains(&Event::Said("before: #!/bin/sh".into())));
    let mut said = Vec::new();
    completed(&plan, &hooks, &mut fake, &mut |line| said.push(line.to_owned())).unwrap();
    assert_eq!(said, ["completed: #!/bin/sh"]);
    let env = "XENITH_HOSTNAME=xen1 XENITH_DISK=/dev/sda XENITH_BUILD_ID=0123456789abcdef \
               XENITH_MEDIUM=/run/xenith/medium";
    let run = "timeout --kill-after=10 60 /run/xenith/hooks";
    assert_eq!(
        fake.scripts,
        [
            format!("https_proxy=http://192.0.2.1:3128 XENITH_STAGE=before {env} {run}/before"),
            format!(
                "https_proxy=http://192.0.2.1:3128 XENITH_STAGE=populated {env} \
                 XENITH_ROOT=/run/xenith/installed {run}/populated /run/xenith/installed"
            ),
            format!(
                "https_proxy=http://192.0.2.1:3128 XENITH_STAGE=completed {env} {run}/completed 0"
            ),
        ]
    );
    let mounts = fake.programs.iter().filter(|line| line.contains("mount")).count();
    assert_eq!(mounts, 12);
    assert!(fake.programs.contains(&"umount --recursive /run/xenith/installed-state".to_owned()));
    assert!(fake.starts());
}

#[test]
fn a_script_for_the_installed_system_works_on_the_mirror() {
    let plan = mirrored();
    let mut fake = fake(&plan);
    install(&plan, &hooks(&[Stage::Populated]), &mut fake, &mut |_| {}).unwrap();
    let at = |line: &str| {
        let lines = fake.programs.iter().enumerate().filter(|(_, program)| *program == line);
        let places: Vec<usize> = lines.map(|(at, _)| at).collect();
        assert_eq!(places.len(), 1, "{line}: {:?}", fake.programs);
        places[0]
    };
    let mounted = at(&format!("mount -o ro /dev/md/xenith-a {ROOT}"));
    assert!(at(&format!("mount -o nosuid,nodev /dev/md/xenith-state {ROOT}-state")) > mounted);
    let unmounted = at(&format!("umount --recursive {ROOT}-state"));
    for name in ["xenith-a", "xenith-b", "xenith-state", "xenith-sr"] {
        assert!(at(&format!("mdadm --stop /dev/md/{name}")) > unmounted);
    }
}

#[test]
fn a_script_that_fails_ends_the_installation_and_nothing_stays_mounted() {
    let plan = plan();
    for (stage, step, disk) in [
        (Stage::Before, Step::Before, DiskState::Untouched),
        (Stage::Populated, Step::Populated, DiskState::DoesNotStart),
    ] {
        let hooks = hooks(&[stage]);
        let mut probe = fake(&plan);
        let (system, sink) = (&mut probe, &mut |_| {});
        let mut run = Run::new(&plan, &hooks, system, sink);
        for earlier in Step::of(&plan, &hooks).into_iter().take_while(|other| *other != step) {
            run.step(earlier).unwrap();
        }
        let begin = probe.operations;
        let mut run = Run::new(&plan, &hooks, &mut probe, sink);
        run.step(step).unwrap();
        let end = probe.operations;
        for at in begin + 1..=end {
            let mut fake = fake(&plan);
            fake.fail_at = Some(at);
            let error = install(&plan, &hooks, &mut fake, &mut |_| {}).unwrap_err();
            assert_eq!((error.step, error.disk), (step, disk), "operation {at}");
            assert_eq!(fake.written, stage == Stage::Populated);
            assert_eq!(fake.starts(), stage == Stage::Before);
            assert!(chain(&error).contains("injected failure"));
            if stage == Stage::Populated {
                let last = fake.programs.iter().rev().take(2).rev().cloned().collect::<Vec<_>>();
                assert_eq!(
                    last,
                    [
                        format!("umount --recursive {ROOT}"),
                        format!("umount --recursive {ROOT}-state")
                    ]
                );
            }
        }
        assert_eq!(end - begin, if stage == Stage::Before { 1 } else { 15 });
    }
    let mut fake = fake(&plan);
    fake.fail_at = Some(1);
    let error = completed(&plan, &hooks(&[Stage::Completed]), &mut fake, &mut |_| {}).unwrap_err();
    assert!(chain(&error).starts_with("running the script completed: "), "{error}");
    completed(&plan, &hooks(&[Stage::Before]), &mut fake, &mut |_| {}).unwrap();
}
