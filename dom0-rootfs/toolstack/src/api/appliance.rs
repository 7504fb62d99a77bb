// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM_appliance`: VMs that start and end together.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use xapi_model::{ApiError, Ref, Reply, Value, classes, errors};

use super::{Entry, call, records};
use crate::subtask::Part;
use crate::task::Cancel;
use crate::toolstack::{Args, Context};
use crate::vm::appliance::obstacle;

pub(super) const HANDLERS: &[Entry] = &[
    ("VM_appliance.create", |context, args| records::create(context, args, &classes::VM_APPLIANCE)),
    ("VM_appliance.destroy", destroy),
    ("VM_appliance.start", |context, args| {
        let work = Work { name: "start", message: "VM.start", delay: "start_delay" };
        let flags = [args.get("paused").clone(), false.into()];
        run(context, &args.to("self"), &work, &flags, |state| state == "Halted")
    }),
    ("VM_appliance.clean_shutdown", |context, args| {
        let work = Work { name: "clean_shutdown", message: "VM.clean_shutdown", ..ENDING };
        run(context, &args.to("self"), &work, &[], |state| state != "Halted")
    }),
    ("VM_appliance.hard_shutdown", |context, args| {
        let work = Work { name: "hard_shutdown", message: "VM.hard_shutdown", ..ENDING };
        run(context, &args.to("self"), &work, &[], |state| state != "Halted")
    }),
    ("VM_appliance.shutdown", |context, args| {
        run(context, &args.to("self"), &ENDING, &[], |state| state != "Halted")
    }),
];

/// How often a pause looks whether the task was cancelled.
const LOOK: Duration = Duration::from_millis(500);

/// What is done with each VM.
struct Work {
    /// Name of the operation.
    name: &'static str,
    message: &'static str,
    /// Field of a VM with the seconds to wait after it.
    delay: &'static str,
}

const ENDING: Work = Work { name: "shutdown", message: "VM.shutdown", delay: "shutdown_delay" };

fn destroy(context: &Context, args: &Args<'_>) -> Reply {
    let this = args.to("self");
    context.store().write(|t| {
        let appliance = t.get("VM_appliance", &this)?;
        if !appliance.map("current_operations").is_empty() {
            return Err(errors::OTHER_OPERATION_IN_PROGRESS.with(["VM_appliance", this.as_str()]));
        }
        for vm in appliance.refs("VMs") {
            t.set(&vm, "appliance", Ref::null());
        }
        t.remove(&this);
        Ok(Value::Void)
    })
}

/// The mark of an operation under way, until it is dropped.
struct UnderWay<'a> {
    context: &'a Context,
    appliance: &'a Ref,
    key: String,
}

impl<'a> UnderWay<'a> {
    fn begin(
        context: &'a Context,
        appliance: &'a Ref,
        name: &'static str,
    ) -> Result<UnderWay<'a>, ApiError> {
        let key = context.operation_key(&format!("VM_appliance.{name}"));
        context.store().write(|t| {
            let object = t.get("VM_appliance", appliance)?;
            if let Some(obstacle) = obstacle(t.objects(), object, name) {
                return Err(obstacle);
            }
            let mut operations = object.map("current_operations").clone();
            operations.insert(key.clone(), Value::Enum(name));
            t.set_live(appliance, "current_operations", Value::Map(operations));
            Ok(())
        })?;
        Ok(UnderWay { context, appliance, key })
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let ended = self.context.store().write(|t| {
            let appliance = t.get("VM_appliance", self.appliance)?;
            let mut operations = appliance.map("current_operations").clone();
            operations.remove(&self.key);
            t.set_live(self.appliance, "current_operations", Value::Map(operations));
            Ok(())
        });
        if let Err(error) = ended {
            tracing::error!(%error, appliance = %self.appliance, "ending an operation");
        }
    }
}

/// Does it with the VMs of one order at once, those of the next after the longest of their delays.
fn run(
    context: &Context,
    appliance: &Ref,
    work: &Work,
    flags: &[Value],
    wanted: fn(&str) -> bool,
) -> Reply {
    let _under_way = UnderWay::begin(context, appliance, work.name)?;
    let mut orders: BTreeMap<i64, Vec<(Ref, i64)>> = BTreeMap::new();
    context.toolstack.look("VM_appliance", appliance, |appliance, objects| {
        let vms = appliance.refs("VMs");
        let vms = vms.iter().filter_map(|vm| objects.find(vm));
        for vm in vms.filter(|vm| wanted(vm.text("power_state"))) {
            let order = if work.name == "start" { vm.int("order") } else { -vm.int("order") };
            let one = (vm.reference().clone(), vm.int(work.delay));
            orders.entry(order).or_default().push(one);
        }
    })?;
    let cancel = context.cancellable()?;
    let (count, mut failed) = (orders.len(), Vec::new());
    let mut parts = Vec::new();
    for vms in orders.into_values() {
        let delay = vms.iter().map(|(_, delay)| *delay).max().unwrap_or_default();
        let part = |(vm, _)| Ok((vm, Part::of(context, work.message)?));
        parts.push((vms.into_iter().map(part).collect::<Result<Vec<_>, ApiError>>()?, delay));
    }
    for (done, (vms, delay)) in parts.into_iter().enumerate() {
        context.check_cancelled(&cancel)?;
        failed.extend(all_at_once(work.message, vms, flags));
        if done + 1 < count {
            pause(context, &cancel, u64::try_from(delay).unwrap_or_default())?;
        }
    }
    if failed.is_empty() {
        return Ok(Value::Void);
    }
    context.check_cancelled(&cancel)?;
    let operation = format!("VM_appliance.{}", work.name);
    let failed = failed.iter().map(Ref::to_string);
    Err(errors::OPERATION_PARTIALLY_FAILED.with(std::iter::once(operation).chain(failed)))
}

/// Those that it did not work with.
pub(super) fn all_at_once(message: &str, vms: Vec<(Ref, Part)>, flags: &[Value]) -> Vec<Ref> {
    thread::scope(|scope| {
        let begin = |(vm, part): (Ref, Part)| {
            let params = [Value::from(&vm)].into_iter().chain(flags.iter().cloned());
            let work =
                scope.spawn(move || part.run(|context| call(context, message, params.collect())));
            (vm, work)
        };
        let works: Vec<_> = vms.into_iter().map(begin).collect();
        let ended = works.into_iter().map(|(vm, work)| (vm, work.join()));
        let failed = ended.filter_map(|(vm, reply)| match reply {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                tracing::error!(%vm, message, %error, "appliance");
                Some(vm)
            }
            Err(_) => Some(vm),
        });
        failed.collect()
    })
}

fn pause(context: &Context, cancel: &Cancel, seconds: u64) -> Result<(), ApiError> {
    let begun = Instant::now();
    loop {
        context.check_cancelled(cancel)?;
        let left = Duration::from_secs(seconds).saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        thread::park_timeout(left.min(LOOK));
    }
}
