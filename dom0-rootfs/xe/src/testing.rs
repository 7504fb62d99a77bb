// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small pool that answers from memory, and command lines with what they have to say and to ask.
//!
//! Each file of `tests/golden` is one case: a line `$ xe …`, then what goes to standard output,
//! lines with `! ` for standard error, and lines with `> ` for calls that may change something.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::rc::Rc;

use xapi_model::{ApiError, Call, Reply, Value, catalogue, classes, errors, xmlrpc};

use crate::failure::Failure;
use crate::options::Options;
use crate::transport::Transport;

/// The pool of the cases.
struct Pool {
    calls: Rc<RefCell<Vec<String>>>,
}

/// The pool, for tests that are not about what is called.
pub(crate) fn pool() -> Box<dyn Transport> {
    Box::new(Pool { calls: Rc::default() })
}

type Set<'a> = &'a [(&'a str, Value)];

fn reference(text: &str) -> Value {
    Value::Ref(xapi_model::Ref::new(text))
}

fn refs(all: &[&str]) -> Value {
    Value::Set(all.iter().map(|text| reference(text)).collect())
}

/// Every field of a class, with these set.
fn record(class: &str, uuid: &str, set: Set<'_>) -> Value {
    let class = classes::find(class).unwrap();
    let mut fields: BTreeMap<String, Value> =
        class.fields.iter().map(|field| (field.name.to_owned(), field.initial())).collect();
    fields.insert("uuid".to_owned(), Value::from(uuid));
    for (name, value) in set {
        assert!(fields.insert((*name).to_owned(), value.clone()).is_some(), "{name}");
    }
    Value::Map(fields)
}

fn vdi(uuid: &str, name: &str, sr: &str, vbds: &[&str]) -> Value {
    let set = [
        ("name_label", Value::from(name)),
        ("SR", reference(sr)),
        ("VBDs", refs(vbds)),
        ("virtual_size", Value::Int(1 << 30)),
    ];
    record("VDI", uuid, &set)
}

fn objects(class: &str) -> Value {
    let named = |name: &'static str| ("name_label", Value::from(name));
    let all = match class {
        "pool" => vec![(
            "OpaqueRef:pool",
            record(
                "pool",
                "0-pool",
                &[
                    named("lab"),
                    ("master", reference("OpaqueRef:h1")),
                    ("default_SR", reference("OpaqueRef:s1")),
                ],
            ),
        )],
        "host" => vec![(
            "OpaqueRef:h1",
            record(
                "host",
                "0-host",
                &[
                    named("xen1"),
                    ("hostname", Value::from("xen1")),
                    ("metrics", reference("OpaqueRef:hm1")),
                    ("cpu_info", Value::string_map([("cpu_count", "4"), ("speed", "2600")])),
                ],
            ),
        )],
        "host_metrics" => vec![(
            "OpaqueRef:hm1",
            record(
                "host_metrics",
                "0-hm",
                &[("memory_total", Value::Int(8 << 30)), ("live", Value::Bool(true))],
            ),
        )],
        "VM" => vec![
            (
                "OpaqueRef:v0",
                record(
                    "VM",
                    "0-dom0",
                    &[
                        named("Control domain on host: xen1"),
                        ("is_control_domain", Value::Bool(true)),
                        ("power_state", Value::from("Running")),
                    ],
                ),
            ),
            (
                "OpaqueRef:v1",
                record(
                    "VM",
                    "1-web",
                    &[
                        named("web"),
                        ("name_description", Value::from("front, end")),
                        ("power_state", Value::from("Running")),
                        ("resident_on", reference("OpaqueRef:h1")),
                        ("VBDs", refs(&["OpaqueRef:b1", "OpaqueRef:b2"])),
                        ("VIFs", refs(&["OpaqueRef:i1"])),
                        ("other_config", Value::string_map([("role", "front"), ("tier", "1")])),
                        ("tags", Value::strings(["blue", "green"])),
                        ("domid", Value::Int(3)),
                        ("crash_dumps", refs(&["OpaqueRef:c1"])),
                        ("metrics", reference("OpaqueRef:vm1")),
                    ],
                ),
            ),
            ("OpaqueRef:v2", record("VM", "2-db", &[named("db")])),
            ("OpaqueRef:v3", record("VM", "3-db", &[named("db")])),
            (
                "OpaqueRef:s3",
                record(
                    "VM",
                    "3-snap",
                    &[
                        named("before"),
                        ("is_a_template", Value::Bool(true)),
                        ("is_a_snapshot", Value::Bool(true)),
                        ("power_state", Value::from("Suspended")),
                        ("snapshot_of", reference("OpaqueRef:v1")),
                        ("VBDs", refs(&["OpaqueRef:b3"])),
                    ],
                ),
            ),
            (
                "OpaqueRef:t1",
                record(
                    "VM",
                    "9-tmpl",
                    &[named("Other install media"), ("is_a_template", Value::Bool(true))],
                ),
            ),
        ],
        "VM_metrics" => vec![(
            "OpaqueRef:vm1",
            record(
                "VM_metrics",
                "0-vm1",
                &[("memory_actual", Value::Int(64 << 20)), ("hvm", Value::Bool(true))],
            ),
        )],
        "VBD" => vec![
            (
                "OpaqueRef:b1",
                record(
                    "VBD",
                    "1-vbd",
                    &[
                        ("VM", reference("OpaqueRef:v1")),
                        ("VDI", reference("OpaqueRef:d1")),
                        ("userdevice", Value::from("0")),
                        ("device", Value::from("xvda")),
                        ("other_config", Value::string_map([("owner", "")])),
                    ],
                ),
            ),
            (
                "OpaqueRef:b2",
                record(
                    "VBD",
                    "2-vbd",
                    &[
                        ("VM", reference("OpaqueRef:v1")),
                        ("userdevice", Value::from("3")),
                        ("type", Value::from("CD")),
                        ("empty", Value::Bool(true)),
                    ],
                ),
            ),
            (
                "OpaqueRef:b3",
                record(
                    "VBD",
                    "3-vbd",
                    &[
                        ("VM", reference("OpaqueRef:s3")),
                        ("VDI", reference("OpaqueRef:d3")),
                        ("userdevice", Value::from("0")),
                    ],
                ),
            ),
        ],
        "VDI" => vec![
            ("OpaqueRef:d1", vdi("1-vdi", "root disk", "OpaqueRef:s1", &["OpaqueRef:b1"])),
            ("OpaqueRef:d2", vdi("2-vdi", "debian.iso", "OpaqueRef:s2", &[])),
            ("OpaqueRef:d3", vdi("3-vdi", "root disk then", "OpaqueRef:s1", &["OpaqueRef:b3"])),
        ],
        "SR" => vec![
            (
                "OpaqueRef:s1",
                record(
                    "SR",
                    "1-sr",
                    &[
                        named("Local storage"),
                        ("PBDs", refs(&["OpaqueRef:p1"])),
                        ("type", Value::from("ext")),
                        ("content_type", Value::from("user")),
                    ],
                ),
            ),
            (
                "OpaqueRef:s2",
                record(
                    "SR",
                    "2-sr",
                    &[
                        named("Discs"),
                        ("type", Value::from("iso")),
                        ("content_type", Value::from("iso")),
                    ],
                ),
            ),
        ],
        "crashdump" => vec![(
            "OpaqueRef:c1",
            record(
                "crashdump",
                "1-dump",
                &[("VM", reference("OpaqueRef:v1")), ("VDI", reference("OpaqueRef:d1"))],
            ),
        )],
        "PBD" => vec![(
            "OpaqueRef:p1",
            record(
                "PBD",
                "1-pbd",
                &[
                    ("host", reference("OpaqueRef:h1")),
                    ("SR", reference("OpaqueRef:s1")),
                    ("device_config", Value::string_map([("device", "/dev/sdb")])),
                    ("currently_attached", Value::Bool(true)),
                ],
            ),
        )],
        "network" => vec![(
            "OpaqueRef:n1",
            record(
                "network",
                "1-net",
                &[named("Pool-wide network"), ("bridge", Value::from("xenbr0"))],
            ),
        )],
        "VIF" => vec![(
            "OpaqueRef:i1",
            record(
                "VIF",
                "1-vif",
                &[
                    ("VM", reference("OpaqueRef:v1")),
                    ("network", reference("OpaqueRef:n1")),
                    ("device", Value::from("0")),
                    ("MAC", Value::from("52:54:00:00:00:01")),
                ],
            ),
        )],
        "PIF" => ["0", "1"]
            .into_iter()
            .map(|number| {
                let (reference, uuid) = if number == "0" {
                    ("OpaqueRef:e0", "0-pif")
                } else {
                    ("OpaqueRef:e1", "1-pif")
                };
                let device = Value::from(format!("eth{number}"));
                (reference, record("PIF", uuid, &[("device", device)]))
            })
            .collect(),
        "VLAN" => vec![(
            "OpaqueRef:l1",
            record("VLAN", "1-vlan", &[("untagged_PIF", reference("OpaqueRef:e1"))]),
        )],
        "Bond" => vec![("OpaqueRef:bo", record("Bond", "1-bond", &[]))],
        "tunnel" => vec![("OpaqueRef:tu", record("tunnel", "1-tunnel", &[]))],
        "VM_appliance" => vec![(
            "OpaqueRef:a1",
            record(
                "VM_appliance",
                "1-appl",
                &[named("shop"), ("VMs", refs(&["OpaqueRef:v1", "OpaqueRef:v2"]))],
            ),
        )],
        "secret" => {
            vec![(
                "OpaqueRef:x1",
                record("secret", "1-secret", &[("value", Value::from("hidden"))]),
            )]
        }
        "message" => vec![(
            "OpaqueRef:m1",
            record(
                "message",
                "1-msg",
                &[
                    ("name", Value::from("VM_STARTED")),
                    ("priority", Value::Int(5)),
                    ("cls", Value::from("VM")),
                    ("obj_uuid", Value::from("1-web")),
                    ("body", Value::from("VM 'web' was started")),
                ],
            ),
        )],
        "blob" => vec![("OpaqueRef:bl", record("blob", "1-blob", &[named("notes")]))],
        "role" => vec![
            ("OpaqueRef:r1", record("role", "1-role", &[named("vm-operator")])),
            ("OpaqueRef:r2", record("role", "2-role", &[named("read-only")])),
        ],
        "subject" => vec![(
            "OpaqueRef:u1",
            record(
                "subject",
                "1-user",
                &[
                    ("subject_identifier", Value::from("uid-1000")),
                    ("other_config", Value::string_map([("subject-name", "ann")])),
                    ("roles", refs(&["OpaqueRef:r1"])),
                ],
            ),
        )],
        _ => Vec::new(),
    };
    Value::Map(all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// What calls that make or change something answer.
fn answer(method: &str, params: &[Value]) -> Reply {
    let first = params.first().map(Value::text).unwrap_or_default();
    match (method, first.as_str()) {
        ("VM.start", "OpaqueRef:v1") => {
            Err(errors::VM_BAD_POWER_STATE.with(["OpaqueRef:v1", "halted", "running"]))
        }
        ("VM.provision", _) => Err(ApiError { code: "ODD".into(), args: vec!["1".into()] }),
        ("VM.get_other_config", _) => {
            Ok(Value::string_map([("disks", "<provision><disk sr=\"\"/></provision>")]))
        }
        ("VM.clone" | "VM.copy", _) => Ok(reference("OpaqueRef:v2")),
        ("VM.checkpoint" | "VM.snapshot", _) => Ok(reference("OpaqueRef:s3")),
        ("VM.get_consoles", "OpaqueRef:v1") => Ok(refs(&["OpaqueRef:c1", "OpaqueRef:c2"])),
        ("VM.get_allowed_VBD_devices" | "VM.get_allowed_VIF_devices", _) => {
            Ok(Value::strings(["1", "2"]))
        }
        ("VM.get_possible_hosts", _) => Ok(refs(&["OpaqueRef:h1"])),
        ("console.get_protocol", "OpaqueRef:c1") => Ok(Value::from("rfb")),
        ("console.get_protocol", _) => Ok(Value::from("vt100")),
        ("VDI.create" | "VDI.pool_migrate", _) => Ok(reference("OpaqueRef:d1")),
        ("VBD.create", _) => Ok(reference("OpaqueRef:b1")),
        ("VIF.create", _) => Ok(reference("OpaqueRef:i1")),
        ("SR.create", _) => Ok(reference("OpaqueRef:s1")),
        ("VLAN.create", _) => Ok(reference("OpaqueRef:l1")),
        ("pool.create_VLAN_from_PIF", _) => Ok(refs(&["OpaqueRef:e1"])),
        ("PIF.introduce", _) => Ok(reference("OpaqueRef:e1")),
        ("Bond.create", _) => Ok(reference("OpaqueRef:bo")),
        ("tunnel.create", _) => Ok(reference("OpaqueRef:tu")),
        ("VM_appliance.create", _) => Ok(reference("OpaqueRef:a1")),
        ("secret.create", _) => Ok(reference("OpaqueRef:x1")),
        ("message.create", _) => Ok(reference("OpaqueRef:m1")),
        ("VM.create_new_blob" | "blob.create", _) => Ok(reference("OpaqueRef:bl")),
        ("auth.get_subject_identifier", "ann") => Ok(Value::from("uid-1000")),
        ("auth.get_subject_identifier", _) => Err(errors::SUBJECT_CANNOT_BE_RESOLVED.bare()),
        ("subject.create", _) => Ok(reference("OpaqueRef:u1")),
        ("session.get_all_subject_identifiers", _) => Ok(Value::strings(["uid-1000", "uid-1001"])),
        ("host.compute_free_memory", _) => Ok(Value::Int(1 << 30)),
        ("VM.get_data_sources" | "host.get_data_sources", _) => {
            let source = |name: &str, enabled: bool, max: f64| {
                let fields = [
                    ("name_label", Value::from(name)),
                    ("name_description", Value::from("What it is")),
                    ("enabled", enabled.into()),
                    ("standard", true.into()),
                    ("units", Value::from("(fraction)")),
                    ("min", Value::Float(0.0)),
                    ("max", Value::Float(max)),
                    ("value", Value::Float(0.25)),
                ];
                Value::Map(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            };
            Ok(Value::Set(vec![source("cpu0", true, 1.0), source("loadavg", false, f64::MAX)]))
        }
        ("VM.query_data_source" | "host.query_data_source", _) => Ok(Value::Float(0.25)),
        ("event.from", _) => Ok(Value::Map([("token".to_owned(), Value::from("7"))].into())),
        _ => Ok(Value::Void),
    }
}

/// The answer to a call that only looks at the pool's objects.
fn looked_at(method: &str, params: &[Value]) -> Option<Reply> {
    let (class, message) = method.split_once('.')?;
    let all = || match objects(class) {
        Value::Map(all) => all,
        _ => BTreeMap::new(),
    };
    let wanted = params.first().map(Value::text).unwrap_or_default();
    match message {
        "get_all_records" => Some(Ok(objects(class))),
        "get_by_uuid" => {
            let has = |record: &Value| record.as_map().is_some_and(|r| r["uuid"].text() == wanted);
            let found = all().into_iter().find(|(_, record)| has(record));
            let missing = || errors::UUID_INVALID.with([class, &wanted]);
            Some(found.map(|(reference, _)| self::reference(&reference)).ok_or_else(missing))
        }
        "get_record" => all().remove(&wanted).map(Ok),
        _ => None,
    }
}

impl Transport for Pool {
    fn call(&mut self, call: &Call) -> anyhow::Result<Reply> {
        // Through the wire's form and back, as a real server has it.
        let call = xmlrpc::decode_call(&xmlrpc::encode_call(call))?;
        assert!(catalogue().find(&call.method).is_some(), "{} is no message", call.method);
        let reply = match call.method.as_str() {
            "session.login_with_password" => Ok(Value::from("OpaqueRef:session")),
            "session.logout" => Ok(Value::Void),
            method => {
                assert_eq!(call.params[0].text(), "OpaqueRef:session");
                let params = &call.params[1..];
                match looked_at(method, params) {
                    Some(answer) => answer,
                    None => {
                        self.calls.borrow_mut().push(format!("{method}({})", brief(params)));
                        answer(method, params)
                    }
                }
            }
        };
        Ok(xmlrpc::decode_reply(&xmlrpc::encode_reply(&reply))?)
    }

    fn put(&mut self, path: &str, length: Option<u64>, file: &mut dyn Read) -> anyhow::Result<()> {
        let length = match length {
            Some(length) => length.to_string(),
            None => format!("to the end: {}", std::io::read_to_string(file)?),
        };
        self.calls.borrow_mut().push(format!("PUT {path} {length}"));
        Ok(())
    }

    fn get(&mut self, path: &str, file: &mut dyn Write) -> anyhow::Result<()> {
        self.calls.borrow_mut().push(format!("GET {path}"));
        Ok(file.write_all(b"image")?)
    }

    fn console(&mut self, path: &str) -> anyhow::Result<()> {
        self.calls.borrow_mut().push(format!("CONNECT {path}"));
        Ok(())
    }
}

/// Parameters of a call, of records only what is not usual.
fn brief(params: &[Value]) -> String {
    let one = |value: &Value| match value {
        Value::Map(entries) => {
            let dull = ["", "0", "false", "OpaqueRef:NULL", "19700101T00:00:00Z"];
            let inner = entries
                .iter()
                .filter(|(_, value)| match value {
                    Value::Map(map) => !map.is_empty(),
                    Value::Set(set) => !set.is_empty(),
                    simple => !dull.contains(&simple.text().as_str()),
                })
                .map(|(name, value)| format!("{name}: {}", brief(std::slice::from_ref(value))));
            format!("{{{}}}", inner.collect::<Vec<_>>().join(", "))
        }
        Value::Set(items) => format!("[{}]", brief(items)),
        simple => simple.text(),
    };
    params.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Runs a command line against the pool and says everything that came of it.
pub(crate) fn run(line: &str) -> String {
    let args: Vec<String> = line.split(' ').skip(1).map(|word| word.replace('+', " ")).collect();
    let calls = Rc::new(RefCell::new(Vec::new()));
    let pool = Pool { calls: calls.clone() };
    let mut out = Vec::new();
    let connect = || Ok::<Box<dyn Transport>, Failure>(Box::new(pool));
    let done = crate::run(&Options::default(), &args, connect, &mut out);
    let mut text = String::from_utf8(out).unwrap();
    if let Err(failure) = done {
        for line in failure.render().lines() {
            let _ = writeln!(text, "! {line}");
        }
        let _ = writeln!(text, "! (exit code {})", failure.code());
    }
    for call in calls.borrow().iter() {
        let _ = writeln!(text, "> {call}");
    }
    text
}

#[test]
fn golden() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let mut wrong = Vec::new();
    for path in &cases {
        let case = fs::read_to_string(path).unwrap();
        let (line, expected) = case.split_once('\n').unwrap();
        let got = run(line.strip_prefix("$ ").unwrap());
        if std::env::var_os("XE_BLESS").is_some() {
            fs::write(path, format!("{line}\n{got}")).unwrap();
        } else if got != expected {
            wrong.push(format!(
                "{}:\n{line}\n--- expected\n{expected}--- got\n{got}",
                path.display()
            ));
        }
    }
    assert!(cases.len() > 20, "{} cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_audit_log_and_blobs_go_to_and_from_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    let name = file.to_str().unwrap();
    let fetched = run(&format!("xe audit-log-get filename={name} since=20240101T00:00:00Z"));
    let path = "/audit_log?session_id=OpaqueRef:session&since=20240101T00:00:00Z";
    assert_eq!(fetched, format!("> GET {path}\n"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "image");
    let again = run(&format!("xe blob-get uuid=1-blob filename={name}"));
    assert!(again.contains("! Error: creating"), "{again}");
    let sent = run(&format!("xe blob-put uuid=1-blob filename={name}"));
    assert_eq!(sent, "> PUT /blob?session_id=OpaqueRef:session&ref=OpaqueRef:bl 5\n");
}

#[test]
fn a_snapshot_goes_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("snapshot.xva");
    let name = file.to_str().unwrap();
    let line = "xe snapshot-export-to-template compress=zstd snapshot-uuid";
    assert_eq!(
        run(&format!("{line}=3-snap filename={name}")),
        "> task.create(vm-export, )\n\
         > GET /export?session_id=OpaqueRef:session&task_id=&ref=OpaqueRef:s3&use_compression=zstd\n\
         > task.get_record()\n> task.destroy()\n"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "image");
    let other = run(&format!("{line}=1-web filename={name}"));
    assert!(other.contains("can only be performed on a VM snapshot"), "{other}");
}

#[test]
fn files_go_to_and_from_vdis() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("image");
    let name = file.to_str().unwrap();
    let exported = run(&format!("xe vdi-export uuid=1-vdi filename={name}"));
    assert_eq!(
        exported,
        "> task.create(vdi-export, )\n\
         > GET /export_raw_vdi?session_id=OpaqueRef:session&task_id=&vdi=OpaqueRef:d1&format=raw\n\
         > task.get_record()\n> task.destroy()\n"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "image");
    let other = dir.path().join("other");
    let delta =
        format!("xe vdi-export uuid=1-vdi format=vhd base=2-vdi filename={}", other.display());
    assert!(run(&delta).contains("&vdi=OpaqueRef:d1&format=vhd&base=OpaqueRef:d2\n"));
    let again = run(&format!("xe vdi-export uuid=1-vdi filename={name}"));
    assert!(again.contains("! Error: creating"), "{again}");
    let imported = run(&format!("xe vdi-import uuid=1-vdi filename={name}"));
    assert_eq!(
        imported,
        "> task.create(vdi-import, )\n\
         > PUT /import_raw_vdi?session_id=OpaqueRef:session&task_id=&vdi=OpaqueRef:d1&format=raw 5\n\
         > task.get_record()\n> task.destroy()\n"
    );
}
