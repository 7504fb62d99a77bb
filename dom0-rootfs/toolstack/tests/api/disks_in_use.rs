// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done with a disk while a VM has it.

use storage::{Mode, StorageError};
use xapi_model::{Ref, Value};
use xenops::{Call, DomId, Hypervisor};

use crate::common::{Client, Served, Vm, Wire, record};

fn running(client: &Client) -> Vm {
    let made = client.make_vm("guest");
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    made
}

fn paused(served: &Served) -> bool {
    let domains = served.hypervisor.domains().unwrap();
    domains.iter().find(|domain| domain.id != DomId(0)).unwrap().paused
}

/// How often guests were paused and let run.
fn holds(served: &Served) -> (usize, usize) {
    let calls = served.hypervisor.calls();
    let count = |wanted: Call| calls.iter().filter(|call| **call == wanted).count();
    (count(Call::Pause), count(Call::Unpause))
}

fn allowed(client: &Client, vdi: &str) -> Vec<String> {
    let allowed = client.ok("VDI.get_allowed_operations", vec![vdi.into()]);
    allowed.as_set().unwrap().iter().map(Value::text).collect()
}

fn size(client: &Client, vdi: &str) -> i64 {
    client.text("VDI.get_virtual_size", vec![vdi.into()]).parse().unwrap()
}

#[test]
fn a_guest_stands_still_while_one_of_its_disks_is_cloned() {
    for wire in [Wire::Xml, Wire::Json] {
        let served = Served::new();
        let client = served.login(wire);
        let made = running(&client);
        let vdi = made.vdi.as_str();
        assert_eq!(allowed(&client, vdi), ["clone", "snapshot", "resize", "resize_online"]);
        let before = holds(&served);
        let snapshot = client.text("VDI.snapshot", vec![vdi.into()]);
        assert_eq!(client.text("VDI.get_snapshot_of", vec![snapshot.into()]), vdi);
        client.text("VDI.clone", vec![vdi.into()]);
        let after = holds(&served);
        assert_eq!((after.0 - before.0, after.1 - before.1), (2, 2));
        assert!(!paused(&served));
        // One whose snapshot fails runs on.
        let broken = StorageError::Failed { doing: "testing".into(), detail: "broken".into() };
        served.storage.faults().once("vdi_clone", broken);
        client.err("VDI.snapshot", vec![vdi.into()]);
        assert!(!paused(&served));
        // A paused one stays paused.
        client.ok("VM.pause", vec![made.vm.as_str().into()]);
        client.text("VDI.snapshot", vec![vdi.into()]);
        assert!(paused(&served));
        let operations = client.ok("VM.get_current_operations", vec![made.vm.as_str().into()]);
        assert_eq!(operations, Value::Map(Default::default()));
    }
}

#[test]
fn snapshots_of_what_may_change_meanwhile_are_refused() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let (vm, vdi) = (made.vm.as_str(), made.vdi.as_str());
    let user = Ref::new("somebody in Dom0");
    let open = |mode| {
        let activations = &served.toolstack.activations;
        activations.activate(&served.toolstack, &user, &Ref::new(&made.vdi), mode).unwrap();
    };
    let close = || {
        let activations = &served.toolstack.activations;
        activations.deactivate(&served.toolstack, &user, &Ref::new(&made.vdi)).unwrap();
    };
    open(Mode::ReadWrite);
    for message in ["VDI.snapshot", "VDI.clone"] {
        assert_eq!(client.err(message, vec![vdi.into()]).code, "VDI_IN_USE");
    }
    close();
    // Who only reads is in nobody's way.
    open(Mode::ReadOnly);
    client.text("VDI.snapshot", vec![vdi.into()]);
    assert_eq!(client.err("VDI.resize", vec![vdi.into(), (1i64 << 40).into()]).code, "VDI_IN_USE");
    close();

    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
    let blocked = vec![vm.into(), "snapshot".into(), "closed".into()];
    client.ok("VM.add_to_blocked_operations", blocked);
    assert_eq!(client.err("VDI.snapshot", vec![vdi.into()]).code, "OPERATION_BLOCKED");
    client.ok("VM.remove_from_blocked_operations", vec![vm.into(), "snapshot".into()]);
    let uuid = client.text("VM.get_uuid", vec![vm.into()]).parse().unwrap();
    served.hypervisor.set_manners(uuid, xenops::Manners::Ignores);
    let pending = client.text("Async.VM.clean_shutdown", vec![vm.into()]);
    crate::common::eventually("the shutdown begins", || {
        let under_way = client.ok("VM.get_current_operations", vec![vm.into()]);
        under_way.as_map().is_some_and(|map| !map.is_empty())
    });
    let error = client.err("VDI.snapshot", vec![vdi.into()]);
    assert_eq!(error.description(), ["OTHER_OPERATION_IN_PROGRESS", "VM", vm]);
    client.ok("VM.hard_shutdown", vec![vm.into()]);
    client.ended(&pending);
    client.text("VDI.snapshot", vec![vdi.into()]);
}

#[test]
fn the_disk_of_a_suspended_vm_stays_as_it_is() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let made = running(&client);
    let vdi = made.vdi.as_str();
    client.ok("VM.suspend", vec![made.vm.as_str().into()]);
    assert_eq!(allowed(&client, vdi), ["clone", "snapshot"]);
    let before = holds(&served);
    client.text("VDI.snapshot", vec![vdi.into()]);
    assert_eq!(holds(&served), before);
    let bigger = size(&client, vdi) * 2;
    for message in ["VDI.resize", "VDI.resize_online"] {
        assert_eq!(client.err(message, vec![vdi.into(), bigger.into()]).code, "VDI_IN_USE");
    }
}

#[test]
fn disks_grow_while_their_vm_runs() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let made = running(&client);
    let vdi = made.vdi.as_str();
    let was = size(&client, vdi);
    let before = holds(&served);
    for (message, times) in [("VDI.resize_online", 2), ("VDI.resize", 3)] {
        client.ok(message, vec![vdi.into(), (was * times).into()]);
        assert_eq!(size(&client, vdi), was * times, "{message}");
        let error = client.err(message, vec![vdi.into(), was.into()]);
        assert_eq!(error.code, "INVALID_VALUE");
    }
    assert_eq!(holds(&served), before, "nothing has to stand still");
    client.ok("VM.hard_shutdown", vec![made.vm.as_str().into()]);
    client.ok("VDI.resize_online", vec![vdi.into(), (was * 4).into()]);
    assert_eq!(size(&client, vdi), was * 4);
}

#[test]
fn what_several_vms_write_to_is_not_cloned_and_grows_for_all() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (one, two) = (client.make_vm("one"), client.make_vm("two"));
    let vdi = one.vdi.as_str();
    client.ok("VDI.set_sharable", vec![vdi.into(), true.into()]);
    client.text(
        "VBD.create",
        vec![record([
            ("VM", two.vm.as_str().into()),
            ("VDI", vdi.into()),
            ("userdevice", "1".into()),
            ("mode", "RW".into()),
            ("type", "Disk".into()),
        ])],
    );
    for vm in [&one.vm, &two.vm] {
        client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
    }
    assert_eq!(allowed(&client, vdi), ["resize", "resize_online"]);
    let before = holds(&served);
    assert_eq!(client.err("VDI.snapshot", vec![vdi.into()]).code, "VDI_IN_USE");
    assert_eq!(
        client.err("VM.snapshot", vec![one.vm.as_str().into(), "x".into()]).code,
        "VDI_IN_USE"
    );
    assert_eq!(holds(&served).1 - before.1, holds(&served).0 - before.0, "nobody stays held");
    let bigger = size(&client, vdi) * 2;
    client.ok("VDI.resize_online", vec![vdi.into(), bigger.into()]);
    // Who sleeps finds its disk as it left it.
    client.ok("VM.suspend", vec![two.vm.as_str().into()]);
    assert_eq!(allowed(&client, vdi), ["clone", "snapshot"]);
    let bigger = bigger * 2;
    assert_eq!(client.err("VDI.resize", vec![vdi.into(), bigger.into()]).code, "VDI_IN_USE");
    client.text("VDI.snapshot", vec![vdi.into()]);
}
