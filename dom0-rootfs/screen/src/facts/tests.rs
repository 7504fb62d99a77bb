// SPDX-License-Identifier: MIT OR Apache-2.0
//! Facts of made-up objects, as the wire has them.

use std::collections::BTreeMap;

use xapi_model::Value;

use super::*;

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

fn event(class: &str, reference: &str, snapshot: Option<Value>) -> Value {
    let mut event = BTreeMap::from([
        ("class".to_owned(), Value::from(class)),
        ("ref".to_owned(), Value::from(reference)),
    ]);
    if let Some(snapshot) = snapshot {
        event.insert("snapshot".to_owned(), snapshot);
    }
    Value::Map(event)
}

fn answer(events: Vec<Value>) -> Value {
    map([("token", "7".into()), ("events", Value::Set(events))])
}

fn mirror() -> Mirror {
    let mut mirror = Mirror::default();
    let software = Value::string_map([("product_version", "1.2"), ("xen", "4.20.3")]);
    let host = map([
        ("name_label", "b\u{1b}[2Jx".into()),
        ("metrics", "M".into()),
        ("software_version", software),
    ]);
    let metrics = map([("memory_total", "8".into()), ("memory_free", "3".into())]);
    let vm = |name: &str, template| {
        map([
            ("name_label", name.into()),
            ("is_a_template", Value::Bool(template)),
            ("power_state", "Running".into()),
            ("VCPUs_at_startup", "2".into()),
            ("allowed_operations", Value::strings(["clean_shutdown"])),
        ])
    };
    let console =
        map([("uuid", "uuid-c".into()), ("VM", "V".into()), ("protocol", "vt100".into())]);
    let pif = |device: &str, vlan: &str, management| {
        map([
            ("device", device.into()),
            ("VLAN", vlan.into()),
            ("management", Value::Bool(management)),
            ("bond_slave_of", if device == "bond0" { "" } else { "B" }.into()),
        ])
    };
    let slaves = Value::strings(["P1", "P0"]);
    let bond = [("master", "PB".into()), ("slaves", slaves), ("mode", "lacp".into())];
    let vlan = map([("tagged_PIF", "PB".into()), ("untagged_PIF", "PV".into())]);
    let message = |at: &str, name: &str| {
        let body = "VM 'w' was started (uuid: 1-2)";
        map([("timestamp", at.into()), ("name", name.into()), ("body", body.into())])
    };
    let token = mirror.take(answer(vec![
        event("host", "H", Some(host)),
        event("host_metrics", "M", Some(metrics)),
        event("vm", "V", Some(vm("web", false))),
        event("vm", "T", Some(vm("template", true))),
        event("console", "C", Some(console)),
        event("pif", "P0", Some(pif("eth0", "-1", false))),
        event("pif", "P1", Some(pif("eth1", "-1", false))),
        event("pif", "PB", Some(pif("bond0", "-1", false))),
        event("pif", "PV", Some(pif("bond0", "42", true))),
        event("bond", "B", Some(map(bond))),
        event("vlan", "L", Some(vlan)),
        event("message", "1", Some(message("20261130T01:02:03Z", "OLD"))),
        event("message", "2", Some(message("20261130T01:02:05Z", "VM_STARTED"))),
        event("message", "3", Some(message("20261130T01:02:04Z", "OLDER"))),
    ]));
    assert_eq!(token.as_deref(), Some("7"));
    mirror
}

#[test]
fn objects_become_facts_without_anything_that_a_terminal_obeys() {
    let facts = Facts::of(&mirror()).unwrap();
    assert_eq!(facts.name, "b?[2Jx");
    assert_eq!((facts.memory, facts.free, facts.xen.as_str()), (8, 3, "4.20.3"));
    let [vm] = &facts.vms[..] else { panic!("{:?}", facts.vms) };
    assert!(vm.console.as_deref() == Some("uuid-c") && vm.vcpus == 2 && vm.name == "web");
    let expected =
        ["11-30 01:02 VM_STARTED: VM 'w' was started", "11-30 01:02 OLDER: VM 'w' was started"];
    assert_eq!(facts.alerts, expected);
}

#[test]
fn bonds_and_vlans_are_named() {
    let facts = Facts::of(&mirror()).unwrap();
    let kinds: Vec<&str> = facts.interfaces.iter().map(|one| one.kind.as_str()).collect();
    let expected =
        ["VLAN 42 of bond0", "bond of eth0 and eth1, lacp", "card of bond0", "card of bond0"];
    assert_eq!(kinds, expected);
    assert!(facts.interfaces[0].management);
}

#[test]
fn what_was_removed_is_gone_and_what_is_no_answer_is_refused() {
    let mut mirror = mirror();
    mirror.take(answer(vec![event("vm", "V", None), event("console", "C", None)])).unwrap();
    assert!(Facts::of(&mirror).unwrap().vms.is_empty());
    mirror.take(answer(vec![event("host", "H", None)])).unwrap();
    assert_eq!(Facts::of(&mirror), None);
    for broken in [Value::Void, map([("events", Value::Set(vec![]))]), answer(vec![Value::Void])] {
        assert_eq!(mirror.take(broken), None);
    }
}

#[test]
fn a_missing_address_has_its_reason() {
    let one = |attached, link, mode: &str| {
        let mode = mode.to_owned();
        Interface { attached, link, mode, ..Interface::default() }.why_none()
    };
    assert_eq!(one(false, Some(true), "DHCP"), "its bridge is not up");
    assert_eq!(one(true, Some(false), "DHCP"), "no cable, or the other side is off");
    assert_eq!(one(true, Some(true), "DHCP"), "no DHCP server has answered yet");
    assert_eq!(one(true, Some(true), "None"), "none is set");
}
