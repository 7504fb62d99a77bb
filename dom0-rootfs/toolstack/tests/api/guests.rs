// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is told to guests through xenstore, and what they tell.

use crate::common::{Served, Wire, eventually};
use toolstack::reconcile;
use xapi_model::{Ref, Value};
use xenops::{DomId, Hypervisor};

fn start(vm: &str) -> Vec<Value> {
    vec![vm.into(), false.into(), false.into()]
}

#[test]
fn values_reach_the_guest() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let made = client.make_vm("guest");
    let vm = made.vm.as_str();
    let add = |key: &str| vec![vm.into(), key.into(), "web".into()];
    client.ok("VM.add_to_xenstore_data", add("vm-data/role"));
    client.ok("VM.add_to_xenstore_data", add("device"));
    for bad in ["vm-data//x", "vm-data/", "vm data", "", "vm-data/\u{e9}"] {
        let error = client.err("VM.add_to_xenstore_data", add(bad));
        assert_eq!(error.description(), ["INVALID_VALUE", "xenstore_data", bad]);
    }
    client.ok("VM.start", start(vm));
    let told = |id| served.hypervisor.spec(DomId(id)).unwrap().xenstore;
    let expected = || [("vm-data/role".to_owned(), "web".to_owned())].into();
    assert_eq!(told(1), expected(), "the rest of its folder is not for clients");
    client.ok("VM.suspend", vec![vm.into()]);
    client.ok("VM.resume", start(vm));
    assert_eq!(told(2), expected());
}

#[test]
fn what_guests_report_is_shown_until_they_halt() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let vm = made.vm.as_str();
    client.ok("VM.start", start(vm));
    let metrics = || client.text("VM.get_guest_metrics", vec![vm.into()]);
    assert_eq!(metrics(), Ref::NULL, "it has said nothing");
    let says = |path: &str, value: &str| {
        served.hypervisor.guest_says(DomId(1), path, value).unwrap();
    };
    says("data/os_name", "Linux");
    eventually("it is heard", || metrics() != Ref::NULL);
    let record = |field: &str| client.record("VM_guest_metrics", &metrics())[field].clone();
    assert_eq!(record("os_version"), Value::string_map([("name", "Linux")]));
    assert_eq!(record("PV_drivers_detected"), true.into());
    for n in 0..100 {
        says("attr/vif/0/ipv4/0", &format!("192.0.2.{n}"));
    }
    eventually("its last word counts", || {
        record("networks").as_map().unwrap().get("0/ip").map(Value::text).as_deref()
            == Some("192.0.2.99")
    });
    // A daemon that starts asks for what was said before.
    let known = metrics();
    let forgotten = served.toolstack.store.write(|t| {
        t.set(&made.reference(), "guest_metrics", Ref::null());
        t.remove(&Ref::new(&known));
        Ok(())
    });
    forgotten.unwrap();
    let toolstack = served.toolstack.clone();
    let compared = served.spawn_blocking(move || reconcile::domains(&toolstack));
    served.block_on(compared).unwrap().unwrap();
    assert_eq!(record("os_version"), Value::string_map([("name", "Linux")]));
    client.ok("VM.hard_shutdown", vec![vm.into()]);
    assert_eq!(metrics(), Ref::NULL);
    assert!(client.ok("VM_guest_metrics.get_all", vec![]).as_set().unwrap().is_empty());
    assert_eq!(served.hypervisor.domains().unwrap().len(), 1);
}
