// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making and removing VMs.

use xapi_model::{Ref, Value, classes};

use super::{Verb, on_vms, plain};
use crate::api::{Api, Record, text};
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;
use crate::select::{Found, each, filter, selected};
use crate::views;

const NEW: &[&str] = &["new-name-label"];

pub(super) static VERBS: &[Verb] = &[
    Verb {
        common: true,
        ..plain(
            "vm-install",
            NEW,
            &["template", "template-uuid", "template-name-label", "sr-uuid", "sr-name-label"],
            &["VM.clone", "VM.provision"],
            "Makes a new VM from a template, with the disks that the template asks for. \
             'template' takes a name or uuid; the disks go to the given SR, or to the pool's \
             default SR.",
            install,
        )
    },
    Verb {
        required: NEW,
        optional: &["new-name-description"],
        ..on_vms(
            "vm-clone",
            &["VM.clone"],
            "Makes a new VM with copy-on-write clones of the disks of another one or of a \
             template.",
            |api, params, out| copy(api, params, out, "VM.clone"),
        )
    },
    Verb {
        required: NEW,
        optional: &["new-name-description", "sr-uuid"],
        ..on_vms(
            "vm-copy",
            &["VM.copy"],
            "Makes a new VM with full copies of the disks of another one or of a template.",
            |api, params, out| copy(api, params, out, "VM.copy"),
        )
    },
    Verb {
        required: NEW,
        optional: &["new-name-description"],
        ..on_vms(
            "vm-snapshot",
            &["VM.snapshot"],
            "Keeps the disks and settings of a VM as they are now.",
            |api, params, out| copy(api, params, out, "VM.snapshot"),
        )
    },
    Verb {
        required: NEW,
        optional: &["new-name-description"],
        ..on_vms(
            "vm-checkpoint",
            &["VM.checkpoint"],
            "Keeps the disks, settings and memory of a VM as they are now; the guest runs on.",
            |api, params, out| copy(api, params, out, "VM.checkpoint"),
        )
    },
    Verb {
        required: &["host-uuid"],
        ..on_vms(
            "vm-copy-bios-strings",
            &["VM.copy_bios_strings"],
            "Has the firmware of VMs say what the host's says; once, and before their first start.",
            copy_bios_strings,
        )
    },
    Verb {
        optional: &["force"],
        ..on_vms(
            "vm-uninstall",
            &["VM.destroy", "VDI.destroy", "VM.hard_shutdown"],
            "Removes VMs and the disks that were made for them: those whose VBD has the key 'owner' \
             in other-config. To keep the disks, use vm-destroy.",
            uninstall_vms,
        )
    },
    Verb {
        common: true,
        ..plain(
            "snapshot-uninstall",
            &[],
            &["snapshot-uuid", "uuid", "force"],
            &["VM.destroy", "VDI.destroy"],
            "Removes a snapshot with its disks.",
            uninstall_snapshot,
        )
    },
    Verb {
        common: true,
        ..plain(
            "template-uninstall",
            &["template-uuid"],
            &["force"],
            &["VM.destroy", "VDI.destroy"],
            "Removes a template and the disks that were made for it.",
            uninstall_template,
        )
    },
];

/// A new VM from a template.
fn install(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let template = template(api, params)?;
    let sr = target_sr(api, params)?;
    let name = Value::from(params.require("new-name-label")?);
    let made = api.act("VM.clone", [template.reference.clone(), name])?;
    let finished = finish_install(api, &made, sr.as_ref());
    if let Err(failure) = finished {
        // What is half made helps nobody; why it failed is what counts.
        let _ = api.act("VM.destroy", [made]);
        return Err(failure);
    }
    let uuid = api.uuid_of("VM", &made.text())?;
    out.value(&uuid)
}

fn finish_install(api: &mut Api, made: &Value, sr: Option<&Value>) -> Result<(), Failure> {
    let description = Value::from("Installed via xe CLI");
    api.act("VM.set_name_description", [made.clone(), description])?;
    let config = api.ask("VM.get_other_config", [made.clone()])?;
    if let Some(disks) = config.as_map().and_then(|map| map.get("disks")).map(Value::text) {
        let sr = match sr {
            Some(sr) => sr.clone(),
            None => default_sr(api)?.ok_or_else(|| {
                Failure::plain(
                    "Failed to find a valid default SR for the Pool. Please provide an \
                     sr-name-label or sr-uuid parameter.",
                )
            })?,
        };
        let uuid = api.uuid_of("SR", &sr.text())?;
        let key = Value::from("disks");
        api.act("VM.remove_from_other_config", [made.clone(), key.clone()])?;
        let disks = Value::from(disks_on(&disks, &uuid));
        api.act("VM.add_to_other_config", [made.clone(), key, disks])?;
    }
    api.act("VM.provision", [made.clone()]).map(drop)
}

/// The template's disks (XML: `<disk device="0" size="…" sr="…"/>`) with another SR.
fn disks_on(xml: &str, sr: &str) -> String {
    let mut parts = xml.split("<disk ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("<disk ");
        let end = part.find('>').unwrap_or(part.len());
        let (tag, rest) = part.split_at(end);
        match tag
            .split_once("sr=\"")
            .and_then(|(before, after)| after.split_once('"').map(|(_, after)| (before, after)))
        {
            Some((before, after)) => out.push_str(&format!("{before}sr=\"{sr}\"{after}")),
            None => {
                let (body, end) = tag.strip_suffix('/').map_or((tag, ""), |body| (body, "/"));
                out.push_str(&format!("{} sr=\"{sr}\"{end}", body.trim_end()));
            }
        }
        out.push_str(rest);
    }
    out
}

fn template(api: &mut Api, params: &Params) -> Result<Found, Failure> {
    let names = ["template-uuid", "template-name-label", "template-name", "template"];
    let given = names.iter().find_map(|name| params.get(name));
    let given = given.ok_or_else(|| {
        Failure::plain(
            "Template must be specified by parameter 'template-uuid', 'template-name-label' or \
             'template'",
        )
    })?;
    let view = views::find("template").ok_or_else(|| Failure::plain("this API has no VMs"))?;
    let mut found = filter(api, &view, &[])?;
    if let Some(at) = found.iter().position(|one| one.uuid() == given) {
        return Ok(found.swap_remove(at));
    }
    found.retain(|one| text(&one.record, "name_label") == given);
    match found.len() {
        0 => Err(Failure::plain("No templates matched")),
        1 => Ok(found.remove(0)),
        _ => Err(Failure::plain("More than one matching template found")),
    }
}

/// The SR that the parameters name, if they do.
fn target_sr(api: &mut Api, params: &Params) -> Result<Option<Value>, Failure> {
    if let Some(uuid) = params.get("sr-uuid") {
        return api.reference("SR", uuid).map(Some);
    }
    let Some(name) = params.get("sr-name-label") else {
        return Ok(None);
    };
    let records = api.records(&classes::SR)?;
    let mut found = records.iter().filter(|(_, record)| text(record, "name_label") == name);
    match (found.next(), found.next()) {
        (Some((reference, _)), None) => Ok(Some(Value::Ref(Ref::new(reference)))),
        (None, _) => Err(Failure::plain("No SR with that name-label found")),
        _ => Err(Failure::plain("Multiple SRs with that name-label found")),
    }
}

/// The pool's default SR, if it has one.
pub(super) fn default_sr(api: &mut Api) -> Result<Option<Value>, Failure> {
    let pools = api.records(&classes::POOL)?;
    let reference = pools.values().next().map(|pool| text(pool, "default_SR")).unwrap_or_default();
    let exists = api.records(&classes::SR)?.contains_key(&reference);
    Ok(exists.then(|| Value::Ref(Ref::new(&reference))))
}

fn copy(api: &mut Api, params: &Params, out: &mut Output<'_>, method: &str) -> Result<(), Failure> {
    let mut view = views::find("vm").ok_or_else(|| Failure::plain("this API has no VMs"))?;
    view.always = &[];
    let own = ["new-name-label", "new-name-description", "sr-uuid"];
    let found = selected(api, &view, params, &own)?;
    let [one] = &found[..] else {
        return Err(Failure::plain(
            "Multiple matching VMs found. Operation can only be performed on one VM at a time",
        ));
    };
    say_copy(api, params, out, method, &one.reference)
}

/// Makes a copy, clone or snapshot and prints its uuid.
pub(super) fn say_copy(
    api: &mut Api,
    params: &Params,
    out: &mut Output<'_>,
    method: &str,
    of: &Value,
) -> Result<(), Failure> {
    let mut call = vec![of.clone(), Value::from(params.require("new-name-label")?)];
    if method == "VM.copy" {
        call.push(api.reference("SR", params.get("sr-uuid").unwrap_or_default())?);
    }
    let made = api.act(method, call)?;
    if let Some(text) = params.get("new-name-description") {
        api.act("VM.set_name_description", [made.clone(), Value::from(text)])?;
    }
    let uuid = api.uuid_of("VM", &made.text())?;
    out.value(&uuid)
}

fn copy_bios_strings(api: &mut Api, params: &Params, _: &mut Output<'_>) -> Result<(), Failure> {
    let host = api.reference("host", params.require("host-uuid")?)?;
    let view = views::find("vm").ok_or_else(|| Failure::plain("this API has no VMs"))?;
    each(&selected(api, &view, params, &["host-uuid"])?, |vm| {
        api.act("VM.copy_bios_strings", [vm.reference.clone(), host.clone()]).map(drop)
    })
}

fn uninstall_vms(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let view = views::find("vm").ok_or_else(|| Failure::plain("this API has no VMs"))?;
    let found = selected(api, &view, params, &[])?;
    uninstall(api, params, out, &found)
}

fn uninstall_template(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let uuid = params.require("template-uuid")?;
    let (reference, record) = api.by_uuid(&classes::VM, uuid)?;
    if text(&record, "is_a_template") != "true" {
        return Err(Failure::plain("This operation can only be performed on a template."));
    }
    uninstall(api, params, out, &[Found { reference, record }])
}

fn uninstall_snapshot(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let uuid = params.get("snapshot-uuid").or_else(|| params.get("uuid"));
    let uuid = uuid.ok_or_else(|| Failure::Missing("snapshot-uuid".into()))?;
    let (reference, record) = api.by_uuid(&classes::VM, uuid)?;
    if text(&record, "is_a_snapshot") != "true" {
        return Err(Failure::plain("This operation can only be performed on a VM snapshot."));
    }
    uninstall(api, params, out, &[Found { reference, record }])
}

/// Removes VMs with their own disks, after asking.
fn uninstall(
    api: &mut Api,
    params: &Params,
    out: &mut Output<'_>,
    found: &[Found],
) -> Result<(), Failure> {
    out.remark("The following items are about to be destroyed")?;
    let mut plans = Vec::new();
    for vm in found {
        out.remark(&format!("VM : {} ({})", vm.uuid(), text(&vm.record, "name_label")))?;
        let disks = own_disks(api, &vm.record)?;
        for (_, vdi) in &disks {
            out.remark(&format!("VDI: {} ({})", text(vdi, "uuid"), text(vdi, "name_label")))?;
        }
        plans.push((vm, disks));
    }
    if !params.flag("force")? && !says_yes(out)? {
        return Ok(());
    }
    for (vm, disks) in plans {
        let snapshot = text(&vm.record, "is_a_snapshot") == "true";
        if text(&vm.record, "power_state") != "Halted" && !snapshot {
            api.act("VM.hard_shutdown", [vm.reference.clone()])?;
        }
        api.act("VM.destroy", [vm.reference.clone()])?;
        for (disk, _) in disks {
            api.act("VDI.destroy", [disk])?;
        }
    }
    out.remark("All objects destroyed")
}

/// Disks that were made for a VM, which its VBDs note as XenServer's do, and that no other VM uses.
fn own_disks(api: &mut Api, vm: &Record) -> Result<Vec<(Value, Record)>, Failure> {
    let vbds = api.records(&classes::VBD)?;
    let vdis = api.records(&classes::VDI)?;
    let mine = vm.get("VBDs").and_then(Value::as_set).unwrap_or_default();
    let mut disks = Vec::new();
    for vbd in mine.iter().filter_map(|vbd| vbds.get(&vbd.text())) {
        let reference = text(vbd, "VDI");
        let Some(vdi) = vdis.get(&reference) else { continue };
        let users = vdi.get("VBDs").and_then(Value::as_set).map_or(0, <[Value]>::len);
        let config = vbd.get("other_config").and_then(Value::as_map);
        let owned = config.is_some_and(|config| config.contains_key("owner"));
        // A snapshot's disks were made for it.
        let owned = owned || (text(vm, "is_a_snapshot") == "true" && text(vbd, "type") == "Disk");
        if owned && users <= 1 {
            disks.push((Value::Ref(Ref::new(&reference)), vdi.clone()));
        }
    }
    Ok(disks)
}

fn says_yes(out: &mut Output<'_>) -> Result<bool, Failure> {
    out.remark("Type 'yes' to continue")?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::plain(format!("reading the answer: {error}")))?;
    if answer.trim().eq_ignore_ascii_case("yes") {
        return Ok(true);
    }
    out.remark(&format!("Aborted (you typed: '{}')", answer.trim_end()))?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::disks_on;

    #[test]
    fn disks_move_to_the_sr_that_was_named() {
        let xml = r#"<provision><disk device="0" size="1" sr="old" bootable="true"/><disk device="1" sr=""/><disk device="2"/></provision>"#;
        assert_eq!(
            disks_on(xml, "new"),
            r#"<provision><disk device="0" size="1" sr="new" bootable="true"/><disk device="1" sr="new"/><disk device="2" sr="new"/></provision>"#
        );
        assert_eq!(disks_on("<provision/>", "new"), "<provision/>");
    }
}
