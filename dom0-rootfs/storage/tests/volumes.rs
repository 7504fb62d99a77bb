// SPDX-License-Identifier: MIT OR Apache-2.0
//! The LVM-based drivers on real volumes, over a loop device. Needs root and the kernel's device
//! mapper; LVM, mkfs.ext4 and util-linux have to be installed.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::{
    Device, ExtDriver, Host, LvmThinDriver, Mode, SrDriver, SrSpec, StorageError, System,
};
use uuid::Uuid;

/// A disk that is a file.
struct Disk {
    node: PathBuf,
    _folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Disk {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let file = folder.path().join("disk");
        fs::File::create(&file).unwrap().set_len(2 << 30).unwrap();
        let ran = Host.run("losetup", &["--find", "--show", file.to_str().unwrap()]).unwrap();
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        Disk { node: PathBuf::from(ran.stdout.trim()), _folder: folder }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let detached = Host.run("losetup", &["--detach", self.node.to_str().unwrap()]);
        if let Err(error) = detached {
            eprintln!("{error}");
        }
    }
}

fn usable() -> bool {
    // The driver for device mapper makes this when it is there; root alone may ask it anything.
    let there = fs::read_to_string("/proc/misc").is_ok_and(|misc| misc.contains("device-mapper"));
    let usable = there && rustix::process::geteuid().is_root();
    if !usable {
        // Past what the harness keeps of tests that pass.
        std::io::stderr()
            .write_all(b"SKIPPED: the kernel has no device mapper, or this is not root\n")
            .unwrap();
    }
    usable
}

fn write(node: &Path, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(node).unwrap();
    file.write_all_at(bytes, at).unwrap();
    file.sync_all().unwrap();
}

fn read(node: &Path, at: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fs::File::open(node).unwrap().read_exact_at(&mut bytes, at).unwrap();
    bytes
}

fn life(driver: &dyn SrDriver, uuid: u128) {
    if !usable() {
        return;
    }
    let disk = Disk::new();
    let config = |extra: &[(&str, &str)]| {
        let mut device_config =
            BTreeMap::from([("device".to_owned(), disk.node.to_str().unwrap().to_owned())]);
        device_config.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        SrSpec { uuid: Uuid::from_u128(uuid), device_config }
    };
    let (one, two) = (Uuid::from_u128(uuid + 1), Uuid::from_u128(uuid + 2));

    // Somebody's data.
    let ran = Host.run("mkfs.ext4", &["-q", disk.node.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let refused = driver.create(&config(&[])).unwrap_err();
    assert!(matches!(refused, StorageError::DeviceInUse { .. }), "{refused}");
    let sr = config(&[("force", "true")]);
    driver.create(&sr).unwrap();
    driver.create(&sr).unwrap();
    let Device { major, .. } = Host.device(&disk.node).unwrap();
    assert_eq!(major, 7);

    driver.attach(&sr).unwrap();
    driver.attach(&sr).unwrap();
    let made = driver.vdi_create(&sr, one, 64 << 20, None).unwrap();
    assert_eq!(made.virtual_size, 64 << 20);
    assert_eq!(driver.vdi_create(&sr, one, 64 << 20, None).unwrap().virtual_size, 64 << 20);
    let node = driver.vdi_activate(&sr, one, Mode::ReadWrite).unwrap();
    assert_eq!(driver.vdi_activate(&sr, one, Mode::ReadWrite).unwrap(), node);
    assert_eq!(read(&node, 0, 4096), vec![0; 4096], "a new disk is empty");
    write(&node, 1 << 20, b"of the original");

    // A clone is a copy of now, whatever is written later.
    driver.vdi_clone(&sr, one, two).unwrap();
    driver.vdi_clone(&sr, one, two).unwrap();
    write(&node, 1 << 20, b"changed         ");
    let copy = driver.vdi_activate(&sr, two, Mode::ReadOnly).unwrap();
    assert_eq!(read(&copy, 1 << 20, 15), b"of the original");
    assert!(OpenOptions::new().write(true).open(&copy).and_then(|f| f.write_at(&[1], 0)).is_err());
    driver.vdi_deactivate(&sr, two).unwrap();
    let copy = driver.vdi_activate(&sr, two, Mode::ReadWrite).unwrap();
    write(&copy, 0, b"now writable");
    driver.vdi_deactivate(&sr, two).unwrap();

    assert_eq!(driver.vdi_resize(&sr, one, 128 << 20).unwrap().virtual_size, 128 << 20);
    write(&node, (128 << 20) - 512, &[1; 512]);
    assert!(matches!(driver.vdi_destroy(&sr, one), Err(StorageError::VdiInUse(_))));
    driver.vdi_deactivate(&sr, one).unwrap();

    let anywhere = driver.probe(&BTreeMap::new()).unwrap().unwrap();
    assert!(anywhere.iter().any(|found| found.uuid == sr.uuid), "{anywhere:?}");
    let there = driver.probe(&sr.device_config).unwrap().unwrap();
    let node_of_disk = disk.node.to_str().unwrap().to_owned();
    assert_eq!((there[0].uuid, &there[0].devices), (sr.uuid, &vec![node_of_disk]));
    assert!(there.len() == 1 && there[0].size.is_some_and(|size| size > 1 << 30), "{there:?}");

    // As after a reboot.
    driver.detach(&sr).unwrap();
    driver.detach(&sr).unwrap();
    driver.attach(&sr).unwrap();
    let all = driver.scan(&sr).unwrap();
    let sizes: Vec<_> = all.iter().map(|vdi| (vdi.uuid, vdi.virtual_size)).collect();
    assert_eq!(sizes, [(one, 128 << 20), (two, 64 << 20)]);
    let stat = driver.stat(&sr).unwrap();
    assert!(stat.physical_size > 1 << 30 && stat.physical_size < 2 << 30, "{stat:?}");
    assert!(stat.physical_utilisation < 200 << 20, "{stat:?}");
    let node = driver.vdi_activate(&sr, two, Mode::ReadWrite).unwrap();
    assert_eq!(read(&node, 0, 12), b"now writable");
    driver.vdi_deactivate(&sr, two).unwrap();

    driver.vdi_destroy(&sr, two).unwrap();
    driver.vdi_destroy(&sr, two).unwrap();
    assert_eq!(driver.scan(&sr).unwrap().len(), 1);
    driver.detach(&sr).unwrap();
    driver.destroy(&sr).unwrap();
    driver.destroy(&sr).unwrap();
    // The disk is free for somebody else.
    driver.create(&SrSpec { uuid: Uuid::from_u128(uuid + 9), ..config(&[]) }).unwrap();
    driver.destroy(&SrSpec { uuid: Uuid::from_u128(uuid + 9), ..config(&[]) }).unwrap();
}

#[test]
fn ext_on_real_volumes() {
    life(&ExtDriver::new(Arc::new(Host)), 0x1000);
}

#[test]
fn thin_volumes_on_a_real_pool() {
    life(&LvmThinDriver::new(Arc::new(Host)), 0x2000);
}
