// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `allowed_operations` says is what calls do, in each state; nothing stays under way.

use crate::common::{Client, Served, Vm, Wire, eventually, record};
use xapi_model::{ApiError, Type, Value, classes, errors};
use xenops::Manners;

/// Operations that `VM.allowed_operations` leaves out.
const NOT_LISTED: &[&str] = &[
    "power_state_reset",
    "get_boot_record",
    "send_sysrq",
    "send_trigger",
    "shutdown",
    "changing_memory_live",
    "awaiting_memory_live",
    "changing_memory_limits",
    "changing_VCPUs",
    "data_source_op",
    "reverting",
];

/// Values of the enumeration that a class's `allowed_operations` has.
fn operations(class: &str) -> &'static [&'static str] {
    let class = classes::find(class).unwrap();
    match class.field("allowed_operations").unwrap().1.ty {
        Type::Set(Type::Enum(kind)) => kind.values,
        other => panic!("{other:?}"),
    }
}

fn allowed(client: &Client, class: &str, object: &str) -> Vec<String> {
    let allowed = client.ok(&format!("{class}.get_allowed_operations"), vec![object.into()]);
    allowed.as_set().unwrap().iter().map(Value::text).collect()
}

/// Nothing is under way.
fn is_idle(client: &Client) {
    for class in ["VM", "VBD", "VIF", "VDI", "SR", "VM_appliance", "host"] {
        let all = client.ok(&format!("{class}.get_all_records"), vec![]);
        for (object, record) in all.as_map().unwrap() {
            let under_way = &record.as_map().unwrap()["current_operations"];
            assert_eq!(*under_way, Value::Map(Default::default()), "{class} {object}");
        }
    }
}

type Done = Result<Value, ApiError>;

fn fetched(client: &Client, path: &str, vm: &str) -> Done {
    let url = format!("{}/{path}?ref={vm}&session_id={}", client.url, client.session);
    let mut answer = client.agent.get(url).call().unwrap();
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
    match status {
        200 => Ok(Value::Void),
        _ => Err(errors::INTERNAL_ERROR.with([String::from_utf8_lossy(&body)])),
    }
}

/// Does an operation with a VM; none if no call does it.
fn vm_operation(client: &Client, vm: &str, operation: &str) -> Option<Done> {
    let call = |message: &str, rest: &[Value]| {
        let params = std::iter::once(vm.into()).chain(rest.iter().cloned()).collect();
        client.call(&format!("VM.{message}"), params)
    };
    let host = || client.ok("host.get_all", vec![]).as_set().unwrap()[0].clone();
    let record = client.record("VM", vm);
    let of = |field: &str| record[field].clone();
    let (no, name) = (Value::from(false), Value::from("made of it"));
    Some(match operation {
        "start" | "resume" => call(operation, &[no.clone(), no]),
        "start_on" | "resume_on" => call(operation, &[host(), no.clone(), no]),
        "clone" | "snapshot" | "checkpoint" => call(operation, &[name]),
        "copy" => call(operation, &[name, "OpaqueRef:NULL".into()]),
        "export" => fetched(client, "export", vm),
        "metadata_export" => fetched(client, "export_metadata", vm),
        "make_into_template" => call("set_is_a_template", &[true.into()]),
        "changing_VCPUs" => call("set_VCPUs_max", &[of("VCPUs_max")]),
        "changing_memory_live" => call("set_memory_target_live", &[of("memory_dynamic_max")]),
        "awaiting_memory_live" => call("wait_memory_target_live", &[]),
        "get_boot_record" => call(operation, &[]),
        "send_sysrq" => call(operation, &["h".into()]),
        "send_trigger" => call(operation, &["init".into()]),
        // That there is no such figure yet is for the one who asks, and nothing of the VM's.
        "data_source_op" => match call("record_data_source", &["memory".into()]) {
            Err(error) if error.code == "INVALID_VALUE" => Ok(Value::Void),
            done => done,
        },
        "changing_VCPUs_live" => call("set_VCPUs_number_live", &[1.into()]),
        "changing_static_range" => {
            let range = [of("memory_static_min"), of("memory_static_max")];
            call("set_memory_static_range", &range)
        }
        "changing_dynamic_range" => {
            let range = [of("memory_dynamic_min"), of("memory_dynamic_max")];
            call("set_memory_dynamic_range", &range)
        }
        "changing_memory_limits" => {
            let limits = ["static_min", "static_max", "dynamic_min", "dynamic_max"];
            call("set_memory_limits", &limits.map(|limit| of(&format!("memory_{limit}"))))
        }
        // The VM that is reverted, and the snapshot that it is reverted to.
        "reverting" => {
            call("snapshot", &[name]).and_then(|snapshot| client.call("VM.revert", vec![snapshot]))
        }
        "revert" | "pause" | "unpause" | "clean_shutdown" | "clean_reboot" | "shutdown"
        | "hard_shutdown" | "hard_reboot" | "power_state_reset" | "suspend" | "provision"
        | "destroy" => call(operation, &[]),
        // Not done here; `assert_operation_valid` says so.
        _ => return None,
    })
}

/// A VM in a state.
fn made(client: &Client, state: &str) -> Vm {
    let mut made = client.make_vm("walked");
    let vm = || Value::from(made.vm.as_str());
    let start = |paused: bool| client.ok("VM.start", vec![vm(), paused.into(), false.into()]);
    match state {
        "halted" => {}
        "running" => drop(start(false)),
        "paused" => drop(start(true)),
        "suspended" => {
            start(false);
            client.ok("VM.suspend", vec![vm()]);
        }
        "template" => drop(client.ok("VM.set_is_a_template", vec![vm(), true.into()])),
        "snapshot" => made.vm = client.text("VM.snapshot", vec![vm(), "walked too".into()]),
        "checkpoint" => {
            start(false);
            made.vm = client.text("VM.checkpoint", vec![vm(), "walked too".into()]);
        }
        _ => panic!("{state}"),
    }
    made
}

/// Removes what earlier steps have made, for whose memory the host has no room.
fn clear(client: &Client) {
    let all = client.ok("VM.get_all_records", vec![]);
    for (vm, record) in all.as_map().unwrap() {
        let record = record.as_map().unwrap();
        if !["walked", "walked too", "made of it"].contains(&record["name_label"].text().as_str()) {
            continue;
        }
        let vm = || vec![Value::from(vm.as_str())];
        client.ok(
            "VM.set_blocked_operations",
            [vm(), vec![Value::string_map([("", ""); 0])]].concat(),
        );
        if ["Running", "Paused"].contains(&record["power_state"].text().as_str()) {
            client.ok("VM.hard_shutdown", vm());
        }
        client.ok("VM.destroy", vm());
    }
}

/// Tries every operation of a class with an object that `make` gives, and again after each that worked.
fn walk(
    client: &Client,
    class: &str,
    state: &str,
    make: impl Fn() -> String,
    act: impl Fn(&str, &str) -> Option<Done>,
) {
    let mut wrong = Vec::new();
    clear(client);
    let mut object = make();
    let before = allowed(client, class, &object);
    for operation in operations(class) {
        let claimed = allowed(client, class, &object).contains(&(*operation).to_owned());
        let Some(done) = act(&object, operation) else {
            assert!(!claimed, "{class} {state}: {operation} is done by no call");
            continue;
        };
        if claimed != done.is_ok() {
            wrong.push(format!("{class} {state}: {operation} allowed: {claimed}, did: {done:?}"));
        }
        is_idle(client);
        if done.is_ok() {
            clear(client);
            object = make();
        }
        assert_eq!(allowed(client, class, &object), before, "{class} {state} after {operation}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Walks over the operations of VMs that `make` gives.
fn walk_vms(client: &Client, state: &str, make: impl Fn() -> String) {
    walk(client, "VM", state, make, |vm, operation| {
        let told = allowed(client, "VM", vm).contains(&operation.to_owned());
        if !NOT_LISTED.contains(&operation) {
            let check = valid(client, vm, operation);
            assert_eq!(check.is_ok(), told, "{operation}: {check:?}");
            return vm_operation(client, vm, operation);
        }
        assert!(!told, "{operation} is told");
        None
    });
}

fn valid(client: &Client, vm: &str, operation: &str) -> Done {
    client.call("VM.assert_operation_valid", vec![vm.into(), operation.into()])
}

/// What clients are not told of, as with XAPI, is still valid if and only if it works.
fn walk_the_rest(client: &Client, state: &str, make: impl Fn() -> String) {
    clear(client);
    let mut vm = make();
    for operation in NOT_LISTED {
        let check = valid(client, &vm, operation);
        let Some(done) = vm_operation(client, &vm, operation) else {
            panic!("{operation} is done by no call")
        };
        assert_eq!(check.is_ok(), done.is_ok(), "{state} {operation}: {check:?}, did: {done:?}");
        if done.is_ok() {
            clear(client);
            vm = make();
        }
    }
}

#[test]
fn a_vm_does_what_it_says() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    for state in ["halted", "running", "paused", "suspended"] {
        walk_vms(&client, state, || made(&client, state).vm);
        walk_the_rest(&client, state, || made(&client, state).vm);
    }
    let blocked = || {
        let vm = made(&client, "halted").vm;
        let all = operations("VM").iter().map(|operation| (*operation, "NO"));
        client.ok("VM.set_blocked_operations", vec![vm.as_str().into(), Value::string_map(all)]);
        vm
    };
    walk_vms(&client, "blocked", blocked);
    walk_the_rest(&client, "blocked", blocked);
    assert_eq!(allowed(&client, "VM", &blocked()), [""; 0]);
}

#[test]
fn what_is_no_vm_of_a_users_does_what_it_says() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    for state in ["template", "snapshot", "checkpoint"] {
        walk_vms(&client, state, || made(&client, state).vm);
        walk_the_rest(&client, state, || made(&client, state).vm);
    }
    let default = || client.named("VM", "Linux PVH (own boot loader)");
    walk_vms(&client, "default template", default);
    walk_the_rest(&client, "default template", default);
    let host = client.ok("host.get_all", vec![]).as_set().unwrap()[0].clone();
    let control = client.text("host.get_control_domain", vec![host]);
    walk_vms(&client, "control domain", || control.clone());
    walk_the_rest(&client, "control domain", || control.clone());
}

/// While a guest is asked in vain to end, it can be made to.
#[test]
fn what_is_under_way_excludes_others() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let mut done = Vec::new();
    let mut begun = None;
    for operation in operations("VM") {
        let (vm, _) = begun.take().unwrap_or_else(|| {
            let vm = made(&client, "running").vm;
            let uuid = client.text("VM.get_uuid", vec![vm.as_str().into()]).parse().unwrap();
            served.hypervisor.set_manners(uuid, Manners::Ignores);
            let task = client.text("Async.VM.clean_shutdown", vec![vm.as_str().into()]);
            eventually("the shutdown is under way", || {
                let under_way = client.ok("VM.get_current_operations", vec![vm.as_str().into()]);
                let expected = Value::string_map([(task.as_str(), "clean_shutdown")]);
                under_way == expected
            });
            (vm, task)
        });
        let claimed = match NOT_LISTED.contains(operation) {
            true => valid(&client, &vm, operation).is_ok(),
            false => allowed(&client, "VM", &vm).contains(&(*operation).to_owned()),
        };
        let did = vm_operation(&client, &vm, operation);
        assert_eq!(claimed, matches!(did, Some(Ok(_))), "{operation}: {did:?}");
        match claimed {
            true => done.push(*operation),
            false => begun = Some((vm, String::new())),
        }
    }
    let looking_after = ["send_sysrq", "send_trigger"];
    assert_eq!(done[..3], ["hard_shutdown", "power_state_reset", "hard_reboot"]);
    assert_eq!(done[3..], looking_after);
}

#[test]
fn devices_do_what_they_say() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let call = |message: &str, device: &str| Some(client.call(message, vec![device.into()]));
    let disc = |vm: &str, full: bool| {
        let vbd = client.text(
            "VBD.create",
            vec![record([
                ("VM", vm.into()),
                ("userdevice", "3".into()),
                ("type", "CD".into()),
                ("mode", "RO".into()),
                ("empty", true.into()),
            ])],
        );
        if full {
            client.ok("VBD.insert", vec![vbd.as_str().into(), spare(&client)]);
        }
        vbd
    };
    for state in ["halted", "running", "paused", "suspended", "template"] {
        let vbd = |device: &str, operation: &str| match operation {
            "attach" => call("VBD.assert_attachable", device),
            "insert" => Some(client.call("VBD.insert", vec![device.into(), spare(&client)])),
            "pause" | "unpause" => None,
            other => call(&format!("VBD.{other}"), device),
        };
        walk(&client, "VBD", state, || made(&client, state).vbd, vbd);
        walk(
            &client,
            "VIF",
            state,
            || made(&client, state).vif,
            |device, operation| {
                match operation {
                    // What is not attached can be; there is no call that only asks.
                    "attach" => {
                        let attached = client.ok("VIF.get_currently_attached", vec![device.into()]);
                        let can = attached == false.into() && !["suspended"].contains(&state);
                        Some(if can { Ok(Value::Void) } else { Err(errors::TOO_BUSY.bare()) })
                    }
                    other => call(&format!("VIF.{other}"), device),
                }
            },
        );
        // A drive that is given before the state is reached.
        for full in [false, true] {
            let make = || {
                let made = made(&client, "halted");
                let drive = disc(&made.vm, full);
                let vm = || Value::from(made.vm.as_str());
                if ["running", "paused", "suspended"].contains(&state) {
                    client.ok("VM.start", vec![vm(), (state == "paused").into(), false.into()]);
                }
                match state {
                    "suspended" => drop(client.ok("VM.suspend", vec![vm()])),
                    "template" => drop(client.ok("VM.set_is_a_template", vec![vm(), true.into()])),
                    _ => {}
                }
                drive
            };
            walk(&client, "VBD", &format!("{state}, a drive, {full}"), make, vbd);
        }
    }
}

/// A disc that no VM has.
fn spare(client: &Client) -> Value {
    let pool = client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone();
    let fields = [
        ("name_label", "disc".into()),
        ("SR", client.ok("pool.get_default_SR", vec![pool])),
        ("virtual_size", (1i64 << 20).into()),
        ("type", "user".into()),
        ("read_only", true.into()),
    ];
    client.ok("VDI.create", vec![record(fields)])
}

#[test]
fn appliances_do_what_they_say() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    for states in [&[][..], &["halted"], &["running"], &["running", "halted"]] {
        let make = || {
            let fields = [("name_label", "shop".into())];
            let all = client.text("VM_appliance.create", vec![record(fields)]);
            for state in states {
                let vm = made(&client, state).vm;
                client.ok("VM.set_appliance", vec![vm.into(), all.as_str().into()]);
            }
            all
        };
        walk(&client, "VM_appliance", &states.join("+"), make, |all, operation| {
            let paused = (operation == "start").then(|| Value::from(false));
            let params = std::iter::once(all.into()).chain(paused).collect();
            Some(client.call(&format!("VM_appliance.{operation}"), params))
        });
    }
}

#[test]
fn no_template_is_a_member_of_anything() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let fields = |name: &str| record([("name_label", name.into())]);
    let schedule = [
        ("name_label", "nightly".into()),
        ("type", "snapshot".into()),
        ("frequency", "daily".into()),
        ("schedule", Value::string_map([("min", "0"), ("hour", "3")])),
    ];
    for (field, class, fields, code) in [
        ("appliance", "VM_appliance", fields("shop"), "VM_IS_PART_OF_AN_APPLIANCE"),
        ("snapshot_schedule", "VMSS", record(schedule), "VM_ASSIGNED_TO_SNAPSHOT_SCHEDULE"),
    ] {
        let vm = made(&client, "halted").vm;
        let whole = client.text(&format!("{class}.create"), vec![fields]);
        client.ok(&format!("VM.set_{field}"), vec![vm.as_str().into(), whole.as_str().into()]);
        assert!(!allowed(&client, "VM", &vm).contains(&"make_into_template".to_owned()));
        let error = client.err("VM.set_is_a_template", vec![vm.as_str().into(), true.into()]);
        assert_eq!(error.description(), [code, &vm, &whole]);
    }
    let error = client.err("VM.revert", vec![made(&client, "halted").vm.into()]);
    assert_eq!(error.description(), ["ONLY_REVERT_SNAPSHOT"]);
}
