// SPDX-License-Identifier: MIT OR Apache-2.0
//! `blob`, and the messages that make one of an object.

use xapi_model::{Ref, Reply, Value, classes, errors};

use super::Entry;
use crate::store::Transaction;
use crate::toolstack::{Args, Context, Toolstack};
use crate::vdis::parse_uuid;

pub(super) const HANDLERS: &[Entry] = &[
    ("blob.create", |context, args| context.store().write(|t| Ok(make(t, args).into()))),
    ("blob.destroy", destroy),
    ("VM.create_new_blob", |context, args| create(context, args, "VM", "vm")),
    ("host.create_new_blob", |context, args| create(context, args, "host", "host")),
    ("pool.create_new_blob", |context, args| create(context, args, "pool", "pool")),
    ("network.create_new_blob", |context, args| create(context, args, "network", "network")),
    ("SR.create_new_blob", |context, args| create(context, args, "SR", "sr")),
];

/// Classes whose objects have blobs.
const OWNERS: [&str; 5] = ["VM", "host", "pool", "network", "SR"];

fn make(t: &mut Transaction<'_>, args: &Args<'_>) -> Ref {
    let kind = Some(args.text("mime_type")).filter(|kind| !kind.is_empty());
    let kind = kind.unwrap_or("application/octet-stream");
    t.create(
        &classes::BLOB,
        vec![("mime_type", kind.into()), ("public", args.bool("public").into())],
    )
}

fn create(context: &Context, args: &Args<'_>, class: &'static str, owner: &str) -> Reply {
    let (owner, name) = (args.to(owner), args.text("name"));
    context.store().write(|t| {
        if t.get(class, &owner)?.map("blobs").contains_key(name) {
            return Err(errors::MAP_DUPLICATE_KEY.with([class, "blobs", owner.as_str(), name]));
        }
        let blob = make(t, args);
        t.set(&blob, "name_label", name);
        t.set_entry(&owner, "blobs", name, Some(Value::from(&blob)));
        Ok(blob.into())
    })
}

fn destroy(context: &Context, args: &Args<'_>) -> Reply {
    let blob = args.to("self");
    let uuid = context.store().write(|t| {
        let uuid = parse_uuid(t.get("blob", &blob)?.uuid())?;
        let owners: Vec<(Ref, String)> = OWNERS
            .iter()
            .flat_map(|class| t.objects().all(class))
            .flat_map(|owner| {
                let named = owner.map("blobs").iter().filter(|(_, v)| v.as_ref() == Some(&blob));
                named.map(|(name, _)| (owner.reference().clone(), name.clone())).collect::<Vec<_>>()
            })
            .collect();
        for (owner, name) in owners {
            t.set_entry(&owner, "blobs", &name, None);
        }
        t.remove(&blob);
        Ok(uuid)
    })?;
    let removed = context.toolstack.blobs.remove(&uuid);
    removed.map_err(|e| errors::INTERNAL_ERROR.with([format!("removing a blob's data: {e}")]))?;
    Ok(Value::Void)
}

/// Removes the blobs of an object that goes. Their data goes at the next start of the daemon.
pub(super) fn remove_all(t: &mut Transaction<'_>, owner: &Ref) {
    let Some(owner) = t.objects().find(owner) else { return };
    let blobs: Vec<Ref> = owner.map("blobs").values().filter_map(Value::as_ref).cloned().collect();
    blobs.iter().for_each(|blob| t.remove(blob));
}

/// Removes data that belongs to no blob.
pub fn sweep(toolstack: &Toolstack) {
    let known = |name: &str| toolstack.store.read(|o| o.by_uuid("blob", name).is_some());
    if let Err(error) = toolstack.blobs.sweep(known) {
        tracing::error!(%error, "looking for data of blobs that are gone");
    }
}
