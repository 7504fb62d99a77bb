// SPDX-License-Identifier: MIT OR Apache-2.0
//! VMs out of a host and into it, as archives over HTTP.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::common::{Client, Served, Wire, eventually, record};
use disk_format::compression::unpack;
use disk_format::xva::{self, Contents, XvaError};
use xapi_model::{Ref, Value, xmlrpc};

/// Sizes of the disks of a VM in bytes. They are small, as TLS takes its time in builds for tests, and
/// yet more than what is on its way between client and daemon.
const FIRST: i64 = 12 << 20;
const SECOND: i64 = (5 << 20) + 512;

/// What an archive has.
#[derive(Default)]
struct Archive {
    description: String,
    disks: BTreeMap<String, Vec<u8>>,
}

impl Contents for Archive {
    type Error = XvaError;

    fn description(&mut self, text: &str) -> Result<(), XvaError> {
        self.description = text.to_owned();
        Ok(())
    }

    fn data(&mut self, disk: &str, at: u64, bytes: &[u8]) -> Result<(), XvaError> {
        let disk = self.disks.entry(disk.to_owned()).or_default();
        disk.resize(at as usize + bytes.len(), 0);
        disk[at as usize..].copy_from_slice(bytes);
        Ok(())
    }

    fn damaged(&mut self, error: XvaError) -> Result<(), XvaError> {
        Err(error)
    }
}

fn archive(bytes: &[u8]) -> Archive {
    let mut archive = Archive::default();
    xva::read(unpack(bytes).unwrap(), &mut archive).unwrap();
    archive
}

fn contents(seed: u8, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    bytes[7] = seed;
    bytes[3 << 20..(3 << 20) + 5000].fill(seed);
    bytes
}

fn get(client: &Client, path: &str) -> (u16, Vec<u8>) {
    let (url, session) = (&client.url, &client.session);
    let mut response =
        client.agent.get(format!("{url}{path}&session_id={session}")).call().unwrap();
    let status = response.status().as_u16();
    (status, response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap())
}

fn put(client: &Client, path: &str, bytes: &[u8]) -> (u16, String) {
    let (url, session) = (&client.url, &client.session);
    let mut response =
        client.agent.put(format!("{url}{path}&session_id={session}")).send(bytes).unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

/// Imports what has to succeed; gives the VM.
fn import(client: &Client, query: &str, bytes: &[u8]) -> String {
    let task = client.text("task.create", vec!["import".into(), "".into()]);
    let (status, text) = put(client, &format!("/import?task_id={task}{query}"), bytes);
    assert_eq!((status, text.as_str()), (200, ""));
    let ended = client.ended(&task);
    assert_eq!(ended["status"].text(), "success", "{ended:?}");
    assert_eq!(ended["progress"], Value::Float(1.0));
    let result = xmlrpc::decode_value(&ended["result"].text()).unwrap();
    assert_eq!(result.as_set().unwrap().len(), 1);
    result.as_set().unwrap()[0].text()
}

fn fill(client: &Client, vdi: &str, bytes: &[u8]) {
    assert_eq!(put(client, &format!("/import_raw_vdi?vdi={vdi}"), bytes).0, 200);
}

fn read(client: &Client, vdi: &str) -> Vec<u8> {
    let (status, bytes) = get(client, &format!("/export_raw_vdi?vdi={vdi}"));
    assert_eq!(status, 200);
    bytes
}

/// A VM with two disks, a network card, and an empty drive.
fn make_vm(client: &Client, name: &str) -> (String, [String; 2]) {
    let template = client.named("VM", "Linux PVH (own boot loader)");
    let vm = client.text("VM.clone", vec![template.into(), name.into()]);
    client.ok("VM.provision", vec![vm.as_str().into()]);
    let pool = client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone();
    let sr = client.ok("pool.get_default_SR", vec![pool]);
    let disk = |size: i64| {
        let fields =
            [("SR", sr.clone()), ("virtual_size", size.into()), ("name_label", "d".into())];
        client.text("VDI.create", vec![record(fields)])
    };
    let vdis = [disk(FIRST), disk(SECOND)];
    let attached = [
        (vdis[0].as_str(), "Disk", "RW", "0"),
        (vdis[1].as_str(), "Disk", "RW", "1"),
        (Ref::NULL, "CD", "RO", "3"),
    ];
    for (vdi, kind, mode, device) in attached {
        let fields = [
            ("VM", vm.as_str().into()),
            ("VDI", vdi.into()),
            ("userdevice", device.into()),
            ("mode", mode.into()),
            ("type", kind.into()),
            ("empty", (kind == "CD").into()),
        ];
        client.text("VBD.create", vec![record(fields)]);
    }
    let network = client.named("network", "Pool-wide network associated with eth0");
    let fields = [("VM", vm.as_str().into()), ("network", network.into()), ("device", "0".into())];
    client.text("VIF.create", vec![record(fields)]);
    fill(client, &vdis[0], &contents(1, FIRST as usize));
    fill(client, &vdis[1], &contents(2, SECOND as usize));
    (vm, vdis)
}

/// Disks of a VM by the numbers of their devices.
fn disks(client: &Client, vm: &str) -> BTreeMap<String, String> {
    let vbds = client.ok("VM.get_VBDs", vec![vm.into()]);
    let vbds = vbds.as_set().unwrap().iter().map(|vbd| client.record("VBD", &vbd.text()));
    vbds.map(|vbd| (vbd["userdevice"].text(), vbd["VDI"].text())).collect()
}

/// Number of objects of each class that an import could leave.
fn census(client: &Client) -> Vec<usize> {
    let count =
        |class: &&str| client.ok(&format!("{class}.get_all"), vec![]).as_set().unwrap().len();
    ["VM", "VDI", "VBD", "VIF", "network", "VM_metrics"].iter().map(count).collect()
}

fn files(served: &Served) -> usize {
    let srs = std::fs::read_dir(served.folder.path().join("sr")).unwrap();
    srs.map(|sr| std::fs::read_dir(sr.unwrap().path()).unwrap().count()).sum()
}

#[test]
fn a_vm_goes_out_and_comes_in_again() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (vm, vdis) = make_vm(&client, "original");
    client.ok("VM.add_to_other_config", vec![vm.as_str().into(), "key".into(), "a <b> & c".into()]);
    client.ok("VM.set_VCPUs_max", vec![vm.as_str().into(), 3i64.into()]);
    let uuid = client.text("VM.get_uuid", vec![vm.as_str().into()]);
    let mut lengths = Vec::new();
    for compression in ["false", "true", "zstd"] {
        let path = format!("/export?uuid={uuid}&use_compression={compression}");
        let (status, bytes) = get(&client, &path);
        assert_eq!(status, 200);
        let copy = import(&client, "", &bytes);
        let (old, new) = (client.record("VM", &vm), client.record("VM", &copy));
        let own = ["uuid", "VBDs", "VIFs", "metrics", "consoles"];
        for (field, value) in old.iter().filter(|(field, _)| !own.contains(&field.as_str())) {
            assert_eq!(value, &new[field], "{field}");
        }
        assert_ne!(old["uuid"], new["uuid"]);
        let now = disks(&client, &copy);
        assert_eq!(now.keys().collect::<Vec<_>>(), ["0", "1", "3"]);
        assert_eq!(now["3"], Ref::NULL);
        assert!(read(&client, &now["0"]) == contents(1, FIRST as usize), "{compression}");
        // Sizes are rounded up.
        let rounded = (SECOND as usize).next_multiple_of(4096);
        assert!(read(&client, &now["1"]) == contents(2, rounded), "{compression}");
        assert!(!vdis.contains(&now["0"]) && !vdis.contains(&now["1"]));
        let vif = |vm: &Value| client.record("VIF", &vm.as_set().unwrap()[0].text());
        let (old, new) = (vif(&old["VIFs"]), vif(&new["VIFs"]));
        assert_eq!(old["network"], new["network"]);
        assert_ne!(old["MAC"], new["MAC"]);
        lengths.push(bytes.len());
    }
    // Zeros are left out: both disks have their ends and one piece between.
    let [plain, gzip, zstd] = lengths[..] else { panic!("{lengths:?}") };
    assert!(plain < 6 << 20 && gzip < plain / 10 && zstd < plain / 10, "{lengths:?}");
    client.ok("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
    let (status, text) = get(&client, &format!("/export?ref={vm}"));
    let text = String::from_utf8(text).unwrap();
    assert!(status == 500 && text.starts_with("VM_BAD_POWER_STATE"), "{status} {text}");
}

#[test]
fn a_restored_vm_is_the_same() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let (vm, vdis) = make_vm(&client, "original");
    let (status, bytes) = get(&client, &format!("/export?ref={vm}"));
    assert_eq!(status, 200);
    let vif = client.ok("VM.get_VIFs", vec![vm.as_str().into()]).as_set().unwrap()[0].text();
    let mac = client.text("VIF.get_MAC", vec![vif.into()]);
    let uuid = client.text("VM.get_uuid", vec![vm.as_str().into()]);
    let before = census(&client);
    let (status, text) = put(&client, "/import?restore=true", &bytes);
    assert!(status == 500 && text.starts_with("DUPLICATE_VM"), "{status} {text}");
    assert_eq!(census(&client), before);
    client.ok("VM.destroy", vec![vm.into()]);
    for vdi in vdis {
        client.ok("VDI.destroy", vec![vdi.into()]);
    }
    let again = import(&client, "&restore=true", &bytes);
    assert_eq!(client.text("VM.get_uuid", vec![again.as_str().into()]), uuid);
    let vif = client.ok("VM.get_VIFs", vec![again.as_str().into()]).as_set().unwrap()[0].text();
    assert_eq!(client.text("VIF.get_MAC", vec![vif.into()]), mac);
    client.ok("VM.start", vec![again.as_str().into(), false.into(), false.into()]);
}

#[test]
fn an_import_that_fails_leaves_nothing() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (vm, _) = make_vm(&client, "original");
    let (_, bytes) = get(&client, &format!("/export?ref={vm}"));
    let (before, on_disk) = (census(&client), files(&served));
    let tries = |what: &str, bytes: &[u8], code: &str| {
        let task = client.text("task.create", vec!["import".into(), "".into()]);
        // Who names a task learns the outcome there, and who names none from the answer.
        assert_eq!(put(&client, &format!("/import?task_id={task}"), bytes).0, 200);
        if !bytes.is_empty() {
            let (status, text) = put(&client, "/import?", bytes);
            assert!(status == 500 && text.starts_with(code), "{what}: {status} {text}");
        }
        let ended = client.ended(&task);
        assert_eq!(ended["status"].text(), "failure", "{what}");
        assert_eq!(ended["error_info"].as_set().unwrap()[0].text(), code, "{what}");
        assert_eq!(census(&client), before, "{what}");
        assert_eq!(files(&served), on_disk, "{what}");
    };
    tries("nothing", b"", "IMPORT_ERROR_PREMATURE_EOF");
    tries("no archive", &[7; 4096], "IMPORT_ERROR_GENERIC");
    tries("half", &bytes[..bytes.len() / 2], "IMPORT_ERROR_PREMATURE_EOF");
    tries("no end", &bytes[..bytes.len() - 1024], "IMPORT_ERROR_PREMATURE_EOF");
    // The last piece of the last disk and its checksum are missing, and the archive ends properly.
    let piece = 512 + 512 + 1024;
    let shorter = [&bytes[..bytes.len() - 1024 - piece], &[0; 1024]].concat();
    tries("a piece less", &shorter, "IMPORT_ERROR_PREMATURE_EOF");
    let mut damaged = bytes.clone();
    let at = damaged.len() - 1024 - piece + 512 + 100;
    damaged[at] ^= 1;
    tries("damaged", &damaged, "IMPORT_ERROR_SOME_CHECKSUMS_FAILED");
    let forced = import(&client, "&force=true", &damaged);
    assert_eq!(disks(&client, &forced).len(), 3);
}

#[test]
fn connections_that_break_leave_nothing_and_hold_nothing() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (vm, vdis) = make_vm(&client, "original");
    let (_, bytes) = get(&client, &format!("/export?ref={vm}"));
    let (before, on_disk) = (census(&client), files(&served));
    let connect = || UnixStream::connect(served.folder.path().join("xapi.sock")).unwrap();
    let session = &client.session;

    let task = client.text("task.create", vec!["import".into(), "".into()]);
    let mut gone = connect();
    let length = bytes.len();
    let path = format!("/import?session_id={session}&task_id={task}");
    write!(gone, "PUT {path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n").unwrap();
    gone.write_all(&bytes[..3 << 20]).unwrap();
    eventually("a disk is made", || census(&client)[1] > before[1]);
    drop(gone);
    assert_eq!(client.ended(&task)["status"].text(), "failure");
    assert_eq!(census(&client), before);
    assert_eq!(files(&served), on_disk);

    let task = client.text("task.create", vec!["export".into(), "".into()]);
    let mut gone = connect();
    let path = format!("/export?session_id={session}&ref={vm}&task_id={task}");
    write!(gone, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
    let mut head = [0; 12];
    gone.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let in_use = |vdi: &String| served.toolstack.activations.in_use(&Ref::new(vdi));
    assert!(vdis.iter().all(in_use));
    // What is under way excludes other things.
    let start = vec![vm.as_str().into(), false.into(), false.into()];
    assert_eq!(client.err("VM.start", start.clone()).code, "OTHER_OPERATION_IN_PROGRESS");
    drop(gone);
    assert_eq!(client.ended(&task)["status"].text(), "failure");
    eventually("the disks are free", || !vdis.iter().any(in_use));
    eventually("the VM is free", || client.call("VM.start", start.clone()).is_ok());
}

#[test]
fn transfers_can_be_cancelled() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (vm, _) = make_vm(&client, "original");
    let (_, bytes) = get(&client, &format!("/export?ref={vm}"));
    let (before, on_disk) = (census(&client), files(&served));
    let session = &client.session;
    for half in [true, false] {
        let task = client.text("task.create", vec!["transfer".into(), "".into()]);
        let mut stalled = UnixStream::connect(served.folder.path().join("xapi.sock")).unwrap();
        if half {
            let path = format!("/import?session_id={session}&task_id={task}");
            write!(stalled, "PUT {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n", bytes.len())
                .unwrap();
            stalled.write_all(&bytes[..3 << 20]).unwrap();
            eventually("a disk is made", || census(&client)[1] > before[1]);
        } else {
            let path = format!("/export?session_id={session}&ref={vm}&task_id={task}");
            write!(stalled, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
            stalled.read_exact(&mut [0; 12]).unwrap();
        }
        eventually("it makes progress", || {
            client.record("task", &task)["progress"] != Value::Float(0.0)
        });
        let operations = client.record("task", &task)["allowed_operations"].clone();
        assert_eq!(operations, Value::strings(["cancel"]));
        client.ok("task.cancel", vec![task.as_str().into()]);
        assert_eq!(client.ended(&task)["status"].text(), "cancelled");
        assert_eq!(census(&client), before);
        assert_eq!(files(&served), on_disk);
        drop(stalled);
    }
}

/// Sends the head of a request over the local socket, and gives what comes back first.
fn first(served: &Served, head: &str) -> (UnixStream, String) {
    let mut stream = UnixStream::connect(served.folder.path().join("xapi.sock")).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    (stream, String::from_utf8(answer).unwrap())
}

#[test]
fn who_waits_to_go_on_is_told_whether_to() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (vm, _) = make_vm(&client, "original");
    let (_, bytes) = get(&client, &format!("/export?ref={vm}"));
    let session = &client.session;
    let head = |query: &str, rest: &str| {
        format!("PUT /import?{query} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{rest}\r\n\r\n")
    };
    let length = format!("Content-Length: {}", bytes.len());
    let (_, answer) = first(&served, &head("session_id=OpaqueRef:x", &length));
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let (_, answer) = first(&served, &head(&format!("session_id={session}&sr_id=x"), &length));
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    // In chunks, of which nobody knows how many come.
    let chunked = head(&format!("session_id={session}"), "Transfer-Encoding: chunked");
    let (mut stream, answer) = first(&served, &chunked);
    assert_eq!(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    for chunk in bytes.chunks(700_000) {
        write!(stream, "{:x}\r\n", chunk.len()).unwrap();
        stream.write_all(chunk).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    let vms = client.ok("VM.get_by_name_label", vec!["original".into()]);
    assert_eq!(vms.as_set().unwrap().len(), 2);
}

#[test]
fn name_and_password_do_as_well_as_a_session() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("original");
    let get = |authorization: &str| {
        let request = client.agent.get(format!("{}/export?ref={}", client.url, made.vm));
        let mut response = request.header("Authorization", authorization).call().unwrap();
        let bytes = response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
        (response.status().as_u16(), bytes)
    };
    // root:secret, root:wrong
    let (status, bytes) = get("Basic cm9vdDpzZWNyZXQ=");
    assert_eq!(status, 200);
    assert_eq!(archive(&bytes).disks.len(), 1);
    assert_eq!(get("Basic cm9vdDp3cm9uZw==").0, 401);
    assert_eq!(get("Bearer x").0, 401);
}

#[test]
fn what_is_asked_for_wrongly_says_so() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("original");
    let vm = &made.vm;
    let refused = |path: &str| {
        let (status, text) = get(&client, path);
        (status, String::from_utf8(text).unwrap())
    };
    assert_eq!(refused("/export?uuid=x").0, 404);
    assert_eq!(refused("/export?x=y").0, 404);
    let (status, text) = refused(&format!("/export?ref={vm}&use_compression=lz4"));
    assert!(status == 400 && text.contains("only true (gzip), zstd and false"), "{status} {text}");
    let host = client
        .ok("VM.get_all_records_where", vec!["field \"is_control_domain\" = \"true\"".into()]);
    let host = host.as_map().unwrap().keys().next().unwrap().clone();
    assert_eq!(refused(&format!("/export?ref={host}")).0, 500);
    assert_eq!(put(&client, "/import?sr_id=OpaqueRef:x", b"x").0, 404);
    assert_eq!(put(&client, "/import?restore=maybe", b"x").0, 400);
    let response = client.agent.get(format!("{}/import", client.url)).call().unwrap();
    assert_eq!(response.status(), 405);
}

/// A file of a tar archive, as xapi writes it.
fn file(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000000\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", bytes.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let rest = vec![0; bytes.len().next_multiple_of(512) - bytes.len()];
    [&header, bytes, &rest].concat()
}

#[test]
fn an_archive_of_another_host_is_understood() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let description = include_str!("archives/xcp-ng.xml");
    // Two MiB and a half of which the middle is zeros; checksums by xxhsum and sha1sum.
    let (first, last) = (vec![b'a'; 1 << 20], vec![b'z'; 1 << 19]);
    let parts = [
        file("ova.xml", description.as_bytes()),
        file("Ref:6/00000000", &first),
        file("Ref:6/00000000.xxhash", include_str!("archives/first.xxhash").trim().as_bytes()),
        file("Ref:6/00000002", &last),
        file("Ref:6/00000002.checksum", include_str!("archives/last.sha1").trim().as_bytes()),
        vec![0; 1024],
    ];
    let vm = import(&client, "", &parts.concat());
    let record = client.record("VM", &vm);
    assert_eq!(record["name_label"].text(), "Debian & friends");
    assert_eq!(record["power_state"].text(), "Halted");
    assert_eq!(record["domain_type"].text(), "hvm");
    assert_eq!(record["memory_static_max"], Value::Int(1 << 30));
    assert_eq!(record["HVM_boot_params"], record_of([("firmware", "uefi"), ("order", "cdn")]));
    assert!(!record["other_config"].as_map().unwrap().contains_key("import_task"));
    assert_ne!(record["uuid"].text(), "11111111-2222-3333-4444-555555555555");
    let disks = disks(&client, &vm);
    assert_eq!(disks.keys().collect::<Vec<_>>(), ["0", "3"]);
    assert!(read(&client, &disks["0"]) == [first, vec![0; 1 << 20], last].concat());
    assert_eq!(client.text("VDI.get_name_label", vec![disks["0"].as_str().into()]), "root disk");
    // Its network is not here, and was made.
    let vif = record["VIFs"].as_set().unwrap()[0].text();
    let network = client.text("VIF.get_network", vec![vif.into()]);
    assert_eq!(client.text("network.get_name_label", vec![network.into()]), "Storage network");
    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
}

fn record_of<const N: usize>(entries: [(&str, &str); N]) -> Value {
    Value::string_map(entries)
}

#[test]
fn a_description_alone_goes_out_and_comes_in() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (vm, vdis) = make_vm(&client, "original");
    let uuid = client.text("VM.get_uuid", vec![vm.as_str().into()]);
    let (status, bytes) = get(&client, &format!("/export_metadata?uuid={uuid}"));
    assert_eq!(status, 200);
    assert!(archive(&bytes).disks.is_empty());
    let (_, all) = get(&client, "/export_metadata?all=true");
    assert!(archive(&all).description.contains(&uuid));
    client.ok("VM.destroy", vec![vm.into()]);
    assert_eq!(put(&client, "/import_metadata?restore=true", &bytes), (200, String::new()));
    let again = client.named("VM", "original");
    assert_eq!(client.text("VM.get_uuid", vec![again.as_str().into()]), uuid);
    assert_eq!(disks(&client, &again)["1"], vdis[1]);
    client.ok("VM.destroy", vec![again.into()]);
    client.ok("VDI.destroy", vec![vdis[1].as_str().into()]);
    let (status, text) = put(&client, "/import_metadata?restore=true", &bytes);
    assert!(status == 500 && text.starts_with("VDI_LOCATION_MISSING"), "{status} {text}");
    assert_eq!(put(&client, "/import_metadata?restore=true&force=true", &bytes).0, 200);
    assert_eq!(disks(&client, &client.named("VM", "original")).len(), 2);
}

#[test]
fn a_description_without_a_domain_type_has_that_of_its_boot_policy() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let description = include_str!("archives/xcp-ng.xml");
    let field = "<member><name>domain_type</name><value>hvm</value></member>";
    assert!(description.contains(field));
    for (policy, kind) in [("BIOS order", "hvm"), ("", "pv")] {
        let name = format!("of {kind}");
        let older = description
            .replace(field, "")
            .replace("BIOS order", policy)
            .replace("Debian &amp; friends", &name);
        let bytes = [file("ova.xml", older.as_bytes()), vec![0; 1024]].concat();
        let imported = put(&client, "/import_metadata?force=true", &bytes);
        assert_eq!(imported, (200, String::new()));
        let record = client.record("VM", &client.named("VM", &name));
        assert_eq!(record["domain_type"].text(), kind);
        assert_eq!(record["HVM_boot_policy"].text(), policy);
    }
}
