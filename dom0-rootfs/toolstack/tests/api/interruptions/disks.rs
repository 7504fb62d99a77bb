// SPDX-License-Identifier: MIT OR Apache-2.0
//! Operations of VDIs and SRs.

use xapi_model::{Ref, Value};

use super::host::{DISK, Run};
use super::operation::Operation;

const PVH: &str = "Linux PVH (own boot loader)";

fn texts(params: &[&str]) -> Vec<Value> {
    params.iter().map(|param| Value::from(*param)).collect()
}

/// A VDI by itself.
fn free(run: &Run) -> Vec<String> {
    vec![run.make_vdi("free").unwrap().text()]
}

fn count(run: &Run, class: &str) -> usize {
    run.toolstack.store.read(|objects| objects.all(class).count())
}

#[test]
fn vdi_create() {
    Operation {
        prepare: |_| Vec::new(),
        act: |run, _| run.make_vdi("free"),
        done: |run, _| run.named("VDI", "free").is_some(),
        by_steps: false,
    }
    .interrupt();
}

#[test]
fn vdi_clone() {
    Operation {
        prepare: free,
        act: |run, given| run.call("VDI.clone", texts(&[&given[0]])),
        done: |run, _| count(run, "VDI") == 2,
        by_steps: false,
    }
    .interrupt();
}

/// Of a disk that a guest writes to.
#[test]
fn vdi_snapshot() {
    Operation {
        prepare: |run| {
            let vm = run.make_vm(PVH, "guest");
            let vdi = run.make_vdi("free").unwrap().text();
            run.make_vbd(&vm, &vdi, "2", false);
            run.text("VM.start", vec![vm.into(), false.into(), false.into()]);
            vec![vdi]
        },
        act: |run, given| run.call("VDI.snapshot", texts(&[&given[0]])),
        done: |run, _| count(run, "VDI") == 4,
        by_steps: false,
    }
    .interrupt();
}

#[test]
fn vdi_copy() {
    Operation {
        prepare: free,
        act: |run, given| run.call("VDI.copy", texts(&[&given[0], run.default_sr().as_str()])),
        done: |run, _| count(run, "VDI") == 2,
        by_steps: false,
    }
    .interrupt();
}

/// To an SR on a server, which a start of the daemon does not wait for.
#[test]
fn vdi_copy_to_a_server() {
    Operation {
        prepare: |run| {
            let sr = run.make_sr("nfs", "remote").unwrap().text();
            vec![run.make_vdi("free").unwrap().text(), sr]
        },
        act: |run, given| run.call("VDI.copy", texts(&[&given[0], &given[1]])),
        done: |run, _| count(run, "VDI") == 2,
        by_steps: false,
    }
    .interrupt();
}

/// Of a disk that a VM has.
#[test]
fn vdi_pool_migrate() {
    Operation {
        prepare: |run| {
            let vm = run.make_vm(PVH, "guest");
            let vdi = run.make_vdi("second").unwrap().text();
            let vbd = run.make_vbd(&vm, &vdi, "2", false);
            vec![vdi, run.make_sr("file", "other").unwrap().text(), vbd]
        },
        act: |run, given| {
            let options = Value::Map(Default::default());
            run.call("VDI.pool_migrate", [texts(&[&given[0], &given[1]]), vec![options]].concat())
        },
        done: |run, given| run.field("VBD", &given[2], "VDI") != given[0],
        by_steps: true,
    }
    .interrupt();
}

#[test]
fn vdi_resize() {
    Operation {
        prepare: free,
        act: |run, given| run.call("VDI.resize", vec![given[0].as_str().into(), (2 * DISK).into()]),
        done: |run, given| run.field("VDI", &given[0], "virtual_size") == (2 * DISK).to_string(),
        by_steps: false,
    }
    .interrupt();
}

/// Of a disk that a VM has.
#[test]
fn vdi_destroy() {
    Operation {
        prepare: |run| {
            let vm = run.make_vm(PVH, "guest");
            let vdi = run.make_vdi("second").unwrap().text();
            run.make_vbd(&vm, &vdi, "2", false);
            vec![vdi]
        },
        // Begun in earnest it goes on, also where it failed.
        act: |run, given| run.call("VDI.destroy", texts(&[&given[0]])),
        done: |run, given| run.toolstack.look("VDI", &Ref::new(&given[0]), |_, _| ()).is_err(),
        by_steps: true,
    }
    .interrupt();
}

fn sr_create(kind: &'static str, act: fn(&Run, &[String]) -> xapi_model::Reply) {
    println!("{kind}");
    Operation {
        prepare: |_| Vec::new(),
        act,
        done: |run, _| run.named("SR", "second").is_some(),
        by_steps: false,
    }
    .interrupt();
}

#[test]
fn sr_create_here_and_on_a_server() {
    sr_create("file", |run, _| run.make_sr("file", "second"));
    sr_create("nfs", |run, _| run.make_sr("nfs", "second"));
}

#[test]
fn sr_destroy() {
    Operation {
        prepare: |run| vec![run.make_sr("file", "loose").unwrap().text()],
        act: |run, given| {
            let pbd = run.toolstack.look("SR", &Ref::new(&given[0]), |sr, _| sr.refs("PBDs"));
            run.call("PBD.unplug", vec![(&pbd.unwrap()[0]).into()])?;
            run.call("SR.destroy", texts(&[&given[0]]))
        },
        done: |run, given| run.toolstack.look("SR", &Ref::new(&given[0]), |_, _| ()).is_err(),
        by_steps: true,
    }
    .interrupt();
}
