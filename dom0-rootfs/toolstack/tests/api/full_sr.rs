// SPDX-License-Identifier: MIT OR Apache-2.0
//! An SR whose file system is really full: a small tmpfs, in namespaces of a process of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::common::{Client, Served, Wire, record};
use xapi_model::{Ref, Value};

/// Says to the test that it runs in its namespaces.
const INSIDE: &str = "FULL_SR_INSIDE";
const MIB: usize = 1 << 20;
/// Bytes of all disks.
const SIZE: &str = "67108864";

#[test]
#[expect(clippy::disallowed_methods, reason = "only another process has its mounts for itself")]
fn whatever_fills_an_sr_fails_with_one_error_and_leaves_nothing() {
    if std::env::var_os(INSIDE).is_some() {
        return fill();
    }
    let unshare = |program: &str, args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", program]).args(args);
        command.env(INSIDE, "1").output()
    };
    if !unshare("true", &[]).is_ok_and(|ran| ran.status.success()) {
        // Past what the harness keeps of tests that pass.
        use std::io::Write as _;
        std::io::stderr().write_all(b"SKIPPED: no user namespaces\n").unwrap();
        return;
    }
    let this = std::env::current_exe().unwrap();
    let name = "full_sr::whatever_fills_an_sr_fails_with_one_error_and_leaves_nothing";
    let ran = unshare(this.to_str().unwrap(), &["--exact", name, "--nocapture"]).unwrap();
    let said = [ran.stdout, ran.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

fn folder_called(below: PathBuf, name: &str) -> Option<PathBuf> {
    let folders = fs::read_dir(below).ok()?.flatten().map(|entry| entry.path());
    let mut folders = folders.filter(|path| path.is_dir());
    folders.find_map(|path| match path.ends_with(name) {
        true => Some(path),
        false => folder_called(path, name),
    })
}

fn put(client: &Client, path: &str, bytes: &[u8]) -> Value {
    let task = client.text("task.create", vec!["import".into(), "".into()]);
    let url = format!("{}{path}&task_id={task}&session_id={}", client.url, client.session);
    client.agent.put(url).send(bytes).unwrap();
    let ended = client.ended(&task);
    ended["error_info"].clone()
}

fn get(client: &Client, path: &str) -> Vec<u8> {
    let url = format!("{}{path}&session_id={}", client.url, client.session);
    let mut response = client.agent.get(url).call().unwrap();
    assert_eq!(response.status().as_u16(), 200, "{path}");
    response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap()
}

fn fill() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let pool = served.toolstack.pool();
    let sr = client.text("pool.get_default_SR", vec![pool.into()]);
    let uuid = client.text("SR.get_uuid", vec![sr.as_str().into()]);
    let folder = folder_called(served.folder.path().to_owned(), &uuid).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", &folder, "tmpfs", flags, c"size=9m").unwrap();
    fs::write(folder.join("attached"), "").unwrap();

    let made = client.make_vm("guest");
    let contents: Vec<u8> = (0..5 * MIB).map(|at| 1 | (at / 4096) as u8).collect();
    let done = put(&client, &format!("/import_raw_vdi?vdi={}", made.vdi), &contents);
    assert_eq!(done, Value::Set(vec![]));
    let exported = |format: &str| {
        (
            format.to_owned(),
            get(&client, &format!("/export_raw_vdi?vdi={}&format={format}", made.vdi)),
        )
    };
    let images = ["raw", "vhd", "qcow2"].map(exported);
    let archive = get(&client, &format!("/export?ref={}", made.vm));
    let left = || {
        let vdis = client.ok("VDI.get_all", vec![]).as_set().unwrap().len();
        let vms = client.ok("VM.get_all", vec![]).as_set().unwrap().len();
        let files = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name());
        (vdis, vms, files.collect::<BTreeSet<_>>())
    };
    let before = left();
    let full = |what: &str, error: &Value, size: Option<&str>| {
        let words: Vec<String> = error.as_set().unwrap().iter().map(Value::text).collect();
        assert_eq!((words[0].as_str(), words.len()), ("SR_FULL", 3), "{what}: {words:?}");
        assert!(size.is_none_or(|size| words[1] == size), "{what}: {words:?}");
        assert!(words[2].parse::<u64>().is_ok(), "{what}: {words:?}");
        assert_eq!(left(), before, "{what}");
    };
    for (format, bytes) in &images {
        let fields = [
            ("SR", sr.as_str().into()),
            ("virtual_size", SIZE.parse::<i64>().unwrap().into()),
            ("type", "user".into()),
        ];
        let vdi = client.text("VDI.create", vec![record(fields)]);
        let error = put(&client, &format!("/import_raw_vdi?vdi={vdi}&format={format}"), bytes);
        client.ok("VDI.destroy", vec![vdi.into()]);
        full(format, &error, Some(SIZE));
    }
    let error = put(&client, &format!("/import_raw_vdi?sr={sr}"), &images[0].1);
    full("a new VDI", &error, Some(SIZE));
    full("an archive", &put(&client, "/import?restore=false", &archive), Some(SIZE));
    let (vm, vdi) = (|| Value::from(made.vm.as_str()), made.vdi.as_str());
    let calls = [
        ("VDI.copy", vec![vdi.into(), sr.as_str().into(), Ref::NULL.into(), Ref::NULL.into()]),
        ("VM.copy", vec![vm(), "copy".into(), Ref::NULL.into()]),
        ("VM.clone", vec![vm(), "clone".into()]),
        ("VM.snapshot", vec![vm(), "snapshot".into()]),
    ];
    for (message, params) in calls {
        let task = client.text(&format!("Async.{message}"), params);
        let ended = client.ended(&task);
        assert_eq!(ended["status"].text(), "failure", "{message}");
        // A clone of the driver's tells what the copy would have taken.
        let size = message.ends_with("copy").then_some(SIZE);
        full(message, &ended["error_info"], size);
    }
}
