// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program itself, killed at some moment of an operation: its real database, and calls of storage that
//! were cut off in the middle.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use xapi_model::Value;

use crate::common::{Client, connect, record, start};

const ROUNDS: u64 = 10;

/// Files of VDIs below a folder.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let count = |path: std::path::PathBuf| match path.is_dir() {
        true => files(&path),
        false => usize::from(path.extension().is_some_and(|ending| ending == "raw")),
    };
    entries.map(count).sum()
}

fn all(client: &Client, class: &str) -> Vec<Value> {
    let all = client.ok(&format!("{class}.get_all_records"), vec![]);
    all.as_map().unwrap().values().cloned().collect()
}

fn begin(client: &Client, round: u64, vm: &str, vdi: &str) {
    let name = || Value::from(format!("copy {round}"));
    let (message, params) = match round % 5 {
        0 => ("VM.clone", vec![vm.into(), name()]),
        1 => ("VM.snapshot", vec![vm.into(), name()]),
        2 => ("VM.copy", vec![vm.into(), name(), xapi_model::Ref::NULL.into()]),
        3 => {
            let sr = client.text("VDI.get_SR", vec![vdi.into()]);
            ("VDI.copy", vec![vdi.into(), sr.into()])
        }
        _ => {
            let template = client.named("VM", "Debian Trixie 13");
            let new = client.text("VM.clone", vec![template.into(), name()]);
            ("VM.provision", vec![new.into()])
        }
    };
    client.text(&format!("Async.{message}"), params);
}

#[test]
fn the_program_is_killed_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, url) = start(folder.path());
    let client = connect(folder.path(), &url);
    let vm = client.make_vm("guest").vm;
    let pool = client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone();
    let sr = client.ok("pool.get_default_SR", vec![pool]);
    let fields = [("name_label", "free".into()), ("SR", sr), ("virtual_size", (4i64 << 20).into())];
    let vdi = client.text("VDI.create", vec![record(fields)]);
    let mut client = client;
    for round in 0..ROUNDS {
        begin(&client, round, &vm, &vdi);
        std::thread::park_timeout(Duration::from_millis(round * 7 % 23));
        kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
        child.wait().unwrap();
        let (again, url) = start(folder.path());
        child = again;
        client = connect(folder.path(), &url);
        let vdis = all(&client, "VDI");
        assert_eq!(vdis.len(), files(folder.path()), "round {round}");
        for vdi in vdis.iter().map(|vdi| vdi.as_map().unwrap()) {
            let is_somebodys = !vdi["VBDs"].as_set().unwrap().is_empty();
            assert!(is_somebodys || vdi["name_label"].text() == "free", "round {round}: {vdi:?}");
        }
        for vm in all(&client, "VM").iter().map(|vm| vm.as_map().unwrap()) {
            let name = vm["name_label"].text();
            let disks = vm["VBDs"].as_set().unwrap().len();
            let provisioned = round % 5 != 4 || vm["is_a_template"] == false.into();
            if name == format!("copy {round}") {
                assert_eq!(disks, usize::from(provisioned), "round {round}");
            }
        }
    }
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
}
