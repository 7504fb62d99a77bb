// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every call cut off before and after each of its changes, with the daemon killed and with the host's
//! power cut: guests find what they wrote, and the call can be made again.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::driver::{Mode, SrDriver, SrSpec};
use crate::error::StorageError;
use crate::fake_qemu::Words;
use crate::file::FileDriver;
use crate::format::ImageFormat;
use crate::testing::{Death, FakeHost};

const DISK: Uuid = Uuid::from_u128(1);
const SNAPSHOT: Uuid = Uuid::from_u128(2);
const SECOND: Uuid = Uuid::from_u128(3);
const CLONE: Uuid = Uuid::from_u128(4);

/// An SR on a made-up host, and what its VDIs have to have.
struct Lab {
    host: Arc<FakeHost>,
    driver: FileDriver,
    place: tempfile::TempDir,
}

impl Lab {
    fn new() -> Lab {
        let host = Arc::new(FakeHost::new());
        let place = tempfile::tempdir_in("/dev/shm").unwrap();
        Lab { driver: FileDriver::new(host.clone()), host, place }
    }

    fn sr(&self) -> SrSpec {
        let location = self.place.path().to_str().unwrap().to_owned();
        let device_config = [("location".to_owned(), location)].into();
        SrSpec { uuid: Uuid::from_u128(0x5a), device_config }
    }

    fn folder(&self) -> std::path::PathBuf {
        self.place.path().join(self.sr().uuid.to_string())
    }

    fn read(&self, vdi: Uuid) -> Words {
        self.host.read(&self.folder(), self.sr().uuid, vdi)
    }

    /// As the guest that has it open.
    fn write(&self, vdi: Uuid, at: u64, word: &str) {
        self.host.served(self.sr().uuid, vdi).unwrap().write(at, word);
    }

    fn tidy(&self) -> Result<(), StorageError> {
        let mut steps = 0;
        while self.driver.tidy(&self.sr())? {
            steps += 1;
            assert!(steps < 30, "it has no end: {:#?}", self.host.log());
        }
        Ok(())
    }

    fn files(&self, ending: &str) -> usize {
        let list = std::fs::read_dir(self.folder()).unwrap();
        list.filter(|entry| has_ending(&entry.as_ref().unwrap().path(), ending)).count()
    }
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

fn words(all: &[(u64, &str)]) -> Words {
    all.iter().map(|(at, word)| (*at, (*word).to_owned())).collect()
}

struct Step {
    name: &'static str,
    call: fn(&Lab) -> Result<(), StorageError>,
    /// What a guest does afterwards.
    then: fn(&Lab),
    /// VDIs that are there before and after, whatever happens, with what they have then.
    have: &'static [(Uuid, &'static [(u64, &'static str)])],
    /// Whether the disk is open before.
    open: bool,
}

fn nothing(_: &Lab) {}

const FIRST: &[(u64, &str)] = &[(1, "one"), (2, "two")];
const THEN: &[(u64, &str)] = &[(1, "ONE"), (2, "two"), (3, "three")];
const LAST: &[(u64, &str)] = &[(1, "ONE"), (2, "TWO"), (3, "three"), (4, "four")];

/// The life of a disk: snapshots while it is written to, a clone of one, and their end.
const LIFE: &[Step] = &[
    Step {
        name: "create",
        call: |lab| {
            let format = Some(ImageFormat::Qcow2);
            lab.driver.vdi_create(&lab.sr(), DISK, 10 << 20, format).map(drop)
        },
        then: nothing,
        have: &[],
        open: false,
    },
    Step {
        name: "activate",
        call: |lab| lab.driver.vdi_activate(&lab.sr(), DISK, Mode::ReadWrite).map(drop),
        then: |lab| FIRST.iter().for_each(|(at, word)| lab.write(DISK, *at, word)),
        have: &[(DISK, &[])],
        open: false,
    },
    Step {
        name: "snapshot",
        call: |lab| lab.driver.vdi_clone(&lab.sr(), DISK, SNAPSHOT).map(drop),
        then: |lab| {
            lab.write(DISK, 1, "ONE");
            lab.write(DISK, 3, "three");
        },
        have: &[(DISK, FIRST)],
        open: true,
    },
    Step {
        name: "second snapshot",
        call: |lab| lab.driver.vdi_clone(&lab.sr(), DISK, SECOND).map(drop),
        then: |lab| {
            lab.write(DISK, 2, "TWO");
            lab.write(DISK, 4, "four");
        },
        have: &[(DISK, THEN), (SNAPSHOT, FIRST)],
        open: true,
    },
    Step {
        name: "clone of a snapshot",
        call: |lab| lab.driver.vdi_clone(&lab.sr(), SNAPSHOT, CLONE).map(drop),
        then: nothing,
        have: &[(DISK, LAST), (SNAPSHOT, FIRST), (SECOND, THEN)],
        open: true,
    },
    Step {
        name: "resize",
        call: |lab| lab.driver.vdi_resize(&lab.sr(), DISK, 20 << 20).map(drop),
        then: nothing,
        have: &[(DISK, LAST), (SNAPSHOT, FIRST), (SECOND, THEN), (CLONE, FIRST)],
        open: true,
    },
    Step {
        name: "destroy snapshots",
        call: |lab| {
            lab.driver.vdi_destroy(&lab.sr(), SNAPSHOT)?;
            lab.driver.vdi_destroy(&lab.sr(), CLONE)
        },
        then: nothing,
        have: &[(DISK, LAST), (SECOND, THEN)],
        open: true,
    },
    Step {
        name: "resize and snapshot during a merge",
        call: |lab| {
            lab.driver.tidy(&lab.sr())?;
            lab.driver.vdi_resize(&lab.sr(), DISK, 30 << 20)?;
            lab.driver.tidy(&lab.sr())?;
            lab.driver.vdi_clone(&lab.sr(), DISK, CLONE)?;
            lab.driver.vdi_destroy(&lab.sr(), CLONE)
        },
        then: nothing,
        have: &[(DISK, LAST), (SECOND, THEN)],
        open: true,
    },
    Step {
        name: "merge under a snapshot and a guest",
        call: Lab::tidy,
        then: |lab| assert_eq!((lab.files("image"), lab.files("base")), (4, 2)),
        have: &[(DISK, LAST), (SECOND, THEN)],
        open: true,
    },
    Step {
        name: "destroy the last snapshot",
        call: |lab| lab.driver.vdi_destroy(&lab.sr(), SECOND),
        then: nothing,
        have: &[(DISK, LAST)],
        open: true,
    },
    Step {
        name: "merge under a guest",
        call: Lab::tidy,
        then: |lab| {
            assert_eq!((lab.files("image"), lab.files("base")), (2, 1));
            assert!(!lab.host.served(lab.sr().uuid, DISK).unwrap().clings());
            lab.write(DISK, 5, "five");
        },
        have: &[(DISK, LAST)],
        open: true,
    },
    Step {
        name: "deactivate",
        call: |lab| lab.driver.vdi_deactivate(&lab.sr(), DISK),
        then: |lab| assert!(lab.host.model().served.is_empty()),
        have: &[],
        open: true,
    },
    Step {
        name: "destroy",
        call: |lab| {
            lab.driver.vdi_destroy(&lab.sr(), DISK)?;
            lab.tidy()
        },
        then: |lab| assert_eq!((lab.files("image"), lab.files("base")), (0, 0)),
        have: &[],
        open: false,
    },
];

fn born() -> Lab {
    let lab = Lab::new();
    lab.driver.create(&lab.sr()).unwrap();
    lab.driver.attach(&lab.sr()).unwrap();
    lab
}

fn check(lab: &Lab, step: &Step, when: &str) {
    for (vdi, all) in step.have {
        assert_eq!(lab.read(*vdi), words(all), "{vdi} {when}");
    }
}

#[test]
fn guests_find_what_they_wrote_wherever_a_call_is_cut_off() {
    let mut cuts = 0;
    for (at, step) in LIFE.iter().enumerate() {
        for nth in 0.. {
            let mut reached = false;
            for (death, power) in [
                (Death::Before(nth), false),
                (Death::After(nth), false),
                (Death::Before(nth), true),
                (Death::After(nth), true),
            ] {
                let lab = born();
                for earlier in &LIFE[..at] {
                    (earlier.call)(&lab).unwrap();
                    (earlier.then)(&lab);
                }
                lab.host.die(Some(death));
                let cut = (step.call)(&lab);
                let hit = lab.host.changes() > nth;
                reached |= hit;
                let when = format!("{} {death:?}, power cut: {power}", step.name);
                assert_eq!(cut.is_err(), hit, "{when}");
                lab.host.die(None);
                check(&lab, step, &when);
                let steps = match power {
                    false => &LIFE[at..],
                    true => {
                        lab.host.reboot();
                        check(&lab, step, &when);
                        lab.driver.attach(&lab.sr()).unwrap();
                        if step.open && step.name != "deactivate" {
                            let opened = lab.driver.vdi_activate(&lab.sr(), DISK, Mode::ReadWrite);
                            opened.unwrap_or_else(|error| panic!("{when}: {error}"));
                        }
                        check(&lab, step, &when);
                        &LIFE[at..]
                    }
                };
                for later in steps {
                    if let Err(error) = (later.call)(&lab) {
                        panic!("{} after {when}: {error}\n{:#?}", later.name, lab.host.log());
                    }
                    // Begun before, too.
                    check(&lab, later, &format!("in {} after {when}", later.name));
                    (later.then)(&lab);
                }
                assert_eq!(lab.driver.scan(&lab.sr()).unwrap(), [], "{when}");
                assert_eq!(lab.files("swap") + lab.files("partial"), 0, "{when}");
                lab.driver.detach(&lab.sr()).unwrap();
                lab.driver.destroy(&lab.sr()).unwrap();
                assert!(!lab.host.has_any("run/xenith-disks"), "{when}");
                cuts += 1;
            }
            if !reached {
                break;
            }
        }
    }
    assert!(cuts > 200, "{cuts}");
}
