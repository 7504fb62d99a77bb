// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots of VMs that run, checkpoints, and the way back.

use crate::common::{Client, Served, Vm, Wire, record};
use storage::StorageError;
use toolstack::{reconcile, unfinished};
use xapi_model::{Ref, Value};
use xenops::{Call, DomId, DomainInfo, Hypervisor, Manners, XenopsError};

fn running(client: &Client) -> Vm {
    let made = client.make_vm("guest");
    client.ok("VM.start", start(&made.vm));
    made
}

fn start(vm: &str) -> Vec<Value> {
    vec![vm.into(), false.into(), false.into()]
}

fn guest(served: &Served) -> Option<DomainInfo> {
    served.hypervisor.domains().unwrap().into_iter().find(|domain| domain.id != DomId(0))
}

fn vdis(client: &Client) -> usize {
    client.ok("VDI.get_all", vec![]).as_set().unwrap().len()
}

fn refs(client: &Client, message: &str, object: &str) -> Vec<String> {
    client.ok(message, vec![object.into()]).as_set().unwrap().iter().map(Value::text).collect()
}

/// Where a VDI's bytes lie in the simulated SR.
fn contents(served: &Served, client: &Client, vdi: &str) -> std::path::PathBuf {
    let record = client.record("VDI", vdi);
    let sr = client.text("SR.get_uuid", vec![record["SR"].clone()]);
    served.folder.path().join("sr").join(sr).join(format!("{}.raw", record["uuid"].text()))
}

/// The VDI of a VM's only disk.
fn disk(client: &Client, vm: &str) -> String {
    let vbds = refs(client, "VM.get_VBDs", vm);
    assert_eq!(vbds.len(), 1);
    client.text("VBD.get_VDI", vec![vbds[0].as_str().into()])
}

#[test]
fn a_guest_stands_still_while_its_disks_are_copied() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let made = running(&client);
    let vm = made.vm.as_str();
    let snapshot = client.text("VM.snapshot", vec![vm.into(), "one".into()]);
    let calls = served.hypervisor.calls();
    let relevant = calls.iter().filter(|call| matches!(call, Call::Pause | Call::Unpause));
    assert_eq!(relevant.collect::<Vec<_>>(), [&Call::Unpause, &Call::Pause, &Call::Unpause]);
    assert!(!guest(&served).unwrap().paused);
    assert_eq!(client.state(vm), "Running");
    let taken = client.record("VM", &snapshot);
    assert_eq!(taken["power_state"].text(), "Halted");
    assert_eq!(taken["snapshot_of"].text(), vm);
    let info = taken["snapshot_info"].as_map().unwrap();
    assert_eq!(info["power-state-at-snapshot"].text(), "Running");
    assert!(taken["snapshot_metadata"].text().contains("\"name_label\":\"guest\""));
    assert_eq!(client.text("VDI.get_snapshot_of", vec![disk(&client, &snapshot).into()]), made.vdi);
    // A paused one stays paused.
    client.ok("VM.pause", vec![vm.into()]);
    client.text("VM.snapshot", vec![vm.into(), "two".into()]);
    assert!(guest(&served).unwrap().paused);
    client.ok("VM.unpause", vec![vm.into()]);
    // One whose copy fails runs on, and nothing is left of the copy.
    let count = vdis(&client);
    let broken = StorageError::Failed { doing: "testing".into(), detail: "broken".into() };
    served.storage.faults().once("vdi_clone", broken);
    client.err("VM.snapshot", vec![vm.into(), "three".into()]);
    assert!(!guest(&served).unwrap().paused);
    let broken = XenopsError::Failed { doing: "testing".into(), detail: "broken".into() };
    served.hypervisor.fail(Call::Pause, 1, broken.clone());
    client.err("VM.snapshot", vec![vm.into(), "four".into()]);
    assert_eq!((vdis(&client), client.state(vm).as_str()), (count, "Running"));
    // One that does not run on afterwards can be told to.
    served.hypervisor.fail(Call::Unpause, 1, broken);
    client.text("VM.snapshot", vec![vm.into(), "five".into()]);
    assert_eq!(client.state(vm), "Paused");
    client.ok("VM.unpause", vec![vm.into()]);
}

#[test]
fn a_guest_that_was_held_when_the_daemon_ended_runs_on() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    let uuid = client.text("VM.get_uuid", vec![made.vm.as_str().into()]);
    served.hypervisor.pause(guest(&served).unwrap().id).unwrap();
    let copy = client.text("VDI.create", vec![new_disk(&client)]);
    let noted = served.toolstack.store.write(|t| {
        t.set_note(&format!("held/{uuid}"), Some(String::new()));
        unfinished::begin(t, &Ref::new(&copy));
        Ok(())
    });
    noted.unwrap();
    let toolstack = served.toolstack.clone();
    let settled = served.spawn_blocking(move || {
        reconcile::domains(&toolstack).unwrap();
        unfinished::sweep(&toolstack);
    });
    served.block_on(settled).unwrap();
    assert_eq!(client.state(&made.vm), "Running");
    assert!(!guest(&served).unwrap().paused);
    client.err("VDI.get_uuid", vec![copy.into()]);
}

fn new_disk(client: &Client) -> Value {
    let pool = client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone();
    let sr = client.ok("pool.get_default_SR", vec![pool]);
    record([("name_label", "new".into()), ("SR", sr), ("virtual_size", (1i64 << 20).into())])
}

#[test]
fn snapshots_are_a_tree() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let vm = made.vm.as_str();
    let parent = |vm: &str| client.text("VM.get_parent", vec![vm.into()]);
    let children = |vm: &str| refs(&client, "VM.get_children", vm);
    let take = |name: &str| client.text("VM.snapshot", vec![vm.into(), name.into()]);
    let (one, two, three) = (take("one"), take("two"), take("three"));
    assert_eq!(
        [parent(vm), parent(&three), parent(&two)],
        [three.clone(), two.clone(), one.clone()]
    );
    assert_eq!(parent(&one), Ref::NULL);
    assert_eq!(children(&two), [three.as_str()]);
    client.ok("VM.destroy", vec![two.as_str().into()]);
    assert_eq!(parent(&three), one);
    client.ok("VM.revert", vec![one.as_str().into()]);
    assert_eq!(parent(vm), one);
    let mut both = children(&one);
    both.sort();
    let mut expected = [three.clone(), vm.to_owned()];
    expected.sort();
    assert_eq!(both, expected);
    client.ok("VM.destroy", vec![vm.into()]);
    assert_eq!(client.text("VM.get_snapshot_of", vec![one.as_str().into()]), Ref::NULL);
    let error = client.err("VM.revert", vec![one.as_str().into()]);
    assert_eq!(error.description(), ["VM_REVERT_FAILED", &one, Ref::NULL]);
}

#[test]
fn a_vm_is_reverted() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    let vm = made.vm.as_str();
    let mac = client.text("VIF.get_MAC", vec![made.vif.as_str().into()]);
    std::fs::write(contents(&served, &client, &made.vdi), "before").unwrap();
    let snapshot = client.text("VM.snapshot", vec![vm.into(), "snapshot".into()]);
    let kept = disk(&client, &snapshot);
    std::fs::write(contents(&served, &client, &made.vdi), "after").unwrap();
    client.ok("VM.set_name_label", vec![vm.into(), "renamed".into()]);
    client.ok("VM.set_actions_after_crash", vec![vm.into(), "preserve".into()]);
    client.ok("VM.add_tags", vec![vm.into(), "mine".into()]);
    // A disk that the snapshot knows nothing of stays, but not as the VM's.
    let extra = client.text("VDI.create", vec![new_disk(&client)]);
    client.text(
        "VBD.create",
        vec![record([
            ("VM", vm.into()),
            ("VDI", extra.as_str().into()),
            ("userdevice", "1".into()),
            ("mode", "RW".into()),
            ("type", "Disk".into()),
        ])],
    );
    assert_eq!(client.err("VM.revert", vec![vm.into()]).code, "ONLY_REVERT_SNAPSHOT");
    // What fails half-way leaves the VM as it is, but halted.
    let broken = StorageError::Failed { doing: "testing".into(), detail: "broken".into() };
    served.storage.faults().once("vdi_clone", broken);
    let count = vdis(&client);
    client.err("VM.revert", vec![snapshot.as_str().into()]);
    assert_eq!((client.state(vm).as_str(), vdis(&client)), ("Halted", count));
    assert_eq!(refs(&client, "VM.get_VBDs", vm).len(), 2);
    client.ok("VM.start", start(vm));
    let task = client.text("Async.VM.revert", vec![snapshot.as_str().into()]);
    assert_eq!(client.ended(&task)["status"].text(), "success");
    let reverted = client.record("VM", vm);
    assert_eq!(reverted["power_state"].text(), "Halted");
    assert_eq!(reverted["name_label"].text(), "guest");
    assert_eq!(reverted["actions_after_crash"].text(), "restart");
    assert_eq!(reverted["tags"], Value::strings(["mine"]));
    assert_eq!(reverted["is_a_template"], false.into());
    let now = disk(&client, vm);
    assert_eq!(&std::fs::read(contents(&served, &client, &now)).unwrap()[..6], b"before");
    assert_eq!(client.text("VDI.get_snapshot_of", vec![kept.as_str().into()]), now);
    client.err("VDI.get_uuid", vec![made.vdi.as_str().into()]);
    client.ok("VDI.get_uuid", vec![extra.as_str().into()]);
    let vifs = refs(&client, "VM.get_VIFs", vm);
    assert_eq!(client.text("VIF.get_MAC", vec![vifs[0].as_str().into()]), mac);
    client.ok("VM.start", start(vm));
    client.ok("VM.revert", vec![snapshot.as_str().into()]);
    client.ok("VM.start", start(vm));
}

#[test]
fn a_checkpoint_has_the_guests_memory() {
    for suspended in [false, true] {
        let served = Served::new();
        let client = served.login(Wire::Json);
        let made = running(&client);
        let vm = made.vm.as_str();
        let ran = || guest(&served).unwrap().cpu_time_ns;
        let domid = client.text("VM.get_domid", vec![vm.into()]);
        let then = ran();
        if suspended {
            client.ok("VM.suspend", vec![vm.into()]);
        }
        let checkpoint = client.text("VM.checkpoint", vec![vm.into(), "checkpoint".into()]);
        let state = if suspended { "Suspended" } else { "Running" };
        assert_eq!(client.state(vm), state);
        if suspended {
            client.ok("VM.resume", start(vm));
        } else {
            assert_eq!(client.text("VM.get_domid", vec![vm.into()]), domid, "it runs on");
            assert_eq!(guest(&served).unwrap().shutdown, None);
        }
        let taken = client.record("VM", &checkpoint);
        assert_eq!(taken["power_state"].text(), "Suspended");
        let info = taken["snapshot_info"].as_map().unwrap();
        assert_eq!(info["power-state-at-snapshot"].text(), state);
        let image = taken["suspend_VDI"].text();
        assert_eq!(client.err("VDI.destroy", vec![image.as_str().into()]).code, "VDI_IN_USE");
        let later = (0..50).fold(0, |_, _| ran());
        assert!(later > then + 40_000_000);
        for _ in 0..2 {
            client.ok("VM.revert", vec![checkpoint.as_str().into()]);
            assert_eq!(client.state(vm), "Suspended");
            client.ok("VM.resume", start(vm));
            assert!(ran() < later, "it went back");
        }
        client.ok("VM.hard_shutdown", vec![vm.into()]);
        let kept = disk(&client, &checkpoint);
        client.ok("VM.destroy", vec![checkpoint.as_str().into()]);
        client.err("VDI.get_uuid", vec![image.into()]);
        client.ok("VDI.destroy", vec![kept.into()]);
        assert_eq!(vdis(&client), 1);
    }
}

/// Consoles say of each snapshot that it is no template, as they do of what they are about to remove.
#[test]
fn a_snapshot_is_one_whatever_a_client_says() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    let vm = made.vm.as_str();
    let no_template = |one: &str| client.ok("VM.set_is_a_template", vec![one.into(), false.into()]);
    let allowed = |one: &str| {
        let allowed = client.ok("VM.get_allowed_operations", vec![one.into()]);
        let mut allowed: Vec<String> = allowed.as_set().unwrap().iter().map(Value::text).collect();
        allowed.sort();
        allowed
    };
    no_template(vm);
    let snapshot = client.text("VM.snapshot", vec![vm.into(), "disks".into()]);
    let checkpoint = client.text("VM.checkpoint", vec![vm.into(), "memory".into()]);
    for (one, others) in [
        (&snapshot, &["clone", "copy", "destroy", "export", "metadata_export", "revert"][..]),
        (
            &checkpoint,
            &["clone", "copy", "destroy", "export", "hard_shutdown", "metadata_export", "revert"],
        ),
    ] {
        let before = allowed(one);
        assert_eq!(before, others);
        no_template(one);
        assert_eq!(allowed(one), before);
        for (message, operation) in [("start", "start"), ("provision", "provision")] {
            let options = vec![one.as_str().into(), false.into(), false.into()];
            let options = options.into_iter().take(if message == "start" { 3 } else { 1 });
            let error = client.err(&format!("VM.{message}"), options.collect());
            // As with XAPI the state counts first.
            match client.state(one).as_str() {
                "Halted" => assert_eq!(error.description(), ["VM_IS_SNAPSHOT", one, operation]),
                _ => assert_eq!(error.code, "VM_BAD_POWER_STATE"),
            }
        }
        let error = client.err("VM.set_is_a_template", vec![one.as_str().into(), true.into()]);
        assert!(["VM_IS_SNAPSHOT", "VM_BAD_POWER_STATE"].contains(&error.code.as_str()));
    }
    client.ok("VM.revert", vec![snapshot.as_str().into()]);
    assert_eq!(client.state(vm), "Halted");
    client.ok("VM.revert", vec![checkpoint.as_str().into()]);
    assert_eq!(client.state(vm), "Suspended");
    // Before a checkpoint is removed consoles shut it down.
    let image = client.text("VM.get_suspend_VDI", vec![checkpoint.as_str().into()]);
    client.ok("VM.hard_shutdown", vec![checkpoint.as_str().into()]);
    assert_eq!(client.state(&checkpoint), "Halted");
    assert_eq!(client.err("VDI.get_uuid", vec![image.into()]).code, "HANDLE_INVALID");
    client.ok("VM.destroy", vec![checkpoint.into()]);
    let clone = client.text("VM.clone", vec![snapshot.into(), "of a snapshot".into()]);
    assert_eq!(client.ok("VM.get_is_a_snapshot", vec![clone.into()]), false.into());
}

#[test]
fn a_checkpoint_becomes_a_vm_that_runs_on_by_itself() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    let vm = made.vm.as_str();
    let checkpoint = client.text("VM.checkpoint", vec![vm.into(), "memory".into()]);
    client.ok("VM.hard_shutdown", vec![vm.into()]);
    let image = |vm: &str| client.text("VM.get_suspend_VDI", vec![vm.into()]);
    let memory = || guest(&served).unwrap().cpu_time_ns;
    for message in ["VM.clone", "VM.copy"] {
        let name = vec![checkpoint.as_str().into(), message.into()];
        let rest = if message == "VM.copy" { vec![Ref::NULL.into()] } else { vec![] };
        let own = client.text(message, [name, rest].concat());
        let record = client.record("VM", &own);
        assert_eq!(record["power_state"].text(), "Suspended", "{message}");
        assert_eq!(record["is_a_snapshot"], Value::Bool(false));
        assert_ne!(record["uuid"], client.record("VM", &checkpoint)["uuid"]);
        let kept = image(&own);
        assert_ne!(kept, image(&checkpoint));
        assert_eq!(client.record("VDI", &kept)["type"].text(), "suspend");
        client.ok("VM.set_is_a_template", vec![own.as_str().into(), false.into()]);
        client.ok("VM.resume", start(&own));
        assert_eq!(client.state(&own), "Running");
        assert!(memory() > 0, "{message}: it went on");
        let vbd = refs(&client, "VM.get_VBDs", &own)[0].clone();
        assert_eq!(client.ok("VBD.get_currently_attached", vec![vbd.into()]), Value::Bool(true));
        assert_eq!(client.err("VDI.get_uuid", vec![kept.into()]).code, "HANDLE_INVALID");
        client.ok("VM.hard_shutdown", vec![own.as_str().into()]);
        client.ok("VM.destroy", vec![own.into()]);
    }
    // A copy that fails leaves nothing, and the checkpoint as it is.
    let count = vdis(&client);
    let broken = || StorageError::Failed { doing: "testing".into(), detail: "broken".into() };
    for call in ["vdi_clone", "vdi_activate"] {
        served.storage.faults().once(call, broken());
        client.err("VM.clone", vec![checkpoint.as_str().into(), "broken".into()]);
        assert_eq!(vdis(&client), count, "{call}");
    }
    client.ok("VM.revert", vec![checkpoint.as_str().into()]);
    client.ok("VM.resume", start(vm));
    assert_eq!(client.state(vm), "Running");

    // Its archive is of a VM that is off: the memory is not in it.
    let url = |handler: &str| format!("{}/{handler}?session_id={}", client.url, client.session);
    let archive = client.agent.get(format!("{}&ref={checkpoint}", url("export"))).call().unwrap();
    assert_eq!(archive.status(), 200);
    let archive = archive.into_body().with_config().limit(1 << 30).read_to_vec().unwrap();
    assert_eq!(client.agent.put(url("import")).send(&archive[..]).unwrap().status(), 200);
    let states = client.ok("VM.get_by_name_label", vec!["memory".into()]);
    let states = states.as_set().unwrap().iter().map(|vm| client.state(&vm.text()));
    let mut states: Vec<String> = states.collect();
    states.sort();
    assert_eq!(states, ["Halted", "Suspended"]);
}

#[test]
fn a_checkpoint_that_fails_leaves_the_guest_running() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = running(&client);
    let vm = made.vm.as_str();
    let xen = || XenopsError::Failed { doing: "testing".into(), detail: "broken".into() };
    let storage = || StorageError::Failed { doing: "testing".into(), detail: "broken".into() };
    type Fault<'a> = Box<dyn Fn() + 'a>;
    let faults: [(&str, Fault<'_>); 6] = [
        ("SR_BACKEND_FAILURE", Box::new(|| served.storage.faults().once("vdi_create", storage()))),
        (
            "SR_BACKEND_FAILURE",
            Box::new(|| served.storage.faults().once("vdi_activate", storage())),
        ),
        (
            "VM_CHECKPOINT_SUSPEND_FAILED",
            Box::new(|| served.hypervisor.fail(Call::Suspend, 1, xen())),
        ),
        ("SR_BACKEND_FAILURE", Box::new(|| served.storage.faults().once("vdi_clone", storage()))),
        (
            "SR_BACKEND_FAILURE",
            Box::new(|| served.storage.faults().once("vdi_deactivate", storage())),
        ),
        (
            "VM_CHECKPOINT_RESUME_FAILED",
            Box::new(|| served.hypervisor.fail(Call::Resume, 1, xen())),
        ),
    ];
    for (code, fault) in faults {
        fault();
        let error = client.err("VM.checkpoint", vec![vm.into(), "checkpoint".into()]);
        assert_eq!(error.code, code);
        assert_eq!(client.state(vm), "Running", "{code}");
        assert_eq!(guest(&served).unwrap().shutdown, None, "{code}");
        assert_eq!(vdis(&client), 1, "{code}");
        let found = client.ok("VM.get_by_name_label", vec!["checkpoint".into()]);
        assert!(found.as_set().unwrap().is_empty(), "{code}");
    }
    let uuid = guest(&served).unwrap().uuid;
    served.hypervisor.set_manners(uuid, Manners::Ignores);
    let error = client.err("VM.checkpoint", vec![vm.into(), "checkpoint".into()]);
    assert_eq!(error.code, "VM_CHECKPOINT_SUSPEND_FAILED");
    assert_eq!(vdis(&client), 1);
}

#[test]
fn virtual_cpus_come_and_go() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let vm = made.vm.as_str();
    client.ok("VM.set_VCPUs_max", vec![vm.into(), 4.into()]);
    let live = |count: i64| vec![Value::from(vm), count.into()];
    assert_eq!(client.err("VM.set_VCPUs_number_live", live(2)).code, "VM_BAD_POWER_STATE");
    client.ok("VM.start", start(vm));
    client.ok("VM.set_VCPUs_number_live", live(3));
    assert_eq!(guest(&served).unwrap().vcpus, 3);
    let now = client.record("VM", vm);
    assert_eq!(now["VCPUs_at_startup"].text(), "3");
    assert_eq!(client.text("VM_metrics.get_VCPUs_number", vec![now["metrics"].clone()]), "3");
    for bad in [0, 5, -1] {
        let error = client.err("VM.set_VCPUs_number_live", live(bad));
        assert_eq!(error.description(), ["INVALID_VALUE", "nvcpu", &bad.to_string()]);
    }
    let broken = XenopsError::Failed { doing: "testing".into(), detail: "broken".into() };
    served.hypervisor.fail(Call::SetVcpus, 1, broken);
    client.err("VM.set_VCPUs_number_live", live(2));
    assert_eq!(client.text("VM.get_VCPUs_at_startup", vec![vm.into()]), "3");
    client.ok("VM.set_VCPUs_number_live", live(1));
    client.ok("VM.suspend", vec![vm.into()]);
    client.ok("VM.resume", start(vm));
    assert_eq!(guest(&served).unwrap().vcpus, 1);
}
