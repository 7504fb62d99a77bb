// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices come and go while their VM runs.

use crate::common::{Client, Served, Vm, Wire, record};
use network::NetworkError;
use storage::StorageError;
use toolstack::reconcile;
use xapi_model::{Ref, Value};
use xenops::{Call, DomId, Hypervisor, Manners, XenopsError};

fn allowed(client: &Client, class: &str, device: &str) -> Vec<String> {
    let allowed = client.ok(&format!("{class}.get_allowed_operations"), vec![device.into()]);
    allowed.as_set().unwrap().iter().map(Value::text).collect()
}

fn attached(client: &Client, class: &str, device: &str) -> bool {
    client.ok(&format!("{class}.get_currently_attached"), vec![device.into()]) == true.into()
}

fn new_vdi(client: &Client) -> String {
    let pool = client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone();
    let sr = client.ok("pool.get_default_SR", vec![pool]);
    let fields = [
        ("name_label", "more".into()),
        ("SR", sr),
        ("virtual_size", (8i64 << 20).into()),
        ("type", "user".into()),
    ];
    client.text("VDI.create", vec![record(fields)])
}

/// A second disk and a second network interface of a VM.
fn more(client: &Client, made: &Vm) -> (String, String, String) {
    let vdi = new_vdi(client);
    let vbd = client.text(
        "VBD.create",
        vec![record([
            ("VM", made.vm.as_str().into()),
            ("VDI", vdi.as_str().into()),
            ("userdevice", "autodetect".into()),
            ("mode", "RW".into()),
            ("type", "Disk".into()),
        ])],
    );
    let network = client.named("network", "Pool-wide network associated with eth1");
    let vif = client.text(
        "VIF.create",
        vec![record([
            ("VM", made.vm.as_str().into()),
            ("network", network.into()),
            ("device", "1".into()),
            ("MAC", "".into()),
        ])],
    );
    (vdi, vbd, vif)
}

fn running(client: &Client) -> Vm {
    let made = client.make_vm("guest");
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    made
}

fn devices(served: &Served) -> (Vec<String>, Vec<u32>) {
    let spec = served.hypervisor.spec(DomId(1)).unwrap();
    let disks = spec.disks.iter().map(|disk| disk.vdev.clone()).collect();
    (disks, spec.nics.iter().map(|nic| nic.devid).collect())
}

#[test]
fn disks_and_interfaces_come_and_go() {
    for wire in [Wire::Xml, Wire::Json] {
        let served = Served::new();
        let client = served.login(wire);
        let made = running(&client);
        let (vdi, vbd, vif) = more(&client, &made);
        let (vbd, vif) = (vbd.as_str(), vif.as_str());
        assert_eq!(allowed(&client, "VBD", vbd), ["attach", "plug"]);
        assert_eq!(allowed(&client, "VIF", vif), ["attach", "plug"]);
        client.ok("VBD.assert_attachable", vec![vbd.into()]);
        let error = client.err("VBD.unplug", vec![vbd.into()]);
        assert_eq!(error.description(), ["DEVICE_ALREADY_DETACHED", vbd]);
        client.ok("VBD.plug", vec![vbd.into()]);
        let task = client.text("Async.VIF.plug", vec![vif.into()]);
        assert_eq!(client.ended(&task)["status"].text(), "success");
        assert_eq!(client.text("VBD.get_device", vec![vbd.into()]), "xvdb");
        assert!(attached(&client, "VBD", vbd) && attached(&client, "VIF", vif));
        assert_eq!(allowed(&client, "VBD", vbd), ["unplug", "unplug_force"]);
        assert_eq!(allowed(&client, "VIF", vif), ["unplug"]);
        assert_eq!(devices(&served), (vec!["xvda".into(), "xvdb".into()], vec![0, 1]));
        assert_eq!(served.network.ports().get("vif1.1").map(String::as_str), Some("xenbr1"));
        assert_eq!(client.err("VDI.destroy", vec![vdi.as_str().into()]).code, "VDI_IN_USE");
        for (class, device) in [("VBD", vbd), ("VIF", vif)] {
            let error = client.err(&format!("{class}.plug"), vec![device.into()]);
            assert_eq!(error.description(), ["DEVICE_ALREADY_ATTACHED", device]);
            let error = client.err(&format!("{class}.destroy"), vec![device.into()]);
            assert_eq!(error.code, "OPERATION_NOT_ALLOWED");
        }
        client.ok("VBD.unplug", vec![vbd.into()]);
        client.ok("VIF.unplug", vec![vif.into()]);
        assert_eq!(devices(&served), (vec!["xvda".into()], vec![0]));
        assert!(!served.network.ports().contains_key("vif1.1"));
        assert!(!attached(&client, "VBD", vbd) && !attached(&client, "VIF", vif));
        client.ok("VBD.destroy", vec![vbd.into()]);
        client.ok("VDI.destroy", vec![vdi.into()]);
        client.ok("VIF.destroy", vec![vif.into()]);
        client.ok("VM.hard_shutdown", vec![made.vm.as_str().into()]);
    }
}

#[test]
fn power_states_and_marks_count() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let vm = made.vm.as_str();
    let (_, vbd, vif) = more(&client, &made);
    for (class, device) in [("VBD", &vbd), ("VIF", &vif)] {
        for message in ["plug", "unplug"] {
            let error = client.err(&format!("{class}.{message}"), vec![device.as_str().into()]);
            assert_eq!(error.description(), ["VM_BAD_POWER_STATE", vm, "running", "halted"]);
        }
    }
    client.ok("VM.start", vec![vm.into(), true.into(), false.into()]);
    assert!(attached(&client, "VBD", &vbd), "a start takes every device");
    let error = client.err("VBD.unplug", vec![vbd.as_str().into()]);
    assert_eq!(error.description(), ["VM_BAD_POWER_STATE", vm, "running", "paused"]);
    client.ok("VBD.unplug_force", vec![vbd.as_str().into()]);
    client.ok("VM.unpause", vec![vm.into()]);
    client.ok("VBD.plug", vec![vbd.as_str().into()]);
    client.ok("VBD.set_unpluggable", vec![vbd.as_str().into(), false.into()]);
    let error = client.err("VBD.unplug", vec![vbd.as_str().into()]);
    assert_eq!(error.description(), ["VBD_NOT_UNPLUGGABLE", &vbd]);
    assert!(allowed(&client, "VBD", &vbd).is_empty());
}

#[test]
fn guests_may_hold_on_to_devices() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    let (_, vbd, vif) = more(&client, &made);
    client.ok("VBD.plug", vec![vbd.as_str().into()]);
    client.ok("VIF.plug", vec![vif.as_str().into()]);
    let uuid = served.hypervisor.spec(DomId(1)).unwrap().uuid;
    for (class, device) in [("VBD", vbd.as_str()), ("VIF", vif.as_str())] {
        served.hypervisor.set_manners(uuid, Manners::KeepsDevices);
        let error = client.err(&format!("{class}.unplug"), vec![device.into()]);
        assert_eq!(error.code, "DEVICE_DETACH_REJECTED");
        assert_eq!(error.args[..2], [class, device]);
        served.hypervisor.set_manners(uuid, Manners::Ignores);
        let error = client.err(&format!("{class}.unplug"), vec![device.into()]);
        assert_eq!(error.description(), ["DEVICE_DETACH_TIMEOUT", class, device]);
        assert!(attached(&client, class, device), "it stays attached");
        let record = client.record(class, device);
        assert!(record["current_operations"].as_map().unwrap().is_empty());
        client.ok(&format!("{class}.unplug_force"), vec![device.into()]);
        assert!(!attached(&client, class, device));
    }
    assert_eq!(devices(&served), (vec!["xvda".into()], vec![0]));
}

#[test]
fn every_step_unwinds() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    let (vdi, vbd, vif) = more(&client, &made);
    let broken = || "broken".to_owned();
    let storage = || StorageError::Failed { doing: "testing".into(), detail: broken() };
    let network = || NetworkError::Failed { doing: "testing".into(), detail: broken() };
    let xen = || XenopsError::Failed { doing: "testing".into(), detail: broken() };
    type Fault<'a> = Box<dyn Fn() + 'a>;
    let disk: [(&str, Fault<'_>); 2] = [
        ("activating", Box::new(|| served.storage.faults().once("vdi_activate", storage()))),
        ("plugging", Box::new(|| served.hypervisor.fail(Call::PlugDisk, 1, xen()))),
    ];
    let nic: [(&str, Fault<'_>); 3] = [
        ("bridge", Box::new(|| served.network.fail_once("ensure_bridge", network()))),
        ("plugging", Box::new(|| served.hypervisor.fail(Call::PlugNic, 1, xen()))),
        ("joining", Box::new(|| served.network.fail_once("plug", network()))),
    ];
    let before = devices(&served);
    let cases = disk.iter().map(|fault| ("VBD", &vbd, fault));
    let cases = cases.chain(nic.iter().map(|fault| ("VIF", &vif, fault)));
    for (class, device, (step, fault)) in cases {
        let device = device.as_str();
        fault();
        let error = client.err(&format!("{class}.plug"), vec![device.into()]);
        assert!(error.args.iter().any(|arg| arg.contains("broken")), "{step}: {error}");
        assert!(!attached(&client, class, device), "{step}");
        assert_eq!(devices(&served), before, "{step}");
        assert_eq!(served.network.ports().len(), 1, "{step}");
        assert!(!served.toolstack.activations.in_use(&Ref::new(&vdi)), "{step}");
        client.ok(&format!("{class}.plug"), vec![device.into()]);
        client.ok(&format!("{class}.unplug"), vec![device.into()]);
    }
    // Taking a device away cannot be taken back, only repeated.
    client.ok("VBD.plug", vec![vbd.as_str().into()]);
    client.ok("VIF.plug", vec![vif.as_str().into()]);
    for (class, device, call) in [("VBD", &vbd, Call::UnplugDisk), ("VIF", &vif, Call::UnplugNic)] {
        served.hypervisor.fail(call, 1, xen());
        client.err(&format!("{class}.unplug"), vec![device.as_str().into()]);
        assert!(attached(&client, class, device));
    }
    // Where the guest has let go of it, it is out, whatever Dom0 still has of it.
    served.storage.faults().once("vdi_deactivate", storage());
    served.network.fail_once("unplug", network());
    client.ok("VBD.unplug", vec![vbd.as_str().into()]);
    client.ok("VIF.unplug", vec![vif.as_str().into()]);
    assert_eq!(devices(&served), before);
    assert_eq!(served.network.ports().len(), 1);
    assert!(!served.toolstack.activations.in_use(&Ref::new(&vdi)));
    served.toolstack.activations.close_unused(&served.toolstack);
    let uuid = client.text("VDI.get_uuid", vec![vdi.into()]);
    assert!(!served.storage.activated().contains(&uuid.parse().unwrap()));
}

/// The daemon ends between the domain's change and the record of it.
#[test]
fn what_was_under_way_is_settled() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    let (vdi, vbd, vif) = more(&client, &made);
    let spec = served.hypervisor.spec(DomId(1)).unwrap();
    let note = |device: &str| {
        let marked = served.toolstack.store.write(|t| {
            t.set_note(&format!("device/{device}"), Some(String::new()));
            Ok(())
        });
        marked.unwrap();
    };
    let settle = || {
        let toolstack = served.toolstack.clone();
        let done = served.spawn_blocking(move || reconcile::domains(&toolstack));
        served.block_on(done).unwrap().unwrap();
    };
    // While plugging.
    note(&vbd);
    note(&vif);
    let disk = xenops::Disk { vdev: "xvdb".into(), ..spec.disks[0].clone() };
    served.hypervisor.plug_disk(DomId(1), &disk).unwrap();
    served
        .hypervisor
        .plug_nic(DomId(1), &xenops::Nic { devid: 1, ..spec.nics[0].clone() })
        .unwrap();
    settle();
    assert_eq!(devices(&served), (vec!["xvda".into()], vec![0]));
    client.ok("VBD.plug", vec![vbd.as_str().into()]);
    client.ok("VIF.plug", vec![vif.as_str().into()]);
    // While unplugging.
    note(&vbd);
    note(&vif);
    served.hypervisor.unplug_disk(DomId(1), "xvdb", false).unwrap();
    settle();
    assert_eq!(devices(&served), (vec!["xvda".into()], vec![0]));
    assert!(!attached(&client, "VBD", &vbd) && !attached(&client, "VIF", &vif));
    assert!(!served.toolstack.activations.in_use(&Ref::new(&vdi)));
    // A guest that holds on keeps the device, also when it was forgotten that it was asked.
    client.ok("VBD.plug", vec![vbd.as_str().into()]);
    note(&vbd);
    served.hypervisor.set_manners(spec.uuid, Manners::Ignores);
    settle();
    assert!(attached(&client, "VBD", &vbd));
    assert_eq!(devices(&served).0, ["xvda", "xvdb"]);
}

fn drive(client: &Client, vm: &str) -> String {
    let fields = [
        ("VM", vm.into()),
        ("VDI", Ref::NULL.into()),
        ("userdevice", "3".into()),
        ("mode", "RO".into()),
        ("type", "CD".into()),
        ("empty", true.into()),
    ];
    client.text("VBD.create", vec![record(fields)])
}

#[test]
fn media_change_while_the_vm_runs() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let disc = new_vdi(&client);
    for template in ["Other install media", "Linux PVH (own boot loader)"] {
        let hvm = template.starts_with("Other");
        let template = client.named("VM", template);
        let vm = client.text("VM.clone", vec![template.as_str().into(), "guest".into()]);
        client.ok("VM.provision", vec![vm.as_str().into()]);
        let vbd = drive(&client, &vm);
        let vbd = vbd.as_str();
        client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
        let domid = client.text("VM.get_domid", vec![vm.as_str().into()]).parse().unwrap();
        let source = || {
            let disks = served.hypervisor.spec(DomId(domid)).unwrap().disks;
            disks.into_iter().find(|disk| disk.read_only).and_then(|disk| disk.source)
        };
        assert_eq!(attached(&client, "VBD", vbd), hvm, "without QEMU there is no drive yet");
        assert!(allowed(&client, "VBD", vbd).contains(&"insert".to_owned()));
        let error = client.err("VBD.plug", vec![vbd.into()]);
        assert_eq!(error.code, if hvm { "OPERATION_NOT_ALLOWED" } else { "VBD_IS_EMPTY" });
        let call = if hvm { Call::ChangeMedium } else { Call::PlugDisk };
        let broken = XenopsError::Failed { doing: "testing".into(), detail: "broken".into() };
        served.hypervisor.fail(call, 1, broken);
        client.err("VBD.insert", vec![vbd.into(), disc.as_str().into()]);
        assert_eq!(client.ok("VBD.get_empty", vec![vbd.into()]), true.into());
        assert!(!served.toolstack.activations.in_use(&Ref::new(&disc)));
        client.ok("VBD.insert", vec![vbd.into(), disc.as_str().into()]);
        assert!(source().unwrap().is_file());
        assert!(attached(&client, "VBD", vbd));
        assert_eq!(client.text("VBD.get_VDI", vec![vbd.into()]), disc);
        let error = client.err("VBD.insert", vec![vbd.into(), disc.as_str().into()]);
        assert_eq!(error.code, "VBD_NOT_EMPTY");
        client.ok("VBD.eject", vec![vbd.into()]);
        assert_eq!(source(), None);
        assert!(!served.toolstack.activations.in_use(&Ref::new(&disc)));
        assert_eq!(client.err("VBD.eject", vec![vbd.into()]).code, "VBD_IS_EMPTY");
        client.ok("VM.hard_shutdown", vec![vm.as_str().into()]);
    }
}
