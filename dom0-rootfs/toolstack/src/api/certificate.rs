// SPDX-License-Identifier: MIT OR Apache-2.0
//! `Certificate`, and certificates of `host` and `pool`.

use xapi_model::{ApiError, DateTime, Reply, Value, errors};

use super::Entry;
use crate::server::certificate;
use crate::toolstack::{Args, Context};
use crate::{certificates, dom0, outgoing};

pub(super) const HANDLERS: &[Entry] = &[
    ("host.install_server_certificate", install_server_certificate),
    ("host.reset_server_certificate", |context, args| {
        context.toolstack.look("host", &args.to("host"), |_, _| ())?;
        reset(context)
    }),
    ("host.emergency_reset_server_certificate", |context, _| reset(context)),
    ("pool.install_ca_certificate", install),
    ("pool.certificate_install", install),
    ("pool.uninstall_ca_certificate", |context, args| uninstall(context, args, args.bool("force"))),
    ("pool.certificate_uninstall", |context, args| uninstall(context, args, false)),
    ("pool.certificate_list", |context, _| {
        let all = context.toolstack.authorities.all().map_err(failed)?;
        Ok(Value::strings(all.into_keys()))
    }),
    ("pool.certificate_sync", |context, _| {
        // Files that somebody put there or took away are found.
        certificates::record(&context.toolstack).map(|()| Value::Void)
    }),
    ("pool.send_test_post", send_test_post),
    ("host_crashdump.upload", upload),
];

fn failed(error: anyhow::Error) -> ApiError {
    errors::INTERNAL_ERROR.with([format!("{error:#}")])
}

fn install_server_certificate(context: &Context, args: &Args<'_>) -> Reply {
    let toolstack = &context.toolstack;
    toolstack.look("host", &args.to("host"), |_, _| ())?;
    let [leaf, key, chain] =
        ["certificate", "private_key", "certificate_chain"].map(|name| args.text(name));
    let checked = certificate::check(leaf, key, chain, DateTime::now())?;
    toolstack.identity.install(&checked).map_err(failed)?;
    tracing::info!("the host has another TLS certificate");
    certificates::record(toolstack).map(|()| Value::Void)
}

fn reset(context: &Context) -> Reply {
    context.toolstack.identity.reset().map_err(failed)?;
    tracing::info!("the host has a TLS certificate of its own making again");
    certificates::record(&context.toolstack).map(|()| Value::Void)
}

fn install(context: &Context, args: &Args<'_>) -> Reply {
    context.toolstack.authorities.install(args.text("name"), args.text("cert"))?;
    certificates::record(&context.toolstack).map(|()| Value::Void)
}

fn uninstall(context: &Context, args: &Args<'_>, force: bool) -> Reply {
    let name = args.text("name");
    if !context.toolstack.authorities.uninstall(name)? && !force {
        return Err(errors::CERTIFICATE_DOES_NOT_EXIST.with([name]));
    }
    certificates::record(&context.toolstack).map(|()| Value::Void)
}

fn send_test_post(context: &Context, args: &Args<'_>) -> Reply {
    let (host, port) = (args.text("host"), args.int("port"));
    if !dom0::is_server(host) {
        return Err(errors::INVALID_VALUE.with(["host", host]));
    }
    if !(1..=65_535).contains(&port) {
        return Err(errors::INVALID_VALUE.with(["port", &port.to_string()]));
    }
    let url = match host.contains(':') {
        true => format!("https://[{host}]:{port}/"),
        false => format!("https://{host}:{port}/"),
    };
    let said = outgoing::post(&context.toolstack.authorities, &url, args.text("body"));
    Ok(said.map_err(failed)?.into())
}

/// What a crash left goes to the URL by PUT, one part after the other.
fn upload(context: &Context, args: &Args<'_>) -> Reply {
    let (toolstack, reference) = (&context.toolstack, args.to("self"));
    let time =
        toolstack.look("host_crashdump", &reference, |dump, _| dump.get("timestamp").clone())?;
    let crash = toolstack.machine.crashes().into_iter().find(|it| time == DateTime(it.time).into());
    let crash =
        crash.ok_or_else(|| errors::HANDLE_INVALID.with(["host_crashdump", reference.as_str()]))?;
    let (url, proxy) = outgoing::target(args)?;
    let mut contents = crash.read().map_err(|error| failed(error.into()))?;
    outgoing::put(&toolstack.authorities, url, proxy, &mut contents).map_err(failed)?;
    Ok(Value::Void)
}
