// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that are cut off at each of their changes, with QEMU's own programs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use storage::{Change, Device, Host, Ran, SrDriver, StorageError, System, Until};

use crate::lab::{DISK, Lab, MIB, OTHER, SNAPSHOT, kill, read, usable, write};

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

    fn answers(&self, folder: &Path) -> bool {
        Host.answers(folder)
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
