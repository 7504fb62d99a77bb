// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VMSS`: snapshots by schedule.

use std::sync::Arc;

use xapi_model::{ApiError, DateTime, Ref, Reply, Value, classes, errors};

use super::{Entry, call, records, vm};
use crate::schedule::Schedule;
use crate::store::{Object, Transaction};
use crate::subtask::Part;
use crate::toolstack::{Args, Context, Toolstack};

pub(super) const HANDLERS: &[Entry] = &[
    ("VMSS.create", |context, args| {
        context.store().write(|t| {
            let made = records::make(t, args, &classes::VMSS)?;
            check(t.get("VMSS", &made)?)?;
            Ok(made.into())
        })
    }),
    ("VMSS.destroy", destroy),
    ("VMSS.snapshot_now", |context, args| {
        let vmss = args.to("vmss");
        context.toolstack.look("VMSS", &vmss, |_, _| ())?;
        let failed = follow(context, &vmss)?;
        let count = context.toolstack.look("VMSS", &vmss, |vmss, _| vmss.refs("VMs").len())?;
        Ok(format!("{} of {count} VMs snapshotted", count - failed.min(count)).into())
    }),
    ("VMSS.set_type", |context, args| set(context, args, "type", |_| args.get("value").clone())),
    ("VMSS.set_frequency", |context, args| {
        set(context, args, "frequency", |_| args.get("value").clone())
    }),
    ("VMSS.set_retained_snapshots", |context, args| {
        set(context, args, "retained_snapshots", |_| args.get("value").clone())
    }),
    ("VMSS.set_schedule", |context, args| {
        set(context, args, "schedule", |_| args.get("value").clone())
    }),
    ("VMSS.add_to_schedule", |context, args| {
        set(context, args, "schedule", |vmss| {
            let mut schedule = vmss.map("schedule").clone();
            schedule.insert(args.text("key").to_owned(), args.get("value").clone());
            Value::Map(schedule)
        })
    }),
    ("VMSS.remove_from_schedule", |context, args| {
        set(context, args, "schedule", |vmss| {
            let mut schedule = vmss.map("schedule").clone();
            schedule.remove(args.text("key"));
            Value::Map(schedule)
        })
    }),
];

/// Most snapshots of a VM that a schedule keeps.
const MOST: i64 = 10;

fn schedule(vmss: &Object) -> Result<Schedule, ApiError> {
    Schedule::read(vmss.text("frequency"), vmss.map("schedule"))
        .map_err(|(key, value)| errors::INVALID_VALUE.with([key, value]))
}

fn check(vmss: &Object) -> Result<(), ApiError> {
    schedule(vmss)?;
    let retained = vmss.int("retained_snapshots");
    if !(1..=MOST).contains(&retained) {
        let words = ["retained_snapshots".to_owned(), retained.to_string()];
        return Err(errors::INVALID_VALUE.with(words));
    }
    if vmss.text("type") == "snapshot_with_quiesce" {
        let words = ["type", "snapshot_with_quiesce", "guests are not asked to be quiet"];
        return Err(errors::VALUE_NOT_SUPPORTED.with(words));
    }
    Ok(())
}

fn set(
    context: &Context,
    args: &Args<'_>,
    field: &str,
    new: impl FnOnce(&Object) -> Value,
) -> Reply {
    let this = args.to("self");
    context.store().write(|t| {
        let value = new(t.get("VMSS", &this)?);
        t.set(&this, field, value);
        check(t.get("VMSS", &this)?)?;
        Ok(Value::Void)
    })
}

fn destroy(context: &Context, args: &Args<'_>) -> Reply {
    let this = args.to("self");
    context.store().write(|t| {
        for vm in t.get("VMSS", &this)?.refs("VMs") {
            t.set(&vm, "snapshot_schedule", Ref::null());
        }
        t.remove(&this);
        Ok(Value::Void)
    })
}

/// Follows every schedule that is due.
pub fn follow_due(toolstack: &Arc<Toolstack>) {
    let now = DateTime::now();
    let due: Vec<Ref> = toolstack.store.read(|objects| {
        let due = objects.all("VMSS").filter(|vmss| {
            let last = match vmss.get("last_run_time") {
                Value::DateTime(time) => *time,
                _ => DateTime::EPOCH,
            };
            vmss.bool("enabled") && schedule(vmss).is_ok_and(|times| times.is_due(last, now))
        });
        due.map(|vmss| vmss.reference().clone()).collect()
    });
    for vmss in due {
        if let Err(error) = follow(&Context::myself(toolstack), &vmss) {
            tracing::error!(%error, %vmss, "following a schedule");
        }
    }
}

/// Snapshots every VM of a schedule and removes old snapshots; returns how many VMs it did not work with.
fn follow(context: &Context, vmss: &Ref) -> Result<usize, ApiError> {
    let (message, retained, vms) = context.store().write(|t| {
        // Noted first: what fails is not tried again at once.
        t.set(vmss, "last_run_time", DateTime::now());
        let object = t.get("VMSS", vmss)?;
        let checkpoint = object.text("type") == "checkpoint";
        let message = if checkpoint { "VM.checkpoint" } else { "VM.snapshot" };
        let retained = usize::try_from(object.int("retained_snapshots")).unwrap_or(1);
        Ok((message, retained, object.refs("VMs")))
    })?;
    let cancel = context.cancellable()?;
    let mut failed = 0;
    let parts = vms.into_iter().map(|vm| Ok((vm, Part::of(context, message)?)));
    for (vm, part) in parts.collect::<Result<Vec<_>, ApiError>>()? {
        context.check_cancelled(&cancel)?;
        let reply = part.run(|context| snapshot(context, &vm, message, retained));
        if let Err(error) = reply {
            tracing::error!(%error, %vm, "taking a snapshot by schedule");
            failed += 1;
        }
    }
    if failed > 0 {
        context.check_cancelled(&cancel)?;
    }
    Ok(failed)
}

/// Takes one and removes old ones; the answer is the snapshot.
fn snapshot(context: &Context, vm: &Ref, message: &str, retained: usize) -> Reply {
    let name = context.toolstack.look("VM", vm, |vm, _| vm.text("name_label").to_owned())?;
    let name = format!("{name} {}", DateTime::now());
    let mut params = vec![Value::from(vm), name.into()];
    if message == "VM.snapshot" {
        params.push(Value::Set(Vec::new()));
    }
    let made = call(context, message, params)?;
    let made = made.as_ref().cloned().unwrap_or_else(Ref::null);
    let old = context.store().write(|t| {
        t.set(&made, "is_vmss_snapshot", true);
        Ok(old(t, vm, retained))
    })?;
    old.iter().try_for_each(|snapshot| remove(context, snapshot))?;
    Ok(made.into())
}

/// Snapshots of a VM by schedule that are more than are kept.
fn old(t: &Transaction<'_>, vm: &Ref, retained: usize) -> Vec<Ref> {
    let snapshots = t.objects().find(vm).map(|vm| vm.refs("snapshots")).unwrap_or_default();
    let snapshots = snapshots.iter().filter_map(|snapshot| t.objects().find(snapshot));
    let mut all: Vec<(String, u64, Ref)> = snapshots
        .filter(|snapshot| snapshot.bool("is_vmss_snapshot"))
        // A new one has no number yet.
        .map(|s| {
            let made = if s.created_at() == 0 { u64::MAX } else { s.created_at() };
            (s.get("snapshot_time").text(), made, s.reference().clone())
        })
        .collect();
    all.sort();
    let over = all.len().saturating_sub(retained);
    all.into_iter().take(over).map(|(_, _, snapshot)| snapshot).collect()
}

/// Removes a snapshot with its disks.
fn remove(context: &Context, snapshot: &Ref) -> Result<(), ApiError> {
    let disks: Vec<Ref> = context.toolstack.look("VM", snapshot, |vm, objects| {
        let vbds = vm.refs("VBDs");
        let vbds = vbds.iter().filter_map(|vbd| objects.find(vbd));
        vbds.filter(|vbd| vbd.text("type") == "Disk").map(|vbd| vbd.to("VDI")).collect()
    })?;
    vm::remove(context, snapshot, &disks)
}
