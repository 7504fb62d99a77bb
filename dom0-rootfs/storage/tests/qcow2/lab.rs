// SPDX-License-Identifier: MIT OR Apache-2.0
//! An SR with qcow2 VDIs on this machine, and what a guest does with one.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use serde_json::json;
use storage::{FileDriver, Host, Mode, SrDriver, SrSpec, StorageError, System, Until};
use uuid::Uuid;

pub const MIB: u64 = 1 << 20;
pub const DISK: Uuid = Uuid::from_u128(0x61);
pub const SNAPSHOT: Uuid = Uuid::from_u128(0x62);
pub const OTHER: Uuid = Uuid::from_u128(0x63);

/// The release of QEMU that the image has. Those before it merge what was trimmed as zeros that take room.
const RELEASE: [u32; 3] = [10, 0, 13];

/// Numbers of a release as QEMU's programs print it: `qemu-img version 10.0.13 (Debian …)`.
fn release(text: &str) -> Vec<u32> {
    let words = text.split_whitespace();
    let version = words.skip_while(|word| *word != "version").nth(1).unwrap_or_default();
    version.split('.').map_while(|number| number.parse().ok()).collect()
}

pub fn usable() -> bool {
    let there = ["/dev/fuse", "/dev/loop-control", "/usr/bin/qemu-storage-daemon"];
    let mut missing = there.into_iter().find(|path| !Path::new(path).exists());
    match Host.run("qemu-img", &["--version"]) {
        Err(_) => missing = Some("qemu-img"),
        Ok(ran) if release(&ran.stdout).as_slice() < &RELEASE[..] => {
            missing = Some("QEMU of the image's release or a later one");
        }
        Ok(_) => {}
    }
    if !rustix::process::geteuid().is_root() {
        missing = Some("root");
    }
    if let Some(missing) = missing {
        // Past what the harness keeps of tests that pass.
        std::io::stderr()
            .write_all(format!("SKIPPED: there is no {missing}\n").as_bytes())
            .unwrap();
    }
    missing.is_none()
}

/// An SR in a folder, with its own uuid, which ends with its test however that ends.
pub struct Lab {
    pub sr: SrSpec,
    pub driver: FileDriver,
    pub folder: PathBuf,
    /// Where a filesystem of its own is mounted.
    pub mounted: Option<PathBuf>,
    _place: tempfile::TempDir,
}

impl Lab {
    pub fn new(system: Arc<dyn System>) -> Lab {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let location = place.path().to_path_buf();
        Lab::at(system, place, &location)
    }

    pub fn at(system: Arc<dyn System>, place: tempfile::TempDir, location: &Path) -> Lab {
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

    pub fn open(&self, vdi: Uuid) -> PathBuf {
        self.driver.vdi_activate(&self.sr, vdi, Mode::ReadWrite).unwrap()
    }

    pub fn close(&self, vdi: Uuid) {
        self.driver.vdi_deactivate(&self.sr, vdi).unwrap();
    }

    /// What a VDI has at an address in MiB, through a device of its own.
    pub fn look(&self, vdi: Uuid, at: u64) -> u8 {
        let node = self.driver.vdi_activate(&self.sr, vdi, Mode::ReadOnly).unwrap();
        let found = read(&node, at);
        self.close(vdi);
        found
    }

    /// Tidies up, to the end. A merge takes a moment.
    pub fn tidy(&self) -> Result<(), StorageError> {
        for _ in 0..3000 {
            if !self.driver.tidy(&self.sr)? {
                return Ok(());
            }
            pause();
        }
        panic!("it has no end");
    }

    /// Waits until the merge that a VDI's program has begun is over.
    pub fn wait_for_merge(&self, vdi: Uuid) {
        for _ in 0..3000 {
            let jobs = Host.qmp(&self.socket(vdi), "query-jobs", &json!({}), Until::Answered);
            match jobs.unwrap().unwrap()[0]["status"].as_str() {
                Some("concluded") => return,
                None => panic!("nothing is merged"),
                _ => pause(),
            }
        }
        panic!("it has no end");
    }

    /// Bytes that everything takes.
    pub fn used(&self) -> u64 {
        let list = fs::read_dir(&self.folder).unwrap();
        list.map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512).sum()
    }

    pub fn images(&self) -> usize {
        let list = fs::read_dir(&self.folder).unwrap();
        let is_image = |path: &Path| path.extension().is_some_and(|ending| ending == "image");
        list.filter(|entry| is_image(&entry.as_ref().unwrap().path())).count()
    }

    /// QEMU's own opinion of every image. One whose program was killed may have room that nothing
    /// refers to.
    pub fn check(&self, killed: bool) {
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

    pub fn socket(&self, vdi: Uuid) -> PathBuf {
        format!("/run/xenith-disks/{}/{vdi}/qmp", self.sr.uuid).into()
    }

    /// Waits for who looks at every device.
    pub fn destroy(&self, vdi: Uuid) {
        for _ in 0..100 {
            match self.driver.vdi_destroy(&self.sr, vdi) {
                Err(StorageError::VdiInUse(_)) => pause(),
                done => return done.unwrap(),
            }
        }
        panic!("{vdi} stays in use");
    }

    pub fn end(self) {
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
pub fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

pub fn device(node: &Path) -> fs::File {
    let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap();
    OpenOptions::new().read(true).write(true).custom_flags(direct).open(node).unwrap()
}

/// A block of memory as direct I/O wants it.
pub fn block(byte: u8) -> Vec<u8> {
    vec![byte; MIB as usize + 4096]
}

pub fn aligned(block: &[u8]) -> std::ops::Range<usize> {
    let start = block.as_ptr().align_offset(4096);
    start..start + MIB as usize
}

/// Fills MiB of a device with a byte each, and has them on the disk.
pub fn write(node: &Path, at: std::ops::Range<u64>, byte: u8) -> std::io::Result<()> {
    let (file, block) = (device(node), block(byte));
    let range = aligned(&block);
    for mib in at {
        file.write_all_at(&block[range.clone()], mib * MIB)?;
    }
    file.sync_all()
}

pub fn read(node: &Path, at: u64) -> u8 {
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

pub fn trim(node: &Path, offset: u64, length: u64) {
    let (offset, length) = (offset.to_string(), length.to_string());
    let args = ["--offset", &offset, "--length", &length, node.to_str().unwrap()];
    let ran = Host.run("blkdiscard", &args).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// Kills the program that listens at a socket.
pub fn kill(socket: &Path) {
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
