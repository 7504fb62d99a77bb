// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done with snapshots of VMs.

use xapi_model::classes;

use super::disk::show;
use super::transfer::write_archive;
use super::vm::say_copy;
use super::{Verb, plain};
use crate::api::{Api, text};
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;
use crate::select::Found;

const SNAPSHOT: &[&str] = &["snapshot-uuid", "uuid"];

/// A verb that XenServer's users know well.
const fn common(verb: Verb) -> Verb {
    Verb { common: true, ..verb }
}

pub(super) static VERBS: &[Verb] = &[
    plain(
        "snapshot-revert",
        &[],
        SNAPSHOT,
        &["VM.revert"],
        "Turns the VM of a snapshot into what it was then. What it has become since is lost.",
        |api, params, _| {
            let snapshot = snapshot(api, params)?;
            api.act("VM.revert", [snapshot.reference]).map(drop)
        },
    ),
    plain(
        "snapshot-destroy",
        &[],
        SNAPSHOT,
        &["VM.destroy"],
        "Removes a snapshot; its disks stay.",
        |api, params, _| {
            let snapshot = snapshot(api, params)?;
            api.act("VM.destroy", [snapshot.reference]).map(drop)
        },
    ),
    common(plain(
        "snapshot-clone",
        &["new-name-label"],
        &["snapshot-uuid", "uuid", "new-name-description"],
        &["VM.clone"],
        "Makes a new template with copy-on-write clones of the disks of a snapshot.",
        |api, params, out| copy(api, params, out, "VM.clone"),
    )),
    common(plain(
        "snapshot-copy",
        &["new-name-label"],
        &["snapshot-uuid", "uuid", "new-name-description", "sr-uuid"],
        &["VM.copy"],
        "Makes a new template with full copies of the disks of a snapshot.",
        |api, params, out| copy(api, params, out, "VM.copy"),
    )),
    common(plain(
        "snapshot-disk-list",
        &[],
        &["snapshot-uuid", "uuid", "vbd-params", "vdi-params"],
        &["VBD.get_all_records"],
        "Lists the disks of a snapshot.",
        |api, params, out| {
            let snapshot = snapshot(api, params)?;
            show(api, params, out, "Disk", &snapshot)
        },
    )),
    common(plain(
        "snapshot-export-to-template",
        &["snapshot-uuid", "filename"],
        &["compress", "metadata"],
        &["VM.create"],
        "Writes a snapshot and its disks to a new file, as vm-export does; vm-import makes a template \
         of it.",
        |api, params, out| {
            let snapshot = snapshot(api, params)?;
            write_archive(api, params, &snapshot.reference.text(), out)
        },
    )),
];

/// The snapshot that the parameters name.
fn snapshot(api: &mut Api, params: &Params) -> Result<Found, Failure> {
    let uuid = SNAPSHOT.iter().find_map(|name| params.get(name));
    let uuid = uuid.ok_or_else(|| Failure::Missing("snapshot-uuid".into()))?;
    let (reference, record) = api.by_uuid(&classes::VM, uuid)?;
    if text(&record, "is_a_snapshot") != "true" {
        return Err(Failure::plain("This operation can only be performed on a VM snapshot."));
    }
    Ok(Found { reference, record })
}

fn copy(api: &mut Api, params: &Params, out: &mut Output<'_>, method: &str) -> Result<(), Failure> {
    let snapshot = snapshot(api, params)?;
    say_copy(api, params, out, method, &snapshot.reference)
}
