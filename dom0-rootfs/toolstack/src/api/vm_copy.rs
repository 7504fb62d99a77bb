// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VM`: clones, copies, snapshots, checkpoints.

use std::collections::BTreeSet;

use uuid::Uuid;
use xapi_model::{
    ApiError, DateTime, Field, Qualifier, Ref, Reply, Value, classes, encode_fields, errors,
};

use super::vdi::{self, Copying};
use super::vm_power::alone;
use super::{Entry, vif, vm};
use crate::store::{Object, Transaction};
use crate::toolstack::{Args, Context};
use crate::unfinished;
use crate::vm::held::Held;
use crate::vm::operation::Operation;
use crate::vm::steps::{self, Step};
use crate::vm::suspend::{self, Image};

pub(super) const HANDLERS: &[Entry] = &[
    ("VM.clone", |context, args| copy(context, args, How::Clone)),
    ("VM.copy", |context, args| {
        let sr = args.to("sr");
        // A VM without disks would not notice.
        if !sr.is_null() {
            context.toolstack.look("SR", &sr, |_, _| ())?;
        }
        copy(context, args, How::Copy(sr))
    }),
    ("VM.snapshot", |context, args| {
        let left_out = args.get("ignore_vdis").as_set().unwrap_or_default();
        let left_out = left_out.iter().filter_map(Value::as_ref).cloned().collect();
        copy(context, args, How::Snapshot(left_out))
    }),
    ("VM.checkpoint", |context, args| copy(context, args, How::Checkpoint)),
];

enum How {
    /// Disks copy on write.
    Clone,
    /// Disks in full, into this SR; where they are when null.
    Copy(Ref),
    /// Disks copy on write, as snapshots, without these.
    Snapshot(BTreeSet<Ref>),
    /// The same with the guest's memory.
    Checkpoint,
}

impl How {
    fn operation(&self) -> &'static str {
        match self {
            How::Clone => "clone",
            How::Copy(_) => "copy",
            How::Snapshot(_) => "snapshot",
            How::Checkpoint => "checkpoint",
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

/// A copy under way.
struct Making {
    context: Context,
    from: Ref,
    /// What the new VM is to have.
    uuid: Uuid,
    name: String,
    how: How,
    disks: Vec<NewDisk>,
    /// The guest's memory, being written.
    image: Option<Image>,
    /// The guest goes on, with its memory written.
    runs_on: bool,
    made: Option<Ref>,
}

fn copy(context: &Context, args: &Args<'_>, how: How) -> Reply {
    let from = args.to("vm");
    let _operation = Operation::begin(context, &from, how.operation())?;
    let mut making = Making {
        context: context.clone(),
        from: from.clone(),
        uuid: Uuid::new_v4(),
        name: args.text("new_name").to_owned(),
        how,
        disks: Vec::new(),
        image: None,
        runs_on: false,
        made: None,
    };
    match making.how {
        How::Clone | How::Copy(_) => {
            let steps = if is_suspended(&making)? { SUSPENDED_COPY } else { COPY };
            steps::run(steps, &mut making, |_, _| Ok(())).map(drop)
        }
        How::Snapshot(_) => {
            alone(context, &from, || steps::run(SNAPSHOT, &mut making, |_, _| Ok(())).map(drop))
        }
        How::Checkpoint => alone(context, &from, || checkpoint(&mut making)),
    }?;
    Ok(making.made.unwrap_or_else(Ref::null).into())
}

const COPY: &[Step<Making>] = &[
    Step { name: "copying the disks", act: |m| copy_disks(m, false), undo: remove_disks },
    Step { name: "recording the copy", act: record, undo: |_| Ok(()) },
];

/// Of a checkpoint, with the guest's memory.
const SUSPENDED_COPY: &[Step<Making>] = &[
    Step { name: "copying the image", act: copy_image, undo: remove_disks },
    Step { name: "copying the disks", act: |m| copy_disks(m, false), undo: |_| Ok(()) },
    Step { name: "recording the copy", act: record, undo: |_| Ok(()) },
];

const SNAPSHOT: &[Step<Making>] = &[
    Step { name: "copying the disks", act: copy_held, undo: remove_disks },
    Step { name: "recording the snapshot", act: record, undo: |_| Ok(()) },
];

const CHECKPOINT: &[Step<Making>] = &[
    Step {
        name: "making the image",
        act: |m| m.with_image(Image::make),
        undo: |m| m.with_image(Image::unmake),
    },
    Step {
        name: "opening the image",
        act: |m| m.with_image(Image::open),
        undo: |m| m.with_image(Image::close),
    },
    Step { name: "saving the guest", act: save, undo: |m| m.with_image(Image::resume) },
    Step { name: "copying the disks", act: |m| copy_disks(m, true), undo: remove_disks },
    Step { name: "closing the image", act: |m| m.with_image(Image::close), undo: |_| Ok(()) },
    Step { name: "letting the guest run on", act: run_on, undo: |_| Ok(()) },
    Step { name: "recording the checkpoint", act: record, undo: |_| Ok(()) },
];

const SUSPENDED_CHECKPOINT: &[Step<Making>] = &[
    Step { name: "copying the image", act: copy_image, undo: remove_disks },
    Step { name: "copying the disks", act: |m| copy_disks(m, true), undo: |_| Ok(()) },
    Step { name: "recording the checkpoint", act: record, undo: |_| Ok(()) },
];

impl Making {
    fn with_image(
        &mut self,
        work: impl FnOnce(&mut Image) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        self.image.as_mut().map_or(Ok(()), work)
    }
}

fn is_suspended(making: &Making) -> Result<bool, ApiError> {
    let toolstack = &making.context.toolstack;
    toolstack.look("VM", &making.from, |vm, _| vm.text("power_state") == "Suspended")
}

fn checkpoint(making: &mut Making) -> Result<(), ApiError> {
    if is_suspended(making)? {
        return steps::run(SUSPENDED_CHECKPOINT, making, |_, _| Ok(())).map(drop);
    }
    making.image = Some(Image::new(&making.context, &making.from)?);
    let after = |making: &Making, _| match &making.image {
        // Once the guest runs on there is nothing left that takes time.
        Some(image) if !making.runs_on => image.after_step(),
        _ => Ok(()),
    };
    steps::run(CHECKPOINT, making, after).map(drop)
}

fn save(making: &mut Making) -> Result<(), ApiError> {
    let saved = making.with_image(Image::save);
    saved.map_err(|error| {
        if error.is(&errors::TASK_CANCELLED) {
            return error;
        }
        errors::VM_CHECKPOINT_SUSPEND_FAILED.with([making.from.to_string(), error.to_string()])
    })
}

fn run_on(making: &mut Making) -> Result<(), ApiError> {
    let resumed = making.with_image(Image::resume);
    making.runs_on = true;
    resumed.map_err(|error| {
        tracing::error!(%error, vm = %making.from, "letting a guest run on after its checkpoint");
        errors::VM_CHECKPOINT_RESUME_FAILED.with([making.from.as_str()])
    })
}

/// The image of a VM that is suspended.
fn copy_image(making: &mut Making) -> Result<(), ApiError> {
    let context = making.context.clone();
    let image = context.toolstack.look("VM", &making.from, |vm, _| vm.to("suspend_VDI"))?;
    let vdi = match &making.how {
        How::Copy(sr) => in_full(&context, &image, sr)?,
        _ => {
            vdi::clone(&context, &image, Copying { held: true, unfinished: true, snapshot: false })?
        }
    };
    making.disks.push(NewDisk { vbd: Ref::null(), vdi: vdi.clone(), own: true });
    match making.how {
        // Only the VM itself goes back to it.
        How::Snapshot(_) | How::Checkpoint => Ok(()),
        How::Clone | How::Copy(_) => suspend::hand_over(&context, &vdi, making.uuid),
    }
}

/// A copy of a VDI into this SR; where it is when null.
fn in_full(context: &Context, vdi: &Ref, sr: &Ref) -> Result<Ref, ApiError> {
    let own = || context.toolstack.look("VDI", vdi, |vdi, _| vdi.to("SR"));
    let sr = if sr.is_null() { own()? } else { sr.clone() };
    vdi::full_copy(context, vdi, &sr)
}

fn copy_held(making: &mut Making) -> Result<(), ApiError> {
    let _held = Held::begin(&making.context.toolstack, &making.from)?;
    copy_disks(making, true)
}

fn remove_disks(making: &mut Making) -> Result<(), ApiError> {
    for disk in making.disks.drain(..).filter(|disk| disk.own) {
        unfinished::remove(&making.context.toolstack, &disk.vdi);
    }
    Ok(())
}

fn copy_disks(making: &mut Making, held: bool) -> Result<(), ApiError> {
    let (context, how) = (&making.context, &making.how);
    let originals = context.toolstack.look("VM", &making.from, |vm, objects| {
        let vbds = vm.refs("VBDs");
        let vbds = vbds.iter().filter_map(|vbd| objects.find(vbd));
        vbds.map(|vbd| (vbd.reference().clone(), vbd.to("VDI"), vbd.text("type") == "Disk"))
            .collect::<Vec<_>>()
    })?;
    let cancel = context.cancellable()?;
    let count = originals.len();
    let copying = |snapshot| Copying { snapshot, held, unfinished: true };
    for (done, (vbd, original, disk)) in originals.into_iter().enumerate() {
        context.check_cancelled(&cancel)?;
        // What lies in a CD drive is shared.
        let (vdi, own) = match how {
            _ if !disk || original.is_null() => (original, false),
            How::Clone => (vdi::clone(context, &original, copying(false))?, true),
            How::Snapshot(left_out) if left_out.contains(&original) => continue,
            How::Snapshot(_) | How::Checkpoint => {
                (vdi::clone(context, &original, copying(true))?, true)
            }
            How::Copy(sr) => (in_full(context, &original, sr)?, true),
        };
        making.disks.push(NewDisk { vbd, vdi, own });
        // A checkpoint's time is that of the guest's memory.
        if making.image.is_none() {
            context.progress((done + 1) as f64 / count as f64);
        }
    }
    Ok(())
}

/// Fields that a client could have set: these a copy takes over.
pub(super) fn settings(object: &Object) -> Vec<(&'static str, Value)> {
    let settable = |field: &&Field| field.qualifier != Qualifier::Runtime;
    let fields: &'static [Field] = object.class().fields;
    fields.iter().filter(settable).map(|f| (f.name, object.get(f.name).clone())).collect()
}

/// The settings with some of them replaced.
pub(super) fn with(
    mut settings: Vec<(&'static str, Value)>,
    replaced: Vec<(&'static str, Value)>,
) -> Vec<(&'static str, Value)> {
    settings.retain(|(name, _)| !replaced.iter().any(|(other, _)| other == name));
    settings.extend(replaced);
    settings
}

fn record(making: &mut Making) -> Result<(), ApiError> {
    let Making { context, from, uuid, name, how, disks, image, .. } = making;
    let image = image.as_ref().and_then(|image| image.vdi.clone());
    // That of a VM that is suspended is among the disks, without a VBD.
    let image = image.or_else(|| disks.iter().find(|d| d.vbd.is_null()).map(|d| d.vdi.clone()));
    let made = context.store().write(|t| {
        let original = t.get("VM", from)?;
        let vifs = original.refs("VIFs");
        let (parent, was_snapshot) = (original.to("parent"), original.bool("is_a_snapshot"));
        let snapshot = matches!(how, How::Snapshot(_) | How::Checkpoint);
        let mut replaced = vec![
            ("uuid", Value::from(uuid.to_string())),
            ("name_label", name.as_str().into()),
            // A copy must not start because the original does.
            ("appliance", Ref::null().into()),
            ("snapshot_schedule", Ref::null().into()),
        ];
        if original.bool("is_default_template") {
            replaced.push(("reference_label", original.get("name_label").clone()));
            // The copy is the client's own.
            let mut config = original.map("other_config").clone();
            config.remove("default_template");
            replaced.push(("other_config", Value::Map(config)));
        }
        if snapshot {
            replaced.extend(as_snapshot(original));
        } else if was_snapshot {
            replaced.push(("parent", (&*from).into()));
        }
        if let Some(image) = &image {
            replaced.push(("power_state", Value::Enum("Suspended")));
            replaced.push(("suspend_VDI", image.into()));
            replaced.push(("memory_target", original.get("memory_target").clone()));
            unfinished::finish(t, image);
        }
        let original = t.get("VM", from)?;
        let settings = settings(original);
        let new = vm::make(t, with(settings, replaced));
        if snapshot {
            t.set(&new, "parent", &parent);
            t.set(from, "parent", &new);
        }
        for disk in disks.iter().filter(|disk| !disk.vbd.is_null()) {
            unfinished::finish(t, &disk.vdi);
            let mut own = vec![("VM", Value::from(&new)), ("VDI", Value::from(&disk.vdi))];
            own.extend(attachment(t, "VBD", &disk.vbd, image.is_some())?);
            let settings = settings_of(t, "VBD", &disk.vbd)?;
            t.create(&classes::VBD, with(settings, own));
        }
        for vif in &vifs {
            let settings = settings_of(t, "VIF", vif)?;
            let mut own = vec![("VM", Value::from(&new))];
            own.extend(attachment(t, "VIF", vif, image.is_some())?);
            // Two cards with one address cannot be on one network; a snapshot never runs.
            if !snapshot {
                own.push(("MAC", vif::new_mac().into()));
                own.push(("MAC_autogenerated", true.into()));
            }
            t.create(&classes::VIF, with(settings, own));
        }
        Ok(new)
    })?;
    making.made = Some(made);
    Ok(())
}

/// What makes a copy of a VM a snapshot of it.
fn as_snapshot(vm: &Object) -> Vec<(&'static str, Value)> {
    let info = Value::string_map([
        ("power-state-at-snapshot", vm.text("power_state")),
        ("disk-snapshot-type", "crash_consistent"),
    ]);
    let settings = settings(vm);
    let metadata = encode_fields(settings.iter().map(|(name, value)| (*name, value)));
    vec![
        ("is_a_template", true.into()),
        ("is_a_snapshot", true.into()),
        ("snapshot_of", vm.reference().into()),
        ("snapshot_time", DateTime::now().into()),
        ("snapshot_info", info),
        ("snapshot_metadata", metadata.into()),
    ]
}

/// Whether a guest whose memory is kept has a device, and how it calls it.
pub(super) fn attachment(
    t: &Transaction<'_>,
    class: &'static str,
    device: &Ref,
    suspended: bool,
) -> Result<Vec<(&'static str, Value)>, ApiError> {
    let object = t.get(class, device)?;
    if !suspended {
        return Ok(Vec::new());
    }
    let mut fields = vec![("currently_attached", object.get("currently_attached").clone())];
    fields.push(("device", object.get("device").clone()));
    Ok(fields)
}

/// Those of another object.
pub(super) fn settings_of(
    t: &Transaction<'_>,
    class: &str,
    reference: &Ref,
) -> Result<Vec<(&'static str, Value)>, ApiError> {
    t.get(class, reference).map(settings)
}
