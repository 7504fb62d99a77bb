// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM.revert`: a VM becomes again what a snapshot of it is.

use xapi_model::{ApiError, Ref, Reply, Value, classes, errors};

use super::Entry;
use super::vdi::{self, Copying};
use super::vm_copy::{attachment, settings, settings_of, with};
use super::vm_power::alone;
use crate::store::Transaction;
use crate::toolstack::{Args, Context};
use crate::unfinished;
use crate::vm::operation::Operation;
use crate::vm::stop;

pub(super) const HANDLERS: &[Entry] = &[("VM.revert", revert)];

/// Settings that are the VM's own, whatever it is reverted to.
const OWN: [&str; 6] =
    ["name_label", "is_a_template", "affinity", "tags", "appliance", "snapshot_schedule"];

/// What the VM gets: copies of the snapshot's disks, and of its memory.
#[derive(Default)]
struct Copies {
    /// A VBD of the snapshot, and what will be in the VM's.
    disks: Vec<(Ref, Ref)>,
    image: Option<Ref>,
    /// All VDIs made for it.
    made: Vec<Ref>,
}

fn revert(context: &Context, args: &Args<'_>) -> Reply {
    let snapshot = args.to("snapshot");
    let _operation = Operation::begin(context, &snapshot, "revert")?;
    let vm = context.toolstack.look("VM", &snapshot, |vm, _| vm.to("snapshot_of"))?;
    context
        .toolstack
        .look("VM", &vm, |_, _| ())
        .map_err(|_| errors::VM_REVERT_FAILED.with([snapshot.as_str(), vm.as_str()]))?;
    let _reverting = Operation::begin(context, &vm, "reverting")?;
    alone(context, &vm, || {
        stop::halt(&context.toolstack, &vm)?;
        let mut copies = Copies::default();
        let swapped = copy(context, &snapshot, &mut copies)
            .and_then(|()| context.store().write(|t| swap(t, &snapshot, &vm, &copies)));
        let useless = match &swapped {
            Ok(replaced) => replaced,
            Err(_) => &copies.made,
        };
        for vdi in useless {
            unfinished::remove(&context.toolstack, vdi);
        }
        swapped.map(|_| Value::Void)
    })
}

fn copy(context: &Context, snapshot: &Ref, copies: &mut Copies) -> Result<(), ApiError> {
    let (disks, image) = context.toolstack.look("VM", snapshot, |vm, objects| {
        let vbds = vm.refs("VBDs");
        let vbds = vbds.iter().filter_map(|vbd| objects.find(vbd));
        let disks = vbds.map(|v| (v.reference().clone(), v.to("VDI"), v.text("type") == "Disk"));
        let suspended = vm.text("power_state") == "Suspended";
        (disks.collect::<Vec<_>>(), suspended.then(|| vm.to("suspend_VDI")))
    })?;
    let how = Copying { held: true, unfinished: true, snapshot: false };
    for (vbd, vdi, disk) in disks {
        // What lies in a CD drive is shared.
        let vdi = if disk && !vdi.is_null() {
            let new = vdi::clone(context, &vdi, how)?;
            copies.made.push(new.clone());
            new
        } else {
            vdi
        };
        copies.disks.push((vbd, vdi));
    }
    if let Some(image) = image {
        let new = vdi::clone(context, &image, how)?;
        copies.made.push(new.clone());
        copies.image = Some(new);
    }
    Ok(())
}

/// Gives the VM what the snapshot has, in one transaction; returns the VDIs that this takes from it.
fn swap(
    t: &mut Transaction<'_>,
    snapshot: &Ref,
    vm: &Ref,
    copies: &Copies,
) -> Result<Vec<Ref>, ApiError> {
    let object = t.get("VM", vm)?;
    let devices: Vec<Ref> =
        ["VBDs", "VIFs"].into_iter().flat_map(|field| object.refs(field)).collect();
    let had: Vec<Ref> = object
        .refs("VBDs")
        .iter()
        .filter_map(|vbd| t.objects().find(vbd))
        .map(|vbd| vbd.to("VDI"))
        .collect();
    for device in &devices {
        t.remove(device);
    }
    let object = t.get("VM", snapshot)?;
    let vifs = object.refs("VIFs");
    let target = object.get("memory_target").clone();
    let metadata: serde_json::Value =
        serde_json::from_str(object.text("snapshot_metadata")).unwrap_or_default();
    let name = metadata["name_label"].as_str().map(str::to_owned);
    let settings = settings(object).into_iter().filter(|(name, _)| !OWN.contains(name));
    for (field, value) in settings.collect::<Vec<_>>() {
        t.set(vm, field, value);
    }
    if let Some(name) = name {
        t.set(vm, "name_label", name);
    }
    t.set(vm, "parent", snapshot);
    let suspended = copies.image.is_some();
    let mut replaced = Vec::new();
    for (vbd, vdi) in &copies.disks {
        let mut own = vec![("VM", Value::from(vm)), ("VDI", Value::from(vdi))];
        own.extend(attachment(t, "VBD", vbd, suspended)?);
        let kept = t.get("VBD", vbd)?.to("VDI");
        let settings = settings_of(t, "VBD", vbd)?;
        t.create(&classes::VBD, with(settings, own));
        let original = t.get("VDI", &kept).map(|vdi| vdi.to("snapshot_of")).ok();
        let original = original.filter(|old| kept != *vdi && had.contains(old));
        unfinished::finish(t, vdi);
        if let Some(original) = original {
            // Snapshots of what goes are snapshots of what comes.
            for other in t.get("VDI", &original)?.refs("snapshots") {
                t.set(&other, "snapshot_of", vdi);
            }
            unfinished::begin(t, &original);
            replaced.push(original);
        }
    }
    for vif in &vifs {
        let mut own = vec![("VM", Value::from(vm))];
        own.extend(attachment(t, "VIF", vif, suspended)?);
        let settings = settings_of(t, "VIF", vif)?;
        t.create(&classes::VIF, with(settings, own));
    }
    if let Some(image) = &copies.image {
        t.set(vm, "power_state", Value::Enum("Suspended"));
        t.set(vm, "suspend_VDI", image);
        t.set(vm, "memory_target", target);
        unfinished::finish(t, image);
    }
    Ok(replaced)
}
