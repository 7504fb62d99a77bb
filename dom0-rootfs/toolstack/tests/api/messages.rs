// SPDX-License-Identifier: MIT OR Apache-2.0
//! News for people.

use crate::common::{Client, Served, Wire, eventually};
use xapi_model::{DateTime, Value};
use xenops::{DomId, ShutdownReason};

/// Names of the messages about an object.
fn about(client: &Client, class: &str, uuid: &str) -> Vec<String> {
    let since = Value::DateTime(DateTime::EPOCH);
    let found = client.ok("message.get", vec![class.into(), uuid.into(), since]);
    let mut names: Vec<String> =
        found.as_map().unwrap().values().map(|m| m.as_map().unwrap()["name"].text()).collect();
    names.sort();
    names
}

#[test]
fn what_is_done_to_a_vm_and_what_it_does_is_told() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let vm = client.make_vm("guest").vm;
    let uuid = client.text("VM.get_uuid", vec![vm.as_str().into()]);
    let start = || vec![vm.as_str().into(), false.into(), false.into()];
    client.ok("VM.start", start());
    assert_eq!(about(&client, "VM", &uuid), ["VM_STARTED"]);
    assert!(client.call("VM.start", start()).is_err());
    assert_eq!(about(&client, "VM", &uuid), ["VM_STARTED"], "what failed is no news");
    served.hypervisor.guest_ends(DomId(1), ShutdownReason::PowerOff).unwrap();
    eventually("the guest's own end is told", || about(&client, "VM", &uuid).len() == 2);
    assert_eq!(about(&client, "VM", &uuid), ["VM_SHUTDOWN", "VM_STARTED"]);
    client.ok("VM.start", start());
    client.ok("VM.clean_shutdown", vec![vm.as_str().into()]);
    let told = ["VM_SHUTDOWN", "VM_SHUTDOWN", "VM_STARTED", "VM_STARTED"];
    assert_eq!(about(&client, "VM", &uuid), told, "once, though the guest ended too");
    client.ok("VM.start", start());
    served.hypervisor.guest_ends(DomId(3), ShutdownReason::Crash).unwrap();
    eventually("the crash is told", || {
        about(&client, "VM", &uuid).contains(&"VM_CRASHED".to_owned())
    });
}

#[test]
fn clients_make_and_remove_messages() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let pool = served.toolstack.pool();
    let uuid = client.text("pool.get_uuid", vec![pool.into()]);
    let create = |priority: i64, uuid: &str| {
        let params = vec!["BACKUP".into(), priority.into(), "Pool".into(), uuid.into(), "b".into()];
        client.call("message.create", params)
    };
    let made = create(1, &uuid).unwrap();
    let record = client.record("message", &made.text());
    assert_eq!((record["priority"].text(), record["cls"].text()), ("1".into(), "Pool".into()));
    let unknown = "no-such-uuid";
    assert_eq!(create(1, unknown).unwrap_err().description(), ["UUID_INVALID", "Pool", unknown]);
    let other = create(4, &uuid).unwrap();
    let since = client.ok("message.get_since", vec![record["timestamp"].clone()]);
    assert_eq!(since.as_map().unwrap().len(), 2);
    let later = Value::DateTime(DateTime(DateTime::now().0 + 1000));
    let since = client.ok("message.get_since", vec![later]);
    assert_eq!(since.as_map().unwrap().len(), 0);
    let filters = |key: &str, value: &str| vec![Value::string_map([(key, value)])];
    let error = client.err("message.destroy_all", filters("when", "now"));
    assert_eq!(error.description(), ["INVALID_VALUE", "filters", "when"]);
    client.ok("message.destroy_all", filters("priority", "4"));
    assert_eq!(client.ok("message.get_all", vec![]), Value::Set(vec![made.clone()]));
    assert_eq!(client.err("message.destroy", vec![other]).code, "HANDLE_INVALID");
    client.ok("message.destroy_many", vec![Value::Set(vec![made])]);
    assert_eq!(about(&client, "Pool", &uuid), Vec::<String>::new());
    // They are read by the record alone, as on XenServer.
    assert_eq!(client.err("message.get_name", vec![]).code, "MESSAGE_METHOD_UNKNOWN");
}
