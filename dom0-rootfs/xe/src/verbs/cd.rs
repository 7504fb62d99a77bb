// SPDX-License-Identifier: MIT OR Apache-2.0
//! CD drives of VMs and what is in them.

use xapi_model::{Ref, Value, classes};

use super::disk::{new_record, row, vbds};
use super::power::vms;
use super::{Verb, on_vms, plain};
use crate::api::{Api, Record, text};
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;
use crate::select::{Found, each, selected};

pub(super) static VERBS: &[Verb] = &[
    Verb {
        required: &["cd-name", "device"],
        ..on_vms(
            "vm-cd-add",
            &["VBD.create"],
            "Gives VMs a CD drive with the VDI of this name in it. 'device' is a number that is free \
             there.",
            add,
        )
    },
    Verb {
        required: &["cd-name"],
        ..on_vms(
            "vm-cd-remove",
            &["VBD.destroy"],
            "Takes the CD drive with the VDI of this name away from VMs.",
            remove,
        )
    },
    Verb {
        required: &["cd-name"],
        ..on_vms(
            "vm-cd-insert",
            &["VBD.insert"],
            "Puts the VDI of this name into the empty CD drive of a VM.",
            insert,
        )
    },
    Verb {
        common: true,
        ..plain(
            "cd-list",
            &[],
            &["params"],
            &["SR.get_all_records", "VDI.get_all_records"],
            "Lists the CDs that VMs can be given: what is in SRs of content type iso.",
            list,
        )
    },
    on_vms("vm-cd-eject", &["VBD.eject"], "Empties the CD drive of a VM.", eject),
];

fn list(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let srs = api.records(&classes::SR)?;
    let of_discs = |vdi: &Record| {
        srs.get(&text(vdi, "SR")).is_some_and(|sr| text(sr, "content_type") == "iso")
    };
    let vdis = api.records(&classes::VDI)?;
    let mut rows = Vec::new();
    for disc in vdis.values().filter(|vdi| of_discs(vdi)) {
        rows.push(row(api, "vdi", disc, params.get("params"), &["uuid", "name-label"])?);
    }
    out.records(&rows)
}

/// The only VDI that `cd-name` names.
fn disc(api: &mut Api, params: &Params) -> Result<Value, Failure> {
    let name = params.require("cd-name")?;
    let vdis = api.records(&classes::VDI)?;
    let named: Vec<_> = vdis.iter().filter(|(_, vdi)| text(vdi, "name_label") == name).collect();
    match &named[..] {
        [(vdi, _)] => Ok(Value::Ref(Ref::new(vdi))),
        [] => Err(Failure::plain(format!("No VDI is called {name}"))),
        _ => Err(Failure::plain(format!("More than one VDI is called {name}"))),
    }
}

/// The only CD drive of a VM that is empty, or that is not.
fn drive(api: &mut Api, vm: &Found, empty: bool) -> Result<Value, Failure> {
    let wanted = if empty { "true" } else { "false" };
    let drives = vbds(api, vm, "CD")?.into_iter().filter(|(_, vbd)| text(vbd, "empty") == wanted);
    match drives.collect::<Vec<_>>().as_slice() {
        [(one, _)] => Ok(Value::Ref(Ref::new(one))),
        [] if empty => Err(Failure::plain("The VM has no empty CD drive")),
        [] => Err(Failure::plain("No CD drive of the VM has anything in it")),
        _ => Err(Failure::plain("The VM has several such drives; use vbd-insert or vbd-eject")),
    }
}

fn add(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let (vdi, device) = (disc(api, params)?, params.require("device")?);
    let found = selected(api, &vms()?, params, &["cd-name", "device"])?;
    each(&found, |vm| {
        let vbd = new_record(
            &classes::VBD,
            &[
                ("VM", vm.reference.clone()),
                ("VDI", vdi.clone()),
                ("userdevice", Value::from(device)),
                ("type", Value::from("CD")),
                ("mode", Value::from("RO")),
                ("unpluggable", Value::from(true)),
            ],
        );
        api.act("VBD.create", [vbd]).map(drop)
    })
}

fn remove(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let disc = disc(api, params)?.text();
    let found = selected(api, &vms()?, params, &["cd-name"])?;
    each(&found, |vm| {
        let drives = vbds(api, vm, "CD")?.into_iter().filter(|(_, vbd)| text(vbd, "VDI") == disc);
        let drives: Vec<_> = drives.collect();
        if drives.is_empty() {
            return Err(Failure::plain("It is in no CD drive of the VM"));
        }
        drives.iter().try_for_each(|(drive, _)| {
            api.act("VBD.destroy", [Value::Ref(Ref::new(drive))]).map(drop)
        })
    })
}

fn insert(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let disc = disc(api, params)?;
    let found = selected(api, &vms()?, params, &["cd-name"])?;
    each(&found, |vm| {
        let drive = drive(api, vm, true)?;
        api.act("VBD.insert", [drive, disc.clone()]).map(drop)
    })
}

fn eject(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let found = selected(api, &vms()?, params, &[])?;
    each(&found, |vm| {
        let drive = drive(api, vm, false)?;
        api.act("VBD.eject", [drive]).map(drop)
    })
}
