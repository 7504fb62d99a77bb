// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plans for machines that do not exist.

use std::collections::BTreeMap;

use appliance_model::boot::BootOptions;
use appliance_model::handover::{AddressMode, BondHash, BondMode, Ipv6Mode, LocalSrKind};
use uuid::Uuid;

use super::*;
use crate::answers::{
    BondChoice, DiskChoice, DiskRules, Glob, InterfaceChoice, NetworkAnswer, StorageAnswer,
};
use crate::discovery::{Content, Firmware, Holder, Machine, Multipath, Nic, Virtualization};

pub(crate) fn disk(name: &str, size: u64) -> Disk {
    let serial = format!("SER-{name}");
    Disk {
        path: PathBuf::from("/dev").join(name),
        links: vec![PathBuf::from("/dev/disk/by-id").join(&serial)],
        model: Some("TESTDISK".into()),
        serial: Some(serial.clone()),
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
        properties: BTreeMap::from([
            ("ID_MODEL".to_owned(), "TESTDISK".to_owned()),
            ("ID_SERIAL_SHORT".to_owned(), serial),
        ]),
    }
}

fn nic(name: &str, last: u8) -> Nic {
    Nic {
        name: name.into(),
        mac: format!("52:54:00:12:34:{last:02x}").parse().unwrap(),
        driver: None,
        carrier: Some(true),
        max_mtu: None,
    }
}

pub(crate) fn machine() -> Discovery {
    let mut stick = disk("sdc", 64_000_000_000);
    stick.removable = true;
    let mut medium = disk("sdd", 32_000_000_000);
    medium.is_medium = true;
    let mut sda = disk("sda", 480_000_000_000);
    sda.contents = vec![
        Content { device: "sda".into(), kind: "gpt".into(), label: None, part_of: None },
        Content {
            device: "sda1".into(),
            kind: "ntfs".into(),
            label: Some("Photos".into()),
            part_of: None,
        },
    ];
    Discovery {
        disks: vec![sda, disk("sdb", 240_000_000_000), stick, medium],
        nics: vec![nic("eth0", 0x56), nic("eth1", 0x57)],
        unusable: vec![],
        machine: Machine {
            firmware: Firmware::Bios,
            memory: Some(8 << 30),
            cpus: Some(4),
            virtualization: Virtualization::Present,
            product: None,
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
            boot_options: BootOptions {
                xen: vec!["dom0_mem=1G,max:1G".parse().unwrap()],
                dom0: vec!["quiet".parse().unwrap(), "memmap=1M$2G".parse().unwrap()],
            },
            root_image_size: 3_500_000,
            boot_size: 20_000,
        },
    }
}

pub(crate) fn answers() -> Answers {
    let text = "hostname = \"xen1\"\nroot-password = \"correct horse\"\n\
                disk = { device = \"/dev/sda\", wipe = true }";
    Answers::from_toml(text).unwrap()
}

pub(crate) fn ids() -> Ids {
    let partitions = std::array::from_fn(|at| Uuid::from_u128(0x10 + at as u128));
    Ids {
        guids: DiskGuids { disk: Uuid::from_u128(0xd15c), partitions },
        state: Uuid::from_u128(0x57a7e),
        esp: 0x1234_5678,
        mirror: MirrorIds {
            guids: DiskGuids {
                disk: Uuid::from_u128(0x2d15c),
                partitions: std::array::from_fn(|at| Uuid::from_u128(0x20 + at as u128)),
            },
            esp: 0x1234_5679,
            arrays: std::array::from_fn(|at| Uuid::from_u128(0xa0 + at as u128)),
        },
        machine: Uuid::from_u128(0xbac),
        sr: Uuid::from_u128(0x5a),
    }
}

fn by_property(name: &str, value: &str) -> DiskChoice {
    let properties = BTreeMap::from([(name.to_owned(), Glob::new(value))]);
    DiskChoice::Rules(DiskRules { properties, ..DiskRules::default() })
}

fn smallest() -> DiskChoice {
    DiskChoice::Rules(DiskRules { smallest: true, ..DiskRules::default() })
}

fn refused(choice: DiskChoice, found: &Discovery) -> String {
    Plan::make(&Answers { disk: choice, ..answers() }, found, ids()).unwrap_err().to_string()
}

#[test]
fn a_plan_reads_like_this() {
    let mut answers = answers();
    answers.network = Some(NetworkAnswer {
        address: AddressMode::Static {
            address: "192.0.2.10/24".into(),
            gateway: Some("192.0.2.1".into()),
        },
        dns: vec!["192.0.2.53".into()],
        ..NetworkAnswer::dhcp(InterfaceChoice::Name("eth1".into()))
    });
    answers.storage = Some(StorageAnswer::on_system(LocalSrKind::LvmThin));
    answers.ntp = vec!["ntp1.example.org".parse().unwrap(), "192.0.2.123".parse().unwrap()];
    answers.regional.keymap = Some("de".parse().unwrap());
    answers.regional.zone = Some("Europe/Berlin".parse().unwrap());
    answers.pool_name = "Rack 4".into();
    let plan = Plan::make(&answers, &machine(), ids()).unwrap();
    assert_eq!(plan.handover.management.as_ref().unwrap().mac, "52:54:00:12:34:57");
    let expected = "\
Xenith 0123456789abcdef will be installed:
  disk      /dev/sda  480 GB  TESTDISK  (serial SER-sda)
            EVERYTHING on it will be lost:
              sda: gpt
              sda1: ntfs \"Photos\"
            1  xenith-bios     1.0 MB  boot loader for BIOS
            2  xenith-esp      536 MB  EFI system partition
            3  xenith-a        1.0 GB  system
            4  xenith-b        1.0 GB  room for the next version
            5  xenith-state    4.2 GB  settings, logs, database
            6  xenith-sr       473 GB  local storage
  host      xen1
  network   eth1 (52:54:00:12:34:57): 192.0.2.10/24, gateway 192.0.2.1, DNS 192.0.2.53
  login     root, by password; SSH off
  storage   473 GB, thin logical volumes
  keyboard  de
  zone      Europe/Berlin
  time      from ntp1.example.org, 192.0.2.123
  pool      Rack 4
  then      restart into the installed host";
    assert_eq!(plan.to_string(), expected);
}

#[test]
fn a_disk_is_found_by_each_of_its_names() {
    let found = machine();
    let filter = |key: &str, value: &str| by_property(key, value);
    for (choice, expected) in [
        (DiskChoice::Device("/dev/sdb".into()), "/dev/sdb"),
        (DiskChoice::Device("/dev/disk/by-id/SER-sdb".into()), "/dev/sdb"),
        (filter("ID_SERIAL_SHORT", "*-sdb"), "/dev/sdb"),
        // The stick is smaller than nothing else, but it is removable.
        (smallest(), "/dev/sdb"),
        // A removable disk that is named is meant.
        (DiskChoice::Device("/dev/sdc".into()), "/dev/sdc"),
    ] {
        let plan = Plan::make(&Answers { disk: choice, ..answers() }, &found, ids()).unwrap();
        assert_eq!(plan.disk.path, PathBuf::from(expected));
    }
    assert_eq!(
        refused(filter("ID_MODEL", "TEST*"), &found),
        "ID_MODEL=TEST* is not one disk but 3: /dev/sda 480 GB TESTDISK SER-sda, \
         /dev/sdb 240 GB TESTDISK SER-sdb, /dev/sdc 64.0 GB TESTDISK SER-sdc"
    );
    let text = refused(DiskChoice::Device("/dev/sdx".into()), &found);
    assert!(text.starts_with("no disk is /dev/sdx; found: /dev/sda 480 GB"), "{text}");
    let mut twins = machine();
    twins.disks[0].size = twins.disks[1].size;
    assert!(refused(smallest(), &twins).contains("is not one disk but 2"));
}

#[test]
fn unusable_disks_are_refused_with_the_reason() {
    type Change = fn(&mut Disk);
    let cases: [(Change, &str); 11] = [
        (|d| d.path_of = Some("/dev/sdx".into()), "leave one path connected"),
        (|d| d.multipath = Some(Multipath { wwid: None, paths: vec![] }), "find it at start"),
        (|d| d.unreadable = Some("I/O error".into()), "it cannot be read: I/O error"),
        (|d| d.size = 15_999_999_999, "it is too small: 15.9 GB, at least 16.0 GB are needed"),
        (|d| d.uses = vec!["sda1 is mounted at /x".into()], "it is in use: sda1 is mounted at /x"),
        (|d| d.read_only = true, "it is read-only"),
        (|d| d.is_medium = true, "it is the installation medium"),
        (|d| d.sector_size = 2048, "its sectors have 2048 bytes; 512 and 4096 are supported"),
        (|d| d.holders = vec![Holder::Other("bcache0".into())], "keeps bcache0 on top of it"),
        (|d| d.size = 0, "it is too small: 0 B, at least 16.0 GB are needed"),
        (|d| d.uses = vec!["a".into(), "b".into()], "it is in use: a, b"),
    ];
    for (change, expected) in cases {
        let mut found = machine();
        change(&mut found.disks[0]);
        let text = refused(DiskChoice::Device("/dev/sda".into()), &found);
        assert!(text.starts_with("/dev/sda cannot be installed on: "), "{text}");
        assert!(text.ends_with(expected), "{text}");
    }
}

#[test]
fn volume_groups_on_the_disk_are_no_obstacle_and_4k_sectors_neither() {
    let mut found = machine();
    found.disks[0].holders = vec![Holder::Mapper("old-root".into())];
    found.disks[0].sector_size = 4096;
    let plan = Plan::make(&answers(), &found, ids()).unwrap();
    assert!(!plan.bios_boots());
    assert!(plan.to_string().contains("only UEFI will start this disk"));
    assert_eq!(plan.layout.partition(Role::Esp).first_sector, 512);
}

#[test]
fn network_cards_must_be_unambiguous() {
    let mut answers = answers();
    let mut make = |interface, found: &Discovery| {
        answers.network = Some(NetworkAnswer::dhcp(interface));
        Plan::make(&answers, found, ids())
    };
    let found = machine();
    let error = make(InterfaceChoice::Only, &found).unwrap_err().to_string();
    assert!(error.starts_with("there are several network cards: eth0 52:54:00:12:34:56"));
    let error = make(InterfaceChoice::Name("eth7".into()), &found).unwrap_err().to_string();
    assert!(error.starts_with("no network card is eth7; found: eth0"), "{error}");
    let mac = "52:54:00:12:34:56".parse().unwrap();
    let plan = make(InterfaceChoice::Mac(mac), &found).unwrap();
    assert_eq!(plan.nic_names, ["eth0"]);
    let mut one = machine();
    one.nics.truncate(1);
    assert!(make(InterfaceChoice::Only, &one).is_ok());
    one.nics.clear();
    let error = make(InterfaceChoice::Only, &one).unwrap_err().to_string();
    assert_eq!(error, "no network card is there; found: none at all");
}

#[test]
fn a_bond_with_a_vlan_and_both_families_reads_like_this() {
    let member = |mac: &str| InterfaceChoice::Mac(mac.parse().unwrap());
    let members = vec![member("52:54:00:12:34:57"), InterfaceChoice::Name("eth0".into())];
    let bond = BondChoice { mode: BondMode::Lacp, hash: BondHash::SrcMac, members };
    let network = NetworkAnswer {
        vlan: Some(42),
        mtu: Some(9000),
        ipv6: Ipv6Mode::Static {
            address: "2001:db8::10/64".into(),
            gateway: Some("fe80::1".into()),
        },
        dns: vec!["2001:db8::53".into()],
        ..NetworkAnswer::dhcp(InterfaceChoice::Bond(bond))
    };
    let make = |network: NetworkAnswer, found: &Discovery| {
        Plan::make(&Answers { network: Some(network), ..answers() }, found, ids())
    };
    let plan = make(network.clone(), &machine()).unwrap();
    let expected = "\
  network   bond of eth1 (52:54:00:12:34:57), eth0 (52:54:00:12:34:56): lacp by src-mac
            VLAN 42, MTU 9000
            DHCP
            IPv6 2001:db8::10/64, gateway fe80::1
            DNS 2001:db8::53
";
    let text = plan.to_string();
    assert!(text.contains(expected), "{text}");
    let management = plan.handover.management.clone().unwrap();
    assert_eq!(management.mac, "52:54:00:12:34:57");
    let bond = management.bond.unwrap();
    assert_eq!(bond.members, ["52:54:00:12:34:57", "52:54:00:12:34:56"]);
    let written = toml::to_string(&plan.handover).unwrap();
    assert_eq!(toml::from_str::<Handover>(&written).unwrap(), plan.handover, "{written}");

    let mut found = machine();
    found.nics[0].max_mtu = Some(1500);
    let error = make(network.clone(), &found).unwrap_err().to_string();
    assert_eq!(error, "eth0 52:54:00:12:34:56 cannot have an MTU of 9000, only up to 1500");
    let InterfaceChoice::Bond(mut bond) = network.interface.clone() else { panic!() };
    bond.members[1] = InterfaceChoice::Name("eth1".into());
    let twice = NetworkAnswer { interface: InterfaceChoice::Bond(bond), ..network };
    let error = make(twice, &machine()).unwrap_err().to_string();
    assert_eq!(error, "the bond has eth1 52:54:00:12:34:57 twice");
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut found = machine();
    found.medium.root_image_size = (1 << 30) + 1;
    let error = Plan::make(&answers(), &found, ids()).unwrap_err().to_string();
    assert_eq!(error, "the system's image has 1.0 GB, there is room for 1.0 GB");
    let mut found = machine();
    found.medium.boot_size = 200_000_000;
    assert!(Plan::make(&answers(), &found, ids()).is_err());
}

#[test]
fn scripts_are_in_the_plan() {
    let mut answers = answers();
    let script = |text| ScriptSource::parse(text).unwrap();
    answers.hooks.scripts = vec![
        (Stage::Before, script("https://192.0.2.1/a.sh")),
        (Stage::Populated, script("#!/bin/sh\necho secret\n")),
    ];
    let text = Plan::make(&answers, &machine(), ids()).unwrap().to_string();
    let expected = "  script    before: https://192.0.2.1/a.sh\n  \
                    script    populated: a script in the answers\n  then ";
    assert!(text.contains(expected) && !text.contains("secret"), "{text}");
}

fn pair(system: DiskChoice, mirror: DiskChoice, found: &Discovery) -> Result<Plan, PlanError> {
    Plan::make(&Answers { disk: system, mirror: Some(mirror), ..answers() }, found, ids())
}

#[test]
fn a_mirror_reads_like_this() {
    let mut found = machine();
    let member = |device: &str, array: &str| Content {
        device: device.into(),
        kind: "linux_raid_member".into(),
        label: Some("old:0".into()),
        part_of: Some(array.into()),
    };
    let volume = |device: &str| Content {
        device: device.into(),
        kind: "LVM2_member".into(),
        label: None,
        part_of: Some("vg0".into()),
    };
    found.disks[0].contents = vec![member("sda1", "id-1"), volume("sda2")];
    found.disks[1].contents = vec![member("sdb1", "id-1"), volume("sdb2")];
    found.disks[2].contents = vec![volume("sdc")];
    let device = |name: &str| DiskChoice::Device(name.into());
    let plan = pair(device("/dev/sda"), device("/dev/sdb"), &found).unwrap();
    let expected = "\
Xenith 0123456789abcdef will be installed:
  disk      /dev/sda  480 GB  TESTDISK  (serial SER-sda)
            EVERYTHING on it will be lost:
              sda1: member of the software RAID \"old:0\"
              sda2: physical volume of the group \"vg0\"
  mirror    /dev/sdb  240 GB  TESTDISK  (serial SER-sdb)
            EVERYTHING on it will be lost:
              sdb1: member of the software RAID \"old:0\"
              sdb2: physical volume of the group \"vg0\"
  torn      group \"vg0\" is also on /dev/sdc: what lies on both is lost there too
            both disks get these, 3 to 6 as software RAID 1:
            1  xenith-bios     1.0 MB  boot loader for BIOS
            2  xenith-esp      536 MB  EFI system partition
            3  xenith-a        1.0 GB  system
            4  xenith-b        1.0 GB  room for the next version
            5  xenith-state    4.2 GB  settings, logs, database
            6  xenith-sr       233 GB  local storage
  host      xen1
  network   the first network card, by DHCP
  login     root, by password; SSH off
  storage   233 GB, image files on ext4
  then      restart into the installed host";
    assert_eq!(plan.to_string(), expected);
    let lone = Plan::make(&answers(), &found, ids()).unwrap();
    let raid = "software RAID \"old:0\" is also on /dev/sdb, without this part then";
    assert_eq!(lone.torn[0], raid);
    assert!(lone.torn[1].starts_with("group \"vg0\" is also on /dev/sdb, /dev/sdc: "));
}

#[test]
fn a_mirror_needs_two_disks_that_are_alike_enough() {
    let device = |name: &str| DiskChoice::Device(name.into());
    let by_model = || by_property("ID_MODEL", "T*");
    let mut found = machine();
    let paths = |plan: Plan| plan.disk_names();
    assert_eq!(paths(pair(smallest(), smallest(), &found).unwrap()), "/dev/sdb and /dev/sda");
    let twice = pair(device("/dev/sda"), device("/dev/disk/by-id/SER-sda"), &found);
    let text = "/dev/sda is named twice; each disk has one purpose";
    assert_eq!(twice.unwrap_err().to_string(), text);
    // A rule never means the disk that is the system disk already.
    let text = pair(device("/dev/sda"), by_model(), &found).unwrap_err().to_string();
    assert!(text.starts_with("ID_MODEL=T* is not one disk but 2: /dev/sdb"), "{text}");
    found.disks[2].is_medium = true;
    assert_eq!(
        paths(pair(device("/dev/sda"), by_model(), &found).unwrap()),
        "/dev/sda and /dev/sdb"
    );
    // Two that are alike are a pair, three are not.
    found.disks[0].size = found.disks[1].size;
    assert_eq!(paths(pair(smallest(), smallest(), &found).unwrap()), "/dev/sda and /dev/sdb");
    found.disks.push(disk("sde", found.disks[0].size));
    let text = pair(smallest(), smallest(), &found).unwrap_err().to_string();
    assert!(text.starts_with("the two smallest usable disks is not one disk but 3"), "{text}");
    found.disks.truncate(1);
    let text = pair(smallest(), smallest(), &found).unwrap_err().to_string();
    assert!(
        text.starts_with("no disk is the two smallest usable disks; found: /dev/sda"),
        "{text}"
    );
    let mut found = machine();
    found.disks[1].sector_size = 4096;
    let text = pair(device("/dev/sda"), device("/dev/sdb"), &found).unwrap_err().to_string();
    let expected = "/dev/sda has sectors of 512 bytes and /dev/sdb of 4096; disks that are \
                    used together need the same";
    assert_eq!(text, expected);
    found.disks[1].uses = vec!["sdb1 is mounted at /x".into()];
    let text = pair(device("/dev/sda"), device("/dev/sdb"), &found).unwrap_err().to_string();
    assert_eq!(text, "/dev/sdb cannot be installed on: it is in use: sdb1 is mounted at /x");
    // The image has to fit behind what the arrays keep for themselves.
    let mut found = machine();
    found.medium.root_image_size = 1 << 30;
    assert!(Plan::make(&answers(), &found, ids()).is_ok());
    assert!(pair(device("/dev/sda"), device("/dev/sdb"), &found).is_err());
}

/// A disk over two paths.
pub(crate) fn multipath(wwid: &str, paths: [&str; 2], size: u64) -> Disk {
    let mut disk = disk(&format!("mapper/{wwid}"), size);
    disk.serial = Some(wwid[1..].to_owned());
    let paths: Vec<PathBuf> = paths.iter().map(|name| PathBuf::from("/dev").join(name)).collect();
    disk.links.extend_from_slice(&paths);
    disk.multipath = Some(Multipath { wwid: Some(wwid.into()), paths });
    disk
}

#[test]
fn a_disk_over_several_paths_reads_like_this() {
    let mut found = machine();
    found.disks[0] = multipath("3600a", ["sda", "sde"], 480_000_000_000);
    let device = |name: &str| DiskChoice::Device(name.into());
    let make = |disk| Plan::make(&Answers { disk, ..answers() }, &found, ids());
    let plan = make(device("/dev/mapper/3600a")).unwrap();
    let text = plan.to_string();
    let expected = "
  disk      /dev/mapper/3600a  480 GB  TESTDISK  (serial 600a)
            reached over 2 paths: /dev/sda, /dev/sde
            nothing was recognised on it
";
    assert!(text.contains(expected), "{text}");
    assert_eq!(plan.multipaths(), ["3600a"]);
    let by_path = make(device("/dev/sde")).unwrap();
    assert_eq!(by_path.disk, plan.disk, "a path's name means the disk");

    let text = pair(device("/dev/sdb"), device("/dev/mapper/3600a"), &found).unwrap_err();
    let expected = "/dev/mapper/3600a is reached over several paths and cannot be in a mirror: choose \
                    one disk over several paths, or two disks with one path each";
    assert_eq!(text.to_string(), expected);

    // It may be storage beside another system disk.
    let storage = StorageAnswer {
        kind: LocalSrKind::Ext,
        on_system: false,
        disks: vec![device("/dev/mapper/3600a")],
    };
    let answers = Answers { disk: device("/dev/sdb"), storage: Some(storage), ..answers() };
    assert_eq!(Plan::make(&answers, &found, ids()).unwrap().multipaths(), ["3600a"]);
}

fn with_storage(on_system: bool, disks: &[&str], found: &Discovery) -> Result<Plan, PlanError> {
    let disks = disks.iter().map(|name| DiskChoice::Device(name.into())).collect();
    let storage = StorageAnswer { kind: LocalSrKind::LvmThin, on_system, disks };
    Plan::make(&Answers { storage: Some(storage), ..answers() }, found, ids())
}

#[test]
fn further_disks_are_storage() {
    let mut found = machine();
    found.disks[1].size = 4_000_000_000;
    let plan = with_storage(true, &["/dev/sdb", "/dev/sdc"], &found).unwrap();
    assert_eq!(plan.wiped_names(), "/dev/sda, /dev/sdb and /dev/sdc");
    assert_eq!(plan.disk_names(), "/dev/sda");
    let text = plan.to_string();
    for line in [
        "  storage   /dev/sdb  4.0 GB  TESTDISK  (serial SER-sdb)\n            nothing was",
        "            6  xenith-sr       473 GB  local storage\n",
        "  storage   541 GB, thin logical volumes\n",
        "  note      storage is one group over its disks: the loss of one can lose all in it\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let text = with_storage(false, &["/dev/sdb"], &found).unwrap().to_string();
    assert!(text.contains("6  xenith-sr       473 GB  unused\n"), "{text}");
    assert!(text.contains("  storage   4.0 GB, thin logical volumes\n"), "{text}");
    assert!(!text.contains("note"), "{text}");
}

#[test]
fn unfit_storage_disks_are_refused() {
    let refused = |disks: &[&str], found: &Discovery| {
        with_storage(true, disks, found).unwrap_err().to_string()
    };
    let found = machine();
    let twice = "/dev/sda is named twice; each disk has one purpose";
    assert_eq!(refused(&["/dev/sda"], &found), twice);
    let twice = twice.replace("sda", "sdb");
    assert_eq!(refused(&["/dev/sdb", "/dev/disk/by-id/SER-sdb"], &found), twice);
    let text = "/dev/sdd cannot be used: it is the installation medium";
    assert_eq!(refused(&["/dev/sdd"], &found), text);
    let mut found = machine();
    found.disks[1].size = 999_999_999;
    let text = refused(&["/dev/sdb"], &found);
    assert!(text.starts_with("/dev/sdb cannot be used: it is too small for storage"), "{text}");
    found.disks[2].sector_size = 4096;
    let text = refused(&["/dev/sdc"], &found);
    assert!(text.starts_with("/dev/sda has sectors of 512 bytes and /dev/sdc of 4096"), "{text}");
    // Beside nothing else it will do.
    assert!(with_storage(false, &["/dev/sdc"], &found).is_ok());
}

#[test]
fn all_rules_must_hold() {
    let mut found = machine();
    found.disks.push(disk("sde", 960_000_000_000));
    let rules = |min: Option<u64>, max: Option<u64>, smallest: bool| {
        let properties = BTreeMap::from([("ID_MODEL".to_owned(), Glob::new("TEST*"))]);
        DiskChoice::Rules(DiskRules { properties, min_size: min, max_size: max, smallest })
    };
    let gb = |n: u64| Some(n * 1_000_000_000);
    for (choice, expected) in [
        (rules(gb(100), gb(300), false), "/dev/sdb"),
        (rules(gb(480), gb(480), false), "/dev/sda"),
        (rules(gb(300), None, true), "/dev/sda"),
        (rules(gb(500), None, false), "/dev/sde"),
        // Only the rule of the smallest passes over sticks.
        (rules(None, gb(64), false), "/dev/sdc"),
    ] {
        let plan = Plan::make(&Answers { disk: choice, ..answers() }, &found, ids()).unwrap();
        assert_eq!(plan.disk.path, PathBuf::from(expected));
    }
    let text = refused(rules(gb(300), None, false), &found);
    assert!(text.starts_with("ID_MODEL=TEST* at least 300 GB is not one disk but 2: "), "{text}");
    let text = refused(rules(None, gb(64), true), &found);
    let expected =
        "no disk is the smallest usable disk with ID_MODEL=TEST* at most 64.0 GB; found: ";
    assert!(text.starts_with(expected), "{text}");
    let text = refused(rules(gb(2000), None, false), &found);
    assert!(
        text.starts_with("no disk is ID_MODEL=TEST* at least 2.0 TB; found: /dev/sda"),
        "{text}"
    );
}
