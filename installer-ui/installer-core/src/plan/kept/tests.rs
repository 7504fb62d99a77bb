// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plans for machines on which a host is.

use uuid::Uuid;

use super::super::tests::{answers, ids, machine};
use super::*;
use crate::answers::Answers;
use crate::discovery::{HostPartition, HostTable};
use crate::plan::Plan;

/// As a disk of this layout is found; `array` gives the ids of arrays.
pub(crate) fn put_host(disk: &mut Disk, layout: &DiskLayout, array: impl Fn(Role) -> Uuid) {
    let type_of = |role| match role {
        Role::BiosBoot => "21686148-6449-6e6f-744e-656564454649",
        Role::Esp => "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
        _ if layout.is_mirrored() => "a19d880f-05fc-4d3b-a006-743f0f84911e",
        Role::SlotA | Role::SlotB | Role::State => "0fc63daf-8483-4772-8e79-3d69d8477de4",
        Role::Sr => "e6d6d379-f507-44c2-a23c-238f2a3df928",
    };
    let partitions = layout.partitions().iter().map(|planned| HostPartition {
        number: planned.role.number(),
        name: planned.role.name().to_owned(),
        guid: planned.guid,
        type_guid: type_of(planned.role).parse().unwrap(),
        first_sector: planned.first_sector,
        last_sector: planned.last_sector(),
    });
    disk.host_table = Some(HostTable { guid: layout.guid(), partitions: partitions.collect() });
    disk.contents = vec![Content {
        device: disk.path.file_name().unwrap().to_str().unwrap().to_owned(),
        kind: "gpt".to_owned(),
        label: None,
        part_of: None,
    }];
    for role in Role::ALL {
        let (kind, part_of) = match role {
            Role::BiosBoot => ("unknown", None),
            Role::Esp => ("vfat", None),
            _ if layout.is_mirrored() => ("linux_raid_member", Some(array(role).to_string())),
            Role::SlotA | Role::SlotB => ("squashfs", None),
            Role::State => ("ext4", None),
            Role::Sr => ("LVM2_member", Some(format!("xsr-{}", ids().sr))),
        };
        disk.contents.push(Content {
            device: disk.partition_name(role.number()),
            kind: kind.to_owned(),
            label: None,
            part_of,
        });
    }
}

/// The machine with a host on `sda`, and answers that keep its guests.
pub(crate) fn machine_with_host() -> (Discovery, Answers) {
    let mut found = machine();
    let fresh = Plan::make(&answers(), &found, ids()).unwrap();
    put_host(&mut found.disks[0], &fresh.layout, |_| Uuid::nil());
    let text = "hostname = \"xen2\"\nroot-password = \"correct horse\"\n\
                disk = { keep-storage = true }";
    (found, Answers::from_toml(text).unwrap())
}

/// The same on `sda` and `sdb`, which are a mirror.
pub(crate) fn machine_with_mirror() -> (Discovery, Answers) {
    let (mut found, kept) = machine_with_host();
    found.disks[0] = machine().disks.remove(0);
    let mirror = Some(DiskChoice::Device("/dev/sdb".into()));
    let fresh = Plan::make(&Answers { mirror, ..answers() }, &found, ids()).unwrap();
    let array = |role| ids().mirror.arrays[role as usize];
    put_host(&mut found.disks[0], &fresh.layout, array);
    put_host(&mut found.disks[1], &fresh.mirror.unwrap().layout, array);
    (found, kept)
}

#[test]
fn a_plan_that_keeps_guests_reads_like_this() {
    let (mut found, answers) = machine_with_host();
    let further = Content {
        device: "sdb".into(),
        kind: "LVM2_member".into(),
        label: None,
        part_of: Some(format!("xsr-{}", ids().sr)),
    };
    found.disks[1].contents = vec![further];
    let plan = Plan::make(&answers, &found, ids()).unwrap();
    let expected = "\
Xenith 0123456789abcdef will be installed over the host there; guests STAY:
  disk      /dev/sda  480 GB  TESTDISK  (serial SER-sda)
            1  xenith-bios     1.0 MB  written anew
            2  xenith-esp      536 MB  written anew
            3  xenith-a        1.0 GB  written anew
            4  xenith-b        1.0 GB  not written
            5  xenith-state    4.2 GB  guests' records KEPT, the rest anew
            6  xenith-sr       473 GB  KEPT: not written
  host      xen2
  network   the first network card, by DHCP
  login     root, by password; SSH off
  storage   KEPT: xsr-00000000-0000-0000-0000-00000000005a (713 GB, on sda6, sdb); nothing on it is written
  kept      VMs, their disks and networks, the pool, who may log in to it
  then      restart into the installed host";
    assert_eq!(plan.to_string(), expected);
    assert_eq!(plan.handover.local_sr, None);
    assert_eq!(plan.handover.reinstallation, Some(ids().machine.to_string()));
    assert!(plan.torn.is_empty() && plan.storage_disks.is_empty());
}

#[test]
fn a_mirror_is_kept_with_its_arrays() {
    let (found, answers) = machine_with_mirror();
    let mut other = ids();
    other.mirror.arrays = std::array::from_fn(|_| Uuid::from_u128(0xbad));
    let plan = Plan::make(&answers, &found, other).unwrap();
    let expected: Vec<(Role, Uuid)> =
        [(Role::SlotA, 0xa2), (Role::SlotB, 0xa3), (Role::State, 0xa4), (Role::Sr, 0xa5)]
            .map(|(role, id)| (role, Uuid::from_u128(id)))
            .into();
    assert_eq!(plan.arrays(), expected);
    let mirror = plan.mirror.as_ref().unwrap();
    assert_eq!(
        (plan.disk.path.to_str(), mirror.disk.path.to_str()),
        (Some("/dev/sda"), Some("/dev/sdb"))
    );
    let text = plan.to_string();
    assert!(text.contains("both disks have these, 3 to 6 as software RAID 1:"), "{text}");
    assert!(text.contains("KEPT: array xenith-sr (233 GB, on sda6, sdb6);"), "{text}");
    // Either disk names the host.
    let disk = DiskChoice::Device("/dev/sdb".into());
    let plan = Plan::make(&Answers { disk, ..answers }, &found, ids()).unwrap();
    assert_eq!(plan.disk.path.to_str(), Some("/dev/sdb"));
    assert_eq!(plan.arrays(), expected);
}

/// Why the host cannot be kept on a machine that was changed.
fn unkept(
    machine: (Discovery, Answers),
    change: impl FnOnce(&mut Discovery, &mut Answers),
) -> String {
    let (mut found, mut answers) = machine;
    change(&mut found, &mut answers);
    Plan::make(&answers, &found, ids()).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_kept_is_refused_with_the_way_out() {
    let host = machine_with_host;
    let text = unkept(host(), |found, _| found.disks[0].host_table = None);
    assert!(
        text.starts_with(
            "no host is installed on this machine, so nothing can be kept: install afresh"
        ),
        "{text}"
    );
    let text = unkept(host(), |_, answers| answers.disk = DiskChoice::Device("/dev/sdb".into()));
    assert_eq!(
        text,
        "no host is installed on /dev/sdb, so nothing can be kept: name its disk, or install afresh"
    );
    let text = unkept(host(), |found, _| {
        found.disks[1].host_table = found.disks[0].host_table.clone();
    });
    assert_eq!(
        text,
        "there are several installed hosts: /dev/sda 480 GB TESTDISK SER-sda, /dev/sdb 240 GB TESTDISK \
         SER-sdb; name the disk of one"
    );
    let text = unkept(host(), |found, _| {
        drop(found.disks[0].host_table.as_mut().unwrap().partitions.pop());
    });
    assert_eq!(
        text,
        "the host on /dev/sda cannot be installed again: its partitions are not laid out as this version \
         does it: there are 5 partitions instead of 6; what is left is an installation that wipes the disk"
    );
    let text = unkept(host(), |found, _| found.medium.root_image_size = 2 << 30);
    assert_eq!(text, "the system's image has 2.1 GB, there is room for 1.0 GB");
    let text =
        unkept(host(), |found, _| found.disks[0].uses = vec!["sda5 is mounted at /x".into()]);
    assert_eq!(text, "/dev/sda cannot be installed on: it is in use: sda5 is mounted at /x");
}

#[test]
fn half_of_a_mirror_is_not_installed_on() {
    let mirror = machine_with_mirror;
    let alone = "/dev/sda is a disk of a mirror whose other disk is not there: attach that one, and no third \
                 one with the same content";
    assert_eq!(unkept(mirror(), |found, _| drop(found.disks.remove(1))), alone);
    assert_eq!(unkept(mirror(), |found, _| found.disks[2] = found.disks[1].clone()), alone);
    let text = unkept(mirror(), |found, answers| {
        answers.disk = DiskChoice::Device("/dev/sda".into());
        found.disks[0].contents.retain(|content| content.device != "sda5");
    });
    assert!(text.contains("\"xenith-state\" is in no array"), "{text}");
    let text = unkept(mirror(), |found, _| {
        found.disks[1].host_table.as_mut().unwrap().partitions[5].last_sector -= 2048;
    });
    assert!(text.contains("those of /dev/sdb lie elsewhere"), "{text}");
}
