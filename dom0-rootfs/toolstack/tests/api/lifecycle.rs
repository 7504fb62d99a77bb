// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of a VM, over HTTPS, on both wires.

use std::time::Duration;

use crate::common::{Served, Wire, eventually, record};
use toolstack::toolstack::Context;
use toolstack::vm::stop;
use xapi_model::{Ref, Value};
use xenops::{DomId, GuestKind, Manners, Platform, Scheduling, ShutdownReason, Video, Viridian};

fn allowed(client: &crate::common::Client, vm: &str) -> Vec<String> {
    let allowed = client.ok("VM.get_allowed_operations", vec![vm.into()]);
    allowed.as_set().unwrap().iter().map(Value::text).collect()
}

#[test]
fn a_vm_is_made_runs_and_goes() {
    for wire in [Wire::Xml, Wire::Json] {
        let served = Served::new();
        let client = served.login(wire);
        let count = || client.ok("VM_metrics.get_all", vec![]).as_set().unwrap().len();
        let metrics = count();
        let made = client.make_vm("guest");
        let vm = made.vm.as_str();
        assert!(allowed(&client, vm).contains(&"start".to_owned()));
        client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
        let running = client.record("VM", vm);
        assert_eq!(running["power_state"].text(), "Running");
        assert_eq!(running["domid"].text(), "1");
        assert!(!allowed(&client, vm).contains(&"start".to_owned()));
        assert_eq!(client.text("VBD.get_device", vec![made.vbd.as_str().into()]), "xvda");
        assert_eq!(
            client.ok("VBD.get_currently_attached", vec![made.vbd.as_str().into()]),
            true.into()
        );
        let spec = served.hypervisor.spec(DomId(1)).unwrap();
        assert!(matches!(spec.kind, GuestKind::Pvh(_)));
        assert_eq!((spec.disks.len(), spec.nics.len()), (1, 1));
        assert_eq!(served.network.ports().get("vif1.0").map(String::as_str), Some("xenbr0"));
        // What is in use is left alone.
        assert_eq!(client.err("VDI.destroy", vec![made.vdi.as_str().into()]).code, "VDI_IN_USE");
        assert_eq!(client.err("VM.destroy", vec![vm.into()]).code, "VM_BAD_POWER_STATE");
        client.ok("VM.pause", vec![vm.into()]);
        assert_eq!(client.state(vm), "Paused");
        let error = client.err("VM.clean_shutdown", vec![vm.into()]);
        assert_eq!(error.description(), ["VM_BAD_POWER_STATE", vm, "running", "paused"]);
        client.ok("VM.unpause", vec![vm.into()]);
        let task = client.text("Async.VM.clean_reboot", vec![vm.into()]);
        assert_eq!(client.ended(&task)["status"].text(), "success");
        assert_eq!(client.text("VM.get_domid", vec![vm.into()]), "2");
        client.ok("VM.hard_reboot", vec![vm.into()]);
        assert_eq!(client.text("VM.get_domid", vec![vm.into()]), "3");
        client.ok("VM.clean_shutdown", vec![vm.into()]);
        let halted = client.record("VM", vm);
        assert_eq!(halted["power_state"].text(), "Halted");
        assert_eq!(halted["resident_on"].text(), Ref::NULL);
        assert_eq!(halted["consoles"], Value::Set(vec![]));
        assert_eq!(served.network.ports().len(), 0);
        assert!(!served.toolstack.activations.in_use(&Ref::new(&made.vdi)));
        client.ok("VM.destroy", vec![vm.into()]);
        client.ok("VDI.destroy", vec![made.vdi.as_str().into()]);
        for (class, object) in
            [("VM", vm), ("VBD", &made.vbd), ("VIF", &made.vif), ("VDI", &made.vdi)]
        {
            let error = client.err(&format!("{class}.get_record"), vec![object.into()]);
            assert_eq!(error.code, "HANDLE_INVALID", "{class}");
        }
        assert_eq!(count(), metrics);
    }
}

#[test]
fn all_kinds_of_guests_start() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    for (template, kind) in [
        ("Other install media", "HVM"),
        ("Linux PVH (own boot loader)", "PVH"),
        ("Linux PV (own boot loader)", "PV"),
    ] {
        let template = client.named("VM", template);
        let vm = client.text("VM.clone", vec![template.as_str().into(), kind.into()]);
        let error = client.err("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
        assert_eq!(error.description(), ["VM_IS_TEMPLATE", &vm, "start"]);
        client.ok("VM.provision", vec![vm.as_str().into()]);
        client.ok("VM.start", vec![vm.as_str().into(), true.into(), false.into()]);
        assert_eq!(client.state(&vm), "Paused");
        let domid: u32 = client.text("VM.get_domid", vec![vm.as_str().into()]).parse().unwrap();
        assert_eq!(served.hypervisor.spec(DomId(domid)).unwrap().kind.word(), kind);
        client.ok("VM.hard_shutdown", vec![vm.as_str().into()]);
    }
}

/// The daemon gives work under way a moment when it ends; there the runtime's timers are gone already.
#[test]
fn who_waits_for_a_guest_is_not_hurt_by_the_end_of_the_daemon() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vm = client.make_vm("guest").reference();
    let context = Context::myself(&served.toolstack);
    let (begun, begins) = std::sync::mpsc::channel();
    let waiting = served.spawn_blocking(move || {
        begun.send(()).unwrap();
        stop::wait(&context, &vm, Duration::from_secs(1), |_| false)
    });
    begins.recv().unwrap();
    drop(served);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let waited = runtime.block_on(waiting).expect("no panic");
    assert_eq!(waited.unwrap_err().code, "VM_SHUTDOWN_TIMEOUT");
}

#[test]
fn shares_of_the_cpus_reach_the_domain() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let vm = made.vm.as_str();
    let scheduling = |domain| {
        client.ok("VM.start", vec![vm.into(), true.into(), false.into()]);
        let spec = served.hypervisor.spec(DomId(domain)).unwrap();
        client.ok("VM.hard_shutdown", vec![vm.into()]);
        spec.scheduling
    };
    assert_eq!(scheduling(1), Scheduling::default());
    let add = |key: &str, value: &str| {
        client.call("VM.add_to_VCPUs_params", vec![vm.into(), key.into(), value.into()])
    };
    add("weight", "512").unwrap();
    add("cap", "50").unwrap();
    assert_eq!(scheduling(2), Scheduling { weight: Some(512), cap: Some(50) });
    // More than all of its CPUs is all of them.
    client.ok("VM.set_VCPUs_params", vec![vm.into(), Value::string_map([("cap", "9999")])]);
    assert_eq!(scheduling(3), Scheduling { weight: None, cap: Some(100) });
    for (key, value, code) in [
        ("mask", "1-2", "INVALID_VALUE"),
        ("colour", "red", "VALUE_NOT_SUPPORTED"),
        ("weight", "0", "INVALID_VALUE"),
        ("weight", "65536", "INVALID_VALUE"),
        ("cap", "-1", "INVALID_VALUE"),
    ] {
        let params = Value::string_map([(key, value)]);
        let error = client.err("VM.set_VCPUs_params", vec![vm.into(), params.clone()]);
        assert_eq!(error.code, code, "{key}={value}");
        let record = record([("name_label", "x".into()), ("VCPUs_params", params)]);
        assert_eq!(client.err("VM.create", vec![record]).code, code, "{key}={value}");
    }
}

#[test]
fn settings_are_honoured_when_a_guest_ends() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let vm = made.vm.as_str();
    let start = || client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
    let domain = || DomId(client.text("VM.get_domid", vec![vm.into()]).parse().unwrap());
    let halted = || client.state(vm) == "Halted";
    start();
    served.hypervisor.guest_ends(domain(), ShutdownReason::PowerOff).unwrap();
    eventually("halted after a poweroff", halted);
    client.ok("VM.set_actions_after_shutdown", vec![vm.into(), "restart".into()]);
    start();
    let first = domain();
    served.hypervisor.guest_ends(first, ShutdownReason::PowerOff).unwrap();
    eventually("restarted after a poweroff", || {
        let text = client.text("VM.get_domid", vec![vm.into()]);
        text != "-1" && text != first.0.to_string() && client.state(vm) == "Running"
    });
    // Whoever shuts it down wants it down.
    client.ok("VM.clean_shutdown", vec![vm.into()]);
    assert!(halted());
    start();
    client.ok("VM.set_actions_after_reboot", vec![vm.into(), "destroy".into()]);
    served.hypervisor.guest_ends(domain(), ShutdownReason::Reboot).unwrap();
    eventually("halted after a reboot", halted);
    start();
    // A crash right after the start would go on for ever.
    served.hypervisor.guest_ends(domain(), ShutdownReason::Crash).unwrap();
    eventually("halted after an early crash", halted);
    start();
    served.hypervisor.guest_vanishes(domain()).unwrap();
    eventually("halted after its domain was taken away", halted);
    assert_eq!(served.network.ports().len(), 0);
}

#[test]
fn a_guest_that_does_not_listen() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let vm = made.vm.as_str();
    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
    let uuid = client.text("VM.get_uuid", vec![vm.into()]).parse().unwrap();
    served.hypervisor.set_manners(uuid, Manners::Ignores);
    let task = client.text("Async.VM.clean_shutdown", vec![vm.into()]);
    eventually("the shutdown is under way", || {
        let record = client.record("VM", vm);
        record["current_operations"].as_map().unwrap().contains_key(&task)
    });
    assert_eq!(client.err("VM.pause", vec![vm.into()]).code, "OTHER_OPERATION_IN_PROGRESS");
    let allowed = allowed(&client, vm);
    assert!(allowed.contains(&"hard_shutdown".into()) && !allowed.contains(&"pause".into()));
    eventually("the task can be cancelled", || {
        client.call("task.cancel", vec![task.as_str().into()]).is_ok()
    });
    let ended = client.ended(&task);
    assert_eq!(ended["status"].text(), "cancelled");
    assert_eq!(client.state(vm), "Running");
    let task = client.text("Async.VM.clean_shutdown", vec![vm.into()]);
    eventually("the shutdown is under way", || {
        let record = client.record("VM", vm);
        record["current_operations"].as_map().unwrap().contains_key(&task)
    });
    client.ok("VM.hard_shutdown", vec![vm.into()]);
    assert_eq!(client.state(vm), "Halted");
    assert_eq!(client.ended(&task)["status"].text(), "success");
    assert_eq!(client.record("VM", vm)["current_operations"], record([]));
}

#[test]
fn copies_are_of_their_own() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let made = client.make_vm("guest");
    for (message, extra) in
        [("VM.clone", vec![]), ("VM.copy", vec![Ref::NULL.into()]), ("VM.snapshot", vec![])]
    {
        let params = [vec![made.vm.as_str().into(), "copy".into()], extra].concat();
        let copy = client.text(message, params);
        let vbds = client.record("VM", &copy)["VBDs"].as_set().unwrap().to_vec();
        assert_eq!(vbds.len(), 1, "{message}");
        let vbd = client.record("VBD", &vbds[0].text());
        assert_eq!(vbd["VM"].text(), copy);
        let vdi = vbd["VDI"].text();
        assert_ne!(vdi, made.vdi);
        let snapshot = message == "VM.snapshot";
        let of = if snapshot { made.vdi.as_str() } else { Ref::NULL };
        assert_eq!(client.record("VDI", &vdi)["snapshot_of"].text(), of);
        let vifs = client.record("VM", &copy)["VIFs"].as_set().unwrap().to_vec();
        let mac = |vif: &str| client.text("VIF.get_MAC", vec![vif.into()]);
        assert_eq!(mac(&vifs[0].text()) == mac(&made.vif), snapshot, "{message}");
    }
    let snapshots = client.ok("VM.get_snapshots", vec![made.vm.as_str().into()]);
    assert_eq!(snapshots.as_set().unwrap().len(), 1);
}

#[test]
fn templates_make_their_disks() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let template = client.named("VM", "Other install media");
    let vm = client.text("VM.clone", vec![template.as_str().into(), "new".into()]);
    let disks = r#"<provision><disk device="0" size="1048576" sr="" bootable="true" type="system"/><disk device="3" size="2097152" sr="" bootable="false" type="user"/></provision>"#;
    let add = |text: &str| {
        client.call("VM.add_to_other_config", vec![vm.as_str().into(), "disks".into(), text.into()])
    };
    add(disks).unwrap();
    assert_eq!(add("x").unwrap_err().code, "MAP_DUPLICATE_KEY");
    client.ok("VM.provision", vec![vm.as_str().into()]);
    let vbds = client.record("VM", &vm)["VBDs"].as_set().unwrap().len();
    assert_eq!(vbds, 2);
    assert_eq!(client.ok("VM.get_is_a_template", vec![vm.as_str().into()]), false.into());
    let again = client.err("VM.provision", vec![vm.as_str().into()]);
    assert_eq!(again.description(), ["ONLY_PROVISION_TEMPLATE"]);
    let free = client.ok("VM.get_allowed_VBD_devices", vec![vm.as_str().into()]);
    let free: Vec<String> = free.as_set().unwrap().iter().map(Value::text).collect();
    assert!(free.starts_with(&["1".into(), "2".into(), "4".into()]));
    // The default template itself stays as it is.
    assert_eq!(
        client.err("VM.provision", vec![template.as_str().into()]).code,
        "OPERATION_NOT_ALLOWED"
    );
    let error = client.err("VM.destroy", vec![template.as_str().into()]);
    assert_eq!(error.description(), ["VM_IS_TEMPLATE", &template, "destroy"]);
}

/// Every template that comes with the appliance makes a VM that starts, with its disk.
#[test]
fn all_templates_make_vms_that_start() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let all = client.ok("VM.get_all_records", vec![]);
    let templates: Vec<(&String, &Value)> = all
        .as_map()
        .unwrap()
        .iter()
        .filter(|(_, vm)| vm.as_map().unwrap()["is_default_template"] == true.into())
        .collect();
    assert_eq!(templates.len(), 15);
    for (domid, (template, record)) in (1..).zip(&templates) {
        let record = record.as_map().unwrap();
        let name = record["name_label"].text();
        let vm = client.text("VM.clone", vec![template.as_str().into(), name.as_str().into()]);
        client.ok("VM.provision", vec![vm.as_str().into()]);
        // The simulated machine has less than some ask for.
        client.ok("VM.set_memory", vec![vm.as_str().into(), (2i64 << 30).into()]);
        client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
        let spec = served.hypervisor.spec(DomId(domid)).unwrap();
        let wanted = usize::from(record["other_config"].as_map().unwrap().contains_key("disks"));
        assert_eq!(spec.disks.len(), wanted, "{name}");
        if let GuestKind::Hvm { platform, .. } = spec.kind {
            assert_eq!(platform.viridian.is_empty(), !name.starts_with("Windows"), "{name}");
            assert!(platform.hpet && platform.tablet, "{name}");
        }
        client.ok("VM.hard_shutdown", vec![vm.as_str().into()]);
    }
}

#[test]
fn settings_of_the_platform_reach_the_machine() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let template = client.named("VM", "Other install media");
    let vm = client.text("VM.clone", vec![template.as_str().into(), "pc".into()]);
    client.ok("VM.provision", vec![vm.as_str().into()]);
    let machine = |domid, settings: &[(&str, &str)]| {
        let settings = Value::string_map(settings.iter().copied());
        client.ok("VM.set_platform", vec![vm.as_str().into(), settings]);
        client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
        let spec = served.hypervisor.spec(DomId(domid)).unwrap();
        client.ok("VM.hard_shutdown", vec![vm.as_str().into()]);
        let GuestKind::Hvm { platform, .. } = spec.kind else { panic!("no HVM guest") };
        platform
    };
    let usual = Platform { tablet: true, ..Platform::default() };
    assert_eq!(machine(1, &[]), usual);
    let nonsense = [("hpet", "maybe"), ("videoram", "-8"), ("timeoffset", "x"), ("viridian", "")];
    assert_eq!(machine(2, &nonsense), usual);
    let set = [
        ("viridian", "true"),
        ("viridian_reference_tsc", "1"),
        ("viridian_stimer", "false"),
        ("hpet", "false"),
        ("usb_tablet", "false"),
        ("vga", "cirrus"),
        ("videoram", "9"),
        ("timeoffset", "-3600"),
    ];
    let headless = machine(3, &[("vga", "none"), ("videoram", "8")]);
    assert_eq!((headless.video, headless.video_mib), (Video::None, 0));
    let machine = machine(4, &set);
    let viridian = [Viridian::Base, Viridian::Frequencies, Viridian::ReferenceTsc].into();
    let (video, clock_offset) = (Video::Cirrus, -3600);
    let wanted =
        Platform { viridian, hpet: false, tablet: false, video, video_mib: 16, clock_offset };
    assert_eq!(machine, wanted);
}

#[test]
fn limits_are_kept() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let vm = made.vm.as_str();
    let error = client.err("VM.set_memory_static_max", vec![vm.into(), 1i64.into()]);
    assert_eq!(error.code, "MEMORY_CONSTRAINT_VIOLATION");
    client.ok("VM.set_memory", vec![vm.into(), (256i64 << 20).into()]);
    assert_eq!(
        client.err("VM.set_VCPUs_at_startup", vec![vm.into(), 2i64.into()]).code,
        "INVALID_VALUE"
    );
    client.ok("VM.set_VCPUs_max", vec![vm.into(), 2i64.into()]);
    client.ok("VM.set_VCPUs_at_startup", vec![vm.into(), 2i64.into()]);
    let big = Value::from(64i64 << 30);
    client.ok("VM.set_memory", vec![vm.into(), big]);
    let error = client.err("VM.start", vec![vm.into(), false.into(), false.into()]);
    // More than the machine has is a wrong setting; more than is free is told with figures.
    assert_eq!(error.code, "INTERNAL_ERROR");
    client.ok("VM.set_memory", vec![vm.into(), (7900i64 << 20).into()]);
    let error = client.err("VM.start", vec![vm.into(), false.into(), false.into()]);
    assert_eq!(error.code, "HOST_NOT_ENOUGH_FREE_MEMORY");
    assert_eq!(
        client.err("VM.assert_can_boot_here", vec![vm.into(), served.toolstack.host().into()]).code,
        "HOST_NOT_ENOUGH_FREE_MEMORY"
    );
    client.ok("VM.set_memory", vec![vm.into(), (256i64 << 20).into()]);
    client.ok("VM.add_to_blocked_operations", vec![vm.into(), "start".into(), "NOT_TODAY".into()]);
    let error = client.err("VM.start", vec![vm.into(), false.into(), false.into()]);
    assert_eq!(error.description(), ["OPERATION_BLOCKED", vm, "NOT_TODAY"]);
    client.ok("VM.remove_from_blocked_operations", vec![vm.into(), "start".into()]);
    client.ok("VM.remove_from_blocked_operations", vec![vm.into(), "start".into()]);
    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
    assert_eq!(
        client.err("VM.set_VCPUs_max", vec![vm.into(), 1i64.into()]).code,
        "VM_BAD_POWER_STATE"
    );
    for kernel in ["/etc/shadow", "/var/lib/xenith/guest/../state.db"] {
        client.ok("VM.set_PV_kernel", vec![vm.into(), kernel.into()]);
        assert_eq!(client.err("VM.hard_reboot", vec![vm.into()]).code, "BOOTLOADER_FAILED");
        client.ok("VM.set_PV_kernel", vec![vm.into(), "".into()]);
        client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
    }
}

/// After a restart of the host, numbers of domains begin anew: one that is still written down for a VM
/// may be another's by now.
#[test]
fn another_vms_domain_of_the_same_number_is_left_alone() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (stale, running) = (client.make_vm("stale"), client.make_vm("running"));
    client.ok("VM.start", vec![running.vm.as_str().into(), false.into(), false.into()]);
    let number = client.text("VM.get_domid", vec![running.vm.as_str().into()]);
    let reference = stale.reference();
    let toolstack = served.toolstack.clone();
    let domid: i64 = number.parse().unwrap();
    let written = served.block_on(served.spawn_blocking(move || {
        toolstack.store.write(|t| {
            t.set(&reference, "power_state", Value::Enum("Running"));
            t.set(&reference, "domid", domid);
            Ok(())
        })
    }));
    written.unwrap().unwrap();
    client.ok("VM.hard_shutdown", vec![stale.vm.as_str().into()]);
    assert_eq!(client.state(&stale.vm), "Halted");
    assert!(served.hypervisor.spec(DomId(number.parse().unwrap())).is_some());
    assert!(served.network.ports().contains_key(&format!("vif{number}.0")));
    assert_eq!(client.state(&running.vm), "Running");
}

#[test]
fn several_clone_a_template_at_a_time() {
    let served = Served::new();
    let template = served.login(Wire::Json).named("VM", "Linux PVH (own boot loader)");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (served, template) = (&served, &template);
            scope.spawn(move || {
                let client = served.login(Wire::Json);
                for round in 0..5 {
                    let name = format!("{number} {round}");
                    client.ok("VM.clone", vec![template.as_str().into(), name.into()]);
                }
            });
        }
    });
}

#[test]
fn domain_type_and_boot_policy_follow_each_other() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = |fields: &[(&'static str, Value)]| {
        let named = ("name_label", Value::from("x"));
        let fields = fields.iter().cloned().chain([named]).map(|(n, v)| (n.to_owned(), v));
        client.text("VM.create", vec![Value::Map(fields.collect())])
    };
    let is = |vm: &str, kind: &str, policy: &str| {
        let record = client.record("VM", vm);
        let both = (record["domain_type"].text(), record["HVM_boot_policy"].text());
        assert_eq!(both, (kind.to_owned(), policy.to_owned()));
    };
    let vm = made(&[]);
    is(&vm, "pv", "");
    is(&made(&[("HVM_boot_policy", "BIOS order".into())]), "hvm", "BIOS order");
    is(&made(&[("domain_type", "unspecified".into())]), "pv", "");
    is(&made(&[("domain_type", "pvh".into())]), "pvh", "");

    let set = |field: &str, value: &str| {
        client.call(&format!("VM.set_{field}"), vec![vm.as_str().into(), value.into()])
    };
    for (field, value, kind, policy) in [
        ("HVM_boot_policy", "BIOS order", "hvm", "BIOS order"),
        ("HVM_boot_policy", "", "pv", ""),
        ("domain_type", "hvm", "hvm", "BIOS order"),
        ("domain_type", "pvh", "pvh", ""),
        ("HVM_boot_policy", "", "pvh", ""),
        ("HVM_boot_policy", "other", "hvm", "other"),
        ("domain_type", "hvm", "hvm", "other"),
        ("domain_type", "pv", "pv", ""),
    ] {
        set(field, value).unwrap();
        is(&vm, kind, policy);
    }
    let error = set("domain_type", "unspecified").unwrap_err();
    assert_eq!(error.description(), ["INVALID_VALUE", "domain_type", "unspecified"]);
    is(&vm, "pv", "");
}
