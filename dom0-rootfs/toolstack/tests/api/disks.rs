// SPDX-License-Identifier: MIT OR Apache-2.0
//! Contents of disks and consoles over HTTPS; storage repositories.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::common::{Served, Wire, eventually, record};
use xapi_model::{Ref, Value};
use xenops::Manners;

pub const SIZE: usize = 3 << 20;

pub fn contents() -> Vec<u8> {
    let mut contents = vec![0; SIZE];
    contents[10] = 1;
    contents[SIZE - 1] = 2;
    contents[1 << 20..(1 << 20) + 1000].fill(3);
    contents
}

fn make_vdi(client: &crate::common::Client, size: usize) -> String {
    let pool = client.ok("pool.get_all", vec![]).as_set().unwrap()[0].clone();
    let sr = client.ok("pool.get_default_SR", vec![pool]);
    let size = i64::try_from(size).unwrap();
    let fields = [("SR", sr), ("virtual_size", size.into()), ("type", "user".into())];
    client.text("VDI.create", vec![record(fields)])
}

pub fn put(client: &crate::common::Client, vdi: &str, extra: &str, bytes: &[u8]) -> (u16, String) {
    let (url, session) = (&client.url, &client.session);
    let url = format!("{url}/import_raw_vdi?session_id={session}&vdi={vdi}{extra}");
    let mut response = client.agent.put(url).send(bytes).unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

pub fn get(client: &crate::common::Client, vdi: &str) -> Vec<u8> {
    get_as(client, vdi, "raw")
}

fn get_as(client: &crate::common::Client, vdi: &str, format: &str) -> Vec<u8> {
    let (url, session) = (&client.url, &client.session);
    let url = format!("{url}/export_raw_vdi?session_id={session}&vdi={vdi}&format={format}");
    let mut response = client.agent.get(url).call().unwrap();
    assert_eq!(response.status(), 200);
    response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap()
}

#[test]
fn what_goes_in_comes_out() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vdi = make_vdi(&client, SIZE);
    assert!(get(&client, &vdi).iter().all(|byte| *byte == 0));
    let task = client.text("task.create", vec!["import".into(), "".into()]);
    let (status, text) = put(&client, &vdi, &format!("&task_id={task}"), &contents());
    assert_eq!((status, text.as_str()), (200, ""));
    assert_eq!(client.ended(&task)["status"].text(), "success");
    assert!(get(&client, &vdi) == contents());
    // Zeros replace what was there.
    assert_eq!(put(&client, &vdi, "", &vec![0; SIZE]).0, 200);
    assert!(get(&client, &vdi).iter().all(|byte| *byte == 0));
    assert_eq!(put(&client, &vdi, "", &contents()).0, 200);
    let copy = client.text("VDI.copy", vec![vdi.as_str().into()]);
    assert!(get(&client, &copy) == contents());
    let clone = client.text("VDI.clone", vec![vdi.as_str().into()]);
    assert_eq!(put(&client, &vdi, "", &vec![9; SIZE]).0, 200);
    assert!(get(&client, &clone) == contents());
    assert!(!served.toolstack.activations.in_use(&Ref::new(&vdi)));
}

#[test]
fn disks_come_and_go_as_vhd() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (from, to) = (make_vdi(&client, SIZE), make_vdi(&client, SIZE));
    assert_eq!(put(&client, &from, "", &contents()).0, 200);
    let image = get_as(&client, &from, "vhd");
    assert_eq!(&image[..8], b"conectix");
    for (format, image) in [("vhd", image), ("vhd-fixed", get_as(&client, &from, "vhd-fixed"))] {
        assert_eq!(put(&client, &to, "", &vec![9; SIZE]).0, 200);
        let task = client.text("task.create", vec!["import".into(), "".into()]);
        let extra = format!("&format={format}&task_id={task}");
        assert_eq!(put(&client, &to, &extra, &image), (200, String::new()), "{format}");
        assert_eq!(client.ended(&task)["status"].text(), "success");
        assert!(get(&client, &to) == contents(), "{format}");
        let (status, text) = put(&client, &to, "&format=vhd", &image[..image.len() - 512]);
        assert_eq!(status, 500, "{text}");
        let small = make_vdi(&client, SIZE / 2);
        let (status, text) = put(&client, &small, "&format=vhd", &image);
        assert!(status == 500 && text.starts_with("VDI_TOO_SMALL"), "{status} {text}");
    }
    let (status, text) = put(&client, &to, "&format=vhd", &contents());
    assert!(status == 500 && text.contains("this is no VHD image"), "{status} {text}");
    assert_eq!(put(&client, &to, "&format=vhd&base=x", b"").0, 400);
}

#[test]
fn a_disk_comes_and_goes_as_what_differs_from_another_one() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let size = 9 << 20;
    let mut before = vec![0; size];
    before[..SIZE].copy_from_slice(&contents());
    let disk = make_vdi(&client, size);
    assert_eq!(put(&client, &disk, "", &before).0, 200);
    let base = client.text("VDI.snapshot", vec![disk.as_str().into()]);
    let mut after = before.clone();
    after[5 << 20] = 7;
    // What was there is zeros now.
    after[..2 << 20].fill(0);
    assert_eq!(put(&client, &disk, "", &after).0, 200);
    let now = client.text("VDI.snapshot", vec![disk.as_str().into()]);

    let id = |vdi: &str| client.text("VDI.get_uuid", vec![vdi.into()]).replace('-', "");
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let image = get_as(&client, &now, &format!("vhd&base={base}"));
    // Two blocks of five, and which image they are to be put over.
    assert_eq!(image.len(), 512 + 1024 + 512 + 2 * (512 + (2 << 20)) + 512);
    assert_eq!((image[63], hex(&image[512 + 40..][..16])), (4, id(&base)));
    assert_eq!(hex(&image[68..84]), id(&now));
    let copy = client.text("VDI.copy", vec![base.as_str().into()]);
    assert_eq!(put(&client, &copy, "&format=vhd", &image), (200, String::new()));
    assert!(get(&client, &copy) == after);
    // What the other has not stays as it is.
    let other = make_vdi(&client, size);
    assert_eq!(put(&client, &other, "", &vec![9; size]).0, 200);
    assert_eq!(put(&client, &other, "&format=vhd", &image).0, 200);
    let found = get(&client, &other);
    assert!(found[2 << 20..4 << 20].iter().all(|byte| *byte == 9));
    assert!(
        found[..2 << 20] == after[..2 << 20] && found[4 << 20..6 << 20] == after[4 << 20..6 << 20]
    );
    assert!(found[6 << 20..].iter().all(|byte| *byte == 9));

    // Nothing differs; the base is the smaller one, or is named by its uuid.
    let none = get_as(&client, &base, &format!("vhd&base={base}"));
    assert_eq!(none.len(), 512 + 1024 + 512 + 512);
    let small = make_vdi(&client, SIZE);
    assert_eq!(put(&client, &small, "", &contents()).0, 200);
    let uuid = client.text("VDI.get_uuid", vec![small.into()]);
    let some = get_as(&client, &now, &format!("vhd&base={uuid}"));
    assert_eq!(some.len(), image.len());

    let refused = |vdi: &str, format: &str| {
        let (url, session) = (&client.url, &client.session);
        let url = format!("{url}/export_raw_vdi?session_id={session}&vdi={vdi}&format={format}");
        client.agent.get(url).call().unwrap().status().as_u16()
    };
    assert_eq!(refused(&now, &format!("raw&base={base}")), 400);
    assert_eq!(refused(&now, &format!("vhd-fixed&base={base}")), 400);
    assert_eq!(refused(&now, &format!("qcow2&base={base}")), 400);
    assert_eq!(refused(&now, "vhd&base=OpaqueRef:1"), 404);
}

#[test]
fn disks_come_and_go_as_qcow2() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let (from, to) = (make_vdi(&client, SIZE), make_vdi(&client, SIZE));
    assert_eq!(put(&client, &from, "", &contents()).0, 200);
    let image = get_as(&client, &from, "qcow2");
    assert_eq!(&image[..4], b"QFI\xfb");
    // Three clusters of 64 KiB of the disk's, and five of tables.
    assert_eq!(image.len(), 8 << 16);
    assert_eq!(put(&client, &to, "", &vec![9; SIZE]).0, 200);
    assert_eq!(put(&client, &to, "&format=qcow2", &image), (200, String::new()));
    assert!(get(&client, &to) == contents());
    let (status, text) = put(&client, &to, "&format=qcow2", &image[..image.len() - 70_000]);
    assert!(status == 500 && text.starts_with("IMPORT_ERROR_PREMATURE_EOF"), "{status} {text}");
    let (status, text) = put(&client, &to, "&format=qcow2", &contents());
    assert!(status == 500 && text.contains("this is no qcow2 image"), "{status} {text}");
    let small = make_vdi(&client, SIZE / 2);
    let (status, text) = put(&client, &small, "&format=qcow2", &image);
    assert!(status == 500 && text.starts_with("VDI_TOO_SMALL"), "{status} {text}");
    assert_eq!(put(&client, &to, "&format=qcow2&chunked=true", &image).0, 400);
}

#[test]
fn imports_that_cannot_be() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vdi = make_vdi(&client, 1 << 20);
    let task = client.text("task.create", vec!["import".into(), "".into()]);
    // Who names a task learns the outcome there.
    assert_eq!(put(&client, &vdi, &format!("&task_id={task}"), &contents()).0, 200);
    let (status, text) = put(&client, &vdi, "", &contents());
    assert_eq!(status, 500);
    assert!(text.starts_with("VDI_TOO_SMALL"), "{text}");
    let ended = client.ended(&task);
    assert_eq!(ended["status"].text(), "failure");
    assert_eq!(ended["error_info"].as_set().unwrap()[0].text(), "VDI_TOO_SMALL");
    // A task of the server's is not for clients to end, and an ended one does not end again.
    let made = client.make_vm("other");
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    let uuid = client.text("VM.get_uuid", vec![made.vm.as_str().into()]).parse().unwrap();
    served.hypervisor.set_manners(uuid, Manners::Ignores);
    let pending = client.text("Async.VM.clean_shutdown", vec![made.vm.as_str().into()]);
    assert_eq!(put(&client, &vdi, &format!("&task_id={pending}"), &contents()).0, 500);
    assert_eq!(client.text("task.get_status", vec![pending.into()]), "pending");
    assert_eq!(put(&client, &vdi, &format!("&task_id={task}"), b"x").0, 200);
    assert_eq!(client.record("task", &task), ended);
    client.ok("VM.hard_shutdown", vec![made.vm.as_str().into()]);
    client.ok("VDI.set_read_only", vec![vdi.as_str().into(), true.into()]);
    let (status, text) = put(&client, &vdi, "", b"x");
    assert!(status == 500 && text.starts_with("VDI_READONLY"), "{status} {text}");
    assert_eq!(put(&client, "OpaqueRef:1", "", b"x").0, 404);
    assert_eq!(put(&client, &vdi, "&format=vmdk", b"x").0, 400);
    let made = client.make_vm("guest");
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    let (status, text) = put(&client, &made.vdi, "", b"x");
    assert!(status == 500 && text.starts_with("VDI_IN_USE"), "{status} {text}");
}

#[test]
fn a_client_that_goes_away_in_the_middle() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let vdi = make_vdi(&client, 1 << 20);
    let task = client.text("task.create", vec!["import".into(), "".into()]);
    let session = &client.session;
    let mut gone = UnixStream::connect(served.folder.path().join("xapi.sock")).unwrap();
    let query = format!("vdi={vdi}&session_id={session}&task_id={task}");
    let head = format!("PUT /import_raw_vdi?{query} HTTP/1.1\r\nContent-Length: 99999\r\n\r\n");
    gone.write_all(head.as_bytes()).unwrap();
    gone.write_all(&[1; 5000]).unwrap();
    eventually("the import is under way", || served.toolstack.activations.in_use(&Ref::new(&vdi)));
    drop(gone);
    let ended = client.ended(&task);
    assert_eq!(ended["status"].text(), "failure", "{ended:?}");
    eventually("the VDI is free", || !served.toolstack.activations.in_use(&Ref::new(&vdi)));
}

#[test]
fn a_console_shows_how_the_guest_booted() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    let console = client.ok("VM.get_consoles", vec![made.vm.as_str().into()]);
    let console = console.as_set().unwrap()[0].text();
    let uuid = client.text("console.get_uuid", vec![console.as_str().into()]);
    assert!(client.text("console.get_location", vec![console.into()]).contains(&uuid));
    let (url, session) = (&client.url, &client.session);
    let vm_uuid = client.text("VM.get_uuid", vec![made.vm.as_str().into()]);
    for uuid in [&uuid, &vm_uuid] {
        let url = format!("{url}/console?uuid={uuid}&session_id={session}");
        let mut response = client.agent.get(url).call().unwrap();
        let mut shown = [0; 4];
        response.body_mut().as_reader().read_exact(&mut shown).unwrap();
        assert!(shown.is_ascii());
    }
    client.ok("VM.hard_shutdown", vec![made.vm.as_str().into()]);
    let gone = format!("{url}/console?uuid={vm_uuid}&session_id={session}");
    assert_eq!(client.agent.get(gone).call().unwrap().status(), 404);
}

#[test]
fn a_storage_repository_comes_and_goes() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let host = Value::from(served.toolstack.host());
    let create = |kind: &str| {
        let config = record([("location", "/srv".into())]);
        let rest = ["name", "description", kind, "user"].map(Value::from);
        let params = [vec![host.clone(), config, 0i64.into()], rest.to_vec(), vec![false.into()]];
        client.call("SR.create", params.concat())
    };
    assert_eq!(create("nfs").unwrap_err().description(), ["SR_UNKNOWN_DRIVER", "nfs"]);
    let sr = create("file").unwrap().text();
    assert_eq!(client.text("SR.get_name_label", vec![sr.as_str().into()]), "name");
    let fields = [("SR", sr.as_str().into()), ("virtual_size", "1048576".into())];
    let vdi = client.text("VDI.create", vec![record(fields)]);
    client.ok("VDI.resize", vec![vdi.as_str().into(), (2i64 << 20).into()]);
    assert_eq!(client.text("VDI.get_virtual_size", vec![vdi.as_str().into()]), "2097152");
    let smaller = client.err("VDI.resize", vec![vdi.as_str().into(), 1i64.into()]);
    assert_eq!(smaller.code, "INVALID_VALUE");
    assert_eq!(client.err("SR.forget", vec![sr.as_str().into()]).code, "SR_HAS_PBD");
    let pbd = client.ok("SR.get_PBDs", vec![sr.as_str().into()]).as_set().unwrap()[0].clone();
    client.ok("PBD.unplug", vec![pbd.clone()]);
    assert_eq!(client.err("SR.scan", vec![sr.as_str().into()]).code, "SR_NOT_ATTACHED");
    assert_eq!(client.err("SR.destroy", vec![sr.as_str().into()]).code, "SR_NOT_EMPTY");
    client.ok("PBD.plug", vec![pbd.clone()]);
    client.ok("SR.scan", vec![sr.as_str().into()]);
    client.ok("VDI.destroy", vec![vdi.into()]);
    client.ok("PBD.unplug", vec![pbd]);
    client.ok("SR.destroy", vec![sr.as_str().into()]);
    assert_eq!(client.err("SR.get_record", vec![sr.into()]).code, "HANDLE_INVALID");
}

#[test]
fn repositories_that_are_there_are_found() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let host = client.ok("host.get_all", vec![]).as_set().unwrap()[0].clone();
    let probe = |kind: &str| {
        let config = Value::string_map([("device", "/dev/sdb")]);
        client.call("SR.probe", vec![host.clone(), config, kind.into()])
    };
    let made = [
        host.clone(),
        Value::string_map([("device", "/dev/sdb")]),
        0i64.into(),
        "more".into(),
        "".into(),
        "lvmthin".into(),
        "user".into(),
        false.into(),
    ];
    let sr = client.text("SR.create", made.into());
    let uuid = client.record("SR", &sr)["uuid"].text();
    let found = probe("lvmthin").unwrap().text();
    assert!(
        found.starts_with("<?xml version=\"1.0\" ?>\n<SRlist>\n\t<SR>\n\t\t<UUID>\n"),
        "{found}"
    );
    assert!(found.contains(&format!("\t\t\t{uuid}\n")), "{found}");
    assert_eq!(probe("floppy").unwrap_err().description(), ["SR_UNKNOWN_DRIVER", "floppy"]);
    let error = probe("file").unwrap_err();
    assert_eq!(error.description(), ["SR_OPERATION_NOT_SUPPORTED", "file"]);
}

#[test]
fn a_network_comes_and_goes() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let create = |bridge: &str| {
        let fields = [("name_label", "internal".into()), ("bridge", bridge.into())];
        client.call("network.create", vec![record(fields)])
    };
    let network = create("").unwrap().text();
    assert_eq!(client.text("network.get_bridge", vec![network.as_str().into()]), "xapi0");
    assert!(served.network.bridges().contains_key("xapi0"));
    assert_eq!(create("xapi0").unwrap_err().code, "DB_UNIQUENESS_CONSTRAINT_VIOLATION");
    let made = client.make_vm("guest");
    let fields = [
        ("VM", made.vm.as_str().into()),
        ("network", network.as_str().into()),
        ("device", "autodetect".into()),
    ];
    let vif = client.text("VIF.create", vec![record(fields)]);
    assert_eq!(client.text("VIF.get_device", vec![vif.as_str().into()]), "1");
    let error = client.err("network.destroy", vec![network.as_str().into()]);
    assert_eq!(error.description(), ["NETWORK_CONTAINS_VIF", &vif]);
    client.ok("VIF.destroy", vec![vif.into()]);
    client.ok("network.destroy", vec![network.into()]);
    eventually("the bridge is gone", || !served.network.bridges().contains_key("xapi0"));
    let first = client.named("network", "Pool-wide network associated with eth0");
    assert_eq!(client.err("network.destroy", vec![first.into()]).code, "NETWORK_CONTAINS_PIF");
    let pifs =
        client.ok("PIF.get_all_records_where", vec!["field \"management\" = \"true\"".into()]);
    let pifs = pifs.as_map().unwrap();
    assert_eq!(pifs.len(), 1);
    let pif = pifs.keys().next().unwrap();
    assert_eq!(client.text("PIF.get_IP", vec![pif.as_str().into()]), "192.0.2.10");
    let fixed = ["Static", "192.0.2.77", "255.255.255.0", "", ""].map(Value::from).to_vec();
    client.ok("PIF.reconfigure_ip", [vec![pif.as_str().into()], fixed].concat());
    assert_eq!(client.text("host.get_address", vec![served.toolstack.host().into()]), "192.0.2.77");
    let bad = ["Static", "192.0.2.77", "255.0.255.0", "", ""].map(Value::from).to_vec();
    let error = client.err("PIF.reconfigure_ip", [vec![pif.as_str().into()], bad].concat());
    assert_eq!(error.code, "INVALID_VALUE");
}

#[test]
fn a_network_card_moves_while_its_vm_runs() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let other = client.named("network", "Pool-wide network associated with eth1");
    let bridge = || served.network.ports().get("vif1.0").cloned();
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    assert_eq!(bridge().as_deref(), Some("xenbr0"));
    client.ok("VIF.move", vec![made.vif.as_str().into(), other.as_str().into()]);
    assert_eq!(bridge().as_deref(), Some("xenbr1"));
    assert_eq!(client.text("VIF.get_network", vec![made.vif.as_str().into()]), other);
    let host = Value::from(served.toolstack.host());
    let prevent = client.ok("host.get_vms_which_prevent_evacuation", vec![host]);
    assert_eq!(prevent.as_map().unwrap().keys().collect::<Vec<_>>(), [&made.vm]);
    client.ok("VM.clean_shutdown", vec![made.vm.as_str().into()]);
    assert_eq!(bridge(), None);
}
