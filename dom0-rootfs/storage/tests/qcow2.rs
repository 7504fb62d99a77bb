// SPDX-License-Identifier: MIT OR Apache-2.0
//! qcow2 VDIs with QEMU's programs and this machine's loop devices. Needs root, FUSE, and
//! `qemu-storage-daemon` and `qemu-img` of QEMU 10.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::OFlags;
use serde_json::{Value, json};
use storage::{
    Change, Device, FileDriver, Host, ImageFormat, Mode, Ran, SrDriver, SrSpec, StorageError,
    System, Until,
};
use uuid::Uuid;

const MIB: u64 = 1 << 20;
const DISK: Uuid = Uuid::from_u128(0x61);
const SNAPSHOT: Uuid = Uuid::from_u128(0x62);
const OTHER: Uuid = Uuid::from_u128(0x63);

fn usable() -> bool {
    let there = ["/dev/fuse", "/dev/loop-control", "/usr/bin/qemu-storage-daemon"];
    let mut missing = there.into_iter().find(|path| !Path::new(path).exists());
    if Host.run("qemu-img", &["--version"]).is_err() {
        missing = Some("qemu-img");
    }
    if !rustix::process::geteuid().is_root() {
        missing = Some("root");
    }
    if let Some(missing) = missing {
        eprintln!("SKIPPED: there is no {missing}");
    }
    missing.is_none()
}

/// An SR in a folder, with its own uuid, which ends with its test however that ends.
struct Lab {
    sr: SrSpec,
    driver: FileDriver,
    folder: PathBuf,
    /// Where a filesystem of its own is mounted.
    mounted: Option<PathBuf>,
    _place: tempfile::TempDir,
}

impl Lab {
    fn new(system: Arc<dyn System>) -> Lab {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let location = place.path().to_path_buf();
        Lab::at(system, place, &location)
    }

    fn at(system: Arc<dyn System>, place: tempfile::TempDir, location: &Path) -> Lab {
        let text = location.to_str().unwrap().to_owned();
        let prefer = ("preferred-image-formats".to_owned(), "qcow2,raw".to_owned());
        let device_config = BTreeMap::from([("location".to_owned(), text), prefer]);
        let sr = SrSpec { uuid: Uuid::new_v4(), device_config };
        let folder = location.join(sr.uuid.to_string());
        let driver = FileDriver::new(system);
        driver.create(&sr).unwrap();
        driver.attach(&sr).unwrap();
        Lab { sr, driver, folder, mounted: None, _place: place }
    }

    fn open(&self, vdi: Uuid) -> PathBuf {
        self.driver.vdi_activate(&self.sr, vdi, Mode::ReadWrite).unwrap()
    }

    fn close(&self, vdi: Uuid) {
        self.driver.vdi_deactivate(&self.sr, vdi).unwrap();
    }

    /// What a VDI has at an address in MiB, through a device of its own.
    fn look(&self, vdi: Uuid, at: u64) -> u8 {
        let node = self.driver.vdi_activate(&self.sr, vdi, Mode::ReadOnly).unwrap();
        let found = read(&node, at);
        self.close(vdi);
        found
    }

    /// Tidies up, to the end. A merge takes a moment.
    fn tidy(&self) -> Result<(), StorageError> {
        for _ in 0..3000 {
            if !self.driver.tidy(&self.sr)? {
                return Ok(());
            }
            pause();
        }
        panic!("it has no end");
    }

    /// Bytes that everything takes.
    fn used(&self) -> u64 {
        let list = fs::read_dir(&self.folder).unwrap();
        list.map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512).sum()
    }

    fn images(&self) -> usize {
        let list = fs::read_dir(&self.folder).unwrap();
        let is_image = |path: &Path| path.extension().is_some_and(|ending| ending == "image");
        list.filter(|entry| is_image(&entry.as_ref().unwrap().path())).count()
    }

    /// QEMU's own opinion of every image. One whose program was killed may have room that nothing
    /// refers to.
    fn check(&self, killed: bool) {
        // Somebody who looks at every device may have kept a program from ending.
        self.tidy().unwrap();
        for entry in fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "image") {
                let args = ["check", "-q", "-f", "qcow2", path.to_str().unwrap()];
                let ran = Host.run("qemu-img", &args).unwrap();
                assert!(ran.code == 0 || (killed && ran.code == 3), "{}: {ran:?}", path.display());
            }
        }
    }

    fn socket(&self, vdi: Uuid) -> PathBuf {
        format!("/run/xenith-disks/{}/{vdi}/qmp", self.sr.uuid).into()
    }

    /// Waits for who looks at every device.
    fn destroy(&self, vdi: Uuid) {
        for _ in 0..100 {
            match self.driver.vdi_destroy(&self.sr, vdi) {
                Err(StorageError::VdiInUse(_)) => pause(),
                done => return done.unwrap(),
            }
        }
        panic!("{vdi} stays in use");
    }

    fn end(self) {
        for vdi in self.driver.scan(&self.sr).unwrap() {
            self.close(vdi.uuid);
            self.destroy(vdi.uuid);
        }
        self.tidy().unwrap();
        assert_eq!(self.folder.read_dir().unwrap().count(), 0, "all room is given back");
        self.driver.detach(&self.sr).unwrap();
        self.driver.destroy(&self.sr).unwrap();
        assert!(!self.folder.exists());
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.folder.exists() {
            // Of a test that failed.
            for vdi in [DISK, SNAPSHOT, OTHER] {
                let host = FileDriver::new(Arc::new(Host));
                let done = host.vdi_deactivate(&self.sr, vdi);
                eprintln!("cleaning up: {done:?}, {:?}", host.tidy(&self.sr));
            }
            pause();
            let host = FileDriver::new(Arc::new(Host));
            eprintln!("cleaning up: {:?}", host.detach(&self.sr));
        }
        if let Some(mounted) = &self.mounted {
            let ran = Host.run("umount", &[mounted.to_str().unwrap()]);
            eprintln!("unmounting: {ran:?}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a merge says nothing when it ends")]
fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

fn device(node: &Path) -> fs::File {
    let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap();
    OpenOptions::new().read(true).write(true).custom_flags(direct).open(node).unwrap()
}

/// A block of memory as direct I/O wants it.
fn block(byte: u8) -> Vec<u8> {
    vec![byte; MIB as usize + 4096]
}

fn aligned(block: &[u8]) -> std::ops::Range<usize> {
    let start = block.as_ptr().align_offset(4096);
    start..start + MIB as usize
}

/// Fills MiB of a device with a byte each, and has them on the disk.
fn write(node: &Path, at: std::ops::Range<u64>, byte: u8) -> std::io::Result<()> {
    let (file, block) = (device(node), block(byte));
    let range = aligned(&block);
    for mib in at {
        file.write_all_at(&block[range.clone()], mib * MIB)?;
    }
    file.sync_all()
}

fn read(node: &Path, at: u64) -> u8 {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(OFlags::DIRECT.bits()).unwrap())
        .open(node)
        .unwrap();
    let mut block = block(0);
    let range = aligned(&block);
    file.read_exact_at(&mut block[range.clone()], at * MIB).unwrap();
    let first = block[range.start];
    assert!(block[range].iter().all(|byte| *byte == first), "{at}");
    first
}

fn trim(node: &Path, offset: u64, length: u64) {
    let (offset, length) = (offset.to_string(), length.to_string());
    let args = ["--offset", &offset, "--length", &length, node.to_str().unwrap()];
    let ran = Host.run("blkdiscard", &args).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

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

/// Kills the program that listens at a socket.
fn kill(socket: &Path) {
    let wanted = socket.to_str().unwrap().to_owned();
    for entry in fs::read_dir("/proc").unwrap() {
        let folder = entry.unwrap().path();
        let line = fs::read_to_string(folder.join("cmdline")).unwrap_or_default();
        if line.contains("qemu-storage-daemon") && line.contains(&wanted) {
            let pid: i32 = folder.file_name().unwrap().to_str().unwrap().parse().unwrap();
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            while folder.exists() {
                pause();
            }
            return;
        }
    }
    panic!("nobody listens at {wanted}");
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
    let snapshot = lab.driver.vdi_activate(&lab.sr, SNAPSHOT, Mode::ReadOnly).unwrap();
    assert_eq!((read(&snapshot, 0), read(&snapshot, 199), read(&node, 0)), (2, 2, 3));
    // Two programs read the base now, so it is left alone.
    lab.tidy().unwrap();
    assert_eq!((read(&snapshot, 0), read(&snapshot, 199), read(&node, 0)), (2, 2, 3));
    lab.close(SNAPSHOT);
    lab.tidy().unwrap();
    assert_eq!(lab.images(), 3);
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

/// This host, which dies before or after one of its changes.
#[derive(Default)]
struct Mortal {
    changes: AtomicUsize,
    /// Twice the number of the change, and one more for after it; 0: never.
    death: AtomicUsize,
}

impl Mortal {
    fn die(&self, death: usize) {
        self.changes.store(0, Ordering::SeqCst);
        self.death.store(death, Ordering::SeqCst);
    }

    fn change<T>(&self, work: impl FnOnce() -> Result<T, StorageError>) -> Result<T, StorageError> {
        let number = 2 * (1 + self.changes.fetch_add(1, Ordering::SeqCst));
        let dead = || StorageError::Failed { doing: "living".into(), detail: "killed".into() };
        let death = self.death.load(Ordering::SeqCst);
        if death == number {
            return Err(dead());
        }
        let done = work()?;
        if death == number + 1 { Err(dead()) } else { Ok(done) }
    }
}

impl System for Mortal {
    fn run(&self, program: &str, args: &[&str]) -> Result<Ran, StorageError> {
        match (program, args[0]) {
            ("qemu-img", "info" | "map") => Host.run(program, args),
            _ => self.change(|| Host.run(program, args)),
        }
    }

    fn qmp(
        &self,
        socket: &Path,
        command: &str,
        arguments: &Value,
        until: Until<'_>,
    ) -> Result<Option<Value>, StorageError> {
        let work = || Host.qmp(socket, command, arguments, until);
        if command.starts_with("query") { work() } else { self.change(work) }
    }

    fn alter(&self, change: Change<'_>) -> Result<(), StorageError> {
        self.change(|| Host.alter(change))
    }

    fn device(&self, path: &Path) -> Option<Device> {
        Host.device(path)
    }

    fn root(&self) -> &Path {
        Path::new("/")
    }
}

type Call = fn(&Lab) -> Result<(), StorageError>;

/// A guest has its disk open; a call is cut off at each of its changes in turn, with the daemon killed
/// or the power cut, and made again.
#[test]
fn with_qemu_too_a_call_that_is_cut_off_harms_no_guest() {
    if !usable() {
        return;
    }
    let calls: [(&str, Call); 2] = [
        ("snapshot", |lab| lab.driver.vdi_clone(&lab.sr, DISK, OTHER).map(drop)),
        ("merge", |lab| {
            lab.driver.vdi_destroy(&lab.sr, SNAPSHOT)?;
            lab.tidy()
        }),
    ];
    let mut cuts = 0;
    for (name, call) in calls {
        // In turn before and after a change, and killed and with the power cut.
        let all = (2..).map(|death| cut(name, call, death, (death / 2 + death) % 2 == 0));
        cuts += all.take_while(|hit| *hit).count();
    }
    assert!(cuts > 30, "{cuts}");
}

/// Whether there was anything to cut off.
fn cut(name: &str, call: Call, death: usize, power: bool) -> bool {
    let system = Arc::new(Mortal::default());
    // In memory: it is done very often.
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let location = place.path().to_path_buf();
    let lab = Lab::at(system.clone(), place, &location);
    lab.driver.vdi_create(&lab.sr, DISK, 64 * MIB, None).unwrap();
    let mut node = lab.open(DISK);
    write(&node, 0..20, 1).unwrap();
    lab.driver.vdi_clone(&lab.sr, DISK, SNAPSHOT).unwrap();
    write(&node, 0..18, 2).unwrap();
    system.die(death);
    let done = call(&lab);
    let hit = system.changes.load(Ordering::SeqCst) >= death / 2;
    system.die(0);
    let when = format!("{name} {death}, power cut: {power}");
    assert_eq!(done.is_err(), hit, "{when}: {done:?}");
    write(&node, 30..31, 3).unwrap();
    if power {
        kill(&lab.socket(DISK));
        lab.close(DISK);
        lab.driver.attach(&lab.sr).unwrap();
        node = lab.open(DISK);
    }
    let found = |node: &Path| [0, 17, 18, 30].map(|at| read(node, at));
    assert_eq!(found(&node), [2, 2, 1, 3], "{when}");
    call(&lab).unwrap_or_else(|error| panic!("{when}: {error}"));
    assert_eq!(found(&node), [2, 2, 1, 3], "{when}");
    write(&node, 0..1, 4).unwrap();
    lab.close(DISK);
    assert_eq!((lab.look(DISK, 0), lab.look(DISK, 30)), (4, 3), "{when}");
    lab.check(power);
    lab.end();
    hit
}

#[test]
fn what_nobody_said_is_no_answer() {
    let nowhere = Path::new("/nonexistent/qmp");
    let answer = Host.qmp(nowhere, "quit", &json!({}), Until::Gone).unwrap();
    assert_eq!(answer, None);
}
