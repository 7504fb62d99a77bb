// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of guests that crash is kept where that is asked for.

use xapi_model::Value;
use xenops::{Call, DomId, ShutdownReason, XenopsError};

use crate::common::{Client, Served, Wire, eventually};

fn dumps(client: &Client, vm: &str) -> Vec<String> {
    let dumps = client.ok("VM.get_crash_dumps", vec![vm.into()]);
    dumps.as_set().unwrap().iter().map(Value::text).collect()
}

/// Starts a VM, lets its guest crash, and waits until it is halted.
fn crash(served: &Served, client: &Client, vm: &str) {
    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
    let domid = client.text("VM.get_domid", vec![vm.into()]);
    let domain = DomId(domid.parse().unwrap());
    served.hypervisor.guest_ends(domain, ShutdownReason::Crash).unwrap();
    eventually("it is halted", || client.state(vm) == "Halted");
}

#[test]
fn dumps_are_kept_and_removed() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let vm = client.make_vm("guest").vm;
    let action = |action: &str| {
        client.ok("VM.set_actions_after_crash", vec![vm.as_str().into(), action.into()]);
    };
    action("destroy");
    crash(&served, &client, &vm);
    assert!(dumps(&client, &vm).is_empty(), "nobody asked for one");

    action("coredump_and_destroy");
    crash(&served, &client, &vm);
    let first = dumps(&client, &vm)[0].clone();
    let vdi = client.text("crashdump.get_VDI", vec![first.as_str().into()]);
    let fields = client.record("VDI", &vdi);
    assert_eq!(
        (fields["type"].text(), fields["managed"].clone()),
        ("crashdump".into(), true.into())
    );
    assert_eq!(fields["crash_dumps"].as_set().unwrap()[0].text(), first);
    let uuid = client.text("VM.get_uuid", vec![vm.as_str().into()]);
    let url = format!("{}/export_raw_vdi?session_id={}&vdi={vdi}", client.url, client.session);
    let mut response = client.agent.get(url).call().unwrap();
    let core = response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
    assert!(core.starts_with(format!("core of {uuid}\n").as_bytes()));

    // The oldest ones go.
    for _ in 0..3 {
        crash(&served, &client, &vm);
    }
    let kept = dumps(&client, &vm);
    assert!(kept.len() == 3 && !kept.contains(&first), "{kept:?}");
    assert_eq!(client.err("VDI.get_record", vec![vdi.into()]).code, "HANDLE_INVALID");
    client.ok("crashdump.destroy", vec![kept[0].as_str().into()]);
    let vdi = client.text("crashdump.get_VDI", vec![kept[1].as_str().into()]);
    client.ok("VDI.destroy", vec![vdi.into()]);
    assert_eq!(dumps(&client, &vm).len(), 1);
    client.ok("VM.destroy", vec![vm.as_str().into()]);
    assert!(client.ok("crashdump.get_all", vec![]).as_set().unwrap().is_empty());
}

#[test]
fn a_dump_that_fails_leaves_nothing_and_the_vm_goes_on() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vm = client.make_vm("guest").vm;
    let params = vec![vm.as_str().into(), "coredump_and_destroy".into()];
    client.ok("VM.set_actions_after_crash", params);
    let vdis = || client.ok("VDI.get_all", vec![]).as_set().unwrap().len();
    let before = vdis();
    let error = XenopsError::failed("dumping", "the disk is full");
    served.hypervisor.fail(Call::DumpCore, 1, error);
    crash(&served, &client, &vm);
    assert!(dumps(&client, &vm).is_empty());
    assert_eq!(vdis(), before);
}

#[test]
fn guests_are_told_of_their_disks() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let add = |key: &str, value: &str| {
        let params = vec![made.vdi.as_str().into(), key.into(), value.into()];
        client.call("VDI.add_to_xenstore_data", params)
    };
    add("scsi/0x12/0x83", "abc").unwrap();
    let error = add("no path", "x").unwrap_err();
    assert_eq!(error.description(), ["INVALID_VALUE", "xenstore_data", "no path"]);
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    let disk = served.hypervisor.spec(DomId(1)).unwrap().disks[0].clone();
    assert_eq!(disk.data["scsi/0x12/0x83"], "abc");
}
