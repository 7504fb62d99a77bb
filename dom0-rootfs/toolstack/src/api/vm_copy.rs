// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM`: clones, copies, snapshots.

use std::collections::BTreeSet;

use xapi_model::{ApiError, DateTime, Field, Qualifier, Ref, Reply, Value, classes};

use super::vdi::{self, Copying};
use super::{Entry, vif, vm};
use crate::store::{Object, Transaction};
use crate::toolstack::{Args, Context};
use crate::unfinished;
use crate::vm::operation::Operation;

pub(super) const HANDLERS: &[Entry] = &[
    ("VM.clone", |context, args| copy(context, args, &How::Clone)),
    ("VM.copy", |context, args| copy(context, args, &How::Copy(args.to("sr")))),
    ("VM.snapshot", |context, args| {
        let left_out = args.get("ignore_vdis").as_set().unwrap_or_default();
        let left_out = left_out.iter().filter_map(Value::as_ref).cloned().collect();
        copy(context, args, &How::Snapshot(left_out))
    }),
];

enum How {
    /// Disks copy on write.
    Clone,
    /// Disks in full, into this SR; where they are when null.
    Copy(Ref),
    /// Disks copy on write, as snapshots, without these.
    Snapshot(BTreeSet<Ref>),
}

impl How {
    fn operation(&self) -> &'static str {
        match self {
            How::Clone => "clone",
            How::Copy(_) => "copy",
            How::Snapshot(_) => "snapshot",
        }
    }
}

/// A disk of the new VM.
struct NewDisk {
    vbd: Ref,
    vdi: Ref,
    /// Made for the new VM, so it goes if the rest fails.
    own: bool,
}

fn copy(context: &Context, args: &Args<'_>, how: &How) -> Reply {
    let from = args.to("vm");
    let _operation = Operation::begin(context, &from, how.operation())?;
    let mut disks = Vec::new();
    let made = copy_disks(context, &from, how, &mut disks)
        .and_then(|()| record(context, &from, args.text("new_name"), how, &disks));
    if made.is_err() {
        for disk in disks.iter().filter(|disk| disk.own) {
            unfinished::remove(&context.toolstack, &disk.vdi);
        }
    }
    made.map(Value::Ref)
}

fn copy_disks(
    context: &Context,
    from: &Ref,
    how: &How,
    disks: &mut Vec<NewDisk>,
) -> Result<(), ApiError> {
    let originals = context.toolstack.look("VM", from, |vm, objects| {
        let vbds = vm.refs("VBDs");
        let vbds = vbds.iter().filter_map(|vbd| objects.find(vbd));
        vbds.map(|vbd| (vbd.reference().clone(), vbd.to("VDI"), vbd.text("type") == "Disk"))
            .collect::<Vec<_>>()
    })?;
    let cancel = context.cancellable()?;
    let count = originals.len();
    for (done, (vbd, original, disk)) in originals.into_iter().enumerate() {
        context.check_cancelled(&cancel)?;
        // What lies in a CD drive is shared.
        let (vdi, own) = match how {
            _ if !disk || original.is_null() => (original, false),
            How::Clone => (
                vdi::clone(context, &original, Copying { unfinished: true, ..Copying::default() })?,
                true,
            ),
            How::Snapshot(left_out) if left_out.contains(&original) => continue,
            How::Snapshot(_) => (
                {
                    let how = Copying { snapshot: true, unfinished: true, held: false };
                    vdi::clone(context, &original, how)?
                },
                true,
            ),
            How::Copy(sr) => {
                let sr = if sr.is_null() {
                    context.toolstack.look("VDI", &original, |vdi, _| vdi.to("SR"))?
                } else {
                    sr.clone()
                };
                (vdi::full_copy(context, &original, &sr, true)?, true)
            }
        };
        disks.push(NewDisk { vbd, vdi, own });
        context.progress((done + 1) as f64 / count as f64);
    }
    Ok(())
}

/// Fields that a client could have set: these a copy takes over.
fn settings(object: &Object) -> Vec<(&'static str, Value)> {
    let settable = |field: &&Field| field.qualifier != Qualifier::Runtime;
    let fields: &'static [Field] = object.class().fields;
    fields.iter().filter(settable).map(|f| (f.name, object.get(f.name).clone())).collect()
}

/// The settings with some of them replaced.
fn with(
    mut settings: Vec<(&'static str, Value)>,
    replaced: Vec<(&'static str, Value)>,
) -> Vec<(&'static str, Value)> {
    settings.retain(|(name, _)| !replaced.iter().any(|(other, _)| other == name));
    settings.extend(replaced);
    settings
}

fn record(
    context: &Context,
    from: &Ref,
    name: &str,
    how: &How,
    disks: &[NewDisk],
) -> Result<Ref, ApiError> {
    context.store().write(|t| {
        let original = t.get("VM", from)?;
        let vifs = original.refs("VIFs");
        let mut replaced = vec![("name_label", Value::from(name))];
        if original.bool("is_default_template") {
            replaced.push(("reference_label", original.get("name_label").clone()));
            // The copy is the client's own.
            let mut config = original.map("other_config").clone();
            config.remove("default_template");
            replaced.push(("other_config", Value::Map(config)));
        }
        if let How::Snapshot(_) = how {
            replaced.push(("is_a_template", true.into()));
            replaced.push(("is_a_snapshot", true.into()));
            replaced.push(("snapshot_of", from.into()));
            replaced.push(("snapshot_time", DateTime::now().into()));
            let info = Value::string_map([
                ("power-state-at-snapshot", original.text("power_state")),
                ("disk-snapshot-type", "crash_consistent"),
            ]);
            replaced.push(("snapshot_info", info));
        }
        let settings = settings(original);
        let new = vm::make(t, with(settings, replaced));
        for disk in disks {
            unfinished::finish(t, &disk.vdi);
            let settings = settings_of(t, "VBD", &disk.vbd)?;
            let own = vec![("VM", Value::from(&new)), ("VDI", Value::from(&disk.vdi))];
            t.create(&classes::VBD, with(settings, own));
        }
        for vif in &vifs {
            let settings = settings_of(t, "VIF", vif)?;
            let mut own = vec![("VM", Value::from(&new))];
            // Two cards with one address cannot be on one network; a snapshot never runs.
            if !matches!(how, How::Snapshot(_)) {
                own.push(("MAC", vif::new_mac().into()));
                own.push(("MAC_autogenerated", true.into()));
            }
            t.create(&classes::VIF, with(settings, own));
        }
        Ok(new)
    })
}

fn settings_of(
    t: &Transaction<'_>,
    class: &str,
    reference: &Ref,
) -> Result<Vec<(&'static str, Value)>, ApiError> {
    t.get(class, reference).map(settings)
}
