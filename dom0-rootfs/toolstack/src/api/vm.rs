// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM`: making, removing, questions.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use xapi_model::{ApiError, DateTime, Ref, Reply, Value, classes, errors};
use xenops::{HostInfo, needed_kib};

use super::{Entry, blob, vm_group};
use crate::failure;
use crate::guards::{self, Limits};
use crate::memory;
use crate::store::{Object, Objects, Transaction};
use crate::toolstack::{Args, Context};
use crate::unfinished;
use crate::vdis;
use crate::vm::devices;
use crate::vm::operation::{self, Operation};
use crate::vm::plan::{Plan, plan};
use crate::vm::{kind, start, suspend};

pub(super) const HANDLERS: &[Entry] = &[
    ("VM.create", create),
    ("VM.destroy", destroy),
    ("VM.compute_memory_overhead", compute_memory_overhead),
    ("VM.get_allowed_VBD_devices", |context, args| {
        context
            .toolstack
            .look("VM", &args.to("vm"), |vm, objects| numbers(&devices::free_disks(objects, vm)))
    }),
    ("VM.get_allowed_VIF_devices", |context, args| {
        context
            .toolstack
            .look("VM", &args.to("vm"), |vm, objects| numbers(&devices::free_nics(objects, vm)))
    }),
    ("VM.assert_agile", |context, args| {
        context.toolstack.look("VM", &args.to("self"), agile)?.map(|()| Value::Void)
    }),
    ("VM.maximise_memory", maximise_memory),
    ("VM.get_cooperative", |context, args| {
        memory::has_target(&context.toolstack, &args.to("self")).map(Value::Bool)
    }),
    ("VM.get_boot_record", |context, args| {
        operation::check(context, &args.to("self"), "get_boot_record")?;
        context.toolstack.look("VM", &args.to("self"), |vm, objects| {
            start::boot_record(objects, vm).unwrap_or_else(|| vm.record().into())
        })
    }),
    ("VM.get_possible_hosts", get_possible_hosts),
    ("VM.assert_can_boot_here", |context, args| {
        context.toolstack.look("host", &args.to("host"), |_, _| ())?;
        can_boot(context, &args.to("self")).map(|()| Value::Void)
    }),
    ("VM.assert_operation_valid", |context, args| {
        operation::check(context, &args.to("self"), args.text("op")).map(|()| Value::Void)
    }),
    ("VM.set_is_default_template", set_is_default_template),
    ("VM.update_allowed_operations", |context, args| {
        context.store().write(|t| {
            t.get("VM", &args.to("self"))?;
            t.touch(&args.to("self"));
            Ok(Value::Void)
        })
    }),
];

fn numbers(numbers: &[u32]) -> Value {
    Value::strings(numbers.iter().map(u32::to_string))
}

/// Makes the metrics of a new VM.
pub(super) fn make_metrics(t: &mut Transaction<'_>) -> Ref {
    let now = DateTime::now();
    t.create(&classes::VM_METRICS, vec![("install_time", now.into()), ("last_updated", now.into())])
}

/// Makes a VM from fields that are checked already.
pub(crate) fn make(t: &mut Transaction<'_>, mut fields: Vec<(&str, Value)>) -> Ref {
    let metrics = make_metrics(t);
    fields.push(("metrics", metrics.into()));
    t.create(&classes::VM, fields)
}

/// A VM that becomes one becomes a template first. `other_config` says so too, for older clients.
fn set_is_default_template(context: &Context, args: &Args<'_>) -> Reply {
    let (vm, value) = (args.to("vm"), args.bool("value"));
    context.store().write(|t| {
        let object = t.get("VM", &vm)?;
        let is_template = object.bool("is_a_template");
        let mut config = object.map("other_config").clone();
        config.insert("default_template".into(), value.to_string().into());
        if value && !is_template {
            guards::check(t.objects(), &classes::VM, &vm, "is_a_template", &true.into())?;
            t.set(&vm, "is_a_template", true);
        }
        t.set(&vm, "is_default_template", value);
        t.set(&vm, "other_config", Value::Map(config));
        Ok(Value::Void)
    })
}

fn create(context: &Context, args: &Args<'_>) -> Reply {
    let record: BTreeMap<String, Value> = args.get("args").as_map().cloned().unwrap_or_default();
    context.store().write(|t| {
        let vm = make(t, Vec::new());
        set_all(t, &vm, record)?;
        Ok(vm.into())
    })
}

/// Sets fields of a new VM, as far as they are allowed, alone and together.
pub(crate) fn set_all(
    t: &mut Transaction<'_>,
    vm: &Ref,
    record: BTreeMap<String, Value>,
) -> Result<(), ApiError> {
    // Checked as if set one by one, but for those that only make sense together.
    for (name, value) in &record {
        let cpus = ["VCPUs_max", "VCPUs_at_startup"].contains(&name.as_str());
        let together = cpus || name.starts_with("memory_");
        if !together {
            guards::check(t.objects(), &classes::VM, vm, name, value)?;
        }
    }
    for (name, value) in record {
        t.set(vm, &name, value);
    }
    kind::settle(t, vm)?;
    let object = t.get("VM", vm)?;
    Limits::of(object).check()?;
    guards::vcpus(object.int("VCPUs_max"), object.int("VCPUs_at_startup"))
}

fn destroy(context: &Context, args: &Args<'_>) -> Reply {
    remove(context, &args.to("self"), &[]).map(|()| Value::Void)
}

/// Removes a VM, and these disks of it.
pub(super) fn remove(context: &Context, vm: &Ref, disks: &[Ref]) -> Result<(), ApiError> {
    let operation = Operation::begin(context, vm, "destroy")?;
    let lock = context.toolstack.lock_of(vm);
    let held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let (image, uuid) = context.store().write(|t| {
        let object = t.get("VM", vm)?;
        let uuid = uuid::Uuid::parse_str(object.uuid()).ok();
        // A guest that restarted by itself held the lock.
        let state = object.text("power_state");
        if !["Halted", "Suspended"].contains(&state) {
            let words = [vm.as_str(), "halted, suspended", &state.to_lowercase()];
            return Err(errors::VM_BAD_POWER_STATE.with(words));
        }
        // What is in their VDIs stays.
        let devices: Vec<Ref> = ["VBDs", "VIFs", "consoles", "crash_dumps"]
            .into_iter()
            .flat_map(|field| object.refs(field))
            .chain([object.to("metrics"), object.to("guest_metrics")])
            .collect();
        let snapshots = object.refs("snapshots");
        let (parent, children) = (object.to("parent"), object.refs("children"));
        for device in &devices {
            t.remove(device);
        }
        for snapshot in &snapshots {
            t.set(snapshot, "snapshot_of", Ref::null());
        }
        for child in &children {
            t.set(child, "parent", &parent);
        }
        let image = suspend::drop_image(t, vm);
        disks.iter().for_each(|disk| unfinished::begin(t, disk));
        blob::remove_all(t, vm);
        vm_group::join(t, vm, &[]);
        start::forget_boot_record(t, vm);
        t.remove(vm);
        Ok((image, uuid))
    })?;
    drop(held);
    if let Some(uuid) = uuid {
        context.toolstack.metrics.forget(&uuid);
    }
    // Nobody else could go on from it.
    for vdi in image.iter().chain(disks) {
        unfinished::remove(&context.toolstack, vdi);
    }
    drop(operation);
    Ok(())
}

/// Why a VM could not run on every host: it needs something that only this one has.
fn agile(vm: &Object, objects: &Objects) -> Result<(), ApiError> {
    let vbds = vm.refs("VBDs");
    let vdis = vbds.iter().filter_map(|vbd| objects.find(&objects.find(vbd)?.to("VDI")));
    for sr in vdis.filter_map(|vdi| objects.find(&vdi.to("SR"))) {
        if !sr.bool("shared") {
            let words = [sr.reference().as_str()];
            return Err(errors::HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED.with(words));
        }
    }
    let vifs = vm.refs("VIFs");
    let networks = vifs.iter().filter_map(|vif| objects.find(&objects.find(vif)?.to("network")));
    for network in networks {
        if network.refs("PIFs").is_empty() {
            let words = [network.reference().as_str()];
            return Err(errors::HA_CONSTRAINT_VIOLATION_NETWORK_NOT_SHARED.with(words));
        }
    }
    Ok(())
}

/// What is left of a total beside what Xen and the device model need for the VM, in whole MiB. That
/// does not depend on how much memory it has.
fn maximise_memory(context: &Context, args: &Args<'_>) -> Reply {
    let overhead = overhead(&planned(context, &args.to("self"))?);
    let mebibyte = 1 << 20;
    let spare = if args.bool("approximate") { mebibyte } else { 0 };
    let left = args.int("total").saturating_sub(overhead).saturating_sub(spare).max(0);
    Ok(Value::Int(left / mebibyte * mebibyte))
}

fn planned(context: &Context, vm: &Ref) -> Result<Plan, ApiError> {
    let toolstack = &context.toolstack;
    toolstack.store.read(|objects| plan(objects, vm, &toolstack.boot))
}

fn overhead(plan: &Plan) -> i64 {
    let beside = needed_kib(&plan.spec).saturating_sub(plan.spec.memory_kib);
    vdis::bytes(beside.saturating_mul(1024))
}

fn compute_memory_overhead(context: &Context, args: &Args<'_>) -> Reply {
    let vm = args.to("vm");
    let overhead = overhead(&planned(context, &vm)?);
    context.store().write(|t| {
        t.set(&vm, "memory_overhead", overhead);
        Ok(Value::Int(overhead))
    })
}

fn host_info(context: &Context) -> Result<HostInfo, ApiError> {
    let info = context.toolstack.hypervisor.host();
    info.map_err(|e| errors::INTERNAL_ERROR.with([failure::chain(&e)]))
}

/// Why this host cannot start a VM now.
fn can_boot(context: &Context, vm: &Ref) -> Result<(), ApiError> {
    let toolstack = &context.toolstack;
    let host = toolstack.host();
    if !toolstack.look("host", &host, |host, _| host.bool("enabled"))? {
        return Err(errors::HOST_DISABLED.with([host.as_str()]));
    }
    let plan = planned(context, vm)?;
    let info = host_info(context)?;
    if !info.hvm && plan.kind != devices::DomainType::Pv {
        return Err(errors::VM_HVM_REQUIRED.with([vm.as_str()]));
    }
    let least = toolstack.look("VM", vm, |vm, _| vm.int("memory_dynamic_min"))?;
    let least = u64::try_from(least).unwrap_or_default() / 1024;
    let needed = needed_kib(&plan.spec) - plan.spec.memory_kib.saturating_sub(least);
    let available = memory::available_kib(toolstack)?;
    if needed > available {
        let bytes = |kib: u64| kib.saturating_mul(1024).to_string();
        let words = [bytes(needed), bytes(available)];
        return Err(errors::HOST_NOT_ENOUGH_FREE_MEMORY.with(words));
    }
    for disk in &plan.disks {
        let Some((vdi, _)) = &disk.vdi else { continue };
        let sr = toolstack.look("VDI", vdi, |vdi: &Object, _| vdi.to("SR"))?;
        vdis::attached_sr(toolstack, &sr)
            .map_err(|_| errors::VM_REQUIRES_SR.with([vm.as_str(), sr.as_str()]))?;
    }
    Ok(())
}

fn get_possible_hosts(context: &Context, args: &Args<'_>) -> Reply {
    let vm = args.to("vm");
    context.toolstack.look("VM", &vm, |_, _| ())?;
    let host = context.toolstack.host();
    let hosts = can_boot(context, &vm).map(|()| host.into()).into_iter();
    Ok(Value::Set(hosts.collect()))
}
