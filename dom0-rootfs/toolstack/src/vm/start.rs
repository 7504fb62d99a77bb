// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starting a VM.

use std::path::PathBuf;
use std::sync::Arc;

use storage::Mode;
use xapi_model::{ApiError, DateTime, Ref, Value, classes, coerce, encode_fields, errors, jsonrpc};
use xenops::{Created, Disk, Onlooker};

use super::devices::DomainType;
use super::plan::{Plan, plan};
use super::steps::{self, Step};
use super::stoppable::{self, Stoppable};
use super::{stop, suspend};
use crate::failure;
use crate::memory;
use crate::store::{Object, Objects, Transaction};
use crate::toolstack::{Context, Toolstack};
use crate::unfinished;
use crate::vdis;

/// A start under way.
struct Starting {
    context: Context,
    work: Stoppable,
    vm: Ref,
    plan: Plan,
    paused: bool,
    /// The suspend image that it comes from, and who uses it.
    image: Option<(Ref, Ref)>,
    image_path: Option<PathBuf>,
    active: Vec<(Ref, Ref)>,
    created: Option<Created>,
    recorded: bool,
}

/// Shares of a resume that are done before and after its memory is read; the steps after that tell more.
const MEMORY: (f64, f64) = (0.05, 0.6);

const STEPS: &[Step<Starting>] = &[
    Step { name: "opening the image", act: open_image, undo: close_image },
    Step { name: "activating disks", act: activate, undo: deactivate },
    Step { name: "making bridges", act: bridge, undo: |_| Ok(()) },
    Step { name: "building the domain", act: build, undo: destroy },
    Step { name: "plugging network interfaces", act: plug, undo: unplug },
    Step { name: "recording the domain", act: record, undo: erase },
    Step { name: "giving up the image", act: give_up_image, undo: |_| Ok(()) },
    Step { name: "letting the guest run", act: run, undo: |_| Ok(()) },
];

/// Starts a halted VM. The caller holds the VM's lock and has begun the operation.
pub fn start(context: &Context, vm: &Ref, paused: bool) -> Result<(), ApiError> {
    bring_up(context, vm, paused, "Halted")
}

/// Lets a suspended VM go on where it was. The caller holds the VM's lock and has begun the operation.
pub fn resume(context: &Context, vm: &Ref, paused: bool) -> Result<(), ApiError> {
    bring_up(context, vm, paused, "Suspended")
}

fn bring_up(context: &Context, vm: &Ref, paused: bool, from: &'static str) -> Result<(), ApiError> {
    let toolstack = &context.toolstack;
    let (plan, image) = toolstack.store.read(|objects| {
        let host = objects.get("host", &toolstack_host(objects))?;
        if !host.bool("enabled") {
            return Err(errors::HOST_DISABLED.with([host.reference().as_str()]));
        }
        // Whoever had the lock before may have started it.
        let object = objects.get("VM", vm)?;
        let state = object.text("power_state");
        if state != from {
            let words = [vm.as_str(), &from.to_lowercase(), &state.to_lowercase()];
            return Err(errors::VM_BAD_POWER_STATE.with(words));
        }
        let mut plan = plan(objects, vm, &toolstack.boot)?;
        if from == "Halted" {
            return Ok((plan, None));
        }
        // The guest has these devices and no others.
        let had = |device: &Ref| objects.find(device).is_some_and(|d| d.bool("currently_attached"));
        plan.disks.retain(|disk| had(&disk.vbd));
        plan.nics.retain(|nic| had(&nic.vif));
        plan.spec.nics = plan.nics.iter().map(|planned| planned.nic.clone()).collect();
        Ok((plan, Some(object.to("suspend_VDI"))))
    })?;
    let mut starting = Starting {
        context: context.clone(),
        work: Stoppable::begin(context, vm, stoppable::ENDING)?,
        vm: vm.clone(),
        plan,
        paused,
        image: image.map(|image| (image, Ref::new(&uuid::Uuid::new_v4().to_string()))),
        image_path: None,
        active: Vec::new(),
        created: None,
        recorded: false,
    };
    let took = steps::run(STEPS, &mut starting, Starting::after_step)?;
    tracing::info!(%took, "started {}", starting.plan.spec.uuid);
    if let Some((image, _)) = starting.image.clone() {
        if let Err(error) = close_image(&mut starting) {
            tracing::error!(%error, %image, "closing a suspend image");
        }
        unfinished::remove(toolstack, &image);
    }
    Ok(())
}

fn toolstack_host(objects: &Objects) -> Ref {
    objects.all("host").next().map_or_else(Ref::null, |host| host.reference().clone())
}

impl Starting {
    fn toolstack(&self) -> &Arc<Toolstack> {
        &self.context.toolstack
    }

    /// Until the domain is recorded the start may be stopped. The memory of one that goes on tells its progress
    /// by itself.
    fn after_step(&self, done: f64) -> Result<(), ApiError> {
        if self.image.is_none() || self.recorded {
            self.context.progress(done);
        }
        if self.recorded { Ok(()) } else { self.work.check() }
    }
}

fn open_image(starting: &mut Starting) -> Result<(), ApiError> {
    let Some((image, user)) = &starting.image else { return Ok(()) };
    let toolstack = starting.toolstack();
    let path = toolstack.activations.activate(toolstack, user, image, Mode::ReadOnly)?;
    starting.image_path = Some(path);
    Ok(())
}

fn close_image(starting: &mut Starting) -> Result<(), ApiError> {
    if let (Some((image, user)), Some(_)) = (&starting.image, &starting.image_path) {
        let toolstack = &starting.context.toolstack;
        toolstack.activations.deactivate(toolstack, user, image)?;
        starting.image_path = None;
    }
    Ok(())
}

fn activate(starting: &mut Starting) -> Result<(), ApiError> {
    let mut disks = Vec::new();
    for planned in &starting.plan.disks {
        let source = match &planned.vdi {
            None => None,
            Some((vdi, mode)) => {
                let toolstack = &starting.context.toolstack;
                let path = toolstack.activations.activate(toolstack, &planned.vbd, vdi, *mode)?;
                starting.active.push((planned.vbd.clone(), vdi.clone()));
                Some(path)
            }
        };
        disks.push(Disk {
            vdev: planned.vdev.clone(),
            source,
            read_only: planned.read_only,
            cdrom: planned.cdrom,
            data: planned.data.clone(),
        });
    }
    starting.plan.spec.disks = disks;
    Ok(())
}

fn deactivate(starting: &mut Starting) -> Result<(), ApiError> {
    let toolstack = starting.toolstack().clone();
    let mut result = Ok(());
    for (vbd, vdi) in starting.active.drain(..).rev() {
        result = result.and(toolstack.activations.deactivate(&toolstack, &vbd, &vdi));
    }
    result
}

fn bridge(starting: &mut Starting) -> Result<(), ApiError> {
    let network = &starting.toolstack().network;
    for bridge in starting.plan.nics.iter().flat_map(|planned| &planned.bridges) {
        network.ensure_bridge(bridge).map_err(|e| failure::network(&e))?;
    }
    Ok(())
}

fn build(starting: &mut Starting) -> Result<(), ApiError> {
    let toolstack = starting.context.toolstack.clone();
    let _room = memory::make_room(&toolstack, &starting.vm, &mut starting.plan)?;
    let (hypervisor, spec) = (&starting.toolstack().hypervisor, &starting.plan.spec);
    let created = match &starting.image_path {
        Some(image) => {
            let bytes = spec.memory_kib.saturating_mul(1024);
            let restore = |onlooker: &dyn Onlooker| hypervisor.restore(spec, image, onlooker);
            starting.work.moving(bytes, MEMORY, restore)?
        }
        None => hypervisor.create(spec).map_err(|e| failure::xenops(&e, &starting.vm))?,
    };
    starting.created = Some(created);
    Ok(())
}

fn destroy(starting: &mut Starting) -> Result<(), ApiError> {
    let Some(created) = starting.created.take() else { return Ok(()) };
    let destroyed = starting.toolstack().hypervisor.destroy(created.domain);
    destroyed.map_err(|e| failure::xenops(&e, &starting.vm))
}

fn plug(starting: &mut Starting) -> Result<(), ApiError> {
    let Some(created) = &starting.created else { return Ok(()) };
    for (planned, links) in starting.plan.nics.iter().zip(&created.links) {
        for link in links {
            let plugged = starting.toolstack().network.plug(&planned.bridge, link, &planned.port);
            plugged.map_err(|e| failure::network(&e))?;
        }
    }
    Ok(())
}

fn unplug(starting: &mut Starting) -> Result<(), ApiError> {
    let links = starting.created.iter().flat_map(|created| created.links.iter().flatten());
    let mut result = Ok(());
    for link in links {
        let unplugged = starting.toolstack().network.unplug(link);
        result = result.and(unplugged.map_err(|e| failure::network(&e)));
    }
    result
}

/// Name of the note with what is known of a VM's domain, for the next run of the daemon.
pub fn note(vm_uuid: &str) -> String {
    format!("domain/{vm_uuid}")
}

fn record(starting: &mut Starting) -> Result<(), ApiError> {
    let Some(created) = starting.created.clone() else { return Ok(()) };
    starting.recorded = true;
    let plan = &starting.plan;
    let vm = &starting.vm;
    // Before anybody sees the console's object, and may connect to it.
    if let Some(path) = &created.console {
        starting.toolstack().consoles.attach(vm, path);
    }
    let host = starting.toolstack().host();
    starting.toolstack().store.write(|t| {
        let domid = i64::from(created.domain.0);
        t.set(vm, "domid", domid);
        t.set(vm, "domarch", "x64");
        t.set(vm, "resident_on", &host);
        t.set(vm, "power_state", Value::Enum("Paused"));
        t.set(vm, "memory_target", vdis::bytes(plan.spec.memory_kib.saturating_mul(1024)));
        for disk in &plan.disks {
            t.set(&disk.vbd, "device", disk.vdev.as_str());
            t.set(&disk.vbd, "currently_attached", true);
        }
        for nic in &plan.nics {
            t.set(&nic.vif, "currently_attached", true);
            t.set_entry(&nic.vif, "runtime_properties", stop::EMULATED, None);
        }
        consoles(t, vm, &created);
        metrics(t, vm, plan, starting.image.is_some());
        t.set_note(&note(&plan.spec.uuid.to_string()), Some(describe(&created)));
        if starting.image.is_none() {
            note_boot_record(t, vm);
        }
        Ok(())
    })
}

/// Name of the note with a VM's record as it was at its last start.
fn boot_note(vm: &Object) -> String {
    format!("booted/{}", vm.uuid())
}

fn note_boot_record(t: &mut Transaction<'_>, vm: &Ref) {
    let Ok(object) = t.get("VM", vm) else { return };
    let (note, record) = (boot_note(object), object.record());
    let record = encode_fields(record.entries());
    t.set_note(&note, Some(record));
}

/// The record is of no more use.
pub fn forget_boot_record(t: &mut Transaction<'_>, vm: &Ref) {
    let Ok(note) = t.get("VM", vm).map(boot_note) else { return };
    t.set_note(&note, None);
}

/// A VM's record as it was at its last start, if it was ever started. Fields that its class has anew
/// are as they are now.
pub fn boot_record(objects: &Objects, vm: &Object) -> Option<Value> {
    let text = objects.note(&boot_note(vm))?;
    let json = serde_json::from_str(text).ok()?;
    let Ok(Value::Map(kept)) = jsonrpc::value_from_json(json) else { return None };
    let mut record = vm.record().to_map();
    for (name, value) in kept {
        let field = vm.class().field(&name).map(|(_, field)| field);
        if let Some(value) = field.and_then(|field| coerce(&field.ty, value).ok()) {
            record.insert(name, value);
        }
    }
    Some(Value::Map(record))
}

fn describe(created: &Created) -> String {
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|p| p.display().to_string());
    serde_json::json!({"console": path(&created.console), "vnc": path(&created.vnc)}).to_string()
}

fn consoles(t: &mut Transaction<'_>, vm: &Ref, created: &Created) {
    let address = t
        .objects()
        .all("host")
        .next()
        .map_or_else(String::new, |host| host.text("address").to_owned());
    let kinds = [("vt100", created.console.is_some()), ("rfb", created.vnc.is_some())];
    for (protocol, _) in kinds.into_iter().filter(|(_, there)| *there) {
        let fields = vec![("protocol", Value::Enum(protocol)), ("VM", vm.into())];
        let console = t.create(&classes::CONSOLE, fields);
        let uuid = t.get("console", &console).map(|c| c.uuid().to_owned()).unwrap_or_default();
        t.set(&console, "location", format!("https://{address}/console?uuid={uuid}"));
    }
}

fn metrics(t: &mut Transaction<'_>, vm: &Ref, plan: &Plan, goes_on: bool) {
    let Ok(metrics) = t.get("VM", vm).map(|vm| vm.to("metrics")) else { return };
    let memory = i64::try_from(plan.spec.memory_kib.saturating_mul(1024)).unwrap_or(i64::MAX);
    t.set(&metrics, "memory_actual", memory);
    t.set(&metrics, "VCPUs_number", i64::from(plan.spec.vcpus));
    if !goes_on {
        t.set(&metrics, "start_time", DateTime::now());
    }
    t.set(&metrics, "last_updated", DateTime::now());
    t.set(&metrics, "hvm", plan.kind != DomainType::Pv);
    t.set(&metrics, "current_domain_type", Value::Enum(plan.kind.name()));
}

fn erase(starting: &mut Starting) -> Result<(), ApiError> {
    if !starting.recorded {
        return Ok(());
    }
    let vm = starting.vm.clone();
    starting.toolstack().consoles.detach(&vm);
    let image = starting.image.as_ref().map(|(image, _)| image);
    starting.toolstack().store.write(|t| {
        match image {
            Some(image) => suspend::record_suspended(t, &vm, image),
            None => stop::record_halted(t, &vm),
        }
        Ok(())
    })
}

/// From the moment that the guest runs its disks and the image are not of one time any more, so the
/// image goes before that.
fn give_up_image(starting: &mut Starting) -> Result<(), ApiError> {
    if starting.image.is_none() {
        return Ok(());
    }
    let vm = starting.vm.clone();
    starting.toolstack().store.write(|t| Ok(suspend::drop_image(t, &vm))).map(drop)
}

fn run(starting: &mut Starting) -> Result<(), ApiError> {
    let Some(created) = starting.created.clone().filter(|_| !starting.paused) else {
        return Ok(());
    };
    let vm = starting.vm.clone();
    let toolstack = starting.toolstack();
    if let Err(error) = toolstack.hypervisor.unpause(created.domain) {
        // A worker that died may have let it run before.
        let runs = toolstack.hypervisor.domains().is_ok_and(|domains| {
            domains.iter().any(|domain| domain.id == created.domain && !domain.paused)
        });
        if !runs {
            return Err(failure::xenops(&error, &vm));
        }
    }
    toolstack.store.write(|t| {
        t.set(&vm, "power_state", Value::Enum("Running"));
        Ok(())
    })
}
