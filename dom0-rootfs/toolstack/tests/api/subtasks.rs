// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that work through several VMs have a task for each of them.

use std::collections::BTreeMap;

use crate::common::{Client, Served, Wire, eventually, record};
use xapi_model::{Ref, Value};
use xenops::Manners;

type Record = BTreeMap<String, Value>;

/// An appliance of VMs that run, all in one order.
fn running(client: &Client, names: &[&str]) -> (String, Vec<String>) {
    let all = client.text("VM_appliance.create", vec![record([("name_label", "shop".into())])]);
    let vms: Vec<String> = names.iter().map(|name| client.make_vm(name).vm).collect();
    for vm in &vms {
        client.ok("VM.set_appliance", vec![vm.as_str().into(), all.as_str().into()]);
        client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
    }
    (all, vms)
}

/// The parts of a task, by their reference.
fn parts(client: &Client, task: &str) -> BTreeMap<String, Record> {
    let parts = client.ok("task.get_subtasks", vec![task.into()]);
    let parts = parts.as_set().unwrap().iter().map(Value::text);
    let parts: BTreeMap<_, _> =
        parts.map(|part| (part.clone(), client.record("task", &part))).collect();
    assert!(parts.values().all(|part| part["subtask_of"].text() == task));
    parts
}

fn first(set: &Value) -> String {
    set.as_set().unwrap().first().map(Value::text).unwrap_or_default()
}

fn progress(record: &Record) -> f64 {
    record["progress"].text().parse().unwrap()
}

/// The part under way with a VM.
fn part_of(client: &Client, task: &str, vm: &str) -> String {
    let operations = client.ok("VM.get_current_operations", vec![vm.into()]);
    let part = operations.as_map().unwrap().keys().next().unwrap().clone();
    assert_eq!(client.text("task.get_subtask_of", vec![part.as_str().into()]), task);
    part
}

fn statuses(parts: &BTreeMap<String, Record>) -> Vec<String> {
    let mut all: Vec<_> = parts.values().map(|part| part["status"].text()).collect();
    all.sort();
    all
}

#[test]
fn a_task_is_as_far_as_its_parts() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (all, vms) = running(&client, &["a", "b", "c", "d"]);
    client.ok("VM_appliance.hard_shutdown", vec![all.as_str().into()]);
    assert_eq!(client.ok("task.get_all", vec![]), Value::Set(vec![]), "nobody waits for a task");
    // The last one of them starts after a day.
    client.ok("VM.set_order", vec![vms[3].as_str().into(), 1.into()]);
    client.ok("VM.set_start_delay", vec![vms[0].as_str().into(), 86_400.into()]);
    let token = client.ok("event.from", vec![Value::strings(["task"]), "".into(), 0.0.into()]);
    let token = token.as_map().unwrap()["token"].clone();
    let task = client.text("Async.VM_appliance.start", vec![all.as_str().into(), false.into()]);
    eventually("three have ended", || {
        statuses(&parts(&client, &task)) == ["pending", "success", "success", "success"]
    });
    assert!((progress(&client.record("task", &task)) - 0.75).abs() < 1e-9);
    let all_parts = parts(&client, &task);
    for part in all_parts.values() {
        assert_eq!(part["name_label"].text(), "Async.VM.start");
        let ended = part["status"].text() == "success";
        assert!((progress(part) - if ended { 1.0 } else { 0.0 }).abs() < 1e-9);
        assert_eq!(part["resident_on"].text(), served.toolstack.host().to_string());
    }
    let batch = client.ok("event.from", vec![Value::strings(["task"]), token, 10.0.into()]);
    let events = batch.as_map().unwrap()["events"].clone();
    assert_eq!(events.as_set().unwrap().len(), 5);
    client.ok("task.cancel", vec![task.as_str().into()]);
    assert_eq!(client.ended(&task)["status"].text(), "cancelled");
    let ended = statuses(&parts(&client, &task));
    assert_eq!(ended, ["cancelled", "success", "success", "success"]);
    assert_eq!(client.state(&vms[3]), "Halted");
}

#[test]
fn who_cancels_the_whole_cancels_the_parts_under_way() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (all, vms) = running(&client, &["polite", "deaf", "blind"]);
    for vm in &vms[1..] {
        let uuid = client.text("VM.get_uuid", vec![vm.as_str().into()]).parse().unwrap();
        served.hypervisor.set_manners(uuid, Manners::Ignores);
    }
    let begin = || {
        let task = client.text("Async.VM_appliance.clean_shutdown", vec![all.as_str().into()]);
        eventually("two are asked in vain", || {
            let asked = parts(&client, &task);
            let pending = asked.values().filter(|part| part["status"].text() == "pending");
            pending.filter(|part| first(&part["allowed_operations"]) == "cancel").count() == 2
        });
        task
    };
    // One part alone; the other goes on.
    let task = begin();
    let deaf = part_of(&client, &task, &vms[1]);
    client.ok("task.cancel", vec![deaf.as_str().into()]);
    let ended = client.ended(&deaf);
    assert_eq!(ended["error_info"], Value::strings(["TASK_CANCELLED", &deaf]));
    assert_eq!(client.text("task.get_status", vec![task.as_str().into()]), "pending");
    let blind = part_of(&client, &task, &vms[2]);
    client.ok("task.cancel", vec![task.as_str().into()]);
    let ended = client.ended(&task);
    assert_eq!(ended["error_info"], Value::strings(["TASK_CANCELLED", &task]));
    assert_eq!(client.text("task.get_status", vec![blind.into()]), "cancelled");
    assert_eq!(statuses(&parts(&client, &task)), ["cancelled", "cancelled", "success"]);
    assert_eq!(client.state(&vms[0]), "Halted");
    assert_eq!(
        (client.state(&vms[1]), client.state(&vms[2])),
        ("Running".into(), "Running".into())
    );
    // A part fails, the whole in part.
    let task = client.text("Async.VM_appliance.clean_shutdown", vec![all.as_str().into()]);
    eventually("they are asked", || parts(&client, &task).len() == 2);
    for vm in &vms[1..] {
        eventually("it can be cancelled", || {
            let part = part_of(&client, &task, vm);
            client.call("task.cancel", vec![part.into()]).is_ok()
        });
    }
    let error = client.ended(&task)["error_info"].clone();
    let operation = "VM_appliance.clean_shutdown";
    let code = "OPERATION_PARTIALLY_FAILED";
    assert_eq!(error, Value::strings([code, operation, vms[1].as_str(), vms[2].as_str()]));
    // Its plug is pulled by none of them.
    assert_eq!(client.state(&vms[1]), "Running");
}

#[test]
fn a_schedule_has_a_part_for_each_snapshot() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let fields = [
        ("name_label", "hourly".into()),
        ("type", "snapshot".into()),
        ("retained_snapshots", 1.into()),
        ("frequency", "hourly".into()),
        ("schedule", Value::string_map([("min", "15")])),
    ];
    let vmss = client.text("VMSS.create", vec![record(fields)]);
    let vms = ["a", "b"].map(|name| client.make_vm(name).vm);
    for vm in &vms {
        client.ok("VM.set_snapshot_schedule", vec![vm.as_str().into(), vmss.as_str().into()]);
    }
    let blocked = Value::string_map([("snapshot", "NO")]);
    client.ok("VM.set_blocked_operations", vec![vms[1].as_str().into(), blocked]);
    let task = client.text("Async.VMSS.snapshot_now", vec![vmss.into()]);
    assert!(client.ended(&task)["result"].text().contains("1 of 2 VMs snapshotted"));
    let parts = parts(&client, &task);
    assert_eq!(statuses(&parts), ["failure", "success"]);
    let snapshots = client.ok("VM.get_snapshots", vec![vms[0].as_str().into()]);
    let snapshot = snapshots.as_set().unwrap()[0].text();
    for part in parts.values() {
        assert_eq!(part["name_label"].text(), "Async.VM.snapshot");
        match part["status"].text().as_str() {
            "success" => assert_eq!(part["result"].text(), format!("<value>{snapshot}</value>")),
            _ => assert_eq!(first(&part["error_info"]), "OPERATION_BLOCKED"),
        }
    }
    // Whoever takes the whole away leaves the parts.
    client.ok("task.destroy", vec![task.into()]);
    let part = parts.keys().next().unwrap();
    assert_ne!(client.text("task.get_uuid", vec![part.as_str().into()]), Ref::NULL);
}
