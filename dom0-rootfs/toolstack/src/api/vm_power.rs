// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM`: starting and ending.

use std::sync::PoisonError;
use std::time::Duration;

use xapi_model::{ApiError, Ref, Reply, Value, errors};
use xenops::ShutdownRequest;

use super::Entry;
use crate::failure;
use crate::store::Object;
use crate::toolstack::{Args, Context};
use crate::vm::operation::Operation;
use crate::vm::{start, stop, suspend};

/// How long a guest may take to end before the message fails.
const PATIENCE: Duration = Duration::from_secs(20 * 60);
/// How long it may take before `VM.shutdown` pulls the plug.
const SHORT_PATIENCE: Duration = Duration::from_secs(3 * 60);

pub(super) const HANDLERS: &[Entry] = &[
    ("VM.start", |context, args| boot(context, args, "start")),
    ("VM.start_on", |context, args| {
        context.toolstack.look("host", &args.to("host"), |_, _| ())?;
        boot(context, args, "start_on")
    }),
    ("VM.clean_shutdown", |context, args| {
        let vm = args.to("vm");
        let _operation = Operation::begin(context, &vm, "clean_shutdown")?;
        clean_shutdown(context, &vm, PATIENCE).map(|()| Value::Void)
    }),
    ("VM.shutdown", shutdown),
    ("VM.hard_shutdown", |context, args| end(context, args, "hard_shutdown")),
    ("VM.power_state_reset", |context, args| end(context, args, "power_state_reset")),
    ("VM.clean_reboot", clean_reboot),
    ("VM.hard_reboot", hard_reboot),
    ("VM.suspend", |context, args| {
        let vm = args.to("vm");
        let _operation = Operation::begin(context, &vm, "suspend")?;
        alone(context, &vm, || suspend::suspend(context, &vm))?;
        Ok(Value::Void)
    }),
    ("VM.resume", |context, args| resume(context, args, "resume")),
    ("VM.resume_on", |context, args| {
        context.toolstack.look("host", &args.to("host"), |_, _| ())?;
        resume(context, args, "resume_on")
    }),
    ("VM.set_suspend_VDI", set_suspend_vdi),
    ("VM.pause", |context, args| pause(context, args, true)),
    ("VM.unpause", |context, args| pause(context, args, false)),
];

/// Runs work on the VM's domain while nobody else does.
pub(super) fn alone<T>(
    context: &Context,
    vm: &Ref,
    work: impl FnOnce() -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let lock = context.toolstack.lock_of(vm);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}

fn boot(context: &Context, args: &Args<'_>, name: &'static str) -> Reply {
    let vm = args.to("vm");
    let _operation = Operation::begin(context, &vm, name)?;
    alone(context, &vm, || start::start(context, &vm, args.bool("start_paused")))?;
    Ok(Value::Void)
}

fn resume(context: &Context, args: &Args<'_>, name: &'static str) -> Reply {
    let vm = args.to("vm");
    let _operation = Operation::begin(context, &vm, name)?;
    alone(context, &vm, || start::resume(context, &vm, args.bool("start_paused")))?;
    Ok(Value::Void)
}

/// Another copy of the image, as after a restore of an SR; what does not fit is refused at the resume.
fn set_suspend_vdi(context: &Context, args: &Args<'_>) -> Reply {
    let (vm, vdi) = (args.to("self"), args.to("value"));
    alone(context, &vm, || {
        context.store().write(|t| {
            let state = t.get("VM", &vm)?.text("power_state");
            if state != "Suspended" {
                let words = [vm.as_str(), "suspended", &state.to_lowercase()];
                return Err(errors::VM_BAD_POWER_STATE.with(words));
            }
            let kind = t.get("VDI", &vdi)?.text("type");
            if kind != "suspend" {
                return Err(errors::VDI_INCOMPATIBLE_TYPE.with([vdi.as_str(), kind]));
            }
            t.set(&vm, "suspend_VDI", &vdi);
            Ok(Value::Void)
        })
    })
}

fn halted(vm: &Object) -> bool {
    vm.text("power_state") == "Halted"
}

fn clean_shutdown(context: &Context, vm: &Ref, patience: Duration) -> Result<(), ApiError> {
    let domain = i64::from(stop::request(context, vm, ShutdownRequest::PowerOff)?.0);
    stop::wait(context, vm, patience, |vm| halted(vm) || vm.int("domid") != domain)
}

fn shutdown(context: &Context, args: &Args<'_>) -> Reply {
    let vm = args.to("vm");
    let _operation = Operation::begin(context, &vm, "shutdown")?;
    let running = context.toolstack.look("VM", &vm, |vm, _| vm.text("power_state") == "Running")?;
    if running {
        match clean_shutdown(context, &vm, SHORT_PATIENCE) {
            Ok(()) => return Ok(Value::Void),
            Err(error) if error.is(&errors::TASK_CANCELLED) => return Err(error),
            Err(error) => tracing::info!(%vm, %error, "no clean shutdown, pulling the plug"),
        }
    }
    alone(context, &vm, || stop::halt(&context.toolstack, &vm))?;
    Ok(Value::Void)
}

fn end(context: &Context, args: &Args<'_>, name: &'static str) -> Reply {
    let vm = args.to("vm");
    let _operation = Operation::begin(context, &vm, name)?;
    alone(context, &vm, || stop::halt(&context.toolstack, &vm))?;
    Ok(Value::Void)
}

fn clean_reboot(context: &Context, args: &Args<'_>) -> Reply {
    let vm = args.to("vm");
    let _operation = Operation::begin(context, &vm, "clean_reboot")?;
    let domain = i64::from(stop::request(context, &vm, ShutdownRequest::Reboot)?.0);
    stop::wait(context, &vm, PATIENCE, |vm| vm.int("domid") != domain)?;
    // The watcher starts it again, and holds the lock until it has.
    let state = alone(context, &vm, || {
        context.toolstack.look("VM", &vm, |vm, _| vm.text("power_state").to_owned())
    })?;
    if state == "Running" {
        return Ok(Value::Void);
    }
    Err(errors::INTERNAL_ERROR.with(["the guest has ended but could not be started again"]))
}

fn hard_reboot(context: &Context, args: &Args<'_>) -> Reply {
    let vm = args.to("vm");
    let _operation = Operation::begin(context, &vm, "hard_reboot")?;
    alone(context, &vm, || {
        stop::halt(&context.toolstack, &vm)?;
        start::start(context, &vm, false)
    })?;
    Ok(Value::Void)
}

fn pause(context: &Context, args: &Args<'_>, paused: bool) -> Reply {
    let vm = args.to("vm");
    let (name, state) = if paused { ("pause", "Paused") } else { ("unpause", "Running") };
    let _operation = Operation::begin(context, &vm, name)?;
    alone(context, &vm, || {
        let toolstack = &context.toolstack;
        let domain = toolstack.look("VM", &vm, |vm, _| stop::domain(vm))?;
        let gone = || errors::VM_BAD_POWER_STATE.with([vm.as_str(), "running", "halted"]);
        let domain = domain.ok_or_else(gone)?;
        let hypervisor = &toolstack.hypervisor;
        let done = if paused { hypervisor.pause(domain) } else { hypervisor.unpause(domain) };
        done.map_err(|e| failure::xenops(&e, &vm))?;
        let recorded = toolstack.store.write(|t| {
            t.set(&vm, "power_state", Value::Enum(state));
            Ok(())
        });
        recorded.inspect_err(|_| {
            let back = if paused { hypervisor.unpause(domain) } else { hypervisor.pause(domain) };
            if let Err(error) = back {
                tracing::error!(error = failure::chain(&error), %vm, "taking back a pause");
            }
        })
    })?;
    Ok(Value::Void)
}
