// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VDI`.

use std::sync::PoisonError;

use storage::{ImageFormat, Mode, VdiInfo};
use uuid::Uuid;
use xapi_model::{ApiError, DateTime, Ref, Reply, Value, classes, errors};

use super::{Entry, vdi_migration};
use crate::copy;
use crate::failure;
use crate::guards;
use crate::toolstack::{Args, Context};
use crate::unfinished::{self, volume};
use crate::vdis::{self, Opened};
use crate::vm::disk_users;

pub(super) const HANDLERS: &[Entry] = &[
    ("VDI.create", |context, args| create(context, args).map(Value::Ref)),
    ("VDI.destroy", |context, args| destroy(context, &args.to("self")).map(|()| Value::Void)),
    ("VDI.clone", |context, args| alone(context, &args.to("vdi"), false)),
    ("VDI.snapshot", |context, args| alone(context, &args.to("vdi"), true)),
    ("VDI.copy", copy_vdi),
    ("VDI.pool_migrate", vdi_migration::pool_migrate),
    ("VDI.resize", resize),
    ("VDI.resize_online", resize),
    ("VDI.introduce", introduce),
    ("VDI.update", update),
    ("VDI.forget", forget),
];

/// Fields that a copy of a VDI takes over.
const COPIED: [&str; 8] = [
    "name_label",
    "name_description",
    "type",
    "sharable",
    "read_only",
    "other_config",
    "xenstore_data",
    "tags",
];

fn create(context: &Context, args: &Args<'_>) -> Result<Ref, ApiError> {
    let record = args.get("args").as_map().cloned().unwrap_or_default();
    let sr = record.get("SR").and_then(Value::as_ref).cloned().unwrap_or_else(Ref::null);
    let size = record.get("virtual_size").and_then(Value::as_int).unwrap_or_default();
    if let Some(data) = record.get("xenstore_data") {
        guards::told(data)?;
    }
    let fields = COPIED.iter().chain(&["sm_config"]);
    let fields = fields.filter_map(|name| Some((*name, record.get(*name)?.clone()))).collect();
    make(context, &sr, size, fields, false)
}

/// A new VDI of zeros, with a note that it is unfinished if wanted.
pub(crate) fn make(
    context: &Context,
    sr: &Ref,
    size: i64,
    fields: Vec<(&str, Value)>,
    unfinished: bool,
) -> Result<Ref, ApiError> {
    let toolstack = &context.toolstack;
    let invalid = || errors::INVALID_VALUE.with(["virtual_size".to_owned(), size.to_string()]);
    let size = u64::try_from(size).ok().filter(|size| *size > 0).ok_or_else(invalid)?;
    let format = format(&fields)?;
    vdis::reach(toolstack, sr)?;
    let lock = toolstack.lock_of(sr);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let open = vdis::attached_sr(toolstack, sr)?;
    with_volume(context, &open, fields, unfinished, |uuid| {
        let made = open.driver.vdi_create(&open.spec, uuid, size, format);
        made.map_err(|e| failure::storage(&e, sr, None))
    })
}

/// Makes a volume and the object of its VDI, or neither. The caller holds the SR's lock.
fn with_volume(
    context: &Context,
    open: &vdis::OpenSr,
    mut fields: Vec<(&str, Value)>,
    unfinished: bool,
    make: impl FnOnce(Uuid) -> Result<VdiInfo, ApiError>,
) -> Result<Ref, ApiError> {
    let toolstack = &context.toolstack;
    let uuid = Uuid::new_v4();
    volume::begin(toolstack, open, uuid)?;
    let made = make(uuid).and_then(|info| {
        fields.extend(identity(&open.sr, uuid));
        toolstack.store.write(|t| {
            let vdi = t.create(&classes::VDI, fields);
            vdis::record_info(t, &vdi, &info);
            if unfinished {
                unfinished::begin(t, &vdi);
            }
            volume::finish(t, open.spec.uuid, uuid);
            Ok(vdi)
        })
    });
    match &made {
        Ok(_) => vdis::refresh_sizes(toolstack, open),
        Err(_) => volume::remove(toolstack, open, uuid),
    }
    made
}

/// The format that a new VDI is asked to have.
fn format(fields: &[(&str, Value)]) -> Result<Option<ImageFormat>, ApiError> {
    let config = fields.iter().find(|(name, _)| *name == "sm_config");
    let asked = config.and_then(|(_, config)| config.as_map()?.get(vdis::IMAGE_FORMAT));
    let key = format!("sm_config:{}", vdis::IMAGE_FORMAT);
    asked.map(|asked| known_format(&key, &asked.text())).transpose()
}

/// The format of this name, which a key asks for.
pub(super) fn known_format(key: &str, name: &str) -> Result<ImageFormat, ApiError> {
    let refused = || errors::VALUE_NOT_SUPPORTED.with([key, name, "formats are raw and qcow2"]);
    ImageFormat::parse(name).ok_or_else(refused)
}

fn identity(sr: &Ref, uuid: Uuid) -> Vec<(&'static str, Value)> {
    let uuid = uuid.to_string();
    vec![
        ("uuid", uuid.clone().into()),
        ("SR", sr.into()),
        ("location", uuid.into()),
        ("managed", true.into()),
    ]
}

/// The caller holds the VDI's lock, so that it does not come into use meanwhile. Order of locks: the
/// SR's, then the VDI's.
fn refuse_used(context: &Context, vdi: &Ref, operation: &str) -> Result<(), ApiError> {
    let toolstack = &context.toolstack;
    if toolstack.activations.in_use(vdi) || toolstack.store.read(|o| vdis::held(o, vdi, None)) {
        return Err(errors::VDI_IN_USE.with([vdi.as_str(), operation]));
    }
    Ok(())
}

/// Removes a VDI, its data and the VBDs that refer to it.
pub(crate) fn destroy(context: &Context, vdi: &Ref) -> Result<(), ApiError> {
    let toolstack = &context.toolstack;
    let sr = toolstack.look("VDI", vdi, |vdi, _| vdi.to("SR"))?;
    vdis::reach(toolstack, &sr)?;
    let lock = toolstack.lock_of(&sr);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let own = toolstack.lock_of(vdi);
    let _unused = own.lock().unwrap_or_else(PoisonError::into_inner);
    refuse_used(context, vdi, "destroy")?;
    let (open, uuid) = vdis::of_vdi(toolstack, vdi)?;
    // Whoever begins to remove it removes all of it, if need be at the next start of the daemon.
    let noted = toolstack.store.write(|t| {
        let noted = unfinished::is_noted(t.objects(), vdi);
        unfinished::begin(t, vdi);
        Ok(noted)
    })?;
    if let Err(error) = open.driver.vdi_destroy(&open.spec, uuid) {
        if !noted {
            toolstack.store.write(|t| {
                unfinished::finish(t, vdi);
                Ok(())
            })?;
        }
        return Err(failure::storage(&error, &sr, Some(vdi)));
    }
    forget_object(context, vdi).inspect_err(|_| unfinished::try_again(toolstack, vdi))?;
    vdis::refresh_sizes(toolstack, &open);
    toolstack.untidy.add(&sr);
    Ok(())
}

fn forget_object(context: &Context, vdi: &Ref) -> Result<(), ApiError> {
    context.store().write(|t| {
        for dump in t.get("VDI", vdi)?.refs("crash_dumps") {
            t.remove(&dump);
        }
        for vbd in t.get("VDI", vdi)?.refs("VBDs") {
            let object = t.get("VBD", &vbd)?;
            // A drive stays, empty; a disk goes with its contents.
            if object.text("type") == "CD" {
                t.set(&vbd, "VDI", Ref::null());
                t.set(&vbd, "empty", true);
            } else {
                t.remove(&vbd);
            }
        }
        t.remove(vdi);
        unfinished::finish(t, vdi);
        Ok(())
    })
}

fn forget(context: &Context, args: &Args<'_>) -> Reply {
    let vdi = args.to("vdi");
    let own = context.toolstack.lock_of(&vdi);
    let _unused = own.lock().unwrap_or_else(PoisonError::into_inner);
    refuse_used(context, &vdi, "forget")?;
    forget_object(context, &vdi).map(|()| Value::Void)
}

/// What an SR has of a VDI.
fn found(open: &vdis::OpenSr, uuid: Uuid, vdi: &Ref) -> Result<VdiInfo, ApiError> {
    let all = open.driver.scan(&open.spec);
    let all = all.map_err(|e| failure::storage(&e, &open.sr, None))?;
    let missing = || errors::VDI_MISSING.with([open.sr.as_str(), vdi.as_str()]);
    all.into_iter().find(|info| info.uuid == uuid).ok_or_else(missing)
}

fn introduce(context: &Context, args: &Args<'_>) -> Reply {
    let toolstack = &context.toolstack;
    let (sr, uuid) = (args.to("SR"), vdis::parse_uuid(args.text("uuid"))?);
    let location = args.text("location");
    let refused = |name, text: &str, why| errors::VALUE_NOT_SUPPORTED.with([name, text, why]);
    if !location.is_empty() && location != uuid.to_string() {
        return Err(refused("location", location, "it is the uuid here"));
    }
    if !args.bool("managed") {
        return Err(refused("managed", "false", "the toolstack manages every VDI"));
    }
    let of_pool = args.to("metadata_of_pool");
    if !of_pool.is_null() {
        return Err(refused(
            "metadata_of_pool",
            of_pool.as_str(),
            "no VDI holds a pool's metadata",
        ));
    }
    guards::told(args.get("xenstore_data"))?;
    vdis::reach(toolstack, &sr)?;
    let lock = toolstack.lock_of(&sr);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let open = vdis::attached_sr(toolstack, &sr)?;
    let info = found(&open, uuid, &Ref::new(&uuid.to_string()))?;
    let made = toolstack.store.write(|t| {
        if t.objects().by_uuid("VDI", &uuid.to_string()).is_some() {
            let words = ["VDI", "uuid", &uuid.to_string()];
            return Err(errors::DB_UNIQUENESS_CONSTRAINT_VIOLATION.with(words));
        }
        let taken = COPIED.iter().chain(&["sm_config"]);
        let known = |name: &&&str| **name != "tags";
        let mut fields: Vec<(&str, Value)> =
            taken.filter(known).map(|name| (*name, args.get(name).clone())).collect();
        fields.extend(identity(&sr, uuid));
        if args.bool("is_a_snapshot") {
            let original = args.to("snapshot_of");
            let known = t.objects().find(&original).is_some();
            fields.push(("is_a_snapshot", true.into()));
            fields.push(("snapshot_time", args.get("snapshot_time").clone()));
            fields.push(("snapshot_of", if known { original } else { Ref::null() }.into()));
        }
        let vdi = t.create(&classes::VDI, fields);
        vdis::record_info(t, &vdi, &info);
        volume::finish(t, open.spec.uuid, uuid);
        Ok(vdi)
    })?;
    vdis::refresh_sizes(toolstack, &open);
    Ok(made.into())
}

fn update(context: &Context, args: &Args<'_>) -> Reply {
    let (toolstack, vdi) = (&context.toolstack, args.to("vdi"));
    let sr = toolstack.look("VDI", &vdi, |vdi, _| vdi.to("SR"))?;
    vdis::reach(toolstack, &sr)?;
    let lock = toolstack.lock_of(&sr);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let (open, uuid) = vdis::of_vdi(toolstack, &vdi)?;
    let info = found(&open, uuid, &vdi)?;
    toolstack.store.write(|t| {
        t.get("VDI", &vdi)?;
        vdis::record_info(t, &vdi, &info);
        t.set(&vdi, "missing", false);
        Ok(Value::Void)
    })
}

/// How a VDI is cloned.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Copying {
    /// The new one is a snapshot of it.
    pub(crate) snapshot: bool,
    /// One may write to it: a guest that is held, so its contents are those of one moment.
    pub(crate) held: bool,
    /// The new one gets a note that it is unfinished.
    pub(crate) unfinished: bool,
}

/// One VDI by itself, also while a VM has it.
fn alone(context: &Context, vdi: &Ref, snapshot: bool) -> Reply {
    let operation = if snapshot { "snapshot" } else { "clone" };
    disk_users::while_still(context, vdi, operation, |held| {
        clone(context, vdi, Copying { snapshot, held, unfinished: false }).map(Value::Ref)
    })
}

/// A new VDI in the same SR with the same contents, copy on write where the driver can.
pub(crate) fn clone(context: &Context, vdi: &Ref, how: Copying) -> Result<Ref, ApiError> {
    let snapshot = how.snapshot;
    let toolstack = &context.toolstack;
    let (sr, mut fields) = toolstack.look("VDI", vdi, |vdi, _| (vdi.to("SR"), copied(vdi)))?;
    vdis::reach(toolstack, &sr)?;
    let lock = toolstack.lock_of(&sr);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let own = toolstack.lock_of(vdi);
    let _unused = own.lock().unwrap_or_else(PoisonError::into_inner);
    if toolstack.activations.writers(vdi) > usize::from(how.held) {
        let operation = if snapshot { "snapshot" } else { "clone" };
        return Err(errors::VDI_IN_USE.with([vdi.as_str(), operation]));
    }
    let (open, from) = vdis::of_vdi(toolstack, vdi)?;
    if snapshot {
        fields.push(("is_a_snapshot", true.into()));
        fields.push(("snapshot_of", vdi.into()));
        fields.push(("snapshot_time", DateTime::now().into()));
    }
    with_volume(context, &open, fields, how.unfinished, |uuid| {
        let made = open.driver.vdi_clone(&open.spec, from, uuid);
        made.map_err(|e| failure::storage(&e, &sr, Some(vdi)))
    })
}

/// What a copy of a VDI takes over.
pub(super) fn copied(vdi: &crate::store::Object) -> Vec<(&'static str, Value)> {
    COPIED.iter().map(|name| (*name, vdi.get(name).clone())).collect()
}

fn copy_vdi(context: &Context, args: &Args<'_>) -> Reply {
    let vdi = args.to("vdi");
    if !args.to("base_vdi").is_null() {
        let reason = "copies are always full";
        return Err(errors::VALUE_NOT_SUPPORTED.with(["base_vdi", args.text("base_vdi"), reason]));
    }
    let into = args.to("into_vdi");
    if into.is_null() {
        let copy = full_copy(context, &vdi, &args.to("sr"))?;
        let whole = context.store().write(|t| {
            unfinished::finish(t, &copy);
            Ok(())
        });
        if let Err(error) = whole {
            unfinished::remove(&context.toolstack, &copy);
            return Err(error);
        }
        return Ok(copy.into());
    }
    copy_into(context, &vdi, &into)?;
    Ok(into.into())
}

/// A full copy in an SR; the default SR when null. It has a note that it is unfinished.
pub(super) fn full_copy(context: &Context, vdi: &Ref, sr: &Ref) -> Result<Ref, ApiError> {
    let toolstack = &context.toolstack;
    let (size, mut fields) =
        toolstack.look("VDI", vdi, |vdi, _| (vdi.int("virtual_size"), copied(vdi)))?;
    // Written to first, whatever the original is.
    fields.retain(|(name, _)| *name != "read_only");
    let sr = if sr.is_null() {
        toolstack.look("pool", &toolstack.pool(), |pool, _| pool.to("default_SR"))?
    } else {
        sr.clone()
    };
    let new = make(context, &sr, size, fields, true)?;
    if let Err(error) = copy_into(context, vdi, &new) {
        unfinished::remove(toolstack, &new);
        return Err(error);
    }
    Ok(new)
}

fn copy_into(context: &Context, from: &Ref, into: &Ref) -> Result<(), ApiError> {
    let toolstack = &context.toolstack;
    if toolstack.look("VDI", into, |vdi, _| vdi.bool("read_only"))? {
        return Err(errors::VDI_READONLY.with([into.as_str()]));
    }
    fill(context, &Opened::new(toolstack, from, Mode::ReadOnly)?, into)
}

/// Writes the contents of a VDI that is open into another one.
pub(super) fn fill(context: &Context, from: &Opened, into: &Ref) -> Result<(), ApiError> {
    let into_open = Opened::new(&context.toolstack, into, Mode::ReadWrite)?;
    if into_open.size < from.size {
        return Err(errors::VDI_TOO_SMALL.with([into.to_string(), from.size.to_string()]));
    }
    let cancel = context.cancellable()?;
    let copied = copy::device(&from.path, &into_open.path, from.size, |done| {
        context.progress(done as f64 / from.size.max(1) as f64);
        context.check_cancelled(&cancel)
    });
    copied.map_err(|stopped| match stopped {
        copy::Stopped::Device { doing, error } => into_open.failed(&doing, &error),
        copy::Stopped::Asked(error) => error,
    })
}

fn resize(context: &Context, args: &Args<'_>) -> Reply {
    let toolstack = &context.toolstack;
    let vdi = args.to("vdi");
    let (sr, now) = toolstack.look("VDI", &vdi, |v, _| (v.to("SR"), v.int("virtual_size")))?;
    let size = args.int("size");
    let wanted = u64::try_from(size).ok().filter(|_| size >= now && size > 0);
    let wanted =
        wanted.ok_or_else(|| errors::INVALID_VALUE.with(["size".to_owned(), size.to_string()]))?;
    vdis::reach(toolstack, &sr)?;
    let lock = toolstack.lock_of(&sr);
    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let own = toolstack.lock_of(&vdi);
    let _unused = own.lock().unwrap_or_else(PoisonError::into_inner);
    let (runs, held) = toolstack.store.read(|objects| {
        (!disk_users::with_domain(objects, &vdi).is_empty(), vdis::held(objects, &vdi, None))
    });
    // Guests that run hear of the new size from Dom0's kernel when they next use it.
    if held || !runs {
        refuse_used(context, &vdi, "resize")?;
    }
    let (open, uuid) = vdis::of_vdi(toolstack, &vdi)?;
    let resized = open.driver.vdi_resize(&open.spec, uuid, wanted);
    let info = resized.map_err(|e| failure::storage(&e, &sr, Some(&vdi)))?;
    toolstack.store.write(|t| {
        vdis::record_info(t, &vdi, &info);
        Ok(())
    })?;
    vdis::refresh_sizes(toolstack, &open);
    Ok(Value::Void)
}
