// SPDX-License-Identifier: MIT OR Apache-2.0
//! Operations of guests that run.

use toolstack::vm::crash_dump;
use xapi_model::{Ref, Reply};

use super::host::Run;
use super::operation::Operation;

const PVH: &str = "Linux PVH (own boot loader)";
const HVM: &str = "Other install media";

fn halted(run: &Run) -> Vec<String> {
    vec![run.make_vm(PVH, "guest")]
}

fn start(run: &Run, vm: &str) -> Reply {
    run.call("VM.start", vec![vm.into(), false.into(), false.into()])
}

fn running(run: &Run) -> Vec<String> {
    let given = halted(run);
    start(run, &given[0]).unwrap();
    given
}

fn suspended(run: &Run) -> Vec<String> {
    let given = running(run);
    run.text("VM.suspend", vec![given[0].as_str().into()]);
    given
}

fn state(run: &Run, given: &[String]) -> String {
    run.field("VM", &given[0], "power_state")
}

fn is_running(run: &Run, given: &[String]) -> bool {
    state(run, given) == "Running"
}

fn is_halted(run: &Run, given: &[String]) -> bool {
    state(run, given) == "Halted"
}

fn call(run: &Run, message: &str, given: &[String]) -> Reply {
    run.call(message, vec![given[0].as_str().into()])
}

#[test]
fn vm_start() {
    Operation {
        prepare: halted,
        // One that was cut off at the last moment stays paused, with nothing lost.
        act: |run, given| match state(run, given).as_str() {
            "Paused" => call(run, "VM.unpause", given),
            _ => start(run, &given[0]),
        },
        done: is_running,
        by_steps: true,
    }
    .interrupt();
}

#[test]
fn vm_start_of_a_fully_virtualized_one() {
    Operation {
        prepare: |run| vec![run.make_vm(HVM, "guest")],
        act: |run, given| match state(run, given).as_str() {
            "Paused" => call(run, "VM.unpause", given),
            _ => start(run, &given[0]),
        },
        done: is_running,
        by_steps: true,
    }
    .interrupt();
}

#[test]
fn vm_hard_shutdown() {
    Operation {
        prepare: running,
        act: |run, given| call(run, "VM.hard_shutdown", given),
        done: is_halted,
        by_steps: true,
    }
    .interrupt();
}

#[test]
fn vm_clean_shutdown() {
    Operation {
        prepare: running,
        act: |run, given| call(run, "VM.clean_shutdown", given),
        done: is_halted,
        by_steps: true,
    }
    .interrupt();
}

#[test]
fn vm_hard_reboot() {
    Operation {
        prepare: |run| {
            let given = running(run);
            let domain = run.field("VM", &given[0], "domid");
            vec![given[0].clone(), domain]
        },
        act: |run, given| match state(run, given).as_str() {
            "Halted" => start(run, &given[0]),
            "Paused" => call(run, "VM.unpause", given),
            _ => call(run, "VM.hard_reboot", given),
        },
        done: |run, given| {
            is_running(run, given) && run.field("VM", &given[0], "domid") != given[1]
        },
        by_steps: true,
    }
    .interrupt();
}

#[test]
fn vm_suspend() {
    Operation {
        prepare: running,
        act: |run, given| call(run, "VM.suspend", given),
        done: |run, given| state(run, given) == "Suspended",
        by_steps: true,
    }
    .interrupt();
}

#[test]
fn vm_resume() {
    Operation {
        prepare: suspended,
        act: |run, given| match state(run, given).as_str() {
            "Paused" => call(run, "VM.unpause", given),
            _ => run.call("VM.resume", vec![given[0].as_str().into(), false.into(), false.into()]),
        },
        done: is_running,
        by_steps: true,
    }
    .interrupt();
}

#[test]
fn vm_hard_shutdown_of_one_that_is_suspended() {
    Operation {
        prepare: suspended,
        act: |run, given| call(run, "VM.hard_shutdown", given),
        done: is_halted,
        by_steps: true,
    }
    .interrupt();
}

#[test]
fn vm_pause() {
    Operation {
        prepare: running,
        act: |run, given| call(run, "VM.pause", given),
        done: |run, given| state(run, given) == "Paused",
        by_steps: true,
    }
    .interrupt();
}

/// A VM that runs and a disk and a network interface that it has not yet.
fn more(run: &Run) -> Vec<String> {
    let vm = running(run).remove(0);
    let vdi = run.make_vdi("more").unwrap().text();
    let vbd = run.make_vbd(&vm, &vdi, "2", false);
    let vif = run.make_vif(&vm, "1");
    vec![vm, vbd, vif]
}

fn plugged(run: &Run) -> Vec<String> {
    let given = more(run);
    run.text("VBD.plug", vec![given[1].as_str().into()]);
    run.text("VIF.plug", vec![given[2].as_str().into()]);
    given
}

fn plug(class: &'static str, act: fn(&Run, &[String]) -> Reply, done: fn(&Run, &[String]) -> bool) {
    println!("{class}");
    Operation { prepare: more, act, done, by_steps: false }.interrupt();
}

#[test]
fn devices_are_plugged() {
    plug(
        "VBD",
        |run, given| run.call("VBD.plug", vec![given[1].as_str().into()]),
        |run, given| run.field("VBD", &given[1], "currently_attached") == "true",
    );
    plug(
        "VIF",
        |run, given| run.call("VIF.plug", vec![given[2].as_str().into()]),
        |run, given| run.field("VIF", &given[2], "currently_attached") == "true",
    );
}

fn unplug(
    class: &'static str,
    act: fn(&Run, &[String]) -> Reply,
    done: fn(&Run, &[String]) -> bool,
) {
    println!("{class}");
    Operation { prepare: plugged, act, done, by_steps: true }.interrupt();
}

#[test]
fn devices_are_unplugged() {
    unplug(
        "VBD",
        |run, given| run.call("VBD.unplug", vec![given[1].as_str().into()]),
        |run, given| run.field("VBD", &given[1], "currently_attached") == "false",
    );
    unplug(
        "VIF",
        |run, given| run.call("VIF.unplug", vec![given[2].as_str().into()]),
        |run, given| run.field("VIF", &given[2], "currently_attached") == "false",
    );
}

/// A VM that runs, its CD drive, and what may lie in that.
fn drive(run: &Run, template: &str) -> Vec<String> {
    let vm = run.make_vm(template, "guest");
    let vbd = run.make_vbd(&vm, Ref::NULL, "3", true);
    start(run, &vm).unwrap();
    vec![vm, vbd, run.make_vdi("free medium").unwrap().text()]
}

fn insert(run: &Run, given: &[String]) -> Reply {
    run.call("VBD.insert", vec![given[1].as_str().into(), given[2].as_str().into()])
}

fn full(run: &Run, template: &str) -> Vec<String> {
    let given = drive(run, template);
    insert(run, &given).unwrap();
    given
}

#[test]
fn media_are_changed() {
    let inserted = |run: &Run, given: &[String]| run.field("VBD", &given[1], "VDI") == given[2];
    for prepare in [(|run| drive(run, HVM)) as fn(&Run) -> Vec<String>, |run| drive(run, PVH)] {
        Operation { prepare, act: insert, done: inserted, by_steps: true }.interrupt();
    }
    let ejected = |run: &Run, given: &[String]| run.field("VBD", &given[1], "empty") == "true";
    let eject = |run: &Run, given: &[String]| run.call("VBD.eject", vec![given[1].as_str().into()]);
    for prepare in [(|run| full(run, HVM)) as fn(&Run) -> Vec<String>, |run| full(run, PVH)] {
        Operation { prepare, act: eject, done: ejected, by_steps: true }.interrupt();
    }
}

/// A guest that crashes, and whose memory is kept.
#[test]
fn crash_dumps_are_kept() {
    Operation {
        prepare: |run| {
            let given = running(run);
            let params = vec![given[0].as_str().into(), "coredump_and_destroy".into()];
            run.text("VM.set_actions_after_crash", params);
            given
        },
        act: |run, given| {
            let context = run.context();
            let vm = Ref::new(&given[0]);
            let domain = run.field("VM", &given[0], "domid").parse::<u32>();
            let lock = run.toolstack.lock_of(&vm);
            let _held = lock.lock().unwrap();
            crash_dump::keep(&context.toolstack, &vm, xenops::DomId(domain.unwrap()))
                .map(|()| xapi_model::Value::Void)
        },
        done: |run, given| {
            let dumps =
                run.toolstack.look("VM", &Ref::new(&given[0]), |vm, _| vm.refs("crash_dumps"));
            dumps.unwrap().len() == 1
        },
        by_steps: false,
    }
    .interrupt();
}
