// SPDX-License-Identifier: MIT OR Apache-2.0
//! VDIs that move from one SR to another of the same host.

use storage::StorageError;
use xapi_model::{Ref, Value};

use crate::common::{Client, Served, Wire, eventually, record};
use crate::disks::{SIZE, contents, get, put};

/// A second SR.
fn sr(client: &Client, content: &str) -> String {
    let host = client.ok("host.get_all", vec![]).as_set().unwrap()[0].clone();
    let texts = ["second", "", "ext", content].map(Value::from).to_vec();
    let empty = || Value::Map(Default::default());
    let params = [vec![host, empty(), 0i64.into()], texts, vec![false.into(), empty()]];
    client.text("SR.create", params.concat())
}

fn migrate(vdi: &str, sr: &str, options: &[(&str, &str)]) -> Vec<Value> {
    vec![vdi.into(), sr.into(), Value::string_map(options.iter().copied())]
}

fn vdis(client: &Client, sr: &str) -> Vec<Value> {
    client.ok("SR.get_VDIs", vec![sr.into()]).as_set().unwrap().to_vec()
}

#[test]
fn a_disk_moves_with_all_that_refers_to_it() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let made = client.make_vm("guest");
    let (old, second) = (made.vdi.as_str(), sr(&client, "user"));
    let local = client.text("VDI.get_SR", vec![old.into()]);
    assert_eq!(put(&client, old, "", &contents()).0, 200);
    let snapshot = client.text("VDI.snapshot", vec![old.into()]);
    client.ok("VDI.set_name_label", vec![old.into(), "system".into()]);
    client.ok("VDI.set_read_only", vec![old.into(), true.into()]);
    let uuid = client.text("VDI.get_uuid", vec![old.into()]);

    let task = client.text("Async.VDI.pool_migrate", migrate(old, &second, &[]));
    let result = client.ended(&task)["result"].text();
    let new = vdis(&client, &second)[0].text();
    assert_eq!(result, format!("<value>{new}</value>"));
    let record = client.record("VDI", &new);
    assert_eq!(
        (record["SR"].text(), record["name_label"].text()),
        (second.clone(), "system".into())
    );
    assert_eq!(record["read_only"], Value::Bool(true));
    assert!(get(&client, &new)[..SIZE] == contents());
    assert_eq!(client.text("VBD.get_VDI", vec![made.vbd.as_str().into()]), new);
    // Its snapshot stays where it is, and is one of the new disk.
    assert_eq!(client.text("VDI.get_snapshot_of", vec![snapshot.as_str().into()]), new);
    assert_eq!(vdis(&client, &local), [Value::from(snapshot.as_str())]);
    assert!(get(&client, &snapshot)[..SIZE] == contents());
    assert_eq!(client.err("VDI.get_by_uuid", vec![uuid.into()]).code, "UUID_INVALID");
    client.ok("VDI.set_read_only", vec![new.as_str().into(), false.into()]);
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);

    // One that nobody has; where it is already there is nothing to do, unless another format is wanted.
    let fields = [("SR", local.as_str().into()), ("virtual_size", (1i64 << 20).into())];
    let free = client.text("VDI.create", vec![self::record(fields)]);
    let moved = client.text("VDI.pool_migrate", migrate(&free, &second, &[]));
    assert_ne!(moved, free);
    assert_eq!(client.text("VDI.pool_migrate", migrate(&moved, &second, &[])), moved);
    let format = [("dest-img-format", "qcow2")];
    let qcow2 = client.text("VDI.pool_migrate", migrate(&moved, &second, &format));
    let config = client.ok("VDI.get_sm_config", vec![qcow2.as_str().into()]);
    assert_eq!(config, Value::string_map([("image-format", "qcow2")]));
    assert_eq!(vdis(&client, &second).len(), 2);
}

#[test]
fn what_cannot_move_stays() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    let (vm, second) = (made.vm.as_str(), sr(&client, "user"));
    let refused = |vdi: &str, options: &[(&str, &str)]| {
        client.err("VDI.pool_migrate", migrate(vdi, &second, options)).description()
    };
    let known = |format: &str| refused(&made.vdi, &[("dest-img-format", format)]);
    assert_eq!(known("vhd")[..2], ["VALUE_NOT_SUPPORTED", "options:dest-img-format"]);
    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
    assert_eq!(refused(&made.vdi, &[]), ["VM_BAD_POWER_STATE", vm, "halted", "running"]);
    client.ok("VM.pause", vec![vm.into()]);
    assert_eq!(refused(&made.vdi, &[]), ["VM_BAD_POWER_STATE", vm, "halted", "paused"]);
    client.ok("VM.unpause", vec![vm.into()]);
    client.ok("VM.suspend", vec![vm.into()]);
    assert_eq!(refused(&made.vdi, &[]), ["VDI_IN_USE", made.vdi.as_str(), "pool_migrate"]);
    let image = client.text("VM.get_suspend_VDI", vec![vm.into()]);
    assert_eq!(refused(&image, &[]), ["VDI_IN_USE", image.as_str(), "pool_migrate"]);
    client.ok("VM.hard_shutdown", vec![vm.into()]);

    let library = sr(&client, "iso");
    let fields = [("SR", library.into()), ("virtual_size", (1i64 << 20).into())];
    let disc = client.text("VDI.create", vec![record(fields)]);
    assert_eq!(refused(&disc, &[]), ["VDI_INCOMPATIBLE_TYPE", disc.as_str(), "iso"]);

    // A failure leaves the disk where it was, and nothing in the other SR.
    let broken = || StorageError::Failed { doing: "testing".into(), detail: "broken".into() };
    for call in ["vdi_create", "vdi_activate"] {
        served.storage.faults().once(call, broken());
        assert_eq!(refused(&made.vdi, &[])[0], "SR_BACKEND_FAILURE", "{call}");
    }
    assert_eq!(vdis(&client, &second), []);
    assert_eq!(client.text("VBD.get_VDI", vec![made.vbd.as_str().into()]), made.vdi);
    client.ok("VM.start", vec![vm.into(), false.into(), false.into()]);
}

#[test]
fn an_old_disk_that_cannot_be_removed_goes_later() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (made, second) = (client.make_vm("guest"), sr(&client, "user"));
    let broken = StorageError::Failed { doing: "testing".into(), detail: "broken".into() };
    served.storage.faults().once("vdi_destroy", broken);
    let new = client.text("VDI.pool_migrate", migrate(&made.vdi, &second, &[]));
    assert_eq!(client.text("VBD.get_VDI", vec![made.vbd.as_str().into()]), new);
    let old = Ref::new(&made.vdi);
    assert!(served.toolstack.look("VDI", &old, |_, _| ()).is_ok());
    eventually("the old one is gone", || {
        toolstack::unfinished::settle(&served.toolstack);
        served.toolstack.look("VDI", &old, |_, _| ()).is_err()
    });
}
