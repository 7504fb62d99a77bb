// SPDX-License-Identifier: MIT OR Apache-2.0
//! What passes interfaces of VMs: locking modes and bandwidth limits.

use crate::common::{Client, Served, Vm, Wire, eventually, record};
use network::{Guard, Identity, NetworkError};
use xapi_model::{ApiError, Value};
use xenops::DomId;

fn running(client: &Client) -> Vm {
    let made = client.make_vm("guest");
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    made
}

fn lock(client: &Client, vif: &str, mode: &str) {
    client.ok("VIF.set_locking_mode", vec![vif.into(), mode.into()]);
}

fn only(client: &Client, vif: &str, ipv4: &[&str], ipv6: &[&str]) -> Guard {
    let mac = client.text("VIF.get_MAC", vec![vif.into()]);
    let ipv4 = ipv4.iter().map(|text| text.parse().unwrap()).collect();
    let ipv6 = ipv6.iter().map(|text| text.parse().unwrap()).collect();
    Guard::Only(Identity { mac, ipv4, ipv6 })
}

#[test]
fn what_passes_changes_while_the_vm_runs() {
    for wire in [Wire::Xml, Wire::Json] {
        let served = Served::new();
        let client = served.login(wire);
        let vif = running(&client).vif;
        let now = || served.network.guard_of("vif1.0").unwrap();
        let call = |message: &str, value: &str| {
            client.call(&format!("VIF.{message}"), vec![vif.as_str().into(), value.into()])
        };
        assert_eq!(now(), Guard::Open);
        lock(&client, &vif, "locked");
        assert_eq!(now(), only(&client, &vif, &[], &[]), "nothing is allowed yet");
        call("add_ipv4_allowed", "192.0.2.10").unwrap();
        call("add_ipv6_allowed", "2001:DB8:0::10").unwrap();
        call("add_ipv6_allowed", "2001:db8::10").unwrap();
        assert_eq!(now(), only(&client, &vif, &["192.0.2.10"], &["2001:db8::10"]));
        for (message, bad) in [
            ("add_ipv4_allowed", "2001:db8::11"),
            ("add_ipv4_allowed", "192.0.2.0/24"),
            ("add_ipv6_allowed", "192.0.2.11"),
            ("add_ipv6_allowed", "fe80::1%eth0"),
            ("add_ipv4_allowed", ""),
        ] {
            let field = message.trim_start_matches("add_");
            let error = call(message, bad).unwrap_err();
            assert_eq!(error.description(), ["INVALID_VALUE", field, bad]);
        }
        let two = Value::Set(["192.0.2.12", "192.0.2.11"].map(Value::from).into());
        client.ok("VIF.set_ipv4_allowed", vec![vif.as_str().into(), two]);
        call("remove_ipv6_allowed", "2001:db8:0:0::10").unwrap();
        assert_eq!(now(), only(&client, &vif, &["192.0.2.11", "192.0.2.12"], &[]));
        lock(&client, &vif, "disabled");
        assert_eq!(now(), Guard::Closed);
        lock(&client, &vif, "unlocked");
        assert_eq!(now(), Guard::Open);
        assert_eq!(call("set_locking_mode", "shut").unwrap_err().code, "FIELD_TYPE_ERROR");
        // A change that the host could not make is none.
        let gone = NetworkError::NoSuchInterface("vif1.0".to_owned());
        served.network.fail_once("guard", gone);
        call("set_locking_mode", "disabled").unwrap_err();
        assert_eq!(client.record("VIF", &vif)["locking_mode"].text(), "unlocked");
    }
}

#[test]
fn a_start_and_a_move_bring_the_guard_along() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let (vm, vif) = (made.vm.as_str(), made.vif.as_str());
    let home = client.record("VIF", vif)["network"].text();
    let other = client.named("network", "Pool-wide network associated with eth1");
    let default = |network: &str, mode: &str| -> Result<Value, ApiError> {
        client.call("network.set_default_locking_mode", vec![network.into(), mode.into()])
    };
    default(&home, "disabled").unwrap();
    // A start that is under way has read it.
    let lock_of_vm = served.toolstack.lock_of(&made.reference());
    let held = lock_of_vm.lock().unwrap();
    let task = client.ok("Async.VM.start", vec![vm.into(), false.into(), false.into()]);
    eventually("the start is under way", || {
        !client.record("VM", vm)["current_operations"].as_map().unwrap().is_empty()
    });
    let error = default(&home, "unlocked").unwrap_err();
    assert_eq!(error.description(), ["VIF_IN_USE", &home, vif]);
    drop(held);
    eventually("the guest runs", || client.state(vm) == "Running");
    client.ok("task.destroy", vec![task]);
    assert_eq!(served.network.guard_of("vif1.0"), Some(Guard::Closed));
    let error = default(&home, "unlocked").unwrap_err();
    assert_eq!(error.description(), ["VIF_IN_USE", &home, vif]);
    client.ok("VIF.move", vec![vif.into(), other.as_str().into()]);
    assert_eq!(served.network.guard_of("vif1.0"), Some(Guard::Open));
    served.network.fail_once("plug", NetworkError::NoSuchInterface("vif1.0".to_owned()));
    client.err("VIF.move", vec![vif.into(), home.as_str().into()]);
    assert_eq!(client.record("VIF", vif)["network"].text(), other);
    lock(&client, vif, "locked");
    client.ok("VIF.add_ipv4_allowed", vec![vif.into(), "192.0.2.10".into()]);
    // One that does not follow the network leaves it free to change.
    default(&home, "unlocked").unwrap();
    client.ok("VM.hard_reboot", vec![vm.into()]);
    let guard = only(&client, vif, &["192.0.2.10"], &[]);
    assert_eq!(served.network.guard_of("vif2.0"), Some(guard));
    // A copy is no way around it.
    client.ok("VM.hard_shutdown", vec![vm.into()]);
    let copy = client.text("VM.clone", vec![vm.into(), "copy".into()]);
    let vifs = client.ok("VM.get_VIFs", vec![copy.as_str().into()]);
    let fields = client.record("VIF", &vifs.as_set().unwrap()[0].text());
    assert_eq!(fields["locking_mode"].text(), "locked");
    assert_eq!(fields["ipv4_allowed"].as_set().unwrap().len(), 1);
}

#[test]
fn bandwidth_is_limited_from_the_next_plugging_on() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let made = client.make_vm("guest");
    let (vm, vif) = (made.vm.as_str(), made.vif.as_str());
    let fields = client.record("VIF", vif);
    assert_eq!(fields["qos_supported_algorithms"].as_set().unwrap()[0].text(), "ratelimit");
    let rate = |domain| served.hypervisor.spec(DomId(domain)).unwrap().nics[0].rate;
    client.ok("VIF.add_to_qos_algorithm_params", vec![vif.into(), "kbps".into(), "100".into()]);
    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
    assert_eq!(rate(1), None, "there is no algorithm yet");
    client.ok("VIF.set_qos_algorithm_type", vec![vif.into(), "ratelimit".into()]);
    client.ok("VIF.unplug", vec![vif.into()]);
    client.ok("VIF.plug", vec![vif.into()]);
    assert_eq!(rate(1), Some(102_400));
    let error = client.err("VIF.set_qos_algorithm_type", vec![vif.into(), "best".into()]);
    assert_eq!(error.description(), ["INVALID_VALUE", "qos_algorithm_type", "best"]);
    for bad in ["0", "fast", "-1"] {
        let params = Value::string_map([("kbps", bad)]);
        let error = client.err("VIF.set_qos_algorithm_params", vec![vif.into(), params.clone()]);
        assert_eq!(error.description(), ["INVALID_VALUE", "qos_algorithm_params", bad]);
        let fields = client.record("VIF", vif);
        let made = client.err(
            "VIF.create",
            vec![record([
                ("VM", vm.into()),
                ("network", fields["network"].clone()),
                ("device", "3".into()),
                ("qos_algorithm_params", params),
            ])],
        );
        assert_eq!(made.code, "INVALID_VALUE");
    }
}
