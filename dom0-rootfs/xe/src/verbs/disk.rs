// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disks and network interfaces of VMs.

use std::collections::BTreeMap;

use xapi_model::{Qualifier, Ref, Value, classes};

use super::vm::default_sr;
use super::{Verb, on_vms};
use crate::api::{Api, Record, text};
use crate::failure::Failure;
use crate::output::{Output, Row};
use crate::params::Params;
use crate::parse;
use crate::select::{Found, each, selected};
use crate::views;

pub(super) static VERBS: &[Verb] = &[
    Verb {
        required: &["disk-size", "device"],
        optional: &["sr-uuid"],
        ..on_vms(
            "vm-disk-add",
            &["VDI.create", "VBD.create"],
            "Makes a new disk and gives it to VMs. 'device' is a number that is free there; the \
             disk lies in the given SR, or in the pool's default SR.",
            add,
        )
    },
    Verb {
        optional: &["vbd-params", "vdi-params"],
        ..on_vms(
            "vm-disk-list",
            &["VBD.get_all_records"],
            "Lists the disks of VMs.",
            |api, params, out| list(api, params, out, "Disk"),
        )
    },
    Verb {
        optional: &["vbd-params", "vdi-params"],
        ..on_vms(
            "vm-cd-list",
            &["VBD.get_all_records"],
            "Lists the CD drives of VMs.",
            |api, params, out| list(api, params, out, "CD"),
        )
    },
    Verb {
        required: &["device"],
        ..on_vms(
            "vm-disk-remove",
            &["VBD.destroy", "VDI.destroy"],
            "Takes the disk of this number away from a VM and removes it with its data.",
            remove,
        )
    },
    on_vms("vm-vif-list", &["VIF.get_all_records"], "Lists the network interfaces of VMs.", vifs),
    Verb {
        common: false,
        ..on_vms(
            "vm-crashdump-list",
            &["crashdump.get_all_records"],
            "Lists what is left of crashes of VMs.",
            crash_dumps,
        )
    },
];

fn vms(api: &mut Api, params: &Params, own: &[&str]) -> Result<Vec<Found>, Failure> {
    let view = views::find("vm").ok_or_else(|| Failure::plain("this API has no VMs"))?;
    selected(api, &view, params, own)
}

/// A record with the usual values and these.
pub(super) fn new_record(class: &xapi_model::Class, set: &[(&str, Value)]) -> Value {
    let fields = class.fields.iter().filter(|field| field.qualifier != Qualifier::Runtime);
    let mut record: BTreeMap<String, Value> =
        fields.map(|field| (field.name.to_owned(), field.initial())).collect();
    record.extend(set.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Value::Map(record)
}

fn add(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let size = parse::integer("disk-size", params.require("disk-size")?)?;
    let device = params.require("device")?;
    let sr = match params.get("sr-uuid") {
        Some(uuid) => api.reference("SR", uuid)?,
        None => default_sr(api)?.ok_or_else(|| {
            Failure::plain("No default Pool SR set; you must specify an SR on the commandline")
        })?,
    };
    let found = vms(api, params, &["disk-size", "device", "sr-uuid"])?;
    each(&found, |vm| {
        let disk = new_record(
            &classes::VDI,
            &[
                ("name_label", Value::from("Created by xe")),
                ("name_description", Value::from("Created by xe")),
                ("SR", sr.clone()),
                ("virtual_size", Value::Int(size)),
            ],
        );
        let vdi = api.act("VDI.create", [disk])?;
        let vbd = new_record(
            &classes::VBD,
            &[
                ("VM", vm.reference.clone()),
                ("VDI", vdi.clone()),
                ("userdevice", Value::from(device)),
                ("other_config", Value::string_map([("owner", "")])),
            ],
        );
        if let Err(failure) = api.act("VBD.create", [vbd]) {
            // A disk that nobody uses helps nobody; why it failed is what counts.
            let _ = api.act("VDI.destroy", [vdi]);
            return Err(failure);
        }
        Ok(())
    })
}

/// VBDs of a VM of one type, by number.
pub(super) fn vbds(
    api: &mut Api,
    vm: &Found,
    kind: &str,
) -> Result<Vec<(String, Record)>, Failure> {
    let all = api.records(&classes::VBD)?;
    let mine = vm.record.get("VBDs").and_then(Value::as_set).unwrap_or_default();
    let mut mine: Vec<_> = mine
        .iter()
        .filter_map(|vbd| all.get_key_value(&vbd.text()))
        .filter(|(_, vbd)| text(vbd, "type") == kind)
        .map(|(reference, vbd)| (reference.clone(), vbd.clone()))
        .collect();
    mine.sort_by_key(|(_, vbd)| {
        let device = text(vbd, "userdevice");
        (device.parse::<u64>().unwrap_or(u64::MAX), device)
    });
    Ok(mine)
}

fn list(api: &mut Api, params: &Params, out: &mut Output<'_>, kind: &str) -> Result<(), Failure> {
    let found = vms(api, params, &["vbd-params", "vdi-params"])?;
    each(&found, |vm| show(api, params, out, kind, vm))
}

/// Prints the VBDs of a VM of one type, and what is in them.
pub(super) fn show(
    api: &mut Api,
    params: &Params,
    out: &mut Output<'_>,
    kind: &str,
    vm: &Found,
) -> Result<(), Failure> {
    let brief: &[&str] = match kind {
        "CD" => &["uuid", "vm-name-label", "empty", "userdevice"],
        _ => &["uuid", "vm-name-label", "userdevice"],
    };
    let vdi_brief = ["uuid", "name-label", "sr-name-label", "virtual-size"];
    for (number, (_, vbd)) in vbds(api, vm, kind)?.into_iter().enumerate() {
        out.remark(&format!("{kind} {number} VBD:"))?;
        let shown = row(api, "vbd", &vbd, params.get("vbd-params"), brief)?;
        out.records(&[shown])?;
        let vdis = api.records(&classes::VDI)?;
        if let Some(vdi) = vdis.get(&text(&vbd, "VDI")) {
            out.remark(&format!("{kind} {number} VDI:"))?;
            let shown = row(api, "vdi", vdi, params.get("vdi-params"), &vdi_brief)?;
            out.records(&[shown])?;
        }
    }
    Ok(())
}

/// Fields of an object: those asked for, or the usual ones.
pub(super) fn row(
    api: &mut Api,
    view: &str,
    record: &Record,
    asked: Option<&str>,
    brief: &[&str],
) -> Result<Row, Failure> {
    let Some(view) = views::find(view) else { return Ok(Row::new()) };
    let asked: Option<Vec<&str>> = asked.map(|asked| asked.split(',').collect());
    let mut row = Row::new();
    for field in view.fields() {
        let wanted = match &asked {
            Some(asked) => asked.contains(&"all") || asked.contains(&field.name.as_str()),
            None => brief.contains(&field.name.as_str()),
        };
        if wanted {
            row.push((field.title(), field.text(api, record)?));
        }
    }
    Ok(row)
}

fn remove(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let device = params.require("device")?;
    let found = vms(api, params, &["device"])?;
    each(&found, |vm| {
        let mine = vbds(api, vm, "Disk")?;
        let found = mine.iter().find(|(_, vbd)| text(vbd, "userdevice") == device);
        let (vbd, record) = found.ok_or_else(|| {
            Failure::plain(format!("No disk with device number {device} found on this VM"))
        })?;
        let reference = |text: &str| Value::Ref(Ref::new(text));
        let vdi = text(record, "VDI");
        api.act("VBD.destroy", [reference(vbd)])?;
        api.act("VDI.destroy", [reference(&vdi)]).map(drop)
    })
}

fn vifs(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let found = vms(api, params, &[])?;
    let brief = ["uuid", "vm-name-label", "device", "MAC", "network-uuid", "network-name-label"];
    each(&found, |vm| {
        let all = api.records(&classes::VIF)?;
        let mine = vm.record.get("VIFs").and_then(Value::as_set).unwrap_or_default();
        for vif in mine.iter().filter_map(|vif| all.get(&vif.text())) {
            let shown = row(api, "vif", vif, None, &brief)?;
            out.records(&[shown])?;
        }
        Ok(())
    })
}

fn crash_dumps(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let found = vms(api, params, &[])?;
    let brief = ["uuid", "vm-uuid", "vm-name-label", "vdi-uuid"];
    each(&found, |vm| {
        let all = api.records(&classes::CRASHDUMP)?;
        let mine = vm.record.get("crash_dumps").and_then(Value::as_set).unwrap_or_default();
        for dump in mine.iter().filter_map(|dump| all.get(&dump.text())) {
            let shown = row(api, "crashdump", dump, None, &brief)?;
            out.records(&[shown])?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_records_have_every_field_that_a_client_gives() {
        let record = new_record(&classes::VDI, &[("virtual_size", Value::Int(1))]);
        let record = record.as_map().unwrap();
        assert_eq!(record["virtual_size"], Value::Int(1));
        assert_eq!(record["type"], Value::Enum("user"));
        assert!(record.contains_key("sm_config") && !record.contains_key("uuid"));
    }
}
