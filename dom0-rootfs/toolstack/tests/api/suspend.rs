// SPDX-License-Identifier: MIT OR Apache-2.0
//! Suspending and resuming: what lasts, what unwinds, and what a restart of the daemon settles.

use crate::common::{Client, Served, Vm, Wire, eventually, record};
use network::NetworkError;
use storage::StorageError;
use toolstack::{reconcile, unfinished};
use xapi_model::{Ref, Value};
use xenops::{Call, DomId, DomainInfo, Hypervisor, Manners, ShutdownReason, XenopsError};

fn running(client: &Client) -> Vm {
    let made = client.make_vm("guest");
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    made
}

fn guest(served: &Served) -> Option<DomainInfo> {
    served.hypervisor.domains().unwrap().into_iter().find(|domain| domain.id != DomId(0))
}

fn new_vdi(client: &Client) -> String {
    let pool = client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone();
    let sr = client.ok("pool.get_default_SR", vec![pool]);
    let fields =
        [("name_label", "image".into()), ("SR", sr), ("virtual_size", (1i64 << 20).into())];
    client.text("VDI.create", vec![record(fields)])
}

fn images(client: &Client) -> Vec<String> {
    let all = client.ok("VDI.get_all_records", vec![]);
    let all = all.as_map().unwrap().iter();
    let images = all.filter(|(_, vdi)| vdi.as_map().unwrap()["type"].text() == "suspend");
    images.map(|(reference, _)| reference.clone()).collect()
}

fn operations(client: &Client, vm: &str) -> Vec<String> {
    let allowed = client.ok("VM.get_allowed_operations", vec![vm.into()]);
    allowed.as_set().unwrap().iter().map(Value::text).collect()
}

fn start_params(vm: &str, paused: bool) -> Vec<Value> {
    vec![vm.into(), paused.into(), false.into()]
}

#[test]
fn a_suspended_vm_goes_on() {
    for wire in [Wire::Xml, Wire::Json] {
        let served = Served::new();
        let client = served.login(wire);
        let made = running(&client);
        let vm = made.vm.as_str();
        for _ in 0..5 {
            guest(&served);
        }
        let before = guest(&served).unwrap().cpu_time_ns;
        let started = client.record("VM_metrics", &client.text("VM.get_metrics", vec![vm.into()]));
        let task = client.text("Async.VM.suspend", vec![vm.into()]);
        assert_eq!(client.ended(&task)["status"].text(), "success");
        let suspended = client.record("VM", vm);
        assert_eq!(suspended["power_state"].text(), "Suspended");
        assert_eq!(suspended["domid"].text(), "-1");
        assert_eq!(suspended["resident_on"].text(), Ref::NULL);
        assert_eq!(suspended["consoles"], Value::Set(vec![]));
        let image = suspended["suspend_VDI"].text();
        assert_eq!(images(&client), [image.as_str()]);
        assert_eq!(guest(&served), None);
        assert!(served.network.ports().is_empty());
        assert!(!served.toolstack.activations.in_use(&Ref::new(&made.vdi)));
        // The guest has its devices still, and nobody else gets them.
        for (class, device) in [("VBD", &made.vbd), ("VIF", &made.vif)] {
            let message = format!("{class}.get_currently_attached");
            assert_eq!(client.ok(&message, vec![device.as_str().into()]), true.into());
            client.err(&format!("{class}.destroy"), vec![device.as_str().into()]);
        }
        for vdi in [&made.vdi, &image] {
            assert_eq!(client.err("VDI.destroy", vec![vdi.as_str().into()]).code, "VDI_IN_USE");
        }
        let allowed = operations(&client, vm);
        for operation in ["resume", "resume_on", "hard_shutdown", "destroy"] {
            assert!(allowed.contains(&operation.to_owned()), "{operation}: {allowed:?}");
        }
        for operation in ["start", "suspend", "clean_shutdown", "pause", "changing_VCPUs"] {
            assert!(!allowed.contains(&operation.to_owned()), "{operation}");
        }
        let error = client.err("VM.start", start_params(vm, false));
        assert_eq!(error.description(), ["VM_BAD_POWER_STATE", vm, "halted", "suspended"]);
        client.ok("VM.resume", start_params(vm, false));
        let resumed = client.record("VM", vm);
        assert_eq!(resumed["power_state"].text(), "Running");
        assert_eq!(resumed["suspend_VDI"].text(), Ref::NULL);
        assert!(images(&client).is_empty(), "the image is of no more use");
        assert!(guest(&served).unwrap().cpu_time_ns > before, "it goes on");
        let metrics = client.record("VM_metrics", &resumed["metrics"].text());
        assert_eq!(metrics["start_time"], started["start_time"]);
        assert_eq!(served.network.ports().get("vif2.0").map(String::as_str), Some("xenbr0"));
        client.ok("VM.suspend", vec![vm.into()]);
        let host = Value::from(served.toolstack.host());
        client.ok("VM.resume_on", vec![vm.into(), host, true.into(), false.into()]);
        assert_eq!(client.state(vm), "Paused");
        client.ok("VM.unpause", vec![vm.into()]);
        client.ok("VM.clean_shutdown", vec![vm.into()]);
    }
}

#[test]
fn a_suspended_vm_is_given_up() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    for message in ["VM.hard_shutdown", "VM.power_state_reset", "VM.destroy"] {
        let made = running(&client);
        let vm = made.vm.as_str();
        client.ok("VM.suspend", vec![vm.into()]);
        assert_eq!(images(&client).len(), 1);
        client.ok(message, vec![vm.into()]);
        assert!(images(&client).is_empty(), "{message}");
        if message != "VM.destroy" {
            assert_eq!(client.state(vm), "Halted");
            let attached = client.ok("VBD.get_currently_attached", vec![made.vbd.as_str().into()]);
            assert_eq!(attached, false.into());
            client.ok("VM.start", start_params(vm, false));
            client.ok("VM.hard_shutdown", vec![vm.into()]);
            client.ok("VM.destroy", vec![vm.into()]);
        }
        client.ok("VDI.destroy", vec![made.vdi.as_str().into()]);
    }
}

#[test]
fn a_disk_of_a_suspended_vm_is_no_other_vms() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    client.ok("VM.suspend", vec![made.vm.as_str().into()]);
    let other = client.make_vm("other");
    let fields = [
        ("VM", other.vm.as_str().into()),
        ("VDI", made.vdi.as_str().into()),
        ("userdevice", "1".into()),
        ("mode", "RW".into()),
        ("type", "Disk".into()),
    ];
    client.text("VBD.create", vec![record(fields)]);
    let error = client.err("VM.start", start_params(&other.vm, false));
    assert_eq!(error.code, "VDI_IN_USE");
    client.ok("VM.resume", start_params(&made.vm, false));
}

#[test]
fn where_images_go() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    let vm = made.vm.as_str();
    let pool = client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone();
    let sr = client.text("pool.get_suspend_image_SR", vec![pool.clone()]);
    client.ok("pool.set_suspend_image_SR", vec![pool, Ref::NULL.into()]);
    let error = client.err("VM.suspend", vec![vm.into()]);
    assert_eq!(error.description(), ["VM_NO_SUSPEND_SR", vm]);
    assert_eq!(client.state(vm), "Running");
    client.ok("VM.set_suspend_SR", vec![vm.into(), sr.as_str().into()]);
    client.ok("VM.suspend", vec![vm.into()]);
    let image = client.text("VM.get_suspend_VDI", vec![vm.into()]);
    assert_eq!(client.text("VDI.get_SR", vec![image.as_str().into()]), sr);
    // Only an image can take its place.
    let error = client.err("VM.set_suspend_VDI", vec![vm.into(), made.vdi.as_str().into()]);
    assert_eq!(error.description(), ["VDI_INCOMPATIBLE_TYPE", &made.vdi, "user"]);
    client.ok("VM.set_suspend_VDI", vec![vm.into(), image.as_str().into()]);
    client.ok("VM.resume", start_params(vm, false));
    let error = client.err("VM.set_suspend_VDI", vec![vm.into(), made.vdi.as_str().into()]);
    assert_eq!(error.code, "VM_BAD_POWER_STATE");
}

fn xen() -> XenopsError {
    XenopsError::Failed { doing: "testing".into(), detail: "broken".into() }
}

fn storage() -> StorageError {
    StorageError::Failed { doing: "testing".into(), detail: "broken".into() }
}

type Fault<'a> = Box<dyn Fn() + 'a>;

#[test]
fn a_failed_suspend_leaves_the_guest_running() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    let vm = made.vm.as_str();
    let faults: [(&str, Fault<'_>); 5] = [
        ("making", Box::new(|| served.storage.faults().once("vdi_create", storage()))),
        ("opening", Box::new(|| served.storage.faults().once("vdi_activate", storage()))),
        ("saving", Box::new(|| served.hypervisor.fail(Call::Suspend, 1, xen()))),
        ("declaring", Box::new(|| served.storage.faults().once("vdi_deactivate", storage()))),
        ("removing", Box::new(|| served.hypervisor.fail(Call::Destroy, 1, xen()))),
    ];
    for (step, fault) in faults {
        fault();
        let error = client.err("VM.suspend", vec![vm.into()]);
        assert!(error.args.iter().any(|arg| arg.contains("broken")), "{step}: {error}");
        assert_eq!(client.state(vm), "Running", "{step}");
        assert_eq!(guest(&served).unwrap().shutdown, None, "{step}: the guest runs");
        // What could not be closed at once is closed by the next use of it, or by the next start.
        let toolstack = served.toolstack.clone();
        served.block_on(served.spawn_blocking(move || unfinished::sweep(&toolstack))).unwrap();
        assert!(images(&client).is_empty(), "{step}");
        let record = client.record("VM", vm);
        assert!(record["current_operations"].as_map().unwrap().is_empty(), "{step}");
        assert_eq!(record["suspend_VDI"].text(), Ref::NULL, "{step}");
        client.ok("VM.suspend", vec![vm.into()]);
        client.ok("VM.resume", start_params(vm, false));
    }
    let uuid = guest(&served).unwrap().uuid;
    served.hypervisor.set_manners(uuid, Manners::Ignores);
    let error = client.err("VM.suspend", vec![vm.into()]);
    assert_eq!(error.description(), ["VM_FAILED_SUSPEND_ACKNOWLEDGMENT", vm]);
    assert_eq!((client.state(vm).as_str(), images(&client).len()), ("Running", 0));
}

#[test]
fn a_failed_resume_leaves_the_vm_suspended() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    let vm = made.vm.as_str();
    client.ok("VM.suspend", vec![vm.into()]);
    let image = client.text("VM.get_suspend_VDI", vec![vm.into()]);
    let network = || NetworkError::Failed { doing: "testing".into(), detail: "broken".into() };
    let faults: [(&str, Fault<'_>); 5] = [
        ("opening", Box::new(|| served.storage.faults().once("vdi_activate", storage()))),
        ("bridge", Box::new(|| served.network.fail_once("ensure_bridge", network()))),
        ("restoring", Box::new(|| served.hypervisor.fail(Call::Restore, 1, xen()))),
        ("plugging", Box::new(|| served.network.fail_once("plug", network()))),
        ("unpausing", Box::new(|| served.hypervisor.fail(Call::Unpause, 1, xen()))),
    ];
    for (step, fault) in faults {
        fault();
        let error = client.err("VM.resume", start_params(vm, false));
        assert!(error.args.iter().any(|arg| arg.contains("broken")), "{step}: {error}");
        let record = client.record("VM", vm);
        assert_eq!(record["power_state"].text(), "Suspended", "{step}");
        assert_eq!(record["suspend_VDI"].text(), image, "{step}");
        assert_eq!(images(&client), [image.as_str()], "{step}");
        assert_eq!(guest(&served), None, "{step}");
        assert!(served.network.ports().is_empty(), "{step}");
        assert!(!served.toolstack.activations.in_use(&Ref::new(&image)), "{step}");
    }
    // Nothing of these failures makes the image go at the next start.
    let toolstack = served.toolstack.clone();
    served.block_on(served.spawn_blocking(move || unfinished::sweep(&toolstack))).unwrap();
    client.ok("VM.resume", start_params(vm, false));
    assert_eq!(client.state(vm), "Running");
}

fn settle(served: &Served) {
    let toolstack = served.toolstack.clone();
    let done = served.spawn_blocking(move || {
        reconcile::domains(&toolstack).unwrap();
        unfinished::sweep(&toolstack);
    });
    served.block_on(done).unwrap();
}

/// Suspends a guest's domain behind the daemon's back, as it is while its image is being written.
fn suspend_domain(served: &Served) {
    let path = served.folder.path().join("image");
    std::fs::File::create(&path).unwrap().set_len(1 << 20).unwrap();
    served.hypervisor.suspend(guest(served).unwrap().id, &path, &xenops::Nobody).unwrap();
}

#[test]
fn a_suspend_that_was_cut_off_is_taken_back_or_finished() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    let vm = made.vm.as_str();
    let lock = served.toolstack.lock_of(&made.reference());
    // The image is not whole.
    let held = lock.lock().unwrap();
    suspend_domain(&served);
    assert_eq!(guest(&served).unwrap().shutdown, Some(ShutdownReason::Suspend));
    drop(held);
    settle(&served);
    assert_eq!(client.state(vm), "Running");
    assert_eq!(guest(&served).unwrap().shutdown, None);
    // It is, and the domain is still there, or not any more.
    let uuid = client.text("VM.get_uuid", vec![vm.into()]);
    for there in [true, false] {
        let held = lock.lock().unwrap();
        suspend_domain(&served);
        let image = new_vdi(&client);
        let noted = served.toolstack.store.write(|t| {
            t.set_note(&format!("suspended/{uuid}"), Some(image.clone()));
            unfinished::begin(t, &Ref::new(&image));
            Ok(())
        });
        noted.unwrap();
        if !there {
            served.hypervisor.guest_vanishes(guest(&served).unwrap().id).unwrap();
        }
        drop(held);
        settle(&served);
        eventually("it is suspended", || client.state(vm) == "Suspended");
        assert_eq!(guest(&served), None);
        assert_eq!(client.text("VM.get_suspend_VDI", vec![vm.into()]), image);
        client.ok("VM.hard_shutdown", vec![vm.into()]);
        client.err("VDI.get_uuid", vec![image.as_str().into()]);
        client.ok("VM.start", start_params(vm, false));
    }
}

#[test]
fn a_resume_that_was_cut_off_is_taken_back_or_finished() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    let vm = made.vm.as_str();
    let spec = served.hypervisor.spec(guest(&served).unwrap().id).unwrap();
    client.ok("VM.suspend", vec![vm.into()]);
    let image = client.text("VM.get_suspend_VDI", vec![vm.into()]);
    // Before the domain was recorded.
    served.hypervisor.create(&spec).unwrap();
    settle(&served);
    assert_eq!(guest(&served), None);
    assert_eq!(client.state(vm), "Suspended");
    assert_eq!(images(&client), [image.as_str()]);
    // After that, and before the image was given up.
    client.ok("VM.resume", start_params(vm, true));
    let image = new_vdi(&client);
    let left = served.toolstack.store.write(|t| {
        t.set(&made.reference(), "suspend_VDI", Ref::new(&image));
        Ok(())
    });
    left.unwrap();
    settle(&served);
    assert_eq!(client.text("VM.get_suspend_VDI", vec![vm.into()]), Ref::NULL);
    client.err("VDI.get_uuid", vec![image.into()]);
    assert_eq!(client.state(vm), "Paused");
}
