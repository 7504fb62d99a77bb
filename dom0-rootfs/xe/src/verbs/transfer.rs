// SPDX-License-Identifier: MIT OR Apache-2.0
//! Contents of VDIs, to and from files; consoles.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use super::{Verb, on_vms, plain};
use crate::api::Api;
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;
use crate::select::selected;
use crate::views;

pub(super) static VERBS: &[Verb] = &[
    plain(
        "vdi-import",
        &["uuid", "filename"],
        &["format"],
        &["VDI.create"],
        "Writes a file with a raw disk image into a VDI.",
        import,
    ),
    plain(
        "vdi-export",
        &["uuid", "filename"],
        &["format"],
        &["VDI.create"],
        "Writes the contents of a VDI to a new file as a raw disk image.",
        export,
    ),
    Verb {
        common: true,
        ..on_vms(
            "console",
            &["console.get_all_records"],
            "Connects this terminal to the text console of a running VM. Ctrl-] ends it.",
            console,
        )
    },
];

/// The handler's path with everything that it asks for.
fn path(api: &mut Api, params: &Params, handler: &str) -> Result<String, Failure> {
    let format = params.get("format").unwrap_or("raw");
    if format != "raw" {
        return Err(Failure::plain(format!("Unknown format '{format}': only raw is there")));
    }
    let vdi = api.reference("VDI", params.require("uuid")?)?.text();
    let session = api.session();
    Ok(format!("{handler}?session_id={session}&vdi={vdi}&format=raw"))
}

fn import(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let name = params.require("filename")?;
    let failed = |error: std::io::Error| Failure::plain(format!("reading '{name}': {error}"));
    let mut file = File::open(name).map_err(failed)?;
    // Block devices have a length too, but only the end tells it.
    let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let path = path(api, params, "/import_raw_vdi")?;
    api.put(&path, length, file)
}

fn export(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let name = params.require("filename")?;
    let path = path(api, params, "/export_raw_vdi")?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(name)
        .map_err(|error| Failure::plain(format!("creating '{name}': {error}")))?;
    let fetched = api.get(&path, file);
    if fetched.is_err() {
        // Half an image must not be taken for one; why it failed is what counts.
        let _ = std::fs::remove_file(name);
    }
    fetched
}

fn console(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let mut view = views::find("vm").ok_or_else(|| Failure::plain("this API has no VMs"))?;
    view.always = &[];
    let found = selected(api, &view, params, &[])?;
    let [vm] = &found[..] else {
        return Err(Failure::plain("A terminal shows one console at a time"));
    };
    let path = format!("/console?uuid={}&session_id={}", vm.uuid(), api.session());
    api.console(&path)
}
