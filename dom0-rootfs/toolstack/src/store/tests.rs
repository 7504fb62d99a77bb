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

type Disk = Arc<Mutex<MemoryDatabase>>;

/// A start of the daemon.
fn start(disk: &Disk, clock: i64) -> Store {
    let derive: Derive = |t| {
        for vm in t.touched() {
            if t.get("VM", &vm).is_ok() {
                t.set_live(&vm, "allowed_operations", Value::Set(vec![Value::Enum("start")]));
            }
        }
    };
    Store::open_at(Box::new(Shared(disk.clone())), derive, DateTime(clock)).unwrap()
}

/// The database as it is now, as in a backup.
fn copy(disk: &Disk) -> Disk {
    let contents = disk.lock().unwrap().load().unwrap();
    let objects = contents.objects.into_iter().map(Change::Put);
    let notes = contents.notes.into_iter();
    let notes = notes.map(|(key, value)| Change::Note { key, value: Some(value) });
    let deletions = contents.deletions.into_iter().map(Change::Remember);
    let mut copy = MemoryDatabase::default();
    copy.commit(&objects.chain(notes).chain(deletions).collect::<Vec<_>>()).unwrap();
    Arc::new(Mutex::new(copy))
}

fn does(store: &Store, change: impl FnOnce(&mut Transaction<'_>)) {
    let done = store.write(|t| {
        change(t);
        Ok(())
    });
    done.unwrap();
}

fn token(store: &Store) -> Token {
    store.read(Objects::token)
}

/// What was made, changed and deleted since; none if that is not known.
fn since(store: &Store, token: Token) -> Option<[BTreeSet<Ref>; 3]> {
    store.read(|objects| {
        let since = objects.heard(token)?;
        let (mut made, mut changed) = (BTreeSet::new(), BTreeSet::new());
        for object in objects.changed_since(since) {
            let set = if object.created_at() > since { &mut made } else { &mut changed };
            set.insert(object.reference().clone());
        }
        let gone = objects.deleted_since(since).filter(|gone| gone.created <= since);
        Some([made, changed, gone.map(|gone| gone.reference.clone()).collect()])
    })
}

fn set<const N: usize>(references: [&Ref; N]) -> BTreeSet<Ref> {
    references.into_iter().cloned().collect()
}

#[test]
fn numbers_grow_whatever_the_clock_says() {
    let disk = Disk::default();
    let mut newest = 0;
    for clock in [1_000_000, 2_000_000, 2_000_000, 1_000_000, 0, -5, 3_000_000] {
        let store = start(&disk, clock);
        let begun = store.read(Objects::generation);
        assert!(begun > newest, "{clock}: {begun} after {newest}");
        let (vm, _) = vm_with_disk(&store);
        // What is not durable has a number as well.
        for number in 0..3i64 {
            does(&store, |t| t.set_live(&vm, "memory_overhead", number + 7));
        }
        newest = store.read(Objects::generation);
        assert!(newest > begun + 3);
    }
}

#[test]
fn more_numbers_are_set_aside_before_they_are_used() {
    let disk = Disk::default();
    let store = start(&disk, 0);
    let (vm, _) = vm_with_disk(&store);
    store.objects.write().unwrap().generation += BLOCK - 3;
    for number in 0..5i64 {
        does(&store, |t| t.set_live(&vm, "memory_overhead", number + 7));
    }
    let newest = token(&store);
    let again = start(&disk, i64::MIN);
    assert!(again.read(|objects| objects.start) > newest.generation);
    assert!(since(&again, newest).is_some(), "the database knew where numbers were set aside");
}

#[test]
fn a_token_outlives_the_daemon() {
    let disk = Disk::default();
    let store = start(&disk, 5);
    // Messages are as the database says, a VM has fields that it does not know.
    let message = |t: &mut Transaction<'_>| t.create(&classes::MESSAGE, vec![]);
    let [kept, changed, gone] = store.write(|t| Ok([message(t), message(t), message(t)])).unwrap();
    let (vm, vbd) = vm_with_disk(&store);
    let task = store.write(|t| Ok(t.create(&classes::TASK, vec![]))).unwrap();
    let heard = token(&store);
    does(&store, |t| t.set(&changed, "body", "new"));
    does(&store, |t| t.remove(&gone));
    let made = store.write(|t| Ok(message(t))).unwrap();
    // It was never there, for whoever asks later.
    let brief = store.write(|t| Ok([message(t), t.create(&classes::TASK, vec![])])).unwrap();
    does(&store, |t| brief.iter().for_each(|brief| t.remove(brief)));
    does(&store, |t| t.set_live(&vm, "memory_overhead", 7));
    let later = token(&store);
    let expected = [set([&made]), set([&changed, &vm]), set([&gone])];
    assert_eq!(since(&store, heard), Some(expected));
    for clock in [9, 1, 20] {
        let store = start(&disk, clock);
        let expected = [set([&made]), set([&changed, &vm, &vbd]), set([&gone, &task])];
        assert_eq!(since(&store, heard), Some(expected), "{clock}");
        let expected = [set([]), set([&vm, &vbd]), set([&task])];
        assert_eq!(since(&store, later), Some(expected), "{clock}");
        assert_eq!(since(&store, token(&store)), Some([set([]), set([]), set([])]));
    }
    let store = start(&disk, 30);
    let heard = token(&store);
    does(&store, |t| t.remove(&kept));
    let expected = [set([]), set([&vm, &vbd]), set([&kept])];
    assert_eq!(since(&start(&disk, 40), heard), Some(expected));
}

/// A disk that has lost power before it wrote what nobody waited for.
struct Cut(Disk);

impl Database for Cut {
    fn load(&mut self) -> Result<Contents, DatabaseError> {
        self.0.lock().unwrap().load()
    }
    fn commit(&mut self, changes: &[Change]) -> Result<(), DatabaseError> {
        self.0.lock().unwrap().commit(changes)
    }
    fn write_down(&mut self, _: &[Change]) -> Result<(), DatabaseError> {
        Ok(())
    }
}

#[test]
fn who_heard_of_what_a_power_cut_took_begins_anew() {
    let disk = Disk::default();
    let store = Store::open(Box::new(Cut(disk.clone())), |_| {}).unwrap();
    vm_with_disk(&store);
    let before = token(&store);
    store.write(|t| Ok(t.create(&classes::TASK, vec![]))).unwrap();
    let after = token(&store);
    let again = start(&disk, i64::MIN);
    assert!(since(&again, before).is_some());
    assert_eq!(since(&again, after), None);
}

#[test]
fn tokens_of_another_past_are_refused() {
    let disk = Disk::default();
    let first = start(&disk, 5);
    let vm = vm_with_disk(&first).0;
    let before = token(&first);
    does(&first, |t| t.set_live(&vm, "memory_overhead", 7));
    let seen = token(&first);
    let backup = copy(&disk);
    does(&first, |t| t.set(&vm, "name_label", "after the backup"));
    let after = token(&first);
    let second = start(&disk, 10);
    does(&second, |t| t.set(&vm, "name_label", "in the next run"));
    let next = token(&second);
    for clock in [0, 10, 20] {
        let back = start(&copy(&backup), clock);
        assert!(since(&back, before).is_some() && since(&back, seen).is_some());
        assert_eq!([since(&back, after), since(&back, next)], [None, None], "{clock}");
        // Its own numbers grow beyond the others'.
        for number in 0..20i64 {
            does(&back, |t| t.set(&vm, "memory_target", number + 7));
        }
        assert_eq!([since(&back, after), since(&back, next)], [None, None], "{clock}");
    }
    let other = Disk::default();
    assert_eq!(since(&start(&other, 5), before), None);
    // A version that knows no numbers has had it meanwhile.
    let reserved = Change::Note { key: NUMBERS.into(), value: Some((30 * BLOCK).to_string()) };
    disk.lock().unwrap().commit(&[reserved]).unwrap();
    let back = start(&disk, 20);
    assert_eq!([since(&back, before), since(&back, next)], [None, None]);
    assert!(since(&start(&disk, 50), token(&back)).is_some());
}

#[test]
fn a_database_of_an_earlier_version_begins_now() {
    let disk = Disk::default();
    let store = start(&disk, 5);
    let made = store.write(|t| Ok(t.create(&classes::MESSAGE, vec![]))).unwrap();
    let mut contents = disk.lock().unwrap().load().unwrap();
    let mut message = contents.objects.remove(0);
    (message.created, message.modified) = (0, 0);
    // And that version's class has one field less.
    let mut short = message.clone();
    short.reference = "OpaqueRef:short".into();
    short.body = r#"{"uuid": "u"}"#.into();
    let earlier = Disk::default();
    earlier.lock().unwrap().commit(&[Change::Put(message), Change::Put(short)]).unwrap();
    let store = start(&earlier, 20);
    store.read(|objects| {
        assert!(objects.find(&made).is_some() && objects.horizon() == objects.start);
    });
    let first = token(&store);
    let expected = [set([]), set([&Ref::new("OpaqueRef:short")]), set([])];
    assert_eq!(since(&start(&earlier, 30), first), Some(expected));
}

#[test]
fn deletions_are_forgotten_in_the_database_too() {
    let disk = Disk::default();
    let store = start(&disk, 5);
    let count = REMEMBERED_DELETIONS + MORE_DELETIONS;
    let message = |t: &mut Transaction<'_>| t.create(&classes::MESSAGE, vec![]);
    let all: Vec<Ref> = store.write(|t| Ok((0..=count).map(|_| message(t)).collect())).unwrap();
    let first = token(&store);
    does(&store, |t| t.remove(&all[0]));
    let second = token(&store);
    let remembered = |disk: &Disk| disk.lock().unwrap().load().unwrap().deletions.len();
    all[1..count].iter().for_each(|message| does(&store, |t| t.remove(message)));
    assert_eq!(remembered(&disk), count);
    assert!(since(&start(&copy(&disk), 9), first).is_some());
    does(&store, |t| t.remove(&all[count]));
    let last = token(&store);
    assert_eq!(remembered(&disk), REMEMBERED_DELETIONS);
    for store in [&store, &start(&disk, 9)] {
        assert_eq!([since(store, first), since(store, second)], [None, None]);
        store.read(|objects| assert_eq!(objects.deleted.len(), REMEMBERED_DELETIONS));
        assert_eq!(since(store, last), Some([set([]), set([]), set([])]));
    }
    // All at once.
    let all: Vec<Ref> = store.write(|t| Ok((0..=count).map(|_| message(t)).collect())).unwrap();
    let before = token(&store);
    does(&store, |t| all.iter().for_each(|message| t.remove(message)));
    assert_eq!((remembered(&disk), since(&store, before)), (0, None));
}
