// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of VMs while they run: resume, checkpoint, snapshots, devices, virtual CPUs.

use xapi_model::{Value, classes};

use super::power::{host, vms};
use super::{Verb, on_vms, plain};
use crate::api::{Api, text};
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;
use crate::parse;
use crate::select::{each, selected};

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
