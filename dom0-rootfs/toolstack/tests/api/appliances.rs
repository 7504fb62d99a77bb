// SPDX-License-Identifier: MIT OR Apache-2.0
//! VMs that start and end together, and groups of VMs.

use crate::common::{Client, Served, Wire, eventually, record};
use xapi_model::{Ref, Value};
use xenops::Call;

fn appliance(client: &Client, name: &str) -> String {
    client.text("VM_appliance.create", vec![record([("name_label", name.into())])])
}

fn vm(client: &Client, name: &str, appliance: &str, order: i64, delay: i64) -> String {
    let vm = client.make_vm(name).vm;
    client.ok("VM.set_appliance", vec![vm.as_str().into(), appliance.into()]);
    client.ok("VM.set_order", vec![vm.as_str().into(), order.into()]);
    client.ok("VM.set_start_delay", vec![vm.as_str().into(), delay.into()]);
    vm
}

#[test]
fn vms_start_in_their_order_and_end_in_the_reverse() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let all = appliance(&client, "shop");
    let (web, data) = (vm(&client, "web", &all, 2, 0), vm(&client, "data", &all, 1, 0));
    let vms = client.ok("VM_appliance.get_VMs", vec![all.as_str().into()]);
    assert_eq!(vms.as_set().unwrap().len(), 2);
    client.ok("VM_appliance.start", vec![all.as_str().into(), false.into()]);
    // Numbers are given in the order of starts.
    assert_eq!(client.text("VM.get_domid", vec![data.as_str().into()]), "1");
    assert_eq!(client.text("VM.get_domid", vec![web.as_str().into()]), "2");
    client.ok("VM_appliance.clean_shutdown", vec![all.as_str().into()]);
    assert_eq!((client.state(&web), client.state(&data)), ("Halted".into(), "Halted".into()));
    let calls = served.hypervisor.calls();
    let asked = |call: &&Call| format!("{call:?}").contains("RequestShutdown");
    assert_eq!(calls.iter().filter(asked).count(), 2, "{calls:?}");
    client.ok("VM_appliance.start", vec![all.as_str().into(), true.into()]);
    assert_eq!(client.state(&web), "Paused");
    client.ok("VM_appliance.hard_shutdown", vec![all.as_str().into()]);
    assert_eq!(client.state(&web), "Halted");
    // A copy is on its own; VMs of an appliance that goes stay.
    let copy = client.text("VM.clone", vec![web.as_str().into(), "copy".into()]);
    assert_eq!(client.text("VM.get_appliance", vec![copy.into()]), Ref::NULL);
    client.ok("VM_appliance.destroy", vec![all.into()]);
    assert_eq!(client.text("VM.get_appliance", vec![web.into()]), Ref::NULL);
}

#[test]
fn a_cancelled_start_stops_where_it_waits() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let all = appliance(&client, "shop");
    let (first, second) = (vm(&client, "a", &all, 0, 86_400), vm(&client, "b", &all, 1, 0));
    let task = client.text("Async.VM_appliance.start", vec![all.as_str().into(), false.into()]);
    eventually("the first runs", || client.state(&first) == "Running");
    let error = client.err("VM_appliance.shutdown", vec![all.as_str().into()]);
    assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS");
    client.ok("task.cancel", vec![task.as_str().into()]);
    assert_eq!(client.ended(&task)["status"].text(), "cancelled");
    assert_eq!(client.state(&second), "Halted");
}

#[test]
fn what_does_not_work_with_one_vm_is_said_and_done_with_the_others() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let all = appliance(&client, "shop");
    let (bad, good) = (vm(&client, "bad", &all, 0, 0), vm(&client, "good", &all, 0, 0));
    let worse = vm(&client, "worse", &all, 1, 0);
    for vm in [&bad, &worse] {
        let operations = Value::string_map([("start", "NO")]);
        client.ok("VM.set_blocked_operations", vec![vm.as_str().into(), operations]);
    }
    let error = client.err("VM_appliance.start", vec![all.as_str().into(), false.into()]);
    let failed = ["OPERATION_PARTIALLY_FAILED", "VM_appliance.start", &bad, &worse];
    assert_eq!(error.description(), failed);
    assert_eq!((client.state(&bad), client.state(&good)), ("Halted".into(), "Running".into()));
    assert_eq!(client.state(&worse), "Halted");
    let wrong = client.err("VM.set_order", vec![good.into(), (-1).into()]);
    assert_eq!(wrong.description(), ["INVALID_VALUE", "order", "-1"]);
}

#[test]
fn a_vm_is_in_one_group_at_most() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let group = |placement: &str| {
        let fields = [("name_label", "g".into()), ("placement", placement.into())];
        client.text("VM_group.create", vec![record(fields)])
    };
    let (one, other) = (group("anti_affinity"), group("normal"));
    let vm = client.make_vm("a").vm;
    let set = |groups: &[&str]| {
        let groups = Value::Set(groups.iter().map(|group| Value::from(*group)).collect());
        client.call("VM.set_groups", vec![vm.as_str().into(), groups])
    };
    assert_eq!(set(&[&one, &other]).unwrap_err().code, "OPERATION_NOT_ALLOWED");
    set(&[&one]).unwrap();
    set(&[&other]).unwrap();
    let vms = |group: &str| client.ok("VM_group.get_VMs", vec![group.into()]);
    assert_eq!(vms(&one), Value::Set(vec![]));
    assert_eq!(vms(&other).as_set().unwrap()[0].text(), vm);
    client.ok("VM_group.destroy", vec![other.into()]);
    assert_eq!(client.ok("VM.get_groups", vec![vm.as_str().into()]), Value::Set(vec![]));
    set(&[&one]).unwrap();
    client.ok("VM.destroy", vec![vm.into()]);
    assert_eq!(vms(&one), Value::Set(vec![]));
}
