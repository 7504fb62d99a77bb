// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing stays of VMs that started and ended: in the daemon's process, among its objects, on its disk,
//! in the hypervisor, on the bridges.

use std::collections::BTreeMap;
use std::fs;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use toolstack::database::{Database, SqliteDatabase};
use xapi_model::Value;
use xenops::Hypervisor;

use crate::common::{Client, Served, Vm, Wire, connect, start};

/// Starts before anything is counted, and those that count. What memory they cost shows after more of
/// them, which the bench `simulator` measures.
const BEFORE: usize = 20;
const COUNTED: usize = 200;
/// Every so many starts one is a task.
const TASKS: usize = 10;

/// What a daemon holds on to.
#[derive(Debug)]
struct Held {
    /// What open descriptors lead to, but for connections and files that come and go.
    descriptors: Vec<String>,
    /// Objects by class.
    objects: BTreeMap<String, Value>,
}

impl Held {
    fn by(daemon: &Child, client: &Client) -> Held {
        // They are kept for people, up to a limit that a test would have to fill first.
        client.ok("message.destroy_all", vec![Value::Map(BTreeMap::new())]);
        let links = fs::read_dir(format!("/proc/{}/fd", daemon.id())).unwrap();
        let links = links.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let links = links.map(|link| link.display().to_string());
        let passing = |link: &String| link.starts_with("socket:") || link.contains("/figures/");
        let mut descriptors: Vec<String> = links.filter(|link| !passing(link)).collect();
        descriptors.sort();
        let everything =
            client.ok("event.from", vec![Value::strings(["*"]), "".into(), 0.0.into()]);
        Held {
            descriptors,
            objects: everything.as_map().unwrap()["valid_ref_counts"].as_map().unwrap().clone(),
        }
    }
}

fn cycle(client: &Client, vm: &Vm, number: usize) {
    let vm = || Value::from(vm.vm.as_str());
    client.ok("VM.start", vec![vm(), false.into(), false.into()]);
    if !number.is_multiple_of(TASKS) {
        client.ok("VM.hard_shutdown", vec![vm()]);
        return;
    }
    let task = client.text("Async.VM.hard_shutdown", vec![vm()]);
    assert_eq!(client.ended(&task)["status"].text(), "success");
    client.ok("task.destroy", vec![task.into()]);
}

#[test]
fn a_vm_that_starts_and_ends_over_and_over_leaves_the_daemon_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (mut daemon, url) = start(folder.path());
    let client = connect(folder.path(), &url);
    let vm = client.make_vm("over and over");
    (0..BEFORE).for_each(|number| cycle(&client, &vm, number));
    let before = Held::by(&daemon, &client);
    (0..COUNTED).for_each(|number| cycle(&client, &vm, number));
    let after = Held::by(&daemon, &client);
    assert_eq!(before.objects, after.objects);
    assert_eq!(before.descriptors, after.descriptors);

    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    let rows = SqliteDatabase::open(&folder.path().join("state.db")).unwrap().load().unwrap();
    for (class, count) in &after.objects {
        let rows = rows.objects.iter().filter(|row| row.class.eq_ignore_ascii_case(class)).count();
        let count = usize::try_from(count.as_int().unwrap()).unwrap();
        assert!(rows <= count, "{rows} rows of {count} objects of class {class}");
    }
    let under_way =
        ["device/", "ending/", "held/", "suspended/", "unfinished/", "volume/", "repository/"];
    let stayed = |note: &&str| under_way.iter().any(|kind| note.starts_with(kind));
    let notes: Vec<&str> = rows.notes.iter().map(|(key, _)| &**key).filter(stayed).collect();
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn nothing_stays_outside_of_the_daemon() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let vm = client.make_vm("in and out");
    let outside = || {
        let domains: Vec<_> =
            served.hypervisor.domains().unwrap().iter().map(|domain| domain.id).collect();
        (domains, served.network.ports(), files(served.folder.path()))
    };
    cycle(&client, &vm, 1);
    let before = outside();
    (0..2 * TASKS).for_each(|number| cycle(&client, &vm, number));
    assert_eq!(before, outside());
    assert!(before.1.is_empty(), "{:?}", before.1);
}

/// All files below a folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all.sort();
    all
}
