// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's parts, its figures, its name; schedules of snapshots.

use std::time::{Duration, UNIX_EPOCH};

use crate::common::{Client, Served, Wire, record};
use xapi_model::{DateTime, Ref, Value};

fn host(served: &Served) -> Value {
    served.toolstack.host().into()
}

fn all(client: &Client, class: &str) -> Vec<std::collections::BTreeMap<String, Value>> {
    let all = client.ok(&format!("{class}.get_all_records"), vec![]);
    all.as_map().unwrap().values().map(|one| one.as_map().unwrap().clone()).collect()
}

#[test]
fn the_machine_is_described() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let cpus = all(&client, "host_cpu");
    let count = client.ok("host.get_cpu_info", vec![host(&served)]);
    assert_eq!(cpus.len().to_string(), count.as_map().unwrap()["cpu_count"].text());
    assert_eq!(
        (cpus[0]["vendor"].text(), cpus[0]["model"].text()),
        ("GenuineIntel".into(), "85".into())
    );
    let devices = all(&client, "PCI");
    assert_eq!(devices.len(), 3);
    let cards = all(&client, "PGPU");
    assert_eq!(cards.len(), 1);
    assert_eq!(cards[0]["is_system_display_device"], true.into());
    let screen = client.record("PCI", &cards[0]["PCI"].text());
    assert_eq!(screen["class_name"].text(), "VGA compatible controller");
    assert_eq!(
        (screen["vendor_name"].text(), screen["device_name"].text()),
        ("Made-up".into(), "Screen".into())
    );
    let group = cards[0]["GPU_group"].text();
    let fields = client.record("GPU_group", &group);
    assert_eq!(fields["GPU_types"], Value::strings(["1234/1111"]));
    assert_eq!(client.err("GPU_group.destroy", vec![group.into()]).code, "GPU_GROUP_CONTAINS_PGPU");
    let empty = client.text("GPU_group.create", vec!["mine".into()]);
    client.ok("GPU_group.destroy", vec![empty.into()]);
    let pif = &all(&client, "PIF")[0];
    assert_eq!(
        client.record("PCI", &pif["PCI"].text())["class_name"].text(),
        "Ethernet controller"
    );
}

#[test]
fn crashes_of_the_host_are_found_and_removed() {
    let served = Served::with(|outside| {
        let root = tempfile::tempdir().unwrap().keep();
        let folder = root.join("sys/fs/pstore");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("dmesg-efi-1");
        std::fs::write(&path, "panic").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
        outside.machine = toolstack::hardware::Machine::new(root);
    });
    let client = served.login(Wire::Json);
    let crashes = client.ok("host.get_crashdumps", vec![host(&served)]);
    let crash = crashes.as_set().unwrap()[0].text();
    let fields = client.record("host_crashdump", &crash);
    assert_eq!(fields["size"], Value::Int(5));
    assert_eq!(DateTime::parse(&fields["timestamp"].text()), Some(DateTime(1_700_000_000)));
    client.ok("host_crashdump.destroy", vec![crash.into()]);
    assert_eq!(client.ok("host_crashdump.get_all", vec![]), Value::Set(vec![]));
    assert_eq!(served.toolstack.machine.crashes(), []);
}

#[test]
fn figures_are_those_of_now() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let sample = || served.toolstack.metrics.sample(&served.toolstack).unwrap();
    assert_eq!(client.ok("host.get_data_sources", vec![host(&served)]), Value::Set(vec![]));
    sample();
    let sources = client.ok("host.get_data_sources", vec![host(&served)]);
    let names: Vec<String> = sources
        .as_set()
        .unwrap()
        .iter()
        .map(|source| source.as_map().unwrap()["name_label"].text())
        .collect();
    assert!(names.contains(&"memory_free_kib".to_owned()), "{names:?}");
    let free = || {
        sample();
        let figure =
            client.ok("host.query_data_source", vec![host(&served), "memory_free_kib".into()]);
        match figure {
            Value::Float(figure) => figure,
            other => panic!("{other:?}"),
        }
    };
    let before = free();
    let vm = client.make_vm("guest").vm;
    let memory = || client.call("VM.query_data_source", vec![vm.as_str().into(), "memory".into()]);
    assert_eq!(memory().unwrap_err().code, "VM_BAD_POWER_STATE");
    client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
    assert!(free() < before);
    assert!(matches!(memory().unwrap(), Value::Float(bytes) if bytes > 0.0));
    let error =
        client.err("VM.query_data_source", vec![vm.as_str().into(), "vbd_xvda_read".into()]);
    assert_eq!(
        error.description(),
        ["VALUE_NOT_SUPPORTED", "data_source", "vbd_xvda_read", "it is not known yet"]
    );
    sample();
    let read = client.ok("VM.query_data_source", vec![vm.as_str().into(), "vbd_xvda_read".into()]);
    assert!(matches!(read, Value::Float(read) if read > 0.0), "{read:?}");
    let error = client.err("host.query_data_source", vec![host(&served), "speed".into()]);
    assert_eq!(error.description(), ["INVALID_VALUE", "data_source", "speed"]);
}

#[test]
fn a_host_is_renamed_and_evacuated_as_far_as_it_goes() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    client.ok("host.set_hostname_live", vec![host(&served), "other.example".into()]);
    assert_eq!(client.text("host.get_hostname", vec![host(&served)]), "other.example");
    let error = client.err("host.set_hostname_live", vec![host(&served), "a;b".into()]);
    assert_eq!(error.code, "HOST_NAME_INVALID");
    assert_eq!(client.err("host.evacuate", vec![host(&served)]).code, "HOST_NOT_DISABLED");
    let vm = client.make_vm("guest").vm;
    client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
    client.ok("host.disable", vec![host(&served)]);
    assert_eq!(client.err("host.evacuate", vec![host(&served)]).code, "NO_HOSTS_AVAILABLE");
    assert_eq!(
        client.err("host.assert_can_evacuate", vec![host(&served)]).code,
        "NO_HOSTS_AVAILABLE"
    );
    let plan = client.ok(
        "pool.ha_compute_vm_failover_plan",
        vec![Value::Set(vec![host(&served)]), Value::Set(vec![vm.as_str().into()])],
    );
    let outcome = &plan.as_map().unwrap()[&vm];
    assert_eq!(outcome.as_map().unwrap()["error_code"].text(), "NO_HOSTS_AVAILABLE");
    let protected = Value::string_map([(vm.as_str(), "restart")]);
    let hypothetical = "pool.ha_compute_hypothetical_max_host_failures_to_tolerate";
    assert_eq!(client.ok(hypothetical, vec![protected]), Value::Int(0));
    client.ok("VM.hard_shutdown", vec![vm.into()]);
    client.ok("host.evacuate", vec![host(&served)]);
}

#[test]
fn a_vm_is_remembered_as_it_started() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let made = client.make_vm("before");
    let vm = made.vm.as_str();
    let label = || {
        let booted = client.ok("VM.get_boot_record", vec![vm.into()]);
        booted.as_map().unwrap()["name_label"].text()
    };
    assert_eq!(label(), "before");
    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
    client.ok("VM.set_name_label", vec![vm.into(), "after".into()]);
    assert_eq!(label(), "before");
    client.ok("VM.hard_reboot", vec![vm.into()]);
    assert_eq!(label(), "after");
    let error = client.err("VM.assert_agile", vec![vm.into()]);
    assert_eq!(error.code, "HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED");
    let total: i64 = 1 << 30;
    let most = client.ok("VM.maximise_memory", vec![vm.into(), total.into(), false.into()]);
    let most: i64 = most.text().parse().unwrap();
    assert!(0 < most && most < total && most % (1 << 20) == 0, "{most}");
}

#[test]
fn all_vms_of_a_host_have_its_share() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let set =
        |params: Value| client.call("host.set_guest_VCPUs_params", vec![host(&served), params]);
    assert!(set(Value::string_map([("weight", "0")])).is_err());
    set(Value::string_map([("weight", "512"), ("cap", "50")])).unwrap();
    let vm = client.make_vm("guest").vm;
    let own = Value::string_map([("cap", "80")]);
    client.ok("VM.set_VCPUs_params", vec![vm.as_str().into(), own]);
    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
    let scheduling = served.hypervisor.spec(xenops::DomId(1)).unwrap().scheduling;
    assert_eq!((scheduling.weight, scheduling.cap), (Some(512), Some(80)));
}

#[test]
fn a_forgotten_vdi_is_introduced_again() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let made = client.make_vm("guest");
    let fields = client.record("VDI", &made.vdi);
    client.ok("VDI.forget", vec![made.vdi.as_str().into()]);
    let introduce = |uuid: &str| {
        let mut params: Vec<Value> =
            vec![uuid.into(), "back".into(), "".into(), fields["SR"].clone()];
        params.extend(["user".into(), false.into(), false.into()]);
        params.extend([Value::Map(Default::default()), "".into()]);
        client.call("VDI.introduce", params)
    };
    let uuid = fields["uuid"].text();
    let vdi = introduce(&uuid).unwrap();
    assert_eq!(client.ok("VDI.get_virtual_size", vec![vdi.clone()]), fields["virtual_size"]);
    assert_eq!(introduce(&uuid).unwrap_err().code, "DB_UNIQUENESS_CONSTRAINT_VIOLATION");
    let other = "5f5e6b1c-30a5-4f6b-8c57-0d8a3f1b2c4e";
    assert_eq!(introduce(other).unwrap_err().code, "VDI_MISSING");
    client.ok("VDI.update", vec![vdi.clone()]);
    // With all that newer clients say, of a snapshot.
    let snapshot = client.text("VDI.snapshot", vec![vdi.clone()]);
    let was = client.record("VDI", &snapshot);
    client.ok("VDI.forget", vec![snapshot.into()]);
    let all = [
        "uuid",
        "name_label",
        "name_description",
        "SR",
        "type",
        "sharable",
        "read_only",
        "other_config",
        "location",
        "xenstore_data",
        "sm_config",
        "managed",
        "virtual_size",
        "physical_utilisation",
        "metadata_of_pool",
        "is_a_snapshot",
        "snapshot_time",
        "snapshot_of",
    ];
    let params = all.map(|name| was[name].clone()).to_vec();
    let again = client.record("VDI", &client.text("VDI.introduce", params));
    for name in all {
        assert_eq!(again[name], was[name], "{name}");
    }
    assert_eq!(again["snapshot_of"], vdi);
}

#[test]
fn schedules_snapshot_and_keep_so_many() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let create = |kind: &str, retained: i64| {
        let fields = [
            ("name_label", "hourly".into()),
            ("enabled", true.into()),
            ("type", kind.into()),
            ("retained_snapshots", retained.into()),
            ("frequency", "hourly".into()),
            ("schedule", Value::string_map([("min", "15")])),
        ];
        client.call("VMSS.create", vec![record(fields)])
    };
    assert_eq!(create("snapshot", 11).unwrap_err().code, "INVALID_VALUE");
    assert_eq!(create("snapshot_with_quiesce", 2).unwrap_err().code, "VALUE_NOT_SUPPORTED");
    let vmss = create("snapshot", 2).unwrap().text();
    let vm = client.make_vm("guest").vm;
    client.ok("VM.set_snapshot_schedule", vec![vm.as_str().into(), vmss.as_str().into()]);
    let disks = client.ok("VDI.get_all", vec![]).as_set().unwrap().len();
    for _ in 0..3 {
        let said = client.text("VMSS.snapshot_now", vec![vmss.as_str().into()]);
        assert_eq!(said, "1 of 1 VMs snapshotted");
    }
    let snapshots = client.ok("VM.get_snapshots", vec![vm.as_str().into()]);
    let snapshots = snapshots.as_set().unwrap();
    assert_eq!(snapshots.len(), 2, "the oldest has gone");
    let one = client.record("VM", &snapshots[0].text());
    assert_eq!(one["is_vmss_snapshot"], true.into());
    assert_eq!(one["snapshot_schedule"].text(), Ref::NULL);
    assert_eq!(client.ok("VDI.get_all", vec![]).as_set().unwrap().len(), disks + 2);
    // One that somebody took stays.
    client.ok("VM.snapshot", vec![vm.as_str().into(), "mine".into()]);
    client.ok("VMSS.snapshot_now", vec![vmss.as_str().into()]);
    let count = client.ok("VM.get_snapshots", vec![vm.as_str().into()]).as_set().unwrap().len();
    assert_eq!(count, 3);
    let this = || Value::from(vmss.as_str());
    let error = client.err("VMSS.add_to_schedule", vec![this(), "min".into(), "7".into()]);
    assert_eq!(error.description(), ["INVALID_VALUE", "schedule:min", "7"]);
    let error = client.err("VMSS.set_frequency", vec![this(), "weekly".into()]);
    assert_eq!(error.description(), ["INVALID_VALUE", "schedule:days", ""]);
    client.ok("VMSS.add_to_schedule", vec![this(), "min".into(), "30".into()]);
    client.ok("VMSS.destroy", vec![this()]);
    assert_eq!(client.text("VM.get_snapshot_schedule", vec![vm.into()]), Ref::NULL);
}

#[test]
fn plugins_are_the_administrators_programs() {
    use std::os::unix::fs::PermissionsExt;
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let folder = served.folder.path().join("plugins");
    std::fs::create_dir_all(&folder).unwrap();
    let plugin = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let answer = |status: &str, name: &str, value: &str| {
        format!(
            "<methodResponse><params><param><value><struct><member><name>Status</name><value>\
             {status}</value></member><member><name>{name}</name><value>{value}</value></member>\
             </struct></value></param></params></methodResponse>"
        )
    };
    let success = answer("Success", "Value", "done");
    let looks =
        format!("case \"$1\" in *'<methodName>greet<'*colour*blue*) echo '{success}';; esac");
    plugin("good", &looks);
    let list = "<array><data><value>NOT_TODAY</value><value>why</value></data></array>";
    plugin("refuses", &format!("echo '{}'", answer("Failure", "ErrorDescription", list)));
    plugin("breaks", "echo sorry >&2; exit 3");
    plugin("babbles", "echo hello");
    let call = |name: &str, function: &str| {
        let args = Value::string_map([("colour", "blue")]);
        client.call("host.call_plugin", vec![host(&served), name.into(), function.into(), args])
    };
    assert_eq!(call("good", "greet").unwrap().text(), "done");
    assert_eq!(call("refuses", "greet").unwrap_err().description(), ["NOT_TODAY", "why"]);
    let error = call("breaks", "greet").unwrap_err();
    assert_eq!(error.code, "XENAPI_PLUGIN_FAILURE");
    assert!(error.args[1].contains("sorry"), "{error}");
    assert!(!error.args[1].contains(&client.session), "{error}");
    assert_eq!(call("babbles", "greet").unwrap_err().code, "XENAPI_PLUGIN_FAILURE");
    for name in ["none", "", "..", "../plugins/good", ".hidden"] {
        assert_eq!(call(name, "greet").unwrap_err().code, "XENAPI_MISSING_PLUGIN", "{name}");
    }
}

#[test]
fn extensions_are_messages_of_the_administrators_own() {
    use std::os::unix::fs::PermissionsExt;
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let folder = served.folder.path().join("extensions");
    std::fs::create_dir_all(&folder).unwrap();
    let extension = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let answer = "<methodResponse><params><param><value><struct><member><name>Status</name><value>\
                  Success</value></member><member><name>Value</name><value>done</value></member>\
                  </struct></value></param></params></methodResponse>";
    let looks = format!(
        "call=$(cat); case \"$1 $call\" in --xmlrpc*'<methodName>My.test<'*blue*) echo '{answer}';; esac"
    );
    extension("My.test", &looks);
    extension("My.broken", "cat >/dev/null; echo sorry >&2; exit 3");
    extension("My.babble", "echo hello");
    let call = |text: &str| client.call("host.call_extension", vec![host(&served), text.into()]);
    let named =
        |name: &str| call(&format!(r#"{{"method": "{name}", "params": ["blue"], "id": 1}}"#));
    assert_eq!(named("My.test").unwrap().text(), "done");
    let error = named("My.broken").unwrap_err();
    assert_eq!(error.code, "INTERNAL_ERROR");
    assert!(error.args[1].contains("sorry"), "{error}");
    assert_eq!(named("My.babble").unwrap_err().code, "EXTENSION_PROTOCOL_FAILURE");
    assert_eq!(call("nonsense").unwrap_err().code, "EXTENSION_PROTOCOL_FAILURE");
    for name in ["none", "..", "../extensions/My.test", ""] {
        assert_eq!(named(name).unwrap_err().description(), ["MESSAGE_METHOD_UNKNOWN", name]);
    }
    for (name, has) in [("My.test", true), ("none", false), ("../extensions/My.test", false)] {
        let pool: Value = served.toolstack.pool().into();
        for (message, of) in [("host.has_extension", host(&served)), ("pool.has_extension", pool)] {
            assert_eq!(client.ok(message, vec![of, name.into()]), has.into(), "{message} {name}");
        }
    }
}

#[test]
fn usb_devices_come_and_go() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let devices = all(&client, "PUSB");
    assert_eq!(devices.len(), 1);
    let words = ["path", "vendor_id", "description"].map(|field| devices[0][field].text());
    assert_eq!(words, ["1-1", "1209", "Made-up Stick"]);
    assert_eq!(devices[0]["speed"], Value::Float(480.0));
    let mirrored = client.ok("host.get_PUSBs", vec![host(&served)]);
    assert_eq!(mirrored.as_set().unwrap().len(), 1);
    let group = devices[0]["USB_group"].clone();
    let error = client.err("USB_group.destroy", vec![group]);
    assert_eq!(error.code, "USB_GROUP_CONTAINS_PUSB");
    let empty = client.text("USB_group.create", vec!["mine".into()]);
    let root = served.folder.path().join("machine/sys/bus/usb/devices");
    std::fs::create_dir_all(root.join("1-2")).unwrap();
    std::fs::write(root.join("1-2/idVendor"), "0781\n").unwrap();
    client.ok("PUSB.scan", vec![host(&served)]);
    assert_eq!(all(&client, "PUSB").len(), 2);
    std::fs::remove_dir_all(root.join("1-1")).unwrap();
    client.ok("PUSB.scan", vec![host(&served)]);
    let left = all(&client, "PUSB");
    assert_eq!((left.len(), left[0]["vendor_id"].text()), (1, "0781".into()));
    assert_eq!(all(&client, "USB_group").len(), 2, "one's own and that of the device");
    client.ok("USB_group.destroy", vec![empty.into()]);
    assert_eq!(client.err("PUSB.scan", vec![Ref::null().into()]).code, "HANDLE_INVALID");
}
