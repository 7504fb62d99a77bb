// SPDX-License-Identifier: MIT OR Apache-2.0
//! `host`: clock, SSH, consoles, log and what else Dom0 does; `pool`: the same on every host.

use xapi_model::{ApiError, DateTime, Ref, Reply, Value, errors};

use super::Entry;
use crate::dom0::{self, Dom0, NtpMode};
use crate::failure;
use crate::outgoing;
use crate::store::Transaction;
use crate::toolstack::{Args, Context, Toolstack};

/// Longest time that SSH can be enabled for, in seconds: two days, as on XenServer.
const LONGEST_SSH: i64 = 172_800;
/// Note that SSH goes back to being automatic when its time is over.
const AUTO_AGAIN: &str = "ssh-auto-again";
/// Key of `host.logging` with the host that the log is sent to.
const DESTINATION: &str = "syslog_destination";
/// Most keys for Xen's debug output in one call.
const MOST_KEYS: usize = 64;

pub(super) const HANDLERS: &[Entry] = &[
    ("host.set_servertime", set_servertime),
    ("host.list_timezones", |context, args| {
        let (_, dom0) = of(context, args, "self")?;
        Ok(Value::strings(dom0.zones().map_err(failed)?))
    }),
    ("host.set_timezone", |context, args| {
        let (host, dom0) = of(context, args, "self")?;
        let zone = args.text("value");
        if !dom0.set_zone(zone).map_err(failed)? {
            return Err(errors::INVALID_VALUE.with(["timezone", zone]));
        }
        record(context, |t| t.set(&host, "timezone", zone))
    }),
    ("host.set_ntp_mode", set_ntp_mode),
    ("host.set_ntp_custom_servers", set_ntp_custom_servers),
    ("host.get_ntp_synchronized", |context, args| {
        let (_, dom0) = of(context, args, "self")?;
        Ok(dom0.is_synchronized().map_err(failed)?.into())
    }),
    ("host.get_ntp_servers_status", |context, args| {
        let (_, dom0) = of(context, args, "self")?;
        Ok(Value::string_map(dom0.ntp_status().map_err(failed)?))
    }),
    ("host.enable_ssh", enable_ssh),
    ("host.disable_ssh", |context, args| {
        let (host, _) = of(context, args, "self")?;
        disable_ssh(&context.toolstack, &host)
    }),
    ("host.set_ssh_enabled_timeout", set_ssh_enabled_timeout),
    ("host.set_ssh_auto_mode", |context, args| {
        let (host, dom0) = of(context, args, "self")?;
        let auto = args.bool("value");
        dom0.set_ssh_auto(auto).map_err(failed)?;
        record(context, |t| {
            t.set(&host, "ssh_auto_mode", auto);
            t.set_note(AUTO_AGAIN, None);
            if auto {
                t.set(&host, "ssh_enabled", false);
                t.set(&host, "ssh_expiry", DateTime::EPOCH);
            }
        })
    }),
    ("host.set_console_idle_timeout", |context, args| {
        let (host, dom0) = of(context, args, "self")?;
        let seconds = args.int("value");
        if seconds < 0 {
            return Err(errors::INVALID_VALUE.with(["console_timeout", &seconds.to_string()]));
        }
        dom0.set_console_timeout(seconds).map_err(failed)?;
        record(context, |t| t.set(&host, "console_idle_timeout", seconds))
    }),
    ("pool.enable_ssh", |context, args| on_all(context, args, "host.enable_ssh")),
    ("pool.disable_ssh", |context, args| on_all(context, args, "host.disable_ssh")),
    ("pool.set_ssh_enabled_timeout", |context, args| {
        on_all(context, args, "host.set_ssh_enabled_timeout")
    }),
    ("pool.set_ssh_auto_mode", |context, args| on_all(context, args, "host.set_ssh_auto_mode")),
    ("pool.set_console_idle_timeout", |context, args| {
        on_all(context, args, "host.set_console_idle_timeout")
    }),
    ("host.syslog_reconfigure", syslog_reconfigure),
    ("host.dmesg", |context, args| console(context, args, false)),
    ("host.dmesg_clear", |context, args| console(context, args, true)),
    ("host.send_debug_keys", send_debug_keys),
    ("host.set_iscsi_iqn", set_iscsi_iqn),
    ("host.get_tracked_user_agents", |context, args| {
        of(context, args, "self")?;
        Ok(Value::string_map(context.toolstack.user_agents.all()))
    }),
    ("host.set_ssl_legacy", |context, args| {
        of(context, args, "self")?;
        if args.bool("value") {
            let reason = "versions of TLS before 1.2 are not spoken";
            return Err(errors::VALUE_NOT_SUPPORTED.with(["value", "true", reason]));
        }
        Ok(Value::Void)
    }),
    ("pool.disable_ssl_legacy", |context, args| {
        context.toolstack.look("pool", &args.to("self"), |_, _| Value::Void)
    }),
    ("host.bugreport_upload", bugreport_upload),
    ("host.shutdown_agent", |context, _| {
        context.toolstack.power.stop_daemon().map_err(failed)?;
        Ok(Value::Void)
    }),
];

fn failed(error: anyhow::Error) -> ApiError {
    errors::INTERNAL_ERROR.with([format!("{error:#}")])
}

/// The host that a call is about, and its Dom0.
fn of<'a>(context: &'a Context, args: &Args<'_>, name: &str) -> Result<(Ref, &'a Dom0), ApiError> {
    let host = args.to(name);
    context.toolstack.look("host", &host, |_, _| ())?;
    Ok((host, &context.toolstack.dom0))
}

fn record(context: &Context, change: impl FnOnce(&mut Transaction<'_>)) -> Reply {
    context.store().write(|t| {
        change(t);
        Ok(Value::Void)
    })
}

/// Calls a message of every host of the pool, with the call's other parameters.
fn on_all(context: &Context, args: &Args<'_>, message: &str) -> Reply {
    context.toolstack.look("pool", &args.to("self"), |_, _| ())?;
    for host in context.store().read(|objects| {
        objects.all("host").map(|host| host.reference().clone()).collect::<Vec<_>>()
    }) {
        let rest = args.all().iter().skip(1).cloned();
        super::call(context, message, std::iter::once(host.into()).chain(rest).collect())?;
    }
    Ok(Value::Void)
}

fn mode(context: &Context, host: &Ref) -> Result<(NtpMode, Vec<String>), ApiError> {
    context.toolstack.look("host", host, |host, _| {
        let mode = NtpMode::find(host.text("ntp_mode")).unwrap_or(NtpMode::Factory);
        (mode, texts(host.get("ntp_custom_servers")))
    })
}

fn texts(value: &Value) -> Vec<String> {
    value.as_set().unwrap_or_default().iter().map(Value::text).collect()
}

fn set_servertime(context: &Context, args: &Args<'_>) -> Reply {
    let (host, dom0) = of(context, args, "self")?;
    if mode(context, &host)?.0 != NtpMode::Disabled {
        return Err(errors::NOT_ALLOWED_WHEN_NTP_IS_ENABLED.with([host.as_str()]));
    }
    let Value::DateTime(DateTime(seconds)) = *args.get("value") else {
        return Err(errors::INVALID_VALUE.with(["value", args.text("value")]));
    };
    dom0.set_time(seconds).map_err(failed)?;
    Ok(Value::Void)
}

fn set_ntp_mode(context: &Context, args: &Args<'_>) -> Reply {
    let (host, dom0) = of(context, args, "self")?;
    let (_, servers) = mode(context, &host)?;
    let name = args.text("value");
    let wanted = NtpMode::find(name);
    let wanted = wanted.ok_or_else(|| errors::INVALID_VALUE.with(["ntp_mode", name]))?;
    if wanted == NtpMode::Custom && servers.is_empty() {
        let reason = "ntp_custom_servers is empty";
        return Err(errors::INVALID_NTP_CONFIG.with([reason]));
    }
    dom0.set_ntp(wanted, &servers).map_err(failed)?;
    record(context, |t| t.set(&host, "ntp_mode", Value::Enum(wanted.name())))
}

fn set_ntp_custom_servers(context: &Context, args: &Args<'_>) -> Reply {
    let (host, dom0) = of(context, args, "self")?;
    let servers = texts(args.get("value"));
    if let Some(bad) = servers.iter().find(|server| !dom0::is_server(server)) {
        return Err(errors::INVALID_VALUE.with(["ntp_custom_servers", bad]));
    }
    if mode(context, &host)?.0 == NtpMode::Custom {
        if servers.is_empty() {
            let reason = "ntp_mode is Custom, which needs a server";
            return Err(errors::INVALID_NTP_CONFIG.with([reason]));
        }
        dom0.set_ntp(NtpMode::Custom, &servers).map_err(failed)?;
    }
    record(context, |t| t.set(&host, "ntp_custom_servers", Value::strings(servers)))
}

/// When SSH that is enabled now is to end.
fn expiry(timeout: i64) -> DateTime {
    match timeout {
        0 => DateTime::EPOCH,
        seconds => DateTime(DateTime::now().0.saturating_add(seconds)),
    }
}

fn enable_ssh(context: &Context, args: &Args<'_>) -> Reply {
    let (host, dom0) = of(context, args, "self")?;
    let looked = context.toolstack.look("host", &host, |host, _| {
        (host.int("ssh_enabled_timeout"), host.bool("ssh_auto_mode"))
    });
    let (timeout, auto) = looked?;
    dom0.set_ssh_auto(false).and_then(|()| dom0.set_ssh(true)).map_err(failed)?;
    record(context, |t| {
        t.set(&host, "ssh_auto_mode", false);
        t.set(&host, "ssh_enabled", true);
        t.set(&host, "ssh_expiry", expiry(timeout));
        t.set_note(AUTO_AGAIN, (auto && timeout > 0).then(String::new));
    })
}

fn disable_ssh(toolstack: &Toolstack, host: &Ref) -> Reply {
    toolstack.dom0.set_ssh(false).map_err(failed)?;
    toolstack.store.write(|t| {
        t.set(host, "ssh_enabled", false);
        // As on XenServer: when it ended.
        t.set(host, "ssh_expiry", DateTime::now());
        t.set_note(AUTO_AGAIN, None);
        Ok(Value::Void)
    })
}

fn set_ssh_enabled_timeout(context: &Context, args: &Args<'_>) -> Reply {
    let (host, _) = of(context, args, "self")?;
    let timeout = args.int("value");
    if !(0..=LONGEST_SSH).contains(&timeout) {
        return Err(errors::INVALID_VALUE.with(["ssh_enabled_timeout", &timeout.to_string()]));
    }
    context.store().write(|t| {
        let enabled = t.get("host", &host)?.bool("ssh_enabled");
        t.set(&host, "ssh_enabled_timeout", timeout);
        if enabled {
            t.set(&host, "ssh_expiry", expiry(timeout));
        }
        Ok(Value::Void)
    })
}

/// Ends SSH whose time is over, and follows what DHCP says of time servers. Called now and then.
pub fn follow_services(toolstack: &Toolstack) {
    if let Err(error) = toolstack.dom0.follow_leases() {
        tracing::warn!("{error:#}");
    }
    let now = DateTime::now();
    let due = toolstack.store.read(|objects| {
        let host = objects.all("host").next()?;
        let Value::DateTime(end) = *host.get("ssh_expiry") else { return None };
        let due = host.bool("ssh_enabled") && end != DateTime::EPOCH && end <= now;
        due.then(|| (host.reference().clone(), objects.note(AUTO_AGAIN).is_some()))
    });
    let Some((host, auto)) = due else { return };
    let ended = disable_ssh(toolstack, &host).and_then(|_| match auto {
        false => Ok(Value::Void),
        true => {
            toolstack.dom0.set_ssh_auto(true).map_err(failed)?;
            toolstack.store.write(|t| {
                t.set(&host, "ssh_auto_mode", true);
                Ok(Value::Void)
            })
        }
    });
    match ended {
        Ok(_) => tracing::info!("the time for SSH is over"),
        Err(error) => tracing::error!(%error, "ending SSH"),
    }
}

fn syslog_reconfigure(context: &Context, args: &Args<'_>) -> Reply {
    let (host, dom0) = of(context, args, "host")?;
    let destination = context.toolstack.look("host", &host, |host, _| {
        host.entry("logging", DESTINATION).unwrap_or_default().to_owned()
    })?;
    if !destination.is_empty() && !dom0::is_destination(&destination) {
        return Err(errors::INVALID_VALUE.with([DESTINATION, &destination]));
    }
    dom0.set_syslog(&destination).map_err(failed)?;
    Ok(Value::Void)
}

fn console(context: &Context, args: &Args<'_>, clear: bool) -> Reply {
    of(context, args, "host")?;
    let said = context.toolstack.hypervisor.console_ring(clear);
    Ok(said.map_err(|error| errors::INTERNAL_ERROR.with([failure::chain(&error)]))?.into())
}

fn send_debug_keys(context: &Context, args: &Args<'_>) -> Reply {
    of(context, args, "host")?;
    let keys = args.text("keys");
    if keys.is_empty() || keys.len() > MOST_KEYS || !keys.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(errors::INVALID_VALUE.with(["keys", keys]));
    }
    let sent = context.toolstack.hypervisor.send_debug_keys(keys);
    sent.map_err(|error| errors::INTERNAL_ERROR.with([failure::chain(&error)]))?;
    Ok(Value::Void)
}

/// What is asked for first when a host does not do what it should, as one text.
fn bugreport_upload(context: &Context, args: &Args<'_>) -> Reply {
    let (host, dom0) = of(context, args, "host")?;
    let toolstack = &context.toolstack;
    let (url, proxy) = outgoing::target(args)?;
    let versions = toolstack.look("host", &host, |host, _| host.map("software_version").clone())?;
    let mut report: String =
        versions.iter().map(|(name, version)| format!("{name}: {}\n", version.text())).collect();
    let xen = toolstack.hypervisor.console_ring(false);
    let xen = xen.map_err(|error| errors::INTERNAL_ERROR.with([failure::chain(&error)]))?;
    report.push_str(&format!("\n[xen]\n{xen}\n[dom0]\n{}", dom0.journal().map_err(failed)?));
    let sent = outgoing::put(&toolstack.authorities, url, proxy, &mut report.as_bytes());
    sent.map_err(failed)?;
    Ok(Value::Void)
}

fn set_iscsi_iqn(context: &Context, args: &Args<'_>) -> Reply {
    let (host, dom0) = of(context, args, "host")?;
    let name = args.text("value");
    if !dom0::is_iscsi_name(name) {
        return Err(errors::INVALID_VALUE.with(["value", name]));
    }
    dom0.set_iscsi_name(name).map_err(failed)?;
    record(context, |t| t.set(&host, "iscsi_iqn", name))
}
