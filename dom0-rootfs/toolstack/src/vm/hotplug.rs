// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices that come and go while their VM runs.
//!
//! Before the domain is touched a note says which device is meant, and the transaction that records
//! the outcome removes it. A daemon that finds such a note at its start settles it: the device is
//! taken from the domain and counts as detached.

use std::collections::BTreeSet;
use std::sync::Arc;

use xapi_model::{ApiError, Ref, errors};
use xenops::{Disk, DomId};

use super::device_operation::settled;
use super::devices::DomainType;
use super::plan::{self, PlannedDisk, PlannedNic};
use super::steps::{self, Step};
use super::stop;
use crate::failure;
use crate::store::{Object, Objects, Transaction};
use crate::toolstack::Toolstack;

/// How the notes about devices under way begin.
const NOTES: &str = "device/";

fn note(device: &Ref) -> String {
    format!("{NOTES}{device}")
}

/// Whether a device was on its way into or out of a domain.
pub fn is_under_way(objects: &Objects, device: &Ref) -> bool {
    objects.note(&note(device)).is_some()
}

/// The domain is gone, and the device out of it.
pub fn forget(t: &mut Transaction<'_>, device: &Ref) {
    if is_under_way(t.objects(), device) {
        t.set_note(&note(device), None);
    }
}

/// The domain of a device's VM, if the operation is allowed now. The caller holds the VM's lock.
fn domain_for(
    objects: &Objects,
    class: &str,
    device: &Ref,
    operation: &str,
) -> Result<(Ref, DomId), ApiError> {
    let object = objects.get(class, device)?;
    let vm = objects.get("VM", &object.to("VM"))?;
    settled(vm, object, operation)?;
    let gone = || errors::VM_BAD_POWER_STATE.with([vm.reference().as_str(), "running", "halted"]);
    Ok((vm.reference().clone(), stop::domain(vm).ok_or_else(gone)?))
}

/// A device on its way into a domain.
struct Plugging<P> {
    toolstack: Arc<Toolstack>,
    vm: Ref,
    domain: DomId,
    planned: P,
    links: Vec<String>,
    source: Option<std::path::PathBuf>,
}

impl<P> Plugging<P> {
    /// Notes, or not any more, that a device is under way.
    fn mark(&self, device: &Ref, under_way: bool) -> Result<(), ApiError> {
        self.toolstack.store.write(|t| {
            t.set_note(&note(device), under_way.then(String::new));
            Ok(())
        })
    }
}

const DISK: &[Step<Plugging<PlannedDisk>>] = &[
    Step { name: "activating the disk", act: activate, undo: deactivate },
    Step {
        name: "noting the disk",
        act: |p| p.mark(&p.planned.vbd, true),
        undo: |p| p.mark(&p.planned.vbd, false),
    },
    Step { name: "plugging the disk", act: plug_into, undo: unplug_from },
    Step { name: "recording the disk", act: record_disk, undo: |_| Ok(()) },
];

/// Gives a running VM's domain the disk of a VBD. The caller holds the VM's lock.
pub fn plug_disk(toolstack: &Arc<Toolstack>, vbd: &Ref, operation: &str) -> Result<(), ApiError> {
    let (vm, domain, planned) = toolstack.store.read(|objects| {
        let (vm, domain) = domain_for(objects, "VBD", vbd, operation)?;
        let object = objects.get("VM", &vm)?;
        let kind =
            DomainType::of(object).ok_or_else(|| errors::INTERNAL_ERROR.with(["no type"]))?;
        let planned = plan::disk(objects, kind, vbd)?;
        let planned = planned.ok_or_else(|| errors::VBD_IS_EMPTY.with([vbd.as_str()]))?.1;
        Ok((vm, domain, planned))
    })?;
    let toolstack = toolstack.clone();
    let mut plugging = Plugging { toolstack, vm, domain, planned, links: Vec::new(), source: None };
    steps::run(DISK, &mut plugging, |_, _| Ok(())).map(drop)
}

fn activate(plugging: &mut Plugging<PlannedDisk>) -> Result<(), ApiError> {
    let Some((vdi, mode)) = &plugging.planned.vdi else { return Ok(()) };
    let toolstack = &plugging.toolstack;
    let path = toolstack.activations.activate(toolstack, &plugging.planned.vbd, vdi, *mode)?;
    plugging.source = Some(path);
    Ok(())
}

fn deactivate(plugging: &mut Plugging<PlannedDisk>) -> Result<(), ApiError> {
    let toolstack = &plugging.toolstack;
    match (&plugging.planned.vdi, plugging.source.take()) {
        (Some((vdi, _)), Some(_)) => {
            toolstack.activations.deactivate(toolstack, &plugging.planned.vbd, vdi)
        }
        _ => Ok(()),
    }
}

fn plug_into(plugging: &mut Plugging<PlannedDisk>) -> Result<(), ApiError> {
    let planned = &plugging.planned;
    let disk = Disk {
        vdev: planned.vdev.clone(),
        source: plugging.source.clone(),
        read_only: planned.read_only,
        cdrom: planned.cdrom,
        data: planned.data.clone(),
    };
    let plugged = plugging.toolstack.hypervisor.plug_disk(plugging.domain, &disk);
    plugged.map_err(|e| failure::xenops(&e, &plugging.vm))
}

fn unplug_from(plugging: &mut Plugging<PlannedDisk>) -> Result<(), ApiError> {
    let vdev = &plugging.planned.vdev;
    let unplugged = plugging.toolstack.hypervisor.unplug_disk(plugging.domain, vdev, true);
    unplugged.map_err(|e| failure::xenops(&e, &plugging.vm))
}

fn record_disk(plugging: &mut Plugging<PlannedDisk>) -> Result<(), ApiError> {
    let PlannedDisk { vbd, vdev, .. } = &plugging.planned;
    plugging.toolstack.store.write(|t| {
        t.set(vbd, "device", vdev.as_str());
        t.set(vbd, "currently_attached", true);
        t.set_note(&note(vbd), None);
        Ok(())
    })
}

/// Takes the disk of a VBD from a running VM's domain. The caller holds the VM's lock.
pub fn unplug_disk(toolstack: &Arc<Toolstack>, vbd: &Ref, operation: &str) -> Result<(), ApiError> {
    let (vm, domain, vdev, vdi) = toolstack.store.read(|objects| {
        let (vm, domain) = domain_for(objects, "VBD", vbd, operation)?;
        let object = objects.get("VBD", vbd)?;
        Ok((vm, domain, object.text("device").to_owned(), object.to("VDI")))
    })?;
    begin(toolstack, vbd)?;
    let force = operation == "unplug_force";
    let unplugged = toolstack.hypervisor.unplug_disk(domain, &vdev, force);
    unplugged.map_err(|e| abandon(toolstack, failure::detach(&e, "VBD", vbd, &vm), vbd))?;
    // The guest has let go of it. What cannot be made inactive now is so later.
    if !vdi.is_null()
        && let Err(error) = toolstack.activations.deactivate(toolstack, vbd, &vdi)
    {
        tracing::error!(%error, %vdi, "deactivating a disk that was unplugged");
    }
    toolstack.store.write(|t| {
        record_detached(t, vbd);
        Ok(())
    })
}

fn begin(toolstack: &Toolstack, device: &Ref) -> Result<(), ApiError> {
    toolstack.store.write(|t| {
        t.set_note(&note(device), Some(String::new()));
        Ok(())
    })
}

/// The device stays what it was; gives the error back.
fn abandon(toolstack: &Toolstack, error: ApiError, device: &Ref) -> ApiError {
    let forgotten = toolstack.store.write(|t| {
        t.set_note(&note(device), None);
        Ok(())
    });
    if let Err(error) = forgotten {
        tracing::error!(%error, %device, "forgetting that a device is being unplugged");
    }
    error
}

fn record_detached(t: &mut Transaction<'_>, device: &Ref) {
    t.set(device, "currently_attached", false);
    t.set_note(&note(device), None);
}

const NIC: &[Step<Plugging<PlannedNic>>] = &[
    Step { name: "making the bridge", act: bridge, undo: |_| Ok(()) },
    Step {
        name: "noting the network interface",
        act: |p| p.mark(&p.planned.vif, true),
        undo: |p| p.mark(&p.planned.vif, false),
    },
    Step { name: "plugging the network interface", act: plug_nic_into, undo: unplug_nic_from },
    Step { name: "putting its link into the bridge", act: join, undo: leave },
    Step { name: "recording the network interface", act: record_nic, undo: |_| Ok(()) },
];

/// Gives a running VM's domain the network interface of a VIF. The caller holds the VM's lock.
pub fn plug_nic(toolstack: &Arc<Toolstack>, vif: &Ref) -> Result<(), ApiError> {
    let (vm, domain, planned) = toolstack.store.read(|objects| {
        let (vm, domain) = domain_for(objects, "VIF", vif, "plug")?;
        Ok((vm, domain, plan::nic(objects, vif)?))
    })?;
    let toolstack = toolstack.clone();
    let mut plugging = Plugging { toolstack, vm, domain, planned, links: Vec::new(), source: None };
    steps::run(NIC, &mut plugging, |_, _| Ok(())).map(drop)
}

fn bridge(plugging: &mut Plugging<PlannedNic>) -> Result<(), ApiError> {
    for bridge in &plugging.planned.bridges {
        plugging.toolstack.network.ensure_bridge(bridge).map_err(|e| failure::network(&e))?;
    }
    Ok(())
}

fn plug_nic_into(plugging: &mut Plugging<PlannedNic>) -> Result<(), ApiError> {
    let plugged = plugging.toolstack.hypervisor.plug_nic(plugging.domain, &plugging.planned.nic);
    plugging.links = plugged.map_err(|e| failure::xenops(&e, &plugging.vm))?;
    Ok(())
}

fn unplug_nic_from(plugging: &mut Plugging<PlannedNic>) -> Result<(), ApiError> {
    let devid = plugging.planned.nic.devid;
    let unplugged = plugging.toolstack.hypervisor.unplug_nic(plugging.domain, devid, true);
    unplugged.map_err(|e| failure::xenops(&e, &plugging.vm))
}

fn join(plugging: &mut Plugging<PlannedNic>) -> Result<(), ApiError> {
    let toolstack = &plugging.toolstack;
    let planned = &plugging.planned;
    for link in &plugging.links {
        let plugged = toolstack.network.plug(&planned.bridge, link, &planned.port);
        plugged.map_err(|e| failure::network(&e))?;
    }
    Ok(())
}

fn leave(plugging: &mut Plugging<PlannedNic>) -> Result<(), ApiError> {
    let mut result = Ok(());
    for link in &plugging.links {
        let unplugged = plugging.toolstack.network.unplug(link);
        result = result.and(unplugged.map_err(|e| failure::network(&e)));
    }
    result
}

fn record_nic(plugging: &mut Plugging<PlannedNic>) -> Result<(), ApiError> {
    let vif = &plugging.planned.vif;
    plugging.toolstack.store.write(|t| {
        t.set(vif, "currently_attached", true);
        // QEMU emulates only the cards that were there when it was started.
        t.set_entry(vif, "runtime_properties", stop::EMULATED, Some("false".into()));
        t.set_note(&note(vif), None);
        Ok(())
    })
}

/// Takes the network interface of a VIF from a running VM's domain. The caller holds the VM's lock.
pub fn unplug_nic(toolstack: &Arc<Toolstack>, vif: &Ref, force: bool) -> Result<(), ApiError> {
    let (vm, domain, devid, links) = toolstack.store.read(|objects| {
        let (vm, domain) = domain_for(objects, "VIF", vif, "unplug")?;
        let object = objects.get("VIF", vif)?;
        let links = stop::links_of(objects.get("VM", &vm)?, object).unwrap_or_default();
        Ok((vm, domain, devid(object)?, links))
    })?;
    begin(toolstack, vif)?;
    let unplugged = toolstack.hypervisor.unplug_nic(domain, devid, force);
    unplugged.map_err(|e| abandon(toolstack, failure::detach(&e, "VIF", vif, &vm), vif))?;
    // The guest has let go of it: what the switch still has of it must not say otherwise.
    let left = links.iter().filter(|link| toolstack.network.unplug(link).is_err());
    for link in left {
        if let Err(error) = toolstack.network.unplug(link) {
            tracing::error!(error = failure::chain(&error), link, "unplugging");
        }
    }
    toolstack.store.write(|t| {
        record_detached(t, vif);
        t.set_entry(vif, "runtime_properties", stop::EMULATED, None);
        Ok(())
    })
}

fn devid(vif: &Object) -> Result<u32, ApiError> {
    let device = vif.text("device");
    super::devices::nic_number(device).ok_or_else(|| errors::INVALID_DEVICE.with([device]))
}

/// Changes what lies in the CD drive of a fully virtualized guest that runs; the null reference
/// empties it. The caller holds the VM's lock.
pub fn change_medium(toolstack: &Arc<Toolstack>, vbd: &Ref, vdi: &Ref) -> Result<(), ApiError> {
    let operation = if vdi.is_null() { "eject" } else { "insert" };
    let (vm, domain, vdev, old) = toolstack.store.read(|objects| {
        let (vm, domain) = domain_for(objects, "VBD", vbd, operation)?;
        let object = objects.get("VBD", vbd)?;
        Ok((vm, domain, object.text("device").to_owned(), object.to("VDI")))
    })?;
    begin(toolstack, vbd)?;
    let changed = put_in(toolstack, &vm, domain, vbd, &vdev, vdi).and_then(|()| {
        toolstack.store.write(|t| {
            t.set(vbd, "VDI", vdi);
            t.set(vbd, "empty", vdi.is_null());
            forget(t, vbd);
            Ok(())
        })
    });
    let unused = if changed.is_ok() { &old } else { vdi };
    let recorded = changed.map_err(|error| {
        match put_in(toolstack, &vm, domain, vbd, &vdev, &old) {
            Ok(()) => abandon(toolstack, error, vbd),
            // The next run of the daemon tries again.
            Err(left) => {
                tracing::error!(error = %left, %vbd, "putting back what lay in a CD drive");
                error
            }
        }
    });
    if !unused.is_null()
        && let Err(error) = toolstack.activations.deactivate(toolstack, vbd, unused)
    {
        tracing::error!(%error, vdi = %unused, "deactivating what lay in a CD drive");
    }
    recorded
}

/// Puts a VDI into a CD drive, or nothing.
fn put_in(
    toolstack: &Arc<Toolstack>,
    vm: &Ref,
    domain: DomId,
    vbd: &Ref,
    vdev: &str,
    vdi: &Ref,
) -> Result<(), ApiError> {
    let source = match vdi.is_null() {
        true => None,
        false => {
            let activations = &toolstack.activations;
            Some(activations.activate(toolstack, vbd, vdi, storage::Mode::ReadOnly)?)
        }
    };
    let changed = toolstack.hypervisor.change_medium(domain, vdev, source.as_deref());
    changed.map_err(|e| failure::xenops(&e, vm))
}

/// Puts what a drive is known to have into it.
fn put_back(
    toolstack: &Arc<Toolstack>,
    vm: &Ref,
    domain: DomId,
    vbd: &Ref,
) -> Result<(), ApiError> {
    let (vdev, vdi) =
        toolstack.look("VBD", vbd, |vbd, _| (vbd.text("device").to_owned(), vbd.to("VDI")))?;
    put_in(toolstack, vm, domain, vbd, &vdev, &vdi)?;
    toolstack.store.write(|t| {
        forget(t, vbd);
        Ok(())
    })
}

/// Settles what was under way with devices of VMs and is not any more, though it has a note.
pub fn settle_all(toolstack: &Arc<Toolstack>) {
    let vms: BTreeSet<Ref> = toolstack.store.read(|objects| {
        let devices = objects.notes(NOTES).map(|(key, _)| Ref::new(&key[NOTES.len()..]));
        devices.filter_map(|device| Some(objects.find(&device)?.to("VM"))).collect()
    });
    for vm in vms {
        let lock = toolstack.lock_of(&vm);
        // Whoever works on a device has the lock, and may wait for its guest.
        let Ok(_held) = lock.try_lock() else { continue };
        if let Err(error) = settle(toolstack, &vm) {
            tracing::error!(%error, %vm, "settling what was being done with its devices");
        }
    }
}

/// Settles what was under way with devices of a running VM when the daemon ended. The caller holds
/// the VM's lock.
pub fn settle(toolstack: &Arc<Toolstack>, vm: &Ref) -> Result<(), ApiError> {
    let (domain, devices) = toolstack.look("VM", vm, |vm, objects| {
        let devices = ["VBDs", "VIFs"].into_iter().flat_map(|field| vm.refs(field));
        let noted = devices.filter_map(|d| objects.find(&d).filter(|_| is_under_way(objects, &d)));
        let hvm = DomainType::of(vm) == Some(DomainType::Hvm);
        let emulated = |d: &Object| hvm && d.class().name == "VBD" && d.text("type") == "CD";
        let noted: Vec<(Ref, bool)> = noted.map(|d| (d.reference().clone(), emulated(d))).collect();
        (stop::domain(vm), noted)
    })?;
    let Some(domain) = domain else { return Ok(()) };
    for (device, emulated) in devices {
        tracing::warn!(%device, "something was being done with it and was not recorded");
        let settled = match emulated {
            true => put_back(toolstack, vm, domain, &device),
            false => detach(toolstack, vm, domain, &device),
        };
        if let Err(error) = settled {
            tracing::error!(%error, %device, "bringing it in line with its domain");
        }
    }
    Ok(())
}

fn detach(
    toolstack: &Arc<Toolstack>,
    vm: &Ref,
    domain: DomId,
    device: &Ref,
) -> Result<(), ApiError> {
    let found = toolstack.store.read(|objects| {
        let vm = objects.get("VM", vm)?;
        if let Ok(vbd) = objects.get("VBD", device) {
            let kind = DomainType::of(vm).unwrap_or(DomainType::Pvh);
            let number = super::devices::disk_number(vbd.text("userdevice")).unwrap_or_default();
            let name = super::devices::disk_name(kind, number, vbd.text("type") == "CD");
            return Ok((
                Some((name, vbd.to("VDI"))),
                0,
                Vec::new(),
                vbd.bool("currently_attached"),
            ));
        }
        let vif = objects.get("VIF", device)?;
        let links = stop::links_of(vm, vif).unwrap_or_default();
        Ok((None, devid(vif)?, links, vif.bool("currently_attached")))
    })?;
    let (disk, devid, links, attached) = found;
    let hypervisor = &toolstack.hypervisor;
    // One that the guest had is asked for again, one that it had not yet is just taken away.
    let class = if disk.is_some() { "VBD" } else { "VIF" };
    let taken = match &disk {
        Some((name, _)) => hypervisor.unplug_disk(domain, name, !attached),
        None => hypervisor.unplug_nic(domain, devid, !attached),
    };
    taken.map_err(|e| abandon(toolstack, failure::detach(&e, class, device, vm), device))?;
    for link in &links {
        toolstack.network.unplug(link).map_err(|e| failure::network(&e))?;
    }
    if let Some((_, vdi)) = &disk
        && !vdi.is_null()
    {
        toolstack.activations.deactivate(toolstack, device, vdi)?;
    }
    toolstack.store.write(|t| {
        record_detached(t, device);
        Ok(())
    })
}
