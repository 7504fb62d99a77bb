// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages for people, blobs, the audit log; appliances, where XenServer's verbs differ.

use super::{Verb, plain};
use crate::api::Api;
use crate::failure::Failure;
use crate::files::{fetch, send};
use crate::output::Output;
use crate::params::Params;
use crate::parse;

pub(super) static VERBS: &[Verb] = &[
    plain(
        "message-create",
        &["name", "body", "priority"],
        &["vm-uuid", "host-uuid", "sr-uuid", "pool-uuid", "vdi-uuid"],
        &["message.create"],
        "Makes a message about an object, which one of the uuids names.",
        create_message,
    ),
    plain(
        "blob-create",
        &["mime-type"],
        &["name", "public", "vm-uuid", "host-uuid", "sr-uuid", "pool-uuid", "network-uuid"],
        &["blob.create"],
        "Makes a blob, which belongs to the object that one of the uuids names, or to none.",
        create_blob,
    ),
    plain(
        "blob-get",
        &["uuid", "filename"],
        &[],
        &["blob.create"],
        "Writes the data of a blob to a new file.",
        |api, params, out| {
            let path = blob_path(api, params)?;
            fetch(api, params, &path, None, out)
        },
    ),
    plain(
        "blob-put",
        &["uuid", "filename"],
        &[],
        &["blob.create"],
        "Makes a file the data of a blob.",
        |api, params, _| {
            let path = blob_path(api, params)?;
            send(api, params, &path)
        },
    ),
    plain(
        "audit-log-get",
        &["filename"],
        &["since"],
        &["session.login_with_password"],
        "Writes to a new file who did what, from a time on: since=20240101T00:00:00Z.",
        |api, params, out| {
            let since = params.get("since").map(|time| format!("&since={time}"));
            let session = api.session();
            let path = format!("/audit_log?session_id={session}{}", since.unwrap_or_default());
            fetch(api, params, &path, None, out)
        },
    ),
    plain(
        "appliance-shutdown",
        &["uuid"],
        &["force"],
        &["VM_appliance.clean_shutdown", "VM_appliance.hard_shutdown"],
        "Shuts the VMs of an appliance down; with --force it stops them at once.",
        |api, params, _| {
            let appliance = api.reference("VM_appliance", params.require("uuid")?)?;
            let how = if params.flag("force")? { "hard_shutdown" } else { "clean_shutdown" };
            api.act(&format!("VM_appliance.{how}"), [appliance]).map(drop)
        },
    ),
    plain(
        "appliance-start",
        &["uuid"],
        &["paused"],
        &["VM_appliance.start"],
        "Starts the VMs of an appliance, in their order.",
        |api, params, _| {
            let appliance = api.reference("VM_appliance", params.require("uuid")?)?;
            api.act("VM_appliance.start", [appliance, params.flag("paused")?.into()]).map(drop)
        },
    ),
];

/// The object that one of these parameters names, and its class.
fn named(
    params: &Params,
    classes: &[(&str, &'static str)],
) -> Result<Option<(&'static str, String)>, Failure> {
    let mut given = classes
        .iter()
        .filter_map(|(name, class)| params.get(name).map(|uuid| (*class, uuid.to_owned())));
    match (given.next(), given.next()) {
        (Some(_), Some(_)) => Err(Failure::plain("Name one object, not several")),
        (one, _) => Ok(one),
    }
}

fn create_message(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let classes = [
        ("vm-uuid", "VM"),
        ("host-uuid", "Host"),
        ("sr-uuid", "SR"),
        ("pool-uuid", "Pool"),
        ("vdi-uuid", "VDI"),
    ];
    let (class, uuid) =
        named(params, &classes)?.ok_or_else(|| Failure::Missing("vm-uuid".to_owned()))?;
    let priority = parse::integer("priority", params.require("priority")?)?;
    let call = [
        params.require("name")?.into(),
        priority.into(),
        class.into(),
        uuid.into(),
        params.require("body")?.into(),
    ];
    let made = api.act("message.create", call)?;
    let uuid = api.uuid_of("message", &made.text())?;
    out.value(&uuid)
}

fn create_blob(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let classes = [
        ("vm-uuid", "VM"),
        ("host-uuid", "host"),
        ("sr-uuid", "SR"),
        ("pool-uuid", "pool"),
        ("network-uuid", "network"),
    ];
    let kind = params.require("mime-type")?;
    let public = params.flag("public")?;
    let made = match named(params, &classes)? {
        None => api.act("blob.create", [kind.into(), public.into()])?,
        Some((class, uuid)) => {
            let owner = api.reference(class, &uuid)?;
            let call = [owner, params.require("name")?.into(), kind.into(), public.into()];
            api.act(&format!("{class}.create_new_blob"), call)?
        }
    };
    let uuid = api.uuid_of("blob", &made.text())?;
    out.value(&uuid)
}

fn blob_path(api: &mut Api, params: &Params) -> Result<String, Failure> {
    let blob = api.reference("blob", params.require("uuid")?)?.text();
    Ok(format!("/blob?session_id={}&ref={blob}", api.session()))
}
