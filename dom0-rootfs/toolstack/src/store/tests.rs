// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store keeps its promises.

use std::sync::{Arc, Mutex};

use xapi_model::{Ref, Value, classes, errors};

use super::*;
use crate::database::{Contents, MemoryDatabase};

fn store() -> Store {
    Store::open(Box::new(MemoryDatabase::default()), |_| {}).unwrap()
}

fn vm_with_disk(store: &Store) -> (Ref, Ref) {
    store
        .write(|t| {
            let vm = t.create(&classes::VM, vec![("name_label", "a".into())]);
            let vbd = t.create(&classes::VBD, vec![("VM", Value::from(&vm))]);
            Ok((vm, vbd))
        })
        .unwrap()
}

#[test]
fn mirrors_follow() {
    let store = store();
    let (vm, vbd) = vm_with_disk(&store);
    let vbds = |vm: &Ref| store.read(|o| o.get("VM", vm).unwrap().refs("VBDs"));
    assert_eq!(vbds(&vm), vec![vbd.clone()]);
    let other = store.write(|t| Ok(t.create(&classes::VM, vec![]))).unwrap();
    store
        .write(|t| {
            t.set(&vbd, "VM", &other);
            Ok(())
        })
        .unwrap();
    assert_eq!((vbds(&vm), vbds(&other)), (vec![], vec![vbd.clone()]));
    store
        .write(|t| {
            t.remove(&vbd);
            Ok(())
        })
        .unwrap();
    assert_eq!(vbds(&other), []);
}

#[test]
fn a_failed_change_leaves_nothing() {
    let store = store();
    let (vm, vbd) = vm_with_disk(&store);
    let before = store.read(|o| (o.generation(), o.get("VM", &vm).unwrap().record()));
    let failed = store.write(|t| {
        t.set(&vm, "name_label", "b");
        t.remove(&vbd);
        t.create(&classes::VIF, vec![("VM", Value::from(&vm))]);
        Err::<(), _>(errors::TOO_BUSY.bare())
    });
    assert!(failed.is_err());
    let after = store.read(|o| (o.generation(), o.get("VM", &vm).unwrap().record()));
    assert_eq!(before, after);
    assert_eq!(store.read(|o| o.all("VIF").count()), 0);
}

#[test]
fn a_change_is_taken_back_without_what_others_did() {
    let store = store();
    let (vm, vbd) = vm_with_disk(&store);
    let whole = |vm: &Ref, vbd: &Ref| {
        store.read(|o| {
            let vm = o.get("VM", vm).unwrap();
            let mirrored = vm.refs("VBDs");
            (vm.text("name_label").to_owned(), mirrored, o.get("VBD", vbd).unwrap().record())
        })
    };
    let before = whole(&vm, &vbd);
    let undo = store
        .write(|t| {
            t.set(&vm, "name_label", "b");
            t.remove(&vbd);
            t.create(&classes::VIF, vec![("VM", Value::from(&vm))]);
            t.set_note("a note", Some("new".into()));
            Ok(t.undo())
        })
        .unwrap();
    store
        .write(|t| {
            t.set(&vm, "name_description", "by somebody else");
            Ok(())
        })
        .unwrap();
    // As it comes out of a note.
    let undo: Undo = serde_json::from_str(&serde_json::to_string(&undo).unwrap()).unwrap();
    store
        .write(|t| {
            t.take_back(&undo).unwrap();
            Ok(())
        })
        .unwrap();
    assert_eq!(whole(&vm, &vbd), before);
    store.read(|o| {
        assert_eq!(o.get("VM", &vm).unwrap().text("name_description"), "by somebody else");
        assert_eq!((o.all("VIF").count(), o.note("a note")), (0, None));
    });
}

/// A database on a disk that is full from the third commit on.
struct Full(u32);

impl Database for Full {
    fn load(&mut self) -> Result<Contents, DatabaseError> {
        Ok(Contents::default())
    }
    fn commit(&mut self, _: &[Change]) -> Result<(), DatabaseError> {
        self.0 += 1;
        if self.0 > 2 {
            return Err(DatabaseError::Corrupt { what: "disk".into(), problem: "full".into() });
        }
        Ok(())
    }
}

#[test]
fn a_full_disk_leaves_nothing() {
    let store = Store::open(Box::new(Full(0)), |_| {}).unwrap();
    let (vm, _) = vm_with_disk(&store);
    let error = store
        .write(|t| {
            t.set(&vm, "name_label", "b");
            Ok(())
        })
        .unwrap_err();
    assert!(error.is(&errors::INTERNAL_ERROR));
    assert_eq!(store.read(|o| o.get("VM", &vm).unwrap().text("name_label").to_owned()), "a");
    // What is not durable does not need the disk, and neither does a start.
    let store_of_full = Store::open(Box::new(Full(2)), |_| {});
    assert_eq!(store_of_full.unwrap().read(|o| o.all("VM").count()), 0);
    store
        .write(|t| {
            t.set_live(&vm, "memory_overhead", 7);
            Ok(())
        })
        .unwrap();
}

#[test]
fn changes_are_fed_in_order() {
    let store = store();
    let (vm, vbd) = vm_with_disk(&store);
    let start = store.read(Objects::generation);
    store
        .write(|t| {
            t.set(&vbd, "bootable", true);
            Ok(())
        })
        .unwrap();
    store
        .write(|t| {
            t.set(&vm, "name_label", "b");
            Ok(())
        })
        .unwrap();
    let changed =
        store.read(|o| o.changed_since(start).map(|x| x.reference().clone()).collect::<Vec<_>>());
    assert_eq!(changed, [vbd.clone(), vm.clone()]);
    store
        .write(|t| {
            t.remove(&vbd);
            Ok(())
        })
        .unwrap();
    let deleted =
        store.read(|o| o.deleted_since(start).map(|d| d.reference.clone()).collect::<Vec<_>>());
    assert_eq!(deleted, [vbd]);
    let same = store.read(Objects::generation);
    store
        .write(|t| {
            t.set(&vm, "name_label", "b");
            Ok(())
        })
        .unwrap();
    assert_eq!(store.read(Objects::generation), same, "a change to the same value is none");
}

/// Shares one memory database between two stores, as a restart does.
struct Shared(Arc<Mutex<MemoryDatabase>>);

impl Database for Shared {
    fn load(&mut self) -> Result<Contents, DatabaseError> {
        self.0.lock().unwrap().load()
    }
    fn commit(&mut self, changes: &[Change]) -> Result<(), DatabaseError> {
        self.0.lock().unwrap().commit(changes)
    }
}

#[test]
fn everything_is_there_after_a_restart() {
    let shared = Arc::new(Mutex::new(MemoryDatabase::default()));
    let store = Store::open(Box::new(Shared(shared.clone())), |_| {}).unwrap();
    let (vm, vbd) = vm_with_disk(&store);
    store
        .write(|t| {
            t.set(&vm, "other_config", Value::string_map([("a", "b")]));
            t.set(&vm, "memory_static_max", 1i64 << 40);
            t.create(&classes::TASK, vec![]);
            t.set_note("n", Some("v".into()));
            Ok(())
        })
        .unwrap();
    let record = store.read(|o| o.get("VM", &vm).unwrap().record());
    let again = Store::open(Box::new(Shared(shared)), |_| {}).unwrap();
    assert_eq!(again.read(|o| o.get("VM", &vm).unwrap().record()), record);
    assert_eq!(again.read(|o| o.get("VBD", &vbd).unwrap().to("VM")), vm);
    assert_eq!(again.read(|o| o.all("task").count()), 0, "tasks do not outlive the daemon");
    assert_eq!(again.read(|o| o.note("n").map(str::to_owned)).as_deref(), Some("v"));
}

#[test]
fn numbers_grow_whatever_the_clock_says() {
    let shared = Arc::new(Mutex::new(MemoryDatabase::default()));
    let open =
        |now| Store::open_at(Box::new(Shared(shared.clone())), |_| {}, DateTime(now)).unwrap();
    let mut newest = 0;
    for clock in [1_000_000, 2_000_000, 2_000_000, 1_000_000, 0, -5, 3_000_000] {
        let store = open(clock);
        let start = store.read(|o| (o.horizon(), o.generation()));
        assert!(start.0 > newest && start.1 >= start.0, "{clock}: {start:?} after {newest}");
        let (vm, _) = vm_with_disk(&store);
        // What is not durable has a number as well.
        for number in 0..3i64 {
            let set = store.write(|t| {
                t.set_live(&vm, "memory_overhead", number + 7);
                Ok(())
            });
            set.unwrap();
        }
        newest = store.read(Objects::generation);
        assert!(newest > start.1 + 3);
    }
}

#[test]
fn more_numbers_are_set_aside_before_they_are_used() {
    let shared = Arc::new(Mutex::new(MemoryDatabase::default()));
    let store = Store::open(Box::new(Shared(shared.clone())), |_| {}).unwrap();
    let (vm, _) = vm_with_disk(&store);
    store.objects.write().unwrap().generation += BLOCK - 3;
    for number in 0..5i64 {
        let set = store.write(|t| {
            t.set_live(&vm, "memory_overhead", number + 7);
            Ok(())
        });
        set.unwrap();
    }
    let newest = store.read(Objects::generation);
    let again = Store::open_at(Box::new(Shared(shared)), |_| {}, DateTime::EPOCH).unwrap();
    assert!(again.read(Objects::horizon) > newest);
}
