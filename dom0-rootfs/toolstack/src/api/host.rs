// SPDX-License-Identifier: MIT OR Apache-2.0
//! `host`.

use xapi_model::{ApiError, DateTime, Ref, Reply, Value, errors};

use super::Entry;
use crate::dispatch;
use crate::memory;
use crate::store::{Object, Objects};
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
        let time = context.toolstack.dom0.local_time(DateTime::now());
        let failed = |error| errors::INTERNAL_ERROR.with([format!("{error:#}")]);
        time.map(Value::LocalTime).map_err(failed)
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
    ("host.evacuate", |context, args| {
        let host = this(context, args)?;
        if context.toolstack.look("host", &host, |host, _| host.bool("enabled"))? {
            return Err(errors::HOST_NOT_DISABLED.bare());
        }
        movable(context, args)
    }),
    ("host.assert_can_evacuate", movable),
    ("host.get_uncooperative_resident_VMs", |context, args| {
        let vms = context.toolstack.look("host", &args.to("self"), guests)?;
        let mut uncooperative = Vec::new();
        for vm in vms {
            if !memory::has_target(&context.toolstack, &vm)? {
                uncooperative.push(Value::Ref(vm));
            }
        }
        Ok(Value::Set(uncooperative))
    }),
    ("host.set_hostname_live", |context, args| rename(context, args, "host", "hostname")),
    ("host.set_hostname", |context, args| rename(context, args, "self", "value")),
    ("host.restart_agent", |context, args| {
        this(context, args)?;
        context.toolstack.power.restart_daemon().map_err(failed)?;
        Ok(Value::Void)
    }),
    // Every change was on disk before it was answered.
    ("host.sync_data", |context, args| this(context, args).map(|_| Value::Void)),
    ("host.get_log", |context, args| {
        this(context, args)?;
        Ok(context.toolstack.power.log().map_err(failed)?.into())
    }),
    ("host.set_power_on_mode", |context, args| {
        let host = args.to("self");
        context.store().write(|t| {
            t.get("host", &host)?;
            for name in ["power_on_mode", "power_on_config"] {
                t.set(&host, name, args.get(name).clone());
            }
            Ok(Value::Void)
        })
    }),
    ("host.list_methods", |_, _| Ok(Value::strings(dispatch::methods()))),
];

fn this(context: &Context, args: &Args<'_>) -> Result<Ref, ApiError> {
    let host = args.to("host");
    context.toolstack.look("host", &host, |_, _| ())?;
    Ok(host)
}

fn failed(error: anyhow::Error) -> ApiError {
    errors::INTERNAL_ERROR.with([format!("{error:#}")])
}

/// The pool has no other host, so no VM may be here.
fn movable(context: &Context, args: &Args<'_>) -> Reply {
    context.toolstack.look("host", &args.to("host"), |host, objects| {
        match guests(host, objects).is_empty() {
            true => Ok(Value::Void),
            false => Err(errors::NO_HOSTS_AVAILABLE.bare()),
        }
    })?
}

/// VMs that run on a host.
fn guests(host: &Object, objects: &Objects) -> Vec<Ref> {
    let mut residents = host.refs("resident_VMs");
    residents.retain(|vm| objects.find(vm).is_some_and(|vm| !vm.bool("is_control_domain")));
    residents
}

/// Whether a text is a host name (RFC 1123, 2.1): labels of letters, digits and dashes.
fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 64 && text.split('.').all(label)
}

fn rename(context: &Context, args: &Args<'_>, host: &str, name: &str) -> Reply {
    let (host, name) = (args.to(host), args.text(name));
    context.toolstack.look("host", &host, |_, _| ())?;
    if !is_hostname(name) {
        let reason = format!("{name:?} has other signs than letters, digits, dashes and dots");
        return Err(errors::HOST_NAME_INVALID.with([reason]));
    }
    context.toolstack.power.set_hostname(name).map_err(failed)?;
    context.store().write(|t| {
        t.set(&host, "hostname", name);
        Ok(Value::Void)
    })
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
        match guests(object, objects).first() {
            Some(vm) => Err(errors::HOST_IN_USE.with([host.as_str(), "VM", vm.as_str()])),
            None => Ok(()),
        }
    })??;
    let power = &context.toolstack.power;
    let begun = if reboot { power.reboot() } else { power.off() };
    begun.map_err(failed)?;
    Ok(Value::Void)
}

fn compute_free_memory(context: &Context, args: &Args<'_>) -> Reply {
    this(context, args)?;
    let kib = memory::available_kib(&context.toolstack)?;
    Ok(Value::Int(crate::vdis::bytes(kib.saturating_mul(1024))))
}

fn get_vms_which_prevent_evacuation(context: &Context, args: &Args<'_>) -> Reply {
    context.toolstack.look("host", &args.to("self"), |host, objects| {
        // The pool has no other host.
        let reason = Value::strings([errors::NO_HOSTS_AVAILABLE.name]);
        let all = guests(host, objects);
        Value::Map(all.iter().map(|vm| (vm.to_string(), reason.clone())).collect())
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

#[cfg(test)]
mod tests {
    use super::is_hostname;

    #[test]
    fn host_names() {
        for good in ["host", "host-1.example.org", "1"] {
            assert!(is_hostname(good), "{good}");
        }
        for bad in ["", "-x", "x-", "a..b", "a b", "x;reboot", "h\u{f6}st", &"x".repeat(64)] {
            assert!(!is_hostname(bad), "{bad}");
        }
    }
}
