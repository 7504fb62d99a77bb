// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon ends at any moment and starts again.

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{Client, Served, Wire, connect, eventually, start};
use crate::events::{from, part, summary};
use rustix::process::{Pid, Signal, kill_process};
use toolstack::database::{Change, Database, MemoryDatabase, SqliteDatabase};
use toolstack::store::Store;
use toolstack::{derived, reconcile};
use xapi_model::{Value, classes};
use xenops::{DomId, Hypervisor};

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// What was answered is there after `kill -9`, and nothing is there in half.
#[test]
fn what_was_answered_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..12u64 {
        let (mut child, url) = start(folder.path());
        let client = connect(folder.path(), &url);
        let host = client.ok("host.get_all", vec![]).as_set().unwrap()[0].text();
        let config = client.record("host", &host)["other_config"].clone();
        let number = |key: &str| {
            config.as_map().unwrap().get(key).map_or(0, |n| n.text().parse::<u64>().unwrap())
        };
        assert_eq!(number("a"), number("b"), "round {round}: half of a change");
        assert!(number("a") >= acknowledged, "round {round}: an answered change is lost");
        assert!(number("a") <= acknowledged + 1, "round {round}: a change that nobody made");
        let written = AtomicU64::new(number("a"));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                loop {
                    let next = written.load(Ordering::SeqCst) + 1;
                    let text = Value::from(next.to_string());
                    let both = Value::Map(
                        ["a", "b"].into_iter().map(|key| (key.into(), text.clone())).collect(),
                    );
                    let session = Value::from(client.session.as_str());
                    let params = vec![session, host.as_str().into(), both];
                    match client.try_raw("host.set_other_config", params) {
                        Ok(Ok(_)) => written.store(next, Ordering::SeqCst),
                        Ok(Err(error)) => panic!("{error}"),
                        Err(_) => return,
                    }
                }
            });
            // Another number of changes each round, so the blow falls elsewhere each time.
            let target = written.load(Ordering::SeqCst) + 1 + round * 7 % 29;
            eventually("changes are made", || written.load(Ordering::SeqCst) >= target);
            signal(&child, Signal::KILL);
            child.wait().unwrap();
            writer.join().unwrap();
        });
        acknowledged = written.into_inner();
    }
    assert!(acknowledged >= 12);
    let (mut child, _) = start(folder.path());
    signal(&child, Signal::TERM);
    assert!(child.wait().unwrap().success(), "it ends when it is told to");
    // SQLite's own opinion.
    let database = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn domains_and_objects_are_compared() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let vm = made.vm.as_str();
    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
    let spec = served.hypervisor.spec(DomId(1)).unwrap();
    let running = client.record("VM", vm);
    reconcile_now(&served);
    assert_eq!(client.record("VM", vm), running, "a running VM is left alone");
    served.hypervisor.pause(DomId(1)).unwrap();
    reconcile_now(&served);
    assert_eq!(client.state(vm), "Paused", "paused behind the daemon's back");
    client.ok("VM.unpause", vec![vm.into()]);
    client.ok("VM.hard_shutdown", vec![vm.into()]);
    // A start that was cut off before it was recorded leaves a domain that nobody knows.
    let left = served.hypervisor.create(&spec).unwrap();
    reconcile_now(&served);
    assert!(served.hypervisor.spec(left.domain).is_none());
    assert_eq!(client.state(vm), "Halted");
    // A domain of nobody's is left to whoever made it.
    let foreign = xenops::DomainSpec { uuid: uuid::Uuid::new_v4(), name: "x".into(), ..spec };
    let foreign = served.hypervisor.create(&foreign).unwrap();
    reconcile_now(&served);
    assert!(served.hypervisor.spec(foreign.domain).is_some());
}

/// A VM that is started while the comparison waits for it is not what the comparison saw before.
#[test]
fn a_comparison_looks_again_at_what_it_waited_for() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let vm = made.reference();
    client.ok("VM.start", vec![(&vm).into(), false.into(), false.into()]);
    let spec = served.hypervisor.spec(DomId(1)).unwrap();
    let lock = served.toolstack.lock_of(&vm);
    let held = lock.lock().unwrap();
    served.hypervisor.guest_vanishes(DomId(1)).unwrap();
    // Besides this test and the table of locks.
    let waiting = |count: usize| Arc::strong_count(&lock) == 2 + count;
    eventually("the watcher waits for the VM", || waiting(1));
    let toolstack = served.toolstack.clone();
    let compared = served.spawn_blocking(move || reconcile::domains(&toolstack));
    eventually("the comparison waits for the VM", || waiting(2));
    // What whoever holds the lock does to restart it.
    let second = served.hypervisor.create(&spec).unwrap().domain;
    served.hypervisor.unpause(second).unwrap();
    let restarted = served.toolstack.store.write(|t| {
        t.set(&vm, "domid", i64::from(second.0));
        Ok(())
    });
    restarted.unwrap();
    drop(held);
    served.block_on(compared).unwrap().unwrap();
    assert_eq!(client.state(&made.vm), "Running");
    assert!(served.hypervisor.spec(second).is_some());
}

fn reconcile_now(served: &Served) {
    let toolstack = served.toolstack.clone();
    served
        .block_on(served.spawn_blocking(move || reconcile::domains(&toolstack)))
        .unwrap()
        .unwrap();
}

/// The host lost power with a guest running: the domain is gone, the object says Running.
#[test]
fn vms_of_a_host_that_lost_power_are_halted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, url) = start(folder.path());
    let client = connect(folder.path(), &url);
    let made = client.make_vm("guest");
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    client.ok(
        "pool.set_name_label",
        vec![client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone(), "mine".into()],
    );
    let before = client.record("VM", &made.vm);
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    let (mut child, url) = start(folder.path());
    let client = connect(folder.path(), &url);
    let after = client.record("VM", &made.vm);
    assert_eq!(after["power_state"].text(), "Halted");
    for field in ["uuid", "name_label", "VBDs", "VIFs", "memory_static_max", "other_config"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    let pool = client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone();
    assert_eq!(client.text("pool.get_name_label", vec![pool]), "mine");
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    signal(&child, Signal::KILL);
    child.wait().unwrap();
}

#[test]
fn a_database_of_another_class_list_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let object = |body: &str| {
        Change::Put(toolstack::database::StoredObject {
            reference: "OpaqueRef:1".into(),
            class: "network".into(),
            body: body.into(),
            created: 0,
            modified: 0,
        })
    };
    // A field that there is no longer, and fields that there were not yet.
    let body = r#"{"uuid": "u", "name_label": "n", "gone": 3}"#;
    SqliteDatabase::open(&path).unwrap().commit(&[object(body)]).unwrap();
    let store =
        Store::open(Box::new(SqliteDatabase::open(&path).unwrap()), derived::derive).unwrap();
    store.read(|objects| {
        let network = objects.all("network").next().unwrap();
        assert_eq!((network.text("name_label"), network.int("MTU")), ("n", 1500));
    });
    let mut broken = MemoryDatabase::default();
    broken.commit(&[object(r#"{"MTU": "many"}"#)]).unwrap();
    assert!(Store::open(Box::new(broken), derived::derive).is_err());
    assert!(classes::NETWORK.stored);
}

/// Figures are on disk once the daemon has ended in order, and there again with the next one.
#[test]
fn figures_survive_an_orderly_end() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |client: &Client| {
        let url = format!("{}/host_rrd?session_id={}", client.url, client.session);
        let mut response = client.agent.get(url).call().unwrap();
        (response.status() == 200).then(|| response.body_mut().read_to_string().unwrap())
    };
    let known = |text: &str| {
        let first = text.split("<database>").nth(1).unwrap().split("</database>").next().unwrap();
        first.split("<row>").skip(1).filter(|row| row.contains("<v>8388608.0</v>")).count()
    };
    let (mut child, url) = start(folder.path());
    let client = connect(folder.path(), &url);
    eventually("the first sample", || rows(&client).is_some_and(|text| known(&text) == 1));
    signal(&child, Signal::TERM);
    assert!(child.wait().unwrap().success());
    let figures = folder.path().join("simulation/figures");
    assert_eq!(std::fs::read_dir(&figures).unwrap().count(), 2, "the host and Dom0");
    let (mut child, url) = start(folder.path());
    let client = connect(folder.path(), &url);
    eventually("another sample", || rows(&client).is_some_and(|text| known(&text) >= 2));
    signal(&child, Signal::KILL);
    child.wait().unwrap();
}

/// What a client has heard of, by class and reference, and how far.
#[derive(Clone, Default)]
struct Heard {
    objects: BTreeMap<(String, String), Value>,
    token: String,
}

impl Heard {
    /// Hears more; the answer is class, operation and reference of each event.
    fn hear(&mut self, client: &Client) -> Vec<(String, String, String)> {
        let batch = from(client, &["*"], &self.token, 0.0);
        for event in part(&batch, "events").as_set().unwrap() {
            let key = (part(event, "class").text(), part(event, "ref").text());
            let known = self.objects.contains_key(&key);
            match part(event, "operation").text().as_str() {
                "add" => drop(self.objects.insert(key, part(event, "snapshot"))),
                "mod" => {
                    assert!(known, "{key:?}");
                    self.objects.insert(key, part(event, "snapshot"));
                }
                _ => assert!(self.objects.remove(&key).is_some(), "{key:?}"),
            }
        }
        self.token = part(&batch, "token").text();
        summary(&batch)
    }

    /// Requires that it knows what whoever asks for the first time is told.
    fn must_be_right(mut self, client: &Client) {
        eventually("a moment without changes", || {
            self.hear(client);
            let mut fresh = Heard::default();
            fresh.hear(client);
            if fresh.token == self.token {
                assert_eq!(self.objects, fresh.objects);
            }
            fresh.token == self.token
        });
    }
}

/// A client with a token from before hears what has changed since, though the daemon ended.
#[test]
fn events_go_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (mut child, url) = start(path);
    let mut client = connect(path, &url);
    let mut of_all_runs: Vec<Heard> = Vec::new();
    for how in [Signal::TERM, Signal::KILL, Signal::KILL, Signal::TERM] {
        let (kept, gone) = (client.make_vm("kept"), client.make_vm("gone"));
        client.ok("VM.start", vec![kept.vm.as_str().into(), false.into(), false.into()]);
        let pool = client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone();
        let task = client.text("task.create", vec!["a".into(), "".into()]);
        let mut early = Heard::default();
        early.hear(&client);
        let number =
            |client: &Client| client.text("event.get_current_id", vec![]).parse::<u64>().unwrap();
        // What is changed, made and deleted since.
        client.ok("pool.set_name_label", vec![pool.clone(), "renamed".into()]);
        let template = client.named("VM", "Linux PVH (own boot loader)");
        let made = client.text("VM.clone", vec![template.into(), "made".into()]);
        client.ok("VM.destroy", vec![gone.vm.as_str().into()]);
        let brief = client.text("task.create", vec!["b".into(), "".into()]);
        let mut late = early.clone();
        late.hear(&client);
        // What this gives is a token like others.
        let mut injected = late.clone();
        injected.token = client.text("event.inject", vec!["pool".into(), pool.clone()]);
        let before = number(&client);
        signal(&child, how);
        child.wait().unwrap();
        let url;
        (child, url) = start(path);
        client = connect(path, &url);
        assert!(number(&client) > before);
        let heard = early.clone().hear(&client);
        let told = |class: &str, operation: &str, object: &str| {
            heard.contains(&(class.into(), operation.into(), object.into()))
        };
        assert!(told("pool", "mod", &pool.text()) && told("vm", "add", &made), "{heard:?}");
        for (class, object) in [("vm", &gone.vm), ("vbd", &gone.vbd), ("task", &task)] {
            assert!(told(class, "del", object), "{class}: {heard:?}");
        }
        assert!(!heard.iter().any(|(_, _, object)| *object == brief), "{heard:?}");
        // Simulated guests end with the daemon.
        assert!(told("vm", "mod", &kept.vm), "{heard:?}");
        of_all_runs.extend([early, late, injected]);
        of_all_runs.iter().for_each(|heard| heard.clone().must_be_right(&client));
    }
    // Roles say the same all the time, and nobody is told of them again.
    let heard = of_all_runs[0].clone().hear(&client);
    assert!(!heard.iter().any(|(class, _, _)| class == "role"), "{heard:?}");
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    // Another database.
    let token = Value::from(of_all_runs.last().unwrap().token.as_str());
    let other = tempfile::tempdir().unwrap();
    let (mut child, url) = start(other.path());
    let client = connect(other.path(), &url);
    let params = vec![Value::strings(["*"]), token, 0.0.into()];
    assert_eq!(client.err("event.from", params).code, "EVENTS_LOST");
    signal(&child, Signal::KILL);
    child.wait().unwrap();
}
