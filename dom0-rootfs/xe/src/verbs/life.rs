// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of VMs while they run: resume, devices, virtual CPUs.

use xapi_model::{Value, classes};

use super::power::{host, vms};
use super::{Verb, on_vms, plain};
use crate::api::Api;
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;
use crate::parse;
use crate::select::{each, selected};

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

fn unplug(
    api: &mut Api,
    params: &Params,
    class: &'static xapi_model::Class,
) -> Result<(), Failure> {
    let (this, _) = api.by_uuid(class, params.require("uuid")?)?;
    let forced = if params.flag("force")? { "_force" } else { "" };
    api.act(&format!("{}.unplug{forced}", class.name), [this]).map(drop)
}
