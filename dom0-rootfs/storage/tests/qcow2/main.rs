// SPDX-License-Identifier: MIT OR Apache-2.0
//! qcow2 VDIs with QEMU's programs and this machine's loop devices. Needs root, FUSE, and
//! `qemu-storage-daemon` and `qemu-img` of QEMU 10.

mod cut_off;
mod lab;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use storage::{Host, ImageFormat, Mode, SrDriver, StorageError, System, Until};
use uuid::Uuid;

use crate::lab::{
    DISK, Lab, MIB, OTHER, SNAPSHOT, aligned, block, device, kill, read, trim, usable, write,
};

#[test]
fn snapshots_under_a_guest_share_room_and_give_it_back() {
    if !usable() {
        return;
    }
    let lab = Lab::new(Arc::new(Host));
    let made = lab.driver.vdi_create(&lab.sr, DISK, 256 * MIB, None).unwrap();
    assert_eq!((made.virtual_size, made.format), (256 * MIB, Some(ImageFormat::Qcow2)));
    assert!(made.physical_utilisation < MIB, "{made:?}");
    assert_eq!(lab.driver.vdi_create(&lab.sr, DISK, 256 * MIB, None).unwrap(), made);
    assert!(lab.driver.vdi_create(&lab.sr, DISK, 255 * MIB, None).is_err());

    let node = lab.open(DISK);
    assert_eq!(lab.open(DISK), node);
    assert_eq!(read(&node, 0), 0);
    write(&node, 0..100, 1).unwrap();
    lab.driver.vdi_clone(&lab.sr, DISK, SNAPSHOT).unwrap();
    lab.driver.vdi_clone(&lab.sr, DISK, SNAPSHOT).unwrap();
    assert!(lab.used() < 105 * MIB, "a snapshot takes no room: {}", lab.used());
    write(&node, 0..60, 2).unwrap();
    assert!((150 * MIB..170 * MIB).contains(&lab.used()), "{}", lab.used());
    assert_eq!((read(&node, 59), read(&node, 60)), (2, 1));
    assert_eq!((lab.look(SNAPSHOT, 59), lab.look(SNAPSHOT, 60)), (1, 1));

    // Back to the snapshot, as a revert does it, and on from there.
    lab.driver.vdi_clone(&lab.sr, SNAPSHOT, OTHER).unwrap();
    let other = lab.open(OTHER);
    write(&other, 10..20, 3).unwrap();
    assert_eq!((read(&other, 10), read(&other, 20), read(&node, 10)), (3, 1, 2));
    assert_eq!(lab.look(SNAPSHOT, 10), 1);
    assert_eq!(lab.images(), 4, "a clone of a snapshot needs no base of its own");
    let sizes: Vec<_> =
        lab.driver.scan(&lab.sr).unwrap().iter().map(|vdi| vdi.virtual_size).collect();
    assert_eq!(sizes, [256 * MIB; 3]);

    assert!(matches!(lab.driver.vdi_destroy(&lab.sr, OTHER), Err(StorageError::VdiInUse(OTHER))));
    assert!(matches!(lab.driver.detach(&lab.sr), Err(StorageError::VdiInUse(_))));
    lab.close(OTHER);
    lab.driver.vdi_destroy(&lab.sr, OTHER).unwrap();
    lab.driver.vdi_destroy(&lab.sr, OTHER).unwrap();
    lab.tidy().unwrap();
    assert_eq!(read(&node, 70), 1, "it shares that with the snapshot still");
    lab.driver.vdi_destroy(&lab.sr, SNAPSHOT).unwrap();
    let before = lab.used();
    lab.tidy().unwrap();
    assert!(before - lab.used() > 55 * MIB, "{before} {}", lab.used());
    for (at, byte) in [(0, 2), (59, 2), (60, 1), (99, 1), (100, 0)] {
        assert_eq!(read(&node, at), byte, "{at}");
    }
    // What is trimmed over a base comes back when the disk is closed.
    trim(&node, 0, 90 * MIB);
    lab.close(DISK);
    let before = lab.used();
    write(&lab.open(DISK), 99..102, 2).unwrap();
    lab.close(DISK);
    lab.tidy().unwrap();
    assert!(before > 95 * MIB && lab.used() < 25 * MIB, "{before} {}", lab.used());
    lab.check(false);
    for (at, byte) in [(0, 0), (60, 0), (95, 1), (99, 2), (102, 0)] {
        assert_eq!(lab.look(DISK, at), byte, "{at}");
    }
    lab.end();
}

#[test]
fn a_disk_grows_and_what_a_guest_trims_is_given_back() {
    if !usable() {
        return;
    }
    let lab = Lab::new(Arc::new(Host));
    let tebibyte = 1 << 40;
    lab.driver.vdi_create(&lab.sr, DISK, 3 * tebibyte, None).unwrap();
    let node = lab.open(DISK);
    let far = 3 * tebibyte / MIB - 1;
    write(&node, far..far + 1, 9).unwrap();
    write(&node, 0..64, 1).unwrap();
    assert!((64 * MIB..80 * MIB).contains(&lab.used()), "{}", lab.used());
    // As ext4 does it: whole blocks of 4 KiB anywhere.
    trim(&node, 4096, 3 * 4096);
    trim(&node, 2 * MIB + 4096, 50 * MIB);
    assert!(lab.used() < 30 * MIB, "{}", lab.used());
    let mut block = [1; 8192];
    fs::File::open(&node).unwrap().read_exact_at(&mut block, 0).unwrap();
    assert!(block[..4096] == [1; 4096] && block[4096..] == [0; 4096]);
    assert_eq!((read(&node, 1), read(&node, 10), read(&node, far)), (1, 0, 9));

    let info = lab.driver.vdi_resize(&lab.sr, DISK, 4 * tebibyte).unwrap();
    assert_eq!(info.virtual_size, 4 * tebibyte);
    let far = 4 * tebibyte / MIB - 1;
    write(&node, far..far + 1, 8).unwrap();
    assert!(lab.driver.vdi_resize(&lab.sr, DISK, MIB).unwrap().virtual_size == 4 * tebibyte);
    lab.close(DISK);
    assert_eq!(lab.look(DISK, far), 8);
    let info = lab.driver.vdi_resize(&lab.sr, DISK, 5 * tebibyte).unwrap();
    assert_eq!(info.virtual_size, 5 * tebibyte);
    assert_eq!(lab.look(DISK, 5 * tebibyte / MIB - 1), 0);
    lab.check(false);
    lab.end();
}

/// How often a loop device was flushed.
fn flushes(number: u32) -> u64 {
    let text = fs::read_to_string(format!("/sys/block/loop{number}/stat")).unwrap();
    text.split_whitespace().nth(15).unwrap().parse().unwrap()
}

#[test]
fn a_guest_hears_of_a_full_sr_and_goes_on_when_there_is_room() {
    if !usable() {
        return;
    }
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let (file, at) = (place.path().join("disk"), place.path().join("sr"));
    fs::File::create(&file).unwrap().set_len(128 * MIB).unwrap();
    fs::create_dir(&at).unwrap();
    let run = |program: &str, args: &[&str]| {
        let ran = Host.run(program, args).unwrap();
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    };
    let (file, at_text) = (file.to_str().unwrap(), at.to_str().unwrap().to_owned());
    run("mkfs.ext4", &["-q", "-m", "0", file]);
    run("mount", &["-o", "loop", file, &at_text]);
    let below = rustix::fs::minor(fs::metadata(&at).unwrap().dev());
    let mut lab = Lab::at(Arc::new(Host), place, &at);
    lab.mounted = Some(at);
    lab.driver.vdi_create(&lab.sr, DISK, 1024 * MIB, None).unwrap();
    let node = lab.open(DISK);
    write(&node, 0..60, 1).unwrap();
    // What a guest flushes is on the disk below the SR's filesystem.
    let file = device(&node);
    let block = block(1);
    file.write_all_at(&block[aligned(&block)], 0).unwrap();
    let before = flushes(below);
    file.sync_all().unwrap();
    assert!(flushes(below) > before);
    drop(file);
    lab.driver.vdi_clone(&lab.sr, DISK, SNAPSHOT).unwrap();
    let full = write(&node, 0..1000, 2).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
    assert_eq!((lab.look(SNAPSHOT, 5), read(&node, 0)), (1, 2));
    let files = lab.folder.read_dir().unwrap().count();
    let refused = lab.driver.vdi_create(&lab.sr, OTHER, 8 * MIB, None).unwrap_err();
    assert!(matches!(refused, StorageError::NoSpace { .. }), "{refused}");
    assert_eq!(lab.folder.read_dir().unwrap().count(), files, "nothing is left of it");
    lab.driver.vdi_destroy(&lab.sr, SNAPSHOT).unwrap();
    // The base is written over, with no room needed beyond it.
    lab.tidy().unwrap();
    assert_eq!(read(&node, 0), 2);
    let stat = lab.driver.stat(&lab.sr).unwrap();
    assert!(stat.physical_size - stat.physical_utilisation > 40 * MIB, "{stat:?}");
    trim(&node, 0, 60 * MIB);
    write(&node, 0..40, 3).unwrap();
    assert_eq!(read(&node, 39), 3);
    lab.close(DISK);
    lab.check(false);
    lab.end();
}

#[test]
fn a_program_that_is_killed_takes_no_more_than_the_device_with_it() {
    if !usable() {
        return;
    }
    let lab = Lab::new(Arc::new(Host));
    lab.driver.vdi_create(&lab.sr, DISK, 64 * MIB, None).unwrap();
    let node = lab.open(DISK);
    write(&node, 0..8, 1).unwrap();
    lab.driver.vdi_clone(&lab.sr, DISK, SNAPSHOT).unwrap();
    write(&node, 4..8, 2).unwrap();
    kill(&lab.socket(DISK));
    assert!(write(&node, 0..1, 3).is_err(), "nobody is there");
    lab.tidy().unwrap();
    // As the VM's next start does it.
    lab.close(DISK);
    let node = lab.open(DISK);
    assert_eq!((read(&node, 0), read(&node, 4)), (1, 2), "what was flushed is there");
    write(&node, 0..1, 3).unwrap();
    // While a device is there, too.
    kill(&lab.socket(DISK));
    let node = lab.open(DISK);
    assert_eq!((read(&node, 0), read(&node, 1)), (3, 1));
    lab.close(DISK);
    assert_eq!(lab.look(SNAPSHOT, 4), 1);
    lab.check(true);
    lab.end();
}

#[test]
fn a_merge_gives_way_to_who_opens_what_it_writes_to() {
    if !usable() {
        return;
    }
    let lab = Lab::new(Arc::new(Host));
    lab.driver.vdi_create(&lab.sr, DISK, 512 * MIB, None).unwrap();
    let node = lab.open(DISK);
    write(&node, 0..32, 1).unwrap();
    lab.driver.vdi_clone(&lab.sr, DISK, OTHER).unwrap();
    write(&node, 0..200, 2).unwrap();
    lab.driver.vdi_clone(&lab.sr, DISK, SNAPSHOT).unwrap();
    write(&node, 0..4, 3).unwrap();
    lab.driver.vdi_destroy(&lab.sr, OTHER).unwrap();
    assert!(lab.driver.tidy(&lab.sr).unwrap(), "a merge has begun");
    lab.driver.vdi_resize(&lab.sr, DISK, 513 * MIB).unwrap();
    assert!(lab.driver.tidy(&lab.sr).unwrap(), "it has begun again");
    lab.driver.vdi_clone(&lab.sr, DISK, OTHER).unwrap();
    assert_eq!((read(&node, 0), read(&node, 199), read(&node, 512)), (3, 2, 0));
    lab.driver.vdi_destroy(&lab.sr, OTHER).unwrap();
    assert!(lab.driver.tidy(&lab.sr).unwrap(), "and again");
    let snapshot = lab.driver.vdi_activate(&lab.sr, SNAPSHOT, Mode::ReadOnly).unwrap();
    assert_eq!((read(&snapshot, 0), read(&snapshot, 199), read(&node, 0)), (2, 2, 3));
    // Two programs read the base now, so it is left alone.
    lab.tidy().unwrap();
    assert_eq!((read(&snapshot, 0), read(&snapshot, 199), read(&node, 0)), (2, 2, 3));
    lab.close(SNAPSHOT);
    // One that is over, which nobody has learned of, is finished by who opens the other disk.
    assert!(lab.driver.tidy(&lab.sr).unwrap(), "it has begun again");
    lab.wait_for_merge(DISK);
    let snapshot = lab.driver.vdi_activate(&lab.sr, SNAPSHOT, Mode::ReadOnly).unwrap();
    lab.tidy().unwrap();
    assert_eq!((read(&snapshot, 0), read(&snapshot, 199), read(&node, 0)), (2, 2, 3));
    assert_eq!(lab.images(), 4, "what was frozen for the clone, too");
    lab.close(SNAPSHOT);
    lab.tidy().unwrap();
    assert_eq!((lab.look(SNAPSHOT, 0), lab.look(SNAPSHOT, 199), read(&node, 0)), (2, 2, 3));
    // Nobody has them open: a program is started for it, and ends with it.
    lab.close(DISK);
    lab.driver.vdi_clone(&lab.sr, DISK, OTHER).unwrap();
    lab.driver.vdi_destroy(&lab.sr, SNAPSHOT).unwrap();
    lab.tidy().unwrap();
    assert_eq!(lab.images(), 3);
    assert!(!lab.socket(DISK).exists() && !lab.socket(OTHER).exists());
    assert_eq!((lab.look(DISK, 0), lab.look(OTHER, 199)), (3, 2));
    lab.check(false);
    lab.end();
}

#[test]
fn formats_are_beside_each_other_and_no_guest_chooses_one() {
    if !usable() {
        return;
    }
    let lab = Lab::new(Arc::new(Host));
    let raw = Some(ImageFormat::Raw);
    let made = lab.driver.vdi_create(&lab.sr, DISK, 16 * MIB, raw).unwrap();
    assert_eq!(made.format, raw);
    // A guest that writes what looks like an image on this host's own disk.
    let trap = lab.folder.join("trap");
    let args = ["create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow"];
    let ran = Host.run("qemu-img", &[&args[..], &[trap.to_str().unwrap(), "1M"]].concat()).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let header = fs::read(&trap).unwrap();
    let node = lab.open(DISK);
    OpenOptions::new().write(true).open(&node).unwrap().write_all_at(&header, 0).unwrap();
    lab.close(DISK);
    lab.driver.vdi_clone(&lab.sr, DISK, SNAPSHOT).unwrap();
    let all = lab.driver.scan(&lab.sr).unwrap();
    assert!(all.iter().all(|vdi| vdi.format == raw && vdi.virtual_size == 16 * MIB), "{all:?}");
    // Nor does one who can write into the folder of a server.
    let image = Uuid::from_u128(0x64);
    fs::rename(&trap, lab.folder.join(format!("{image}.image"))).unwrap();
    let link = lab.folder.join(format!("{OTHER}.qcow2"));
    std::os::unix::fs::symlink(format!("{image}.image"), &link).unwrap();
    let error = lab.driver.vdi_activate(&lab.sr, OTHER, Mode::ReadOnly).unwrap_err().to_string();
    assert!(error.contains("/etc/shadow, which it is built on, is no qcow2"), "{error}");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/etc/shadow", &link).unwrap();
    let error = lab.driver.vdi_activate(&lab.sr, OTHER, Mode::ReadOnly).unwrap_err().to_string();
    assert!(error.contains("leads to /etc/shadow, no image"), "{error}");
    fs::remove_file(&link).unwrap();
    fs::remove_file(lab.folder.join(format!("{image}.image"))).unwrap();
    lab.end();
}

#[test]
fn what_nobody_said_is_no_answer() {
    let nowhere = Path::new("/nonexistent/qmp");
    let answer = Host.qmp(nowhere, "quit", &json!({}), Until::Gone).unwrap();
    assert_eq!(answer, None);
}
