// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of VMs while they run: resume, checkpoint, snapshots, media, devices, virtual CPUs.

use xapi_model::{Ref, Value, classes};

use super::power::{host, vms};
use super::{Verb, on_vms, plain};
use crate::api::{Api, text};
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;
use crate::parse;
use crate::select::{Found, each, selected};

const SNAPSHOT: &[&str] = &["snapshot-uuid", "uuid"];

pub(super) static VERBS: &[Verb] = &[
    Verb {
        optional: &["force", "on"],
        ..on_vms(
            "vm-resume",
            &["VM.resume", "VM.resume_on"],
            "Lets suspended VMs go on. 'on' takes the name or uuid of the host.",
            resume,
        )
    },
    Verb {
        required: &["new-vcpus"],
        common: false,
        ..on_vms(
            "vm-vcpu-hotplug",
            &["VM.set_VCPUs_number_live"],
            "Gives VMs that run more or fewer of their virtual CPUs.",
            vcpus,
        )
    },
    Verb {
        required: &["cd-name"],
        ..on_vms(
            "vm-cd-insert",
            &["VBD.insert"],
            "Puts the VDI of this name into the empty CD drive of a VM.",
            cd_insert,
        )
    },
    on_vms("vm-cd-eject", &["VBD.eject"], "Empties the CD drive of a VM.", cd_eject),
    plain(
        "snapshot-revert",
        &[],
        SNAPSHOT,
        &["VM.revert"],
        "Turns the VM of a snapshot into what it was then. What it has become since is lost.",
        |api, params, _| {
            let snapshot = snapshot(api, params)?;
            api.act("VM.revert", [snapshot]).map(drop)
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
            api.act("VM.destroy", [snapshot]).map(drop)
        },
    ),
    plain(
        "vbd-unplug",
        &["uuid"],
        &["force"],
        &["VBD.unplug", "VBD.unplug_force"],
        "Takes a disk from its VM, which runs; --force whatever the guest says.",
        |api, params, _| unplug(api, params, &classes::VBD),
    ),
    plain(
        "vif-unplug",
        &["uuid"],
        &["force"],
        &["VIF.unplug", "VIF.unplug_force"],
        "Takes a network interface from its VM, which runs; --force whatever the guest says.",
        |api, params, _| unplug(api, params, &classes::VIF),
    ),
];

fn resume(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let host = params.get("on").map(|name| host(api, name)).transpose()?;
    let flags = [Value::from(false), Value::from(params.flag("force")?)];
    let found = selected(api, &vms()?, params, &["on"])?;
    each(&found, |vm| {
        let this = vm.reference.clone();
        let method = if host.is_some() { "VM.resume_on" } else { "VM.resume" };
        let params = std::iter::once(this).chain(host.clone()).chain(flags.clone());
        api.act(method, params).map(drop)
    })
}

fn vcpus(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let count = Value::Int(parse::integer("new-vcpus", params.require("new-vcpus")?)?);
    let found = selected(api, &vms()?, params, &["new-vcpus"])?;
    each(&found, |vm| {
        api.act("VM.set_VCPUs_number_live", [vm.reference.clone(), count.clone()]).map(drop)
    })
}

/// CD drives of a VM that are empty, or that are not.
fn drive(api: &mut Api, vm: &Found, empty: bool) -> Result<Value, Failure> {
    let all = api.records(&classes::VBD)?;
    let mine = vm.record.get("VBDs").and_then(Value::as_set).unwrap_or_default();
    let mine = mine.iter().map(Value::text).filter(|vbd| {
        let wanted = if empty { "true" } else { "false" };
        all.get(vbd).is_some_and(|vbd| text(vbd, "type") == "CD" && text(vbd, "empty") == wanted)
    });
    match mine.collect::<Vec<_>>().as_slice() {
        [one] => Ok(Value::Ref(Ref::new(one))),
        [] if empty => Err(Failure::plain("The VM has no empty CD drive")),
        [] => Err(Failure::plain("No CD drive of the VM has anything in it")),
        _ => Err(Failure::plain("The VM has several such drives; use vbd-insert or vbd-eject")),
    }
}

fn cd_insert(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let name = params.require("cd-name")?;
    let vdis = api.records(&classes::VDI)?;
    let named: Vec<_> = vdis.iter().filter(|(_, vdi)| text(vdi, "name_label") == name).collect();
    let [(vdi, _)] = &named[..] else {
        let count = if named.is_empty() { "No" } else { "More than one" };
        return Err(Failure::plain(format!("{count} VDI is called {name}")));
    };
    let found = selected(api, &vms()?, params, &["cd-name"])?;
    each(&found, |vm| {
        let drive = drive(api, vm, true)?;
        api.act("VBD.insert", [drive, Value::Ref(Ref::new(vdi))]).map(drop)
    })
}

fn cd_eject(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let found = selected(api, &vms()?, params, &[])?;
    each(&found, |vm| {
        let drive = drive(api, vm, false)?;
        api.act("VBD.eject", [drive]).map(drop)
    })
}

/// The snapshot that the parameters name.
fn snapshot(api: &mut Api, params: &Params) -> Result<Value, Failure> {
    let uuid = SNAPSHOT.iter().find_map(|name| params.get(name));
    let uuid = uuid.ok_or_else(|| Failure::Missing("snapshot-uuid".into()))?;
    let (reference, record) = api.by_uuid(&classes::VM, uuid)?;
    if text(&record, "is_a_snapshot") != "true" {
        return Err(Failure::plain("This operation can only be performed on a VM snapshot."));
    }
    Ok(reference)
}

fn unplug(
    api: &mut Api,
    params: &Params,
    class: &'static xapi_model::Class,
) -> Result<(), Failure> {
    let (this, _) = api.by_uuid(class, params.require("uuid")?)?;
    let forced = if params.flag("force")? { "_force" } else { "" };
    api.act(&format!("{}.unplug{forced}", class.name), [this]).map(drop)
}
