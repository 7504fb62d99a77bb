// SPDX-License-Identifier: MIT OR Apache-2.0
//! Machines as folders.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use appliance_model::medium as paths;
use tempfile::TempDir;

use super::*;
use crate::plan::Refusal;

/// When the medium was made, in seconds since 1970.
const MADE: u64 = 1_763_000_000;

/// A machine's files, and a medium.
pub(crate) struct Tree(TempDir);

impl Tree {
    pub(crate) fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for folder in ["sys/block", "sys/class/block", "sys/dev/block", "sys/class/net", "udev"] {
            fs::create_dir_all(tree.path(folder)).unwrap();
        }
        tree.put("proc/self/mountinfo", "");
        tree.put("proc/swaps", "Filename Type Size Used Priority\n");
        tree.put("proc/meminfo", "MemTotal:        2048 kB\n");
        tree.put("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu svm\n");
        for (name, size) in [
            (paths::ROOT_IMAGE, 100),
            (paths::XEN, 1),
            (paths::KERNEL, 2),
            (paths::INITRD, 3),
            (paths::GRUB_EFI, 4),
            (paths::BOOT_IMG, 5),
            (paths::CORE_IMG, 6),
        ] {
            tree.put(&format!("medium/{name}"), &"x".repeat(size));
        }
        tree.put(&format!("medium/{}", paths::BOOT_OPTIONS), "xen = ['a=1']\ndom0 = ['quiet']\n");
        tree.put(&format!("medium/{}", paths::BUILD_ID), "0123456789abcdef\n");
        let made = File::options().write(true).open(tree.path("medium").join(paths::BUILD_ID));
        made.unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(MADE)).unwrap();
        tree
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A block device below `parent` (empty: a whole disk).
    fn block(&self, parent: &str, name: &str, number: &str, sectors: u64) {
        let folder = Path::new("sys/block").join(parent).join(name).display().to_string();
        self.put(&format!("{folder}/dev"), number);
        self.put(&format!("{folder}/size"), &sectors.to_string());
        if !parent.is_empty() {
            let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
            self.put(&format!("{folder}/partition"), digits);
        }
        symlink(self.path(&folder), self.path(&format!("sys/class/block/{name}"))).unwrap();
        symlink(self.path(&folder), self.path(&format!("sys/dev/block/{number}"))).unwrap();
    }

    pub(crate) fn look(&self) -> Discovery {
        let roots = Roots {
            sys: self.path("sys"),
            proc: self.path("proc"),
            dev: "/dev".into(),
            udev: self.path("udev"),
            root: self.path("root"),
            xl_info: |roots| Ok(fs::read_to_string(roots.proc.join("xl-info")).unwrap()),
            links: |roots| {
                let text = fs::read_to_string(roots.proc.join("ip-link"));
                Ok(text.unwrap_or_else(|_| "[]".to_owned()))
            },
            clock: |roots| {
                let text = fs::read_to_string(roots.proc.join("clock"));
                text.map_or(MADE + 86400, |text| text.trim().parse().unwrap())
            },
            probe,
            groups: |_| Ok(BTreeMap::from([("/dev/sda2".into(), "vg0".to_owned())])),
            table: |_, _| None,
            loop_devices: false,
        };
        Discovery::look(&roots, &self.path("medium")).unwrap()
    }
}

/// What blkid would say.
fn probe(device: &Path) -> Result<Result<BTreeMap<String, String>, String>, DiscoveryError> {
    let found: &[(&str, &str)] = match device.to_str().unwrap() {
        "/dev/sda" => &[("PTTYPE", "gpt")],
        "/dev/sda1" => &[("TYPE", "ext4"), ("LABEL", "data")],
        "/dev/sda2" => &[("TYPE", "LVM2_member"), ("PART_ENTRY_NAME", "old-sr")],
        "/dev/sdm" => &[
            ("TYPE", "linux_raid_member"),
            ("LABEL", "old:0"),
            ("UUID", "0a0b0c0d-1111-2222-3333-444455556666"),
        ],
        "/dev/sdz" => return Ok(Err("blkid: error: /dev/sdz: Input/output error".to_owned())),
        _ => &[],
    };
    Ok(Ok(found.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()))
}

fn machine() -> Tree {
    let tree = Tree::new();
    tree.block("", "sda", "8:0", 40_000_000);
    tree.block("sda", "sda1", "8:1", 1000);
    tree.block("sda", "sda2", "8:2", 1000);
    tree.put("sys/block/sda/device/vendor", "ATA     \n");
    tree.put("sys/block/sda/device/model", "SPINNER 9000\n");
    tree.put("sys/block/sda/queue/logical_block_size", "4096\n");
    tree.put("sys/block/sda/removable", "0\n");
    tree.put(
        "udev/b8:0",
        "S:disk/by-id/ata-SPINNER\nE:ID_SERIAL_SHORT=Z1\nE:ID_MODEL=SPINNER_9000\n",
    );
    tree.block("", "dm-0", "253:0", 500);
    tree.put("sys/block/dm-0/dm/name", "old-root\n");
    fs::create_dir_all(tree.path("sys/block/sda/sda2/holders/dm-0")).unwrap();
    tree
}

#[test]
fn disks_are_described() {
    let found = machine().look();
    let [disk] = found.disks.as_slice() else { panic!("{:?}", found.disks) };
    assert_eq!(disk.path, Path::new("/dev/sda"));
    assert_eq!(disk.links, [Path::new("/dev/disk/by-id/ata-SPINNER")]);
    assert_eq!(disk.model.as_deref(), Some("SPINNER 9000"));
    assert_eq!(disk.serial.as_deref(), Some("Z1"));
    assert_eq!((disk.size, disk.sector_size), (20_480_000_000, 4096));
    assert_eq!(disk.holders, [Holder::Mapper("old-root".into())]);
    assert!(disk.uses.is_empty() && !disk.is_medium);
    let contents: Vec<String> =
        disk.contents.iter().map(|c| format!("{} {} {:?}", c.device, c.kind, c.label)).collect();
    assert_eq!(
        contents,
        ["sda gpt None", "sda1 ext4 Some(\"data\")", "sda2 LVM2_member Some(\"old-sr\")"]
    );
    assert_eq!(found.machine.memory, Some(2 << 20));
    assert_eq!(found.machine.virtualization, Virtualization::Present);
    assert_eq!((found.medium.root_image_size, found.medium.boot_size), (100, 10));
    assert_eq!(found.medium.build_id.to_string(), "0123456789abcdef");
    let options = &found.medium.boot_options;
    assert_eq!((options.xen[0].grub().as_str(), options.dom0[0].grub().as_str()), ("a=1", "quiet"));
}

#[test]
fn parts_of_something_larger_are_told() {
    let tree = machine();
    tree.block("", "sdm", "8:192", 40_000_000);
    let found = tree.look();
    let part = |disk: usize, at: usize| {
        let content = &found.disks[disk].contents[at];
        (content.words(), content.part_of.clone().unwrap())
    };
    assert_eq!(part(0, 2), ("physical volume of the group \"vg0\"".into(), "vg0".into()));
    let mut storage = found.disks[0].contents[2].clone();
    storage.part_of = Some("xsr-1".into());
    assert_eq!(storage.words(), "guests' storage of a Xenith host (group \"xsr-1\")");
    let id = "0a0b0c0d-1111-2222-3333-444455556666";
    assert_eq!(part(1, 0), ("member of the software RAID \"old:0\"".into(), id.into()));
}

#[test]
fn paths_to_one_disk_are_recognised() {
    let tree = machine();
    for (name, number) in [("sdb", "8:16"), ("sdc", "8:32"), ("sdd", "8:48"), ("sde", "8:64")] {
        tree.block("", name, number, 40_000_000);
        // The last one has the same maker's number and is another disk.
        let serial = if name == "sde" { "3600b" } else { "3600a" };
        let text = format!("E:ID_WWN=0x600a\nE:ID_SERIAL={serial}\n");
        tree.put(&format!("udev/b{number}"), &text);
    }
    let found = tree.look();
    let paths: Vec<Option<&str>> = found.disks.iter().map(|disk| disk.path_of.as_deref()).collect();
    let expected = [
        None,
        Some("/dev/sdc, /dev/sdd"),
        Some("/dev/sdb, /dev/sdd"),
        Some("/dev/sdb, /dev/sdc"),
        None,
    ];
    assert_eq!(paths, expected);
    assert!(Refusal::of(&found.disks[1]).unwrap().to_string().contains("see /dev/sdc, /dev/sdd,"));
}

/// Two paths to one disk with a partition.
fn paths(wwid: &str) -> Tree {
    let tree = machine();
    for (name, number) in [("sdb", "8:16"), ("sdc", "8:32")] {
        tree.block("", name, number, 40_000_000);
        tree.put(&format!("sys/block/{name}/device/model"), "ARRAY\n");
        tree.put(&format!("sys/block/{name}/device/wwid"), wwid);
        let text = format!(
            "S:disk/by-path/{name}\nE:ID_WWN=0x600a\nE:ID_SERIAL=3600a\nE:ID_SERIAL_SHORT=600a\n"
        );
        tree.put(&format!("udev/b{number}"), &text);
    }
    tree
}

/// Puts the paths together.
fn map(tree: &Tree, paths: &[&str]) {
    tree.block("", "dm-7", "253:7", 40_000_000);
    tree.put("sys/block/dm-7/dm/name", "3600a\n");
    tree.put("sys/block/dm-7/dm/uuid", "mpath-3600a\n");
    tree.put("udev/b253:7", "S:disk/by-id/wwn-0x600a\n");
    for path in paths {
        fs::create_dir_all(tree.path(&format!("sys/block/{path}/holders/dm-7"))).unwrap();
        fs::create_dir_all(tree.path(&format!("sys/block/dm-7/slaves/{path}"))).unwrap();
    }
    tree.block("", "dm-8", "253:8", 1000);
    tree.put("sys/block/dm-8/dm/name", "3600a-part1\n");
    tree.put("sys/block/dm-8/dm/uuid", "part1-mpath-3600a\n");
    fs::create_dir_all(tree.path("sys/block/dm-7/holders/dm-8")).unwrap();
}

#[test]
fn paths_that_are_put_together_are_one_disk() {
    let tree = paths("naa.600A\n");
    map(&tree, &["sdb", "sdc"]);
    let line = "1 0 253:8 / /x rw - ext4 /dev/mapper/3600a-part1 rw\n";
    tree.put("proc/self/mountinfo", line);
    let found = tree.look();
    let [disk, _] = found.disks.as_slice() else { panic!("{:?}", found.disks) };
    assert_eq!(disk.path, Path::new("/dev/mapper/3600a"));
    assert_eq!(disk.model.as_deref(), Some("ARRAY"));
    assert_eq!(disk.serial.as_deref(), Some("600a"));
    let multipath = disk.multipath.as_ref().unwrap();
    assert_eq!(multipath.wwid.as_deref(), Some("3600a"));
    assert_eq!(multipath.paths, [Path::new("/dev/sdb"), Path::new("/dev/sdc")]);
    for name in ["/dev/sdc", "/dev/disk/by-path/sdb", "/dev/disk/by-id/wwn-0x600a"] {
        assert!(disk.links.iter().any(|link| link == name), "{name}: {:?}", disk.links);
    }
    let contents: Vec<&str> = disk.contents.iter().map(|found| found.device.as_str()).collect();
    assert_eq!(contents, ["3600a-part1"]);
    assert_eq!(disk.partition_name(1), "3600a-part1");
    assert_eq!(disk.holders, [Holder::Mapper("3600a-part1".into())]);
    assert_eq!(disk.uses, ["dm-8 is mounted at /x"]);
    assert_eq!(disk.path_of, None);
}

#[test]
fn a_path_beside_the_others_map_is_refused() {
    let tree = paths("naa.600a\n");
    map(&tree, &["sdb"]);
    let found = tree.look();
    let names: Vec<(&str, Option<&str>)> = found
        .disks
        .iter()
        .map(|disk| (disk.path.to_str().unwrap(), disk.path_of.as_deref()))
        .collect();
    let expected =
        [("/dev/mapper/3600a", None), ("/dev/sda", None), ("/dev/sdc", Some("/dev/mapper/3600a"))];
    assert_eq!(names, expected);
}

#[test]
fn a_multipath_disk_needs_a_name_that_the_kernel_tells() {
    for wwid in ["t10.ATA     DISK 1\n", "naa.600b\n", "naa.\n", "naa.60-a\n", "\n"] {
        let tree = paths(wwid);
        map(&tree, &["sdb", "sdc"]);
        let found = tree.look();
        assert_eq!(found.disks[0].multipath.as_ref().unwrap().wwid, None, "{wwid}");
        assert_eq!(Refusal::of(&found.disks[0]), Some(Refusal::Nameless));
    }
}

#[test]
fn paths_are_loose_until_they_are_put_together() {
    let loose = |tree: &Tree| {
        Discovery::has_loose_paths(&Roots { sys: tree.path("sys"), ..Roots::default() })
    };
    assert!(!loose(&machine()));
    let tree = paths("naa.600a\n");
    assert!(loose(&tree));
    map(&tree, &["sdb"]);
    assert!(loose(&tree), "one is outside");
    fs::create_dir_all(tree.path("sys/block/sdc/holders/dm-7")).unwrap();
    assert!(!loose(&tree));
    tree.put("sys/block/sdc/device/wwid", "naa.600b\n");
    assert!(!loose(&tree));
}

#[test]
fn what_is_mounted_is_in_use_also_through_a_volume_group() {
    let tree = machine();
    tree.put(
        "proc/self/mountinfo",
        "1 0 8:1 / /srv/my\\040data rw - ext4 /dev/sda1 rw\n\
         2 0 253:0 / /old rw - ext4 /dev/mapper/old-root rw\n",
    );
    tree.put("proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n");
    let found = tree.look();
    assert_eq!(
        found.disks[0].uses,
        ["sda1 is mounted at /srv/my data", "sda2 is swap space in use", "dm-0 is mounted at /old"]
    );
}

#[test]
fn a_broken_disk_does_not_hide_the_others() {
    let tree = machine();
    tree.block("", "sdz", "65:144", 40_000_000);
    let found = tree.look();
    let words: Vec<Option<&str>> =
        found.disks.iter().map(|disk| disk.unreadable.as_deref()).collect();
    assert_eq!(words, [None, Some("blkid: error: /dev/sdz: Input/output error")]);
}

#[test]
fn the_mediums_disk_is_marked() {
    let tree = machine();
    tree.block("", "sdb", "8:16", 40_000_000);
    tree.block("sdb", "sdb1", "8:17", 1000);
    let line = format!("1 0 8:17 / {} ro - iso9660 /dev/sdb1 ro\n", tree.path("medium").display());
    tree.put("proc/self/mountinfo", &line);
    let found = tree.look();
    let marked: Vec<bool> = found.disks.iter().map(|disk| disk.is_medium).collect();
    assert_eq!(marked, [false, true]);
    assert_eq!(found.candidates().count(), 1);
}

#[test]
fn only_real_network_cards_count() {
    let tree = machine();
    for (name, kind, real) in [("eth0", "1", true), ("lo", "772", true), ("xenbr0", "1", false)] {
        tree.put(&format!("sys/class/net/{name}/type"), kind);
        tree.put(&format!("sys/class/net/{name}/address"), "52:54:00:00:00:01\n");
        if real {
            fs::create_dir_all(tree.path(&format!("sys/class/net/{name}/device"))).unwrap();
        }
    }
    tree.put("sys/class/net/eth0/carrier", "1\n");
    let found = tree.look();
    let [nic] = found.nics.as_slice() else { panic!("{:?}", found.nics) };
    assert_eq!((nic.name.as_str(), nic.carrier), ("eth0", Some(true)));
}

#[test]
fn a_medium_that_is_not_whole_is_an_error() {
    let tree = machine();
    fs::remove_file(tree.path("medium/boot/vmlinuz")).unwrap();
    let roots = Roots { proc: tree.path("proc"), sys: tree.path("sys"), ..Roots::default() };
    let error = Discovery::look(&roots, &tree.path("medium")).unwrap_err().to_string();
    assert!(error.ends_with("medium/boot/vmlinuz"), "{error}");
}

#[test]
fn a_medium_with_a_malformed_file_is_an_error() {
    let unfit = "line 2: \"a \\\"b\\\"\" is not one word";
    for (name, text, expected) in [
        (paths::BUILD_ID, "build 1\n", "not a build id"),
        (paths::BUILD_ID, "", "not a build id"),
        (paths::BOOT_OPTIONS, "xen = []", "missing field `dom0`"),
        (paths::BOOT_OPTIONS, "xen = []\ndom0 = ['a \"b\"']", unfit),
    ] {
        let tree = machine();
        tree.put(&format!("medium/{name}"), text);
        let error = medium::Medium::look(&tree.path("medium")).unwrap_err();
        assert!(error.to_string().ends_with(name), "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(expected), "{cause}");
    }
}
