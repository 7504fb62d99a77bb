// SPDX-License-Identifier: MIT OR Apache-2.0
//! Buttons of a VM's machine, its share of the CPUs, and what its firmware says.

use crate::common::{Client, Served, Vm, Wire, eventually};
use xapi_model::Value;
use xenops::{Button, DomId, GuestKind};

fn running(client: &Client) -> Vm {
    let made = client.make_vm("guest");
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    made
}

#[test]
fn buttons_are_pressed_in_guests_that_run() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let vm = client.make_vm("guest").vm;
    let press = |message: &str, what: &str| {
        let params = vec![vm.as_str().into(), what.into()];
        client.call(&format!("VM.{message}"), params).map_err(|error| error.code)
    };
    assert_eq!(press("send_sysrq", "s").unwrap_err(), "VM_BAD_POWER_STATE");
    client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
    press("send_sysrq", "s").unwrap();
    press("send_trigger", "sleep").unwrap();
    press("send_trigger", "s3resume").unwrap();
    assert_eq!(
        served.hypervisor.pressed(DomId(1)),
        [Button::SysRq('s'), Button::Sleep, Button::Wake]
    );
    for (message, bad) in
        [("send_sysrq", ""), ("send_sysrq", "so"), ("send_sysrq", "ß"), ("send_trigger", "kick")]
    {
        assert_eq!(press(message, bad).unwrap_err(), "INVALID_VALUE", "{bad:?}");
    }
    press("send_trigger", "power").unwrap();
    eventually("it is off", || client.state(&vm) == "Halted");
}

#[test]
fn a_guests_share_of_the_cpus_changes_while_it_runs() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vm = running(&client).vm;
    let set = |key: &str, value: &str| {
        let params = vec![vm.as_str().into(), key.into(), value.into()];
        client.call("VM.add_to_VCPUs_params_live", params).map_err(|error| error.code)
    };
    set("weight", "512").unwrap();
    set("cap", "50").unwrap();
    set("weight", "1024").unwrap();
    let scheduling = served.hypervisor.spec(DomId(1)).unwrap().scheduling;
    assert_eq!((scheduling.weight, scheduling.cap), (Some(1024), Some(50)));
    let params = client.record("VM", &vm)["VCPUs_params"].clone();
    assert_eq!(params, Value::string_map([("weight", "1024"), ("cap", "50")]));
    assert_eq!(set("weight", "0").unwrap_err(), "INVALID_VALUE");
    assert_eq!(set("colour", "red").unwrap_err(), "VALUE_NOT_SUPPORTED");
}

#[test]
fn firmware_says_what_it_was_told_once() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let (template, host) = (
        client.named("VM", "Other install media"),
        client.ok("host.get_all", vec![]).as_set().unwrap()[0].clone(),
    );
    let new = |name: &str| client.text("VM.clone", vec![template.as_str().into(), name.into()]);
    let (own, copied) = (new("own"), new("copied"));
    let set =
        |strings: Value| client.call("VM.set_bios_strings", vec![own.as_str().into(), strings]);
    for (key, bad) in [("colour", "red"), ("system-version", ""), ("system-version", "a\tb")] {
        let error = set(Value::string_map([(key, bad)])).unwrap_err();
        assert_eq!(error.description(), ["INVALID_VALUE", key, bad]);
    }
    let strings = Value::string_map([("system-manufacturer", "Us"), ("bios-vendor", "Them")]);
    set(strings.clone()).unwrap();
    assert_eq!(set(strings).unwrap_err().description(), ["VM_BIOS_STRINGS_ALREADY_SET", &own]);
    client.ok("VM.copy_bios_strings", vec![copied.as_str().into(), host]);
    // A copy is another VM on the same licence, as on XenServer.
    let again = client.text("VM.clone", vec![copied.as_str().into(), "again".into()]);
    for (domain, vm, vendor) in
        [(1, &own, "Us"), (2, &copied, "Made-up Inc."), (3, &again, "Made-up Inc.")]
    {
        client.ok("VM.provision", vec![vm.as_str().into()]);
        client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
        let spec = served.hypervisor.spec(DomId(domain)).unwrap();
        let GuestKind::Hvm { smbios, .. } = spec.kind else { panic!("no HVM guest") };
        assert_eq!(smbios["system_manufacturer"], vendor);
    }
}
