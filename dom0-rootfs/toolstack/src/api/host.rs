// SPDX-License-Identifier: MIT OR Apache-2.0
//! `host`.

use xapi_model::{ApiError, DateTime, Ref, Reply, Value, errors};

use super::Entry;
use crate::dispatch;
use crate::failure;
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    ("host.enable", |context, args| enable(context, args, true)),
    ("host.disable", |context, args| enable(context, args, false)),
    ("host.shutdown", |context, args| power(context, args, false)),
    ("host.reboot", |context, args| power(context, args, true)),
    ("host.get_servertime", |context, args| {
        this(context, args)?;
        Ok(DateTime::now().into())
    }),
    ("host.get_server_localtime", |context, args| {
        this(context, args)?;
        Ok(DateTime::now().into())
    }),
    ("host.get_server_certificate", |context, args| {
        this(context, args)?;
        Ok(context.toolstack.identity.certificate_pem().into())
    }),
    ("host.compute_free_memory", compute_free_memory),
    ("host.compute_memory_overhead", |context, args| {
        let host = this(context, args)?;
        context.toolstack.look("host", &host, |host, _| host.get("memory_overhead").clone())
    }),
    ("host.get_management_interface", get_management_interface),
    ("host.get_vms_which_prevent_evacuation", get_vms_which_prevent_evacuation),
    ("host.list_methods", |_, _| Ok(Value::strings(dispatch::methods()))),
];

fn this(context: &Context, args: &Args<'_>) -> Result<Ref, ApiError> {
    let host = args.to("host");
    context.toolstack.look("host", &host, |_, _| ())?;
    Ok(host)
}

fn enable(context: &Context, args: &Args<'_>, enabled: bool) -> Reply {
    let host = this(context, args)?;
    context.store().write(|t| {
        t.set(&host, "enabled", enabled);
        Ok(Value::Void)
    })
}

fn power(context: &Context, args: &Args<'_>, reboot: bool) -> Reply {
    let host = this(context, args)?;
    context.toolstack.look("host", &host, |object, objects| {
        if object.bool("enabled") {
            return Err(errors::HOST_NOT_DISABLED.bare());
        }
        let residents = object.refs("resident_VMs");
        let mut guests = residents
            .iter()
            .filter(|vm| objects.find(vm).is_some_and(|vm| !vm.bool("is_control_domain")));
        match guests.next() {
            Some(vm) => Err(errors::HOST_IN_USE.with([host.as_str(), "VM", vm.as_str()])),
            None => Ok(()),
        }
    })??;
    let power = &context.toolstack.power;
    let begun = if reboot { power.reboot() } else { power.off() };
    begun.map_err(|error| errors::INTERNAL_ERROR.with([format!("{error:#}")]))?;
    Ok(Value::Void)
}

fn compute_free_memory(context: &Context, args: &Args<'_>) -> Reply {
    this(context, args)?;
    let info = context.toolstack.hypervisor.host();
    let info = info.map_err(|e| errors::INTERNAL_ERROR.with([failure::chain(&e)]))?;
    Ok(Value::Int(crate::vdis::bytes(info.memory_free_kib.saturating_mul(1024))))
}

fn get_vms_which_prevent_evacuation(context: &Context, args: &Args<'_>) -> Reply {
    context.toolstack.look("host", &args.to("self"), |host, objects| {
        let residents = host.refs("resident_VMs");
        let guests = residents
            .iter()
            .filter(|vm| objects.find(vm).is_some_and(|vm| !vm.bool("is_control_domain")));
        // The pool has no other host.
        let reason = Value::strings([errors::NO_HOSTS_AVAILABLE.name]);
        Value::Map(guests.map(|vm| (vm.to_string(), reason.clone())).collect())
    })
}

fn get_management_interface(context: &Context, args: &Args<'_>) -> Reply {
    let host = this(context, args)?;
    Ok(context.store().read(|objects| {
        let mut pifs = objects.all("PIF");
        let pif = pifs.find(|pif| pif.to("host") == host && pif.bool("management"));
        Value::Ref(pif.map_or_else(Ref::null, |pif| pif.reference().clone()))
    }))
}
