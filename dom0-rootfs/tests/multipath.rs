// SPDX-License-Identifier: MIT OR Apache-2.0
//! `init/multipath` under the very busybox that the initramfs has, in machines that are folders. (The
//! package is fetched first if the store does not have it.)

mod busybox;

use std::fs;
use std::process::Command;

use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/init/multipath");

/// A machine, and a `dmsetup` that writes down how it was called.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(TempDir::new().unwrap());
        for folder in ["bin", "mapper", "sys/block"] {
            fs::create_dir_all(machine.0.path().join(folder)).unwrap();
        }
        machine
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    /// A disk with this name in the world, and a third partition of 100 sectors.
    fn disk(&self, name: &str, number: &str, wwid: &str, sectors: &str) {
        let folder = format!("sys/block/{name}");
        self.put(&format!("{folder}/dev"), number);
        self.put(&format!("{folder}/size"), sectors);
        self.put(&format!("{folder}/device/wwid"), wwid);
        for (file, text) in [("partition", "3"), ("start", "2048"), ("size", "100")] {
            self.put(&format!("{folder}/{name}3/{file}"), text);
        }
    }

    /// Runs commands after the script was read; the calls of `dmsetup`, and what was printed.
    #[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
    fn run(&self, multipath: &str, commands: &str) -> (Vec<String>, String) {
        let root = self.0.path().display();
        let script = format!(
            "say() {{ echo \"xenith: $*\"; }}\n\
             dmsetup() {{\n\
             case $1 in info) echo 253:0; return ;; esac\n\
             echo \"$*\" >>{root}/calls\n\
             case $1 in create) : >\"{root}/dm-0\" ;; esac\n\
             }}\n\
             sys={root}/sys mapper={root}/mapper multipath={multipath}\n\
             . {SCRIPT}\n\
             {commands}\n"
        );
        let output = Command::new(busybox::path()).args(["sh", "-c", &script]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let calls = fs::read_to_string(self.0.path().join("calls")).unwrap_or_default();
        (calls.lines().map(str::to_owned).collect(), said)
    }
}

#[test]
fn paths_become_one_disk_with_partitions() {
    let machine = Machine::new();
    machine.disk("sda", "8:0", "naa.5000c50015ea71ac", "4096");
    machine.disk("sdb", "8:16", "naa.5000c50015ea71ac", "4096");
    machine.disk("sdc", "8:32", "naa.5000c50015ea71ad", "4096");
    let (calls, said) = machine.run("2aa,35000c50015ea71ac", "map_disks; map_disks");
    let expected = [
        "create --noudevsync 35000c50015ea71ac --uuid mpath-35000c50015ea71ac --table 0 4096 \
         multipath 0 0 2 1 service-time 0 1 1 8:0 1 service-time 0 1 1 8:16 1",
        "create --noudevsync 35000c50015ea71ac-part3 --uuid part3-mpath-35000c50015ea71ac --table \
         0 100 linear 253:0 2048",
    ];
    assert_eq!(calls, expected);
    assert_eq!(said, "xenith: disk 35000c50015ea71ac is reached over 2 path(s)\n");
    // As udev would name them.
    let name = machine.0.path().join("mapper/35000c50015ea71ac-part3");
    assert_eq!(fs::read_link(name).unwrap().to_str(), Some("../dm-0"));
}

#[test]
fn one_path_is_enough_and_another_joins() {
    let machine = Machine::new();
    machine.disk("sda", "8:0", "eui.0011223344556677", "4096");
    let later = machine.0.path().join("sys/block/sdb");
    machine.disk("sdb", "8:16", "eui.0011223344556677", "4096");
    let hidden = machine.0.path().join("hidden");
    fs::rename(&later, &hidden).unwrap();
    let appear = format!("map_disks; mv {} {}; map_disks", hidden.display(), later.display());
    let (calls, _) = machine.run("20011223344556677", &appear);
    assert_eq!(calls.len(), 4, "{calls:?}");
    assert!(calls[0].ends_with("multipath 0 0 1 1 service-time 0 1 1 8:0 1"), "{calls:?}");
    let reload = "reload --noudevsync 20011223344556677 --table 0 4096 multipath 0 0 2 1 \
                  service-time 0 1 1 8:0 1 service-time 0 1 1 8:16 1";
    assert_eq!(calls[2..], [reload, "resume --noudevsync 20011223344556677"]);
}

#[test]
fn only_paths_to_the_same_disk_are_taken() {
    let machine = Machine::new();
    machine.disk("sda", "8:0", "naa.5000", "4096");
    machine.disk("sdb", "8:16", "naa.5000", "8192");
    machine.disk("sdc", "8:32", "naa.5000", "0");
    machine.disk("sdd", "8:48", "t10.5000", "4096");
    let (calls, _) = machine.run("35000", "map_disks");
    assert!(calls[0].ends_with(" 0 4096 multipath 0 0 1 1 service-time 0 1 1 8:0 1"), "{calls:?}");
    let (_, said) = machine
        .run("35000", "for disk in \"$sys\"/block/sd*; do map_of \"$disk\" || echo none; done");
    assert_eq!(said, "35000\n35000\n35000\nnone\n");
    let (calls, said) = Machine::new().run("35000", "map_disks || echo nothing");
    assert_eq!((calls.len(), said.as_str()), (0, "nothing\n"));
}
