// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ending a VM's domain and waiting for guests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use xapi_model::{ApiError, Ref, Value, errors};
use xenops::{DomId, DomainInfo, ShutdownRequest, XenopsError};

use super::devices::DomainType;
use super::start::note;
use super::steps::Took;
use super::{hotplug, plan, suspend};
use crate::failure;
use crate::patience::within;
use crate::store::{Object, Objects, Transaction};
use crate::toolstack::{Context, Toolstack};
use crate::unfinished;

/// How often a wait looks whether its task was cancelled.
const LOOK: Duration = Duration::from_millis(500);

/// The VM's domain; none if it does not run.
pub fn domain(vm: &Object) -> Option<DomId> {
    u32::try_from(vm.int("domid")).ok().map(DomId)
}

/// Key of `VIF.runtime_properties`: false for a card that QEMU does not emulate in a fully virtualized
/// guest, for it came later.
pub const EMULATED: &str = "emulated";

/// Links in Dom0 of a VIF, with and without device model; none if the VM does not run.
pub fn links_of(vm: &Object, vif: &Object) -> Option<Vec<String>> {
    let link = format!("vif{}.{}", domain(vm)?.0, vif.text("device"));
    // Only a fully virtualized guest has an emulated card as well.
    let emulated = DomainType::of(vm) == Some(DomainType::Hvm)
        && vif.entry("runtime_properties", EMULATED) != Some("false");
    Some(emulated.then(|| format!("{link}-emu")).into_iter().chain([link]).collect())
}

/// Removes a domain of a VM that was never recorded, or that was given up, with its links. The caller holds
/// the VM's lock.
pub fn remove_domain(toolstack: &Toolstack, vm: &Ref, domain: DomId) -> Result<(), ApiError> {
    let links: Vec<String> = toolstack.look("VM", vm, |vm, objects| {
        let vifs = vm.refs("VIFs");
        let vifs = vifs.iter().filter_map(|vif| objects.find(vif));
        let names = vifs.map(|vif| format!("vif{}.{}", domain.0, vif.text("device")));
        names.flat_map(|name| [format!("{name}-emu"), name]).collect()
    })?;
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    let left = unplug(toolstack, &links);
    let destroyed = toolstack.hypervisor.destroy(domain);
    unplug(toolstack, &left);
    destroyed.map_err(|e| failure::xenops(&e, vm))
}

/// What is left of a link in its bridge must not keep a VM from being halted: gives those that are left.
fn unplug<'a>(toolstack: &Toolstack, links: &[&'a str]) -> Vec<&'a str> {
    let left = links.iter().filter(|link| match toolstack.network.unplug(link) {
        Ok(()) => false,
        Err(error) => {
            tracing::error!(error = failure::chain(&error), link, "unplugging");
            true
        }
    });
    left.copied().collect()
}

/// Name of the note that a VM that runs is being ended, with its network interfaces unplugged already.
pub(super) fn ending_note(vm_uuid: &str) -> String {
    format!("ending/{vm_uuid}")
}

/// Whether a VM was being ended when the daemon ended.
pub fn was_ending(objects: &Objects, vm: &Ref) -> bool {
    objects.find(vm).is_some_and(|vm| objects.note(&ending_note(vm.uuid())).is_some())
}

fn mark_ending(toolstack: &Toolstack, vm: &Ref, ending: bool) -> Result<(), ApiError> {
    toolstack.store.write(|t| {
        let note = ending_note(t.get("VM", vm)?.uuid());
        t.set_note(&note, ending.then(String::new));
        Ok(())
    })
}

/// The VM's domain stays: its network interfaces go back into their bridges.
fn run_on(toolstack: &Toolstack, vm: &Ref) {
    let nics = toolstack.store.read(|objects| {
        let object = objects.find(vm)?;
        let vifs = object.refs("VIFs").into_iter().filter_map(|vif| objects.find(&vif));
        let attached = vifs.filter(|vif| vif.bool("currently_attached"));
        let nics = attached.filter_map(|vif| {
            Some((plan::nic(objects, vif.reference()).ok()?, links_of(object, vif)?))
        });
        Some(nics.collect::<Vec<_>>())
    });
    for (nic, links) in nics.unwrap_or_default() {
        for link in links {
            if let Err(error) = toolstack.network.plug(&nic.bridge, &link, &nic.port) {
                tracing::error!(error = failure::chain(&error), link, "plugging it again");
            }
        }
    }
    if let Err(error) = mark_ending(toolstack, vm, false) {
        tracing::error!(%error, %vm, "recording that it runs on");
    }
}

fn links(objects: &Objects, vm: &Object) -> Vec<String> {
    let vifs = vm.refs("VIFs");
    let vifs = vifs.iter().filter_map(|vif| objects.find(vif));
    let attached = vifs.filter(|vif| vif.bool("currently_attached"));
    attached.filter_map(|vif| links_of(vm, vif)).flatten().collect()
}

/// VBDs of a VM that are attached, each with its VDI.
pub fn active_vdis(objects: &Objects, vm: &Object) -> Vec<(Ref, Ref)> {
    let vbds = vm.refs("VBDs");
    let vbds = vbds.iter().filter_map(|vbd| objects.find(vbd));
    let attached = vbds
        .filter(|vbd| vbd.bool("currently_attached"))
        .map(|vbd| (vbd.reference().clone(), vbd.to("VDI")));
    attached.filter(|(_, vdi)| !vdi.is_null()).collect()
}

/// Whoever has this number now.
fn holder(toolstack: &Toolstack, domain: DomId) -> Result<Option<DomainInfo>, XenopsError> {
    let mut domains = toolstack.hypervisor.domains()?.into_iter();
    Ok(domains.find(|found| found.id == domain))
}

/// Removes the VM's domain with everything that belongs to it and records it as halted, or as
/// suspended where its image is whole. The image of a VM that was suspended goes. Safe to repeat. The caller holds the VM's lock.
pub fn tear_down(toolstack: &Arc<Toolstack>, vm: &Ref) -> Result<(), ApiError> {
    let (domain, links, vdis) = toolstack
        .look("VM", vm, |vm, objects| (domain(vm), links(objects, vm), active_vdis(objects, vm)))?;
    toolstack.consoles.detach(vm);
    let holder = match domain {
        Some(domain) => holder(toolstack, domain).map_err(|e| failure::xenops(&e, vm))?,
        None => None,
    };
    let own = match &holder {
        Some(holder) => toolstack.look("VM", vm, |vm, _| vm.uuid() == holder.uuid.to_string())?,
        None => true,
    };
    let mut took = Took::default();
    if !own {
        // After a restart of the host the number is another VM's, and so are links of that name.
        tracing::warn!(%vm, ?holder, "its domain's number belongs to another VM");
    } else {
        // Before they go with the domain: the switch would look for them, and the kernel for a driver of
        // that name.
        let links: Vec<&str> = links.iter().map(String::as_str).collect();
        if holder.is_some() && !links.is_empty() {
            mark_ending(toolstack, vm, true)?;
        }
        let left = took.time("unplugging network interfaces", || unplug(toolstack, &links));
        // Also where the domain has gone: what it left in Dom0 may not have.
        if let Some(domain) = domain {
            let destroyed =
                took.time("destroying the domain", || toolstack.hypervisor.destroy(domain));
            destroyed.map_err(|e| {
                run_on(toolstack, vm);
                failure::xenops(&e, vm)
            })?;
        }
        unplug(toolstack, &left);
    }
    took.time("deactivating disks", || {
        let mut vdis = vdis.iter();
        vdis.try_for_each(|(vbd, vdi)| toolstack.activations.deactivate(toolstack, vbd, vdi))
    })?;
    let image = took.time("recording the end", || {
        toolstack.store.write(|t| {
            if let Some(image) = suspend::whole_image(t.objects(), vm) {
                suspend::record_suspended(t, vm, &image);
                return Ok(None);
            }
            record_halted(t, vm);
            Ok(suspend::drop_image(t, vm))
        })
    })?;
    if domain.is_some() {
        let uuid = toolstack.look("VM", vm, |vm, _| vm.uuid().to_owned())?;
        tracing::info!(%took, "ended {uuid}");
    }
    if let Some(image) = image {
        unfinished::remove(toolstack, &image);
    }
    Ok(())
}

/// Ends a VM for good: one whose suspend was cut off behind the point of no return is suspended first. The caller
/// holds the VM's lock.
pub fn halt(toolstack: &Arc<Toolstack>, vm: &Ref) -> Result<(), ApiError> {
    for _ in 0..2 {
        if toolstack.look("VM", vm, |vm, _| vm.text("power_state") == "Halted")? {
            break;
        }
        tear_down(toolstack, vm)?;
    }
    Ok(())
}

/// Records that a VM has no domain.
pub fn record_halted(t: &mut Transaction<'_>, vm: &Ref) {
    let Ok(object) = t.get("VM", vm) else { return };
    let (vbds, vifs, consoles) =
        (object.refs("VBDs"), object.refs("VIFs"), object.refs("consoles"));
    let notes = [note(object.uuid()), ending_note(object.uuid())];
    let guest = object.to("guest_metrics");
    t.set(vm, "power_state", Value::Enum("Halted"));
    t.set(vm, "domid", -1i64);
    t.set(vm, "memory_target", 0i64);
    t.set(vm, "resident_on", Ref::null());
    t.set(vm, "guest_metrics", Ref::null());
    t.remove(&guest);
    for device in vbds.iter().chain(&vifs) {
        t.set(device, "currently_attached", false);
        hotplug::forget(t, device);
    }
    for vif in &vifs {
        t.set_entry(vif, "runtime_properties", EMULATED, None);
    }
    for console in &consoles {
        t.remove(console);
    }
    notes.iter().for_each(|note| t.set_note(note, None));
}

/// Asks the guest to end.
pub fn request(context: &Context, vm: &Ref, how: ShutdownRequest) -> Result<DomId, ApiError> {
    let found = context.toolstack.look("VM", vm, |vm, _| domain(vm))?;
    let domain = found.ok_or_else(|| bad_state(vm, "running", "halted"))?;
    match context.toolstack.hypervisor.request_shutdown(domain, how) {
        // It ended by itself a moment ago; the watcher is at work.
        Ok(()) | Err(XenopsError::NoSuchDomain(_)) => Ok(domain),
        Err(error) => Err(failure::xenops(&error, vm)),
    }
}

fn bad_state(vm: &Ref, expected: &str, actual: &str) -> ApiError {
    errors::VM_BAD_POWER_STATE.with([vm.as_str(), expected, actual])
}

/// Waits until `done` is true of the VM. Fails with `VM_SHUTDOWN_TIMEOUT` after `longest`, or when
/// the task is cancelled, or when the VM is gone.
pub fn wait(
    context: &Context,
    vm: &Ref,
    longest: Duration,
    done: impl Fn(&Object) -> bool,
) -> Result<(), ApiError> {
    let cancel = context.cancellable()?;
    let begun = Instant::now();
    let mut news = context.store().news();
    loop {
        news.mark_unchanged();
        if context.toolstack.look("VM", vm, |vm, _| done(vm))? {
            return Ok(());
        }
        context.check_cancelled(&cancel)?;
        let left = longest.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(
                errors::VM_SHUTDOWN_TIMEOUT.with([vm.to_string(), longest.as_secs().to_string()])
            );
        }
        // Whether there was news or the time is up: look again.
        let _ = within(left.min(LOOK), news.changed());
    }
}
