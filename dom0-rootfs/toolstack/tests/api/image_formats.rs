// SPDX-License-Identifier: MIT OR Apache-2.0
//! Formats of VDIs, as clients of XCP-ng 8.3 name them, and the room that is given back later.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use storage::{FileDriver, Host, StorageError, System};
use xapi_model::Value;

use crate::common::{Client, Served, Wire, eventually, record};

/// An SR of kind `kind` with a configuration.
fn sr(client: &Client, kind: &str, preferred: Option<&str>) -> Result<String, Vec<String>> {
    let host = client.ok("host.get_all", vec![]).as_set().unwrap()[0].clone();
    let config = match preferred {
        Some(text) => record([("preferred-image-formats", text.into())]),
        None => Value::Map(Default::default()),
    };
    let rest = ["name", "", kind, "user"].map(Value::from).to_vec();
    let params = [vec![host, config, 0i64.into()], rest, vec![false.into()]].concat();
    let made = client.call("SR.create", params);
    made.map(|sr| sr.text()).map_err(|error| error.description())
}

fn create(client: &Client, sr: &str, asked: Option<&str>) -> Result<String, Vec<String>> {
    let config = match asked {
        Some(format) => record([("image-format", format.into()), ("mine", "kept".into())]),
        None => Value::Map(Default::default()),
    };
    let fields = [("SR", sr.into()), ("virtual_size", (1i64 << 20).into()), ("sm_config", config)];
    let made = client.call("VDI.create", vec![record(fields)]);
    made.map(|vdi| vdi.text()).map_err(|error| error.description())
}

/// `sm_config:image-format` of a VDI.
fn format(client: &Client, vdi: &str) -> Option<String> {
    let config = client.ok("VDI.get_sm_config", vec![vdi.into()]);
    config.as_map().unwrap().get("image-format").map(Value::text)
}

#[test]
fn a_vdi_is_made_in_the_format_that_is_asked_for_or_preferred() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let usual = sr(&client, "ext", None).unwrap();
    let plain = create(&client, &usual, None).unwrap();
    assert_eq!(format(&client, &plain).as_deref(), Some("raw"));
    let asked = create(&client, &usual, Some("qcow2")).unwrap();
    assert_eq!(format(&client, &asked).as_deref(), Some("qcow2"));
    let config = client.ok("VDI.get_sm_config", vec![asked.as_str().into()]);
    assert_eq!(config.as_map().unwrap()["mine"].text(), "kept");

    // What is made of it is as it is, and a full copy as its SR has it.
    for message in ["VDI.snapshot", "VDI.clone"] {
        let made = client.text(message, vec![asked.as_str().into()]);
        assert_eq!(format(&client, &made).as_deref(), Some("qcow2"), "{message}");
    }
    let only = sr(&client, "file", Some("qcow2")).unwrap();
    let into = |sr: &str| vec![plain.as_str().into(), sr.into()];
    let copy = client.text("VDI.copy", into(&only));
    assert_eq!(format(&client, &copy).as_deref(), Some("qcow2"));
    assert_eq!(
        create(&client, &only, Some("raw")).unwrap_err(),
        [
            "VALUE_NOT_SUPPORTED",
            "sm_config:image-format",
            "raw",
            "this SR makes VDIs of format qcow2, not raw"
        ]
    );
    assert_eq!(
        create(&client, &usual, Some("vhd")).unwrap_err(),
        ["VALUE_NOT_SUPPORTED", "sm_config:image-format", "vhd", "formats are raw and qcow2"]
    );

    // A scan finds it as it is.
    client.ok("VDI.set_sm_config", vec![asked.as_str().into(), Value::Map(Default::default())]);
    client.ok("SR.scan", vec![usual.as_str().into()]);
    assert_eq!(format(&client, &asked).as_deref(), Some("qcow2"));
    let uuid = client.text("VDI.get_uuid", vec![asked.as_str().into()]);
    client.ok("VDI.forget", vec![asked.as_str().into()]);
    client.ok("SR.scan", vec![usual.as_str().into()]);
    let found = client.text("VDI.get_by_uuid", vec![uuid.into()]);
    assert_eq!(format(&client, &found).as_deref(), Some("qcow2"));
}

#[test]
fn drivers_say_which_formats_they_have() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    for sm in client.ok("SM.get_all", vec![]).as_set().unwrap() {
        let kind = client.text("SM.get_type", vec![sm.clone()]);
        let formats = client.ok("SM.get_supported_image_formats", vec![sm.clone()]);
        let formats: Vec<_> = formats.as_set().unwrap().iter().map(Value::text).collect();
        let expected: &[&str] = if kind == "lvmthin" { &["raw"] } else { &["raw", "qcow2"] };
        assert_eq!(formats, expected, "{kind}");
    }
    let thin = sr(&client, "lvmthin", None).unwrap();
    let made = create(&client, &thin, None).unwrap();
    assert_eq!(format(&client, &made), None, "there is nothing to tell apart");
    assert_eq!(create(&client, &thin, Some("qcow2")).unwrap_err()[0], "VALUE_NOT_SUPPORTED");
}

#[test]
fn room_is_given_back_later_and_a_failure_is_no_end() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let usual = sr(&client, "ext", None).unwrap();
    let vdi = create(&client, &usual, Some("qcow2")).unwrap();
    let before = served.storage.tidied();
    eventually("what an attached SR has left is looked for", || served.storage.tidied() > before);
    let failed = StorageError::Failed { doing: "merging".into(), detail: "no room".into() };
    served.storage.faults().once("tidy", failed);
    let before = served.storage.tidied();
    client.ok("VDI.destroy", vec![vdi.into()]);
    eventually("what a VDI shared is looked for", || served.storage.tidied() > before);
    let vdi = create(&client, &usual, Some("qcow2")).unwrap();
    let before = served.storage.tidied();
    client.ok("VDI.destroy", vec![vdi.into()]);
    eventually("it is looked for again", || served.storage.tidied() > before);
}

/// Contents over HTTPS, a VM and its snapshots with disks that QEMU's programs serve.
#[test]
fn the_whole_way_with_the_programs_of_a_host() {
    let programs = ["/dev/fuse", "/dev/loop-control", "/usr/bin/qemu-storage-daemon"];
    let there = programs.iter().all(|path| Path::new(path).exists());
    let there = there && Host.run("qemu-img", &["--version"]).is_ok();
    if !there || !rustix::process::geteuid().is_root() {
        // Past what the harness keeps of tests that pass.
        std::io::stderr()
            .write_all(b"SKIPPED: no FUSE, loop devices or programs of QEMU, or not root\n")
            .unwrap();
        return;
    }
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let driver = Arc::new(FileDriver::new(Arc::new(Host)));
    let served = Served::with(|outside| {
        outside.drivers.retain(|driver| driver.kind() != "file");
        outside.drivers.push(driver.clone());
    });
    let client = served.login(Wire::Json);
    let host = client.ok("host.get_all", vec![]).as_set().unwrap()[0].clone();
    let config = record([
        ("location", place.path().to_str().unwrap().into()),
        ("preferred-image-formats", "qcow2".into()),
    ]);
    let rest = ["real", "", "file", "user"].map(Value::from).to_vec();
    let params = [vec![host, config, 0i64.into()], rest, vec![false.into()]].concat();
    let sr = client.ok("SR.create", params).text();
    let uuid = client.text("SR.get_uuid", vec![sr.as_str().into()]);

    let made = client.make_vm("guest");
    let vbd = client.ok("VM.get_VBDs", vec![made.vm.as_str().into()]).as_set().unwrap()[0].clone();
    client.ok("VBD.destroy", vec![vbd]);
    let vdi = create(&client, &sr, None).unwrap();
    assert_eq!(format(&client, &vdi).as_deref(), Some("qcow2"));
    let attach = record([
        ("VM", made.vm.as_str().into()),
        ("VDI", vdi.as_str().into()),
        ("userdevice", "0".into()),
        ("bootable", true.into()),
        ("mode", "RW".into()),
        ("type", "Disk".into()),
        ("empty", false.into()),
        ("other_config", Value::Map(Default::default())),
        ("qos_algorithm_type", "".into()),
        ("qos_algorithm_params", Value::Map(Default::default())),
    ]);
    client.ok("VBD.create", vec![attach]);
    let mut contents = vec![0; 1 << 20];
    contents[..5000].fill(7);
    assert_eq!(transfer(&client, &vdi, Some(&contents)), contents);

    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    let snapshot = client.text("VM.snapshot", vec![made.vm.as_str().into(), "now".into()]);
    let vbd = client.ok("VM.get_VBDs", vec![snapshot.as_str().into()]).as_set().unwrap()[0].clone();
    let copy = client.text("VBD.get_VDI", vec![vbd]);
    assert_eq!(format(&client, &copy).as_deref(), Some("qcow2"));
    assert_eq!(transfer(&client, &copy, None), contents);
    client.ok("VM.hard_shutdown", vec![made.vm.as_str().into()]);
    let changed = vec![9; 1 << 20];
    assert_eq!(transfer(&client, &vdi, Some(&changed)), changed);
    assert_eq!(transfer(&client, &copy, None), contents, "that is of before");

    client.ok("VM.destroy", vec![snapshot.into()]);
    client.ok("VM.destroy", vec![made.vm.into()]);
    client.ok("VDI.destroy", vec![copy.into()]);
    client.ok("VDI.destroy", vec![vdi.into()]);
    let folder = place.path().join(&uuid);
    eventually("all room is given back", || folder.read_dir().unwrap().count() == 0);
    let pbd = client.ok("SR.get_PBDs", vec![sr.as_str().into()]).as_set().unwrap()[0].clone();
    client.ok("PBD.unplug", vec![pbd]);
    client.ok("SR.destroy", vec![sr.into()]);
    assert!(!folder.exists());
}

/// Puts contents into a VDI, if there are any, and gets them.
fn transfer(client: &Client, vdi: &str, contents: Option<&[u8]>) -> Vec<u8> {
    let (url, session) = (&client.url, &client.session);
    let query = format!("session_id={session}&vdi={vdi}&format=raw");
    if let Some(contents) = contents {
        let put = client.agent.put(format!("{url}/import_raw_vdi?{query}")).send(contents);
        assert_eq!(put.unwrap().status(), 200);
    }
    let mut got = client.agent.get(format!("{url}/export_raw_vdi?{query}")).call().unwrap();
    got.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap()
}
