// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vm-start`, `vm-shutdown`, `vm-reboot`, `vm-reset-powerstate`.

use xapi_model::Value;

use super::{Verb, on_vms};
use crate::api::{Api, known, text};
use crate::failure::Failure;
use crate::output::Output;
use crate::params::Params;
use crate::select::{each, selected};
use crate::views::{self, View};

pub(super) static VERBS: &[Verb] = &[
    Verb {
        optional: &["force", "on", "paused"],
        ..on_vms(
            "vm-start",
            &["VM.start", "VM.start_on"],
            "Starts halted VMs. 'on' takes the name or uuid of the host; --paused leaves them \
             paused; --force skips checks.",
            start,
        )
    },
    Verb {
        optional: &["force"],
        ..on_vms(
            "vm-shutdown",
            &["VM.clean_shutdown", "VM.hard_shutdown"],
            "Asks the guests to power off and waits until they have. --force stops them at once, \
             as if their plug were pulled.",
            |api, params, _| either(api, params, "VM.hard_shutdown", "VM.clean_shutdown"),
        )
    },
    Verb {
        optional: &["force"],
        ..on_vms(
            "vm-reboot",
            &["VM.clean_reboot", "VM.hard_reboot"],
            "Asks the guests to reboot and waits until they run again. --force stops and starts \
             them at once.",
            |api, params, _| either(api, params, "VM.hard_reboot", "VM.clean_reboot"),
        )
    },
    Verb {
        required: &["force"],
        common: false,
        ..on_vms(
            "vm-reset-powerstate",
            &["VM.power_state_reset"],
            "Declares VMs halted, and removes what is left of their domains. For VMs that are \
             known not to run although they are said to.",
            |api, params, _| either(api, params, "VM.power_state_reset", ""),
        )
    },
];

pub(super) fn vms() -> Result<View, Failure> {
    views::find("vm").ok_or_else(|| Failure::plain("this API has no VMs"))
}

fn start(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let host = params.get("on").map(|name| host(api, name)).transpose()?;
    let flags = [params.flag("paused")?, params.flag("force")?].map(Value::from);
    let found = selected(api, &vms()?, params, &["on", "paused"])?;
    each(&found, |vm| {
        let this = vm.reference.clone();
        match &host {
            Some(host) => {
                api.act("VM.start_on", [this, host.clone()].into_iter().chain(flags.clone()))
            }
            None => api.act("VM.start", std::iter::once(this).chain(flags.clone())),
        }
        .map(drop)
    })
}

pub(super) fn host(api: &mut Api, name: &str) -> Result<Value, Failure> {
    let class = known("host").ok_or_else(|| Failure::plain("this API has no hosts"))?;
    let records = api.records(class)?;
    let found = records
        .iter()
        .find(|(_, record)| text(record, "uuid") == name || text(record, "name_label") == name);
    let (reference, _) = found.ok_or_else(|| Failure::plain(format!("Host {name} not found")))?;
    Ok(Value::Ref(xapi_model::Ref::new(reference)))
}

/// One message with `--force`, another one without; an empty one: not without.
fn either(api: &mut Api, params: &Params, hard: &str, clean: &str) -> Result<(), Failure> {
    let method = if params.flag("force")? { hard } else { clean };
    if method.is_empty() {
        return Err(Failure::plain(
            "This operation is dangerous and may cause data loss. This operation must be forced \
             (use --force).",
        ));
    }
    let found = selected(api, &vms()?, params, &[])?;
    each(&found, |vm| api.act(method, [vm.reference.clone()]).map(drop))
}
