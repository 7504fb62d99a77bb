// SPDX-License-Identifier: MIT OR Apache-2.0
//! Operations of VMs with their disks.

use disk_format::compression::Compression;
use toolstack::task::Cancel;
use toolstack::transfer::export::Export;
use toolstack::transfer::import::{Wish, import};
use toolstack::transfer::{End, Failed, Work};
use xapi_model::{Ref, Reply, Value};

use super::host::Run;
use super::operation::Operation;

const PVH: &str = "Linux PVH (own boot loader)";

fn vm(run: &Run) -> Vec<String> {
    vec![run.make_vm(PVH, "guest")]
}

fn running(run: &Run) -> Vec<String> {
    let vm = run.make_vm(PVH, "guest");
    run.text("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
    vec![vm]
}

fn suspended(run: &Run) -> Vec<String> {
    let given = running(run);
    run.text("VM.suspend", vec![given[0].as_str().into()]);
    given
}

fn copied(run: &Run, message: &str, given: &[String]) -> Reply {
    run.call(message, vec![given[0].as_str().into(), "copy".into()])
}

/// The copy is there, with two disks.
fn done(run: &Run, _: &[String]) -> bool {
    let Some(copy) = run.named("VM", "copy") else { return false };
    let disks = run.toolstack.look("VM", &Ref::new(&copy), |vm, _| vm.refs("VBDs").len()).unwrap();
    assert_eq!(disks, 2);
    true
}

fn interrupt(prepare: fn(&Run) -> Vec<String>, act: fn(&Run, &[String]) -> Reply) {
    Operation { prepare, act, done, by_steps: false }.interrupt();
}

#[test]
fn vm_clone() {
    interrupt(vm, |run, given| copied(run, "VM.clone", given));
}

#[test]
fn vm_copy() {
    interrupt(vm, |run, given| {
        let params = vec![given[0].as_str().into(), "copy".into(), Ref::NULL.into()];
        run.call("VM.copy", params)
    });
}

#[test]
fn vm_snapshot() {
    interrupt(vm, |run, given| copied(run, "VM.snapshot", given));
}

#[test]
fn vm_snapshot_of_one_that_runs() {
    interrupt(running, |run, given| copied(run, "VM.snapshot", given));
}

#[test]
fn vm_checkpoint_of_one_that_runs() {
    interrupt(running, |run, given| copied(run, "VM.checkpoint", given));
}

#[test]
fn vm_checkpoint_of_one_that_is_suspended() {
    interrupt(suspended, |run, given| copied(run, "VM.checkpoint", given));
}

/// With an image of its own.
#[test]
fn vm_clone_of_a_checkpoint() {
    Operation {
        prepare: |run| vec![reverted(run, "VM.checkpoint").remove(1)],
        act: |run, given| run.call("VM.clone", vec![given[0].as_str().into(), "own".into()]),
        done: |run, _| run.named("VM", "own").is_some(),
        by_steps: false,
    }
    .interrupt();
}

fn failed(error: Failed) -> xapi_model::ApiError {
    error.0
}

/// With a network that there is not yet.
#[test]
fn vm_import() {
    Operation {
        prepare: |run| {
            let vm = run.make_vm(PVH, "guest");
            let mut archive = Vec::new();
            let mut work = Work::new(run.context(), Cancel::default());
            let export = Export::of_vm(&run.context(), &Ref::new(&vm)).unwrap();
            export.write(&mut work, Compression::None, &mut archive).map_err(failed).unwrap();
            drop(export);
            run.text("VM.set_name_label", vec![vm.as_str().into(), "first".into()]);
            let network = run.named("network", "Pool-wide network associated with eth0").unwrap();
            run.text("network.set_name_label", vec![network.as_str().into(), "first".into()]);
            run.toolstack
                .store
                .write(|t| {
                    t.set(&Ref::new(&network), "bridge", "other");
                    Ok(())
                })
                .unwrap();
            let archive = archive.iter().map(|byte| char::from(*byte)).collect();
            vec![archive]
        },
        act: |run, given| {
            let archive: Vec<u8> = given[0].chars().map(|byte| byte as u8).collect();
            let wish = Wish { sr: Some(run.default_sr()), restore: false, force: false };
            let mut work = Work::new(run.context(), Cancel::default());
            import(&mut work, wish, archive.as_slice(), End::Told).map_err(failed)
        },
        done: |run, _| run.named("VM", "guest").is_some(),
        by_steps: false,
    }
    .interrupt();
}

#[test]
fn vm_export() {
    Operation {
        prepare: vm,
        act: |run, given| {
            let mut work = Work::new(run.context(), Cancel::default());
            let export = Export::of_vm(&run.context(), &Ref::new(&given[0]))?;
            export.write(&mut work, Compression::None, Vec::new()).map_err(failed)?;
            drop(export);
            run.call("VM.set_name_description", vec![given[0].as_str().into(), "done".into()])
        },
        done: |run, given| run.field("VM", &given[0], "name_description") == "done",
        by_steps: false,
    }
    .interrupt();
}

#[test]
fn vm_provision() {
    Operation {
        prepare: |run| {
            let template = run.named("VM", PVH).unwrap();
            let vm = run.text("VM.clone", vec![template.into(), "guest".into()]);
            let disk = |device| format!(r#"<disk device="{device}" size="1048576" sr=""/>"#);
            let disks = format!("<provision>{}{}</provision>", disk(0), disk(1));
            let key = |key: &str| vec![vm.as_str().into(), key.into()];
            run.text("VM.remove_from_other_config", key("disks"));
            let params = [key("disks"), vec![disks.into()]].concat();
            run.text("VM.add_to_other_config", params);
            vec![vm]
        },
        act: |run, given| run.call("VM.provision", vec![given[0].as_str().into()]),
        done: |run, given| run.field("VM", &given[0], "is_a_template") == "false",
        by_steps: false,
    }
    .interrupt();
}

#[test]
fn vm_revert() {
    for message in ["VM.snapshot", "VM.checkpoint"] {
        println!("{message}");
        Operation {
            prepare: match message {
                "VM.snapshot" => |run| reverted(run, "VM.snapshot"),
                _ => |run| reverted(run, "VM.checkpoint"),
            },
            act: |run, given| run.call("VM.revert", vec![given[1].as_str().into()]),
            done: |run, given| run.field("VM", &given[0], "name_description").is_empty(),
            // It halts the VM first.
            by_steps: true,
        }
        .interrupt();
    }
}

/// A VM that runs, with a snapshot of before.
fn reverted(run: &Run, message: &str) -> Vec<String> {
    let vm = running(run).remove(0);
    run.text("VM.set_name_description", vec![vm.as_str().into(), "".into()]);
    let snapshot = run.text(message, vec![vm.as_str().into(), "copy".into()]);
    run.text("VM.set_name_description", vec![vm.as_str().into(), "later".into()]);
    vec![vm, snapshot]
}

#[test]
fn vm_destroy() {
    Operation {
        prepare: suspended,
        act: |run, given| {
            let vbds = run.toolstack.look("VM", &Ref::new(&given[0]), |vm, _| vm.refs("VBDs"));
            // What is in them stays, with a name of its own.
            for vbd in vbds.unwrap_or_default() {
                let vdi = run.field("VBD", vbd.as_str(), "VDI");
                run.call("VDI.set_name_label", vec![vdi.into(), "free".into()])?;
            }
            run.call("VM.destroy", vec![given[0].as_str().into()])
        },
        done: |run, given| run.toolstack.look("VM", &Ref::new(&given[0]), |_, _| ()).is_err(),
        by_steps: true,
    }
    .interrupt();
}

/// The second snapshot of which one is kept.
#[test]
fn snapshots_by_schedule() {
    Operation {
        prepare: |run| {
            let vm = vm(run).remove(0);
            let fields = [
                ("name_label", Value::from("schedule")),
                ("type", "snapshot".into()),
                ("frequency", "daily".into()),
                ("retained_snapshots", 1i64.into()),
            ];
            let fields = crate::common::record(fields);
            let vmss = run.text("VMSS.create", vec![fields]);
            run.text("VM.set_snapshot_schedule", vec![vm.into(), vmss.as_str().into()]);
            run.text("VMSS.snapshot_now", vec![vmss.as_str().into()]);
            let first = run.toolstack.store.read(|objects| {
                let mut all = objects.all("VM");
                all.find(|vm| vm.bool("is_vmss_snapshot")).map(|vm| vm.reference().to_string())
            });
            vec![vmss, first.unwrap()]
        },
        // Its first call notes the time, where that has changed since the last snapshot.
        act: |run, given| {
            let said = run.call("VMSS.snapshot_now", vec![given[0].as_str().into()])?.text();
            match said.starts_with('1') {
                true => Ok(said.into()),
                false => Err(xapi_model::errors::INTERNAL_ERROR.with([said])),
            }
        },
        done: |run, given| run.toolstack.look("VM", &Ref::new(&given[1]), |_, _| ()).is_err(),
        by_steps: true,
    }
    .interrupt();
}
