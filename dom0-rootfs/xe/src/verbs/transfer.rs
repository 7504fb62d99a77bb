// SPDX-License-Identifier: MIT OR Apache-2.0
//! Contents of VDIs and whole VMs, to and from files; consoles.

use xapi_model::{ApiError, Value, xmlrpc};

use super::{Verb, on_vms, plain};
use crate::api::{Api, text};
use crate::failure::Failure;
use crate::files::{fetch, send};
use crate::output::Output;
use crate::params::Params;
use crate::select::selected;
use crate::views;

/// Parameters of an export that select no VM.
const OF_EXPORT: &[&str] = &["filename", "compress", "metadata"];

pub(super) static VERBS: &[Verb] = &[
    plain(
        "vdi-import",
        &["uuid", "filename"],
        &["format"],
        &["VDI.create"],
        "Writes a disk image into a VDI: format=raw, vhd or qcow2. A VHD of differences goes over what the VDI has. \
         filename=/dev/stdin reads a pipe. --progress shows how far it is.",
        import,
    ),
    plain(
        "vdi-export",
        &["uuid", "filename"],
        &["format", "base"],
        &["VDI.create"],
        "Writes the contents of a VDI to a new file: format=raw, vhd (dynamic: without zeros), vhd-fixed \
         or qcow2. With format=vhd and base=, the uuid of another VDI, only what differs from that. \
         filename= (nothing) writes to standard output. --progress shows how far it is.",
        export,
    ),
    Verb {
        required: &["filename"],
        optional: &["compress", "metadata"],
        ..on_vms(
            "vm-export",
            &["VM.create"],
            "Writes a halted VM and its disks to a new file, an XVA archive: compress=true (gzip) or \
             zstd. metadata=true leaves the disks out. filename= (nothing) writes to standard output.",
            export_vm,
        )
    },
    plain(
        "vm-import",
        &["filename"],
        &["sr-uuid", "preserve", "metadata"],
        &["VM.create"],
        "Makes VMs of an XVA archive, with disks in the given SR or the pool's default SR. \
         preserve=true keeps uuid and MAC addresses. --force passes over damage. metadata=true takes \
         disks that are here. filename=/dev/stdin reads a pipe.",
        import_vm,
    ),
    plain(
        "template-export",
        &["template-uuid", "filename"],
        &["compress", "metadata"],
        &["VM.create"],
        "Writes a template and its disks to a new file, as vm-export does.",
        export_template,
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

/// Runs a transfer with a task, whose path `run` adds to its own. Gives what the task results in; an
/// error is that of the task, which tells more than the answer does.
fn with_task(
    api: &mut Api,
    label: &str,
    run: impl FnOnce(&mut Api, &str) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let task = api.act("task.create", [label.into(), "".into()])?;
    let query = format!("session_id={}&task_id={}", api.session(), task.text());
    let ran = run(api, &query);
    let record = api.ask("task.get_record", [task.clone()])?;
    let record = record.as_map().cloned().unwrap_or_default();
    let ended = record.get("error_info").and_then(Value::as_set).unwrap_or_default();
    let mut words = ended.iter().map(Value::text);
    let told = words.next().map(|code| ApiError { code, args: words.collect() });
    // Where the connection failed, the server may not know of it yet.
    let _ = api.act("task.destroy", [task]);
    match (ran, told) {
        // Some answers begin before the work does, and are no error then.
        (_, Some(error)) => Err(Failure::Api(api.explain(error))),
        (Ok(()), None) => Ok(text(&record, "result")),
        (Err(failure), None) => Err(failure),
    }
}

fn import(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let vdi = api.reference("VDI", params.require("uuid")?)?.text();
    let format = params.get("format").unwrap_or("raw");
    with_task(api, "vdi-import", |api, query| {
        send(api, params, &format!("/import_raw_vdi?{query}&vdi={vdi}&format={format}"))
    })?;
    Ok(())
}

fn export(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let vdi = api.reference("VDI", params.require("uuid")?)?.text();
    let format = params.get("format").unwrap_or("raw");
    let size = api.field_of("VDI", &vdi, "virtual_size")?.parse().ok();
    // How long a dynamic image is depends on what is in it.
    let total = size.filter(|_| !["vhd", "qcow2"].contains(&format));
    let mut base = String::new();
    if let Some(uuid) = params.get("base") {
        base = format!("&base={}", api.reference("VDI", uuid)?.text());
    }
    with_task(api, "vdi-export", |api, query| {
        let path = format!("/export_raw_vdi?{query}&vdi={vdi}&format={format}{base}");
        fetch(api, params, &path, total, out)
    })?;
    Ok(())
}

fn export_vm(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let view = views::find("vm").ok_or_else(|| Failure::plain("this API has no VMs"))?;
    let found = selected(api, &view, params, OF_EXPORT)?;
    let [vm] = &found[..] else {
        return Err(Failure::plain("A file takes one VM"));
    };
    write_archive(api, params, &vm.reference.text(), out)
}

fn export_template(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let template = api.reference("VM", params.require("template-uuid")?)?.text();
    write_archive(api, params, &template, out)
}

/// Writes an archive of a VM, template or snapshot.
pub(super) fn write_archive(
    api: &mut Api,
    params: &Params,
    vm: &str,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let compress = params.get("compress").unwrap_or("false");
    let handler = if params.flag("metadata")? { "/export_metadata" } else { "/export" };
    with_task(api, "vm-export", |api, query| {
        let path = format!("{handler}?{query}&ref={vm}&use_compression={compress}");
        fetch(api, params, &path, None, out)
    })?;
    Ok(())
}

fn import_vm(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let handler = if params.flag("metadata")? { "/import_metadata" } else { "/import" };
    let (restore, force) = (params.flag("preserve")?, params.flag("force")?);
    let mut sr = String::new();
    if let Some(uuid) = params.get("sr-uuid") {
        sr = format!("&sr_id={}", api.reference("SR", uuid)?.text());
    }
    let result = with_task(api, "vm-import", |api, query| {
        let path = format!("{handler}?{query}&restore={restore}&force={force}{sr}");
        send(api, params, &path)
    })?;
    let made = xmlrpc::decode_value(&result)
        .map_err(|error| Failure::plain(format!("reading what was made: {error}")))?;
    for vm in made.as_set().unwrap_or_default() {
        let uuid = api.uuid_of("VM", &vm.text())?;
        out.value(&uuid)?;
    }
    Ok(())
}

fn console(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let mut view = views::find("vm").ok_or_else(|| Failure::plain("this API has no VMs"))?;
    view.always = &[];
    let found = selected(api, &view, params, &[])?;
    let [vm] = &found[..] else {
        return Err(Failure::plain("A terminal shows one console at a time"));
    };
    let console = text_console(api, &vm.reference)?;
    api.console(&format!("/console?ref={console}&session_id={}", api.session()))
}

/// The reference of a VM's text console. The console that the VM itself stands for may be its screen.
fn text_console(api: &mut Api, vm: &Value) -> Result<String, Failure> {
    let consoles = api.ask("VM.get_consoles", [vm.clone()])?;
    for console in consoles.as_set().unwrap_or_default() {
        if api.ask("console.get_protocol", [console.clone()])?.text() == "vt100" {
            return Ok(console.text());
        }
    }
    Err(Failure::plain("The VM has no text console now"))
}
