// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures of the host and of VMs: which there are, which are recorded, what they are now.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;
use xapi_model::{ApiError, Ref, Reply, Value, errors};

use super::Entry;
use crate::metrics::{DataSource, Owner};
use crate::toolstack::{Args, Context};
use crate::vm::operation;

pub(super) const HANDLERS: &[Entry] = &[
    ("host.get_data_sources", |context, args| Ok(records(context, host(context, args)?))),
    ("host.query_data_source", |context, args| query(context, host(context, args)?, args)),
    ("host.record_data_source", |context, args| record(context, host(context, args)?, args)),
    ("host.forget_data_source_archives", |context, args| {
        forget(context, host(context, args)?, args)
    }),
    ("host.backup_rrds", backup),
    ("VM.get_data_sources", |context, args| Ok(records(context, vm(context, args)?))),
    ("VM.query_data_source", |context, args| query(context, running(context, args)?, args)),
    ("VM.record_data_source", |context, args| record(context, recorded(context, args)?, args)),
    ("VM.forget_data_source_archives", |context, args| {
        forget(context, recorded(context, args)?, args)
    }),
];

fn host(context: &Context, args: &Args<'_>) -> Result<Owner, ApiError> {
    context.toolstack.look("host", &args.to("host"), |_, _| Owner::Host)
}

fn vm(context: &Context, args: &Args<'_>) -> Result<Owner, ApiError> {
    let vm: Ref = args.to("self");
    context
        .toolstack
        .look("VM", &vm, |vm, _| Owner::Vm(Uuid::parse_str(vm.uuid()).unwrap_or_default()))
}

/// A VM that runs: others have no figures of now.
fn running(context: &Context, args: &Args<'_>) -> Result<Owner, ApiError> {
    let vm_ref = args.to("self");
    let state =
        context.toolstack.look("VM", &vm_ref, |vm, _| vm.text("power_state").to_lowercase())?;
    match state.as_str() {
        "running" | "paused" => vm(context, args),
        state => Err(errors::VM_BAD_POWER_STATE.with([vm_ref.as_str(), "paused, running", state])),
    }
}

/// The same, to change which figures are kept.
fn recorded(context: &Context, args: &Args<'_>) -> Result<Owner, ApiError> {
    operation::check(context, &args.to("self"), "data_source_op")?;
    vm(context, args)
}

fn records(context: &Context, owner: Owner) -> Value {
    Value::Set(context.toolstack.metrics.sources(owner).iter().map(fields).collect())
}

fn fields(of: &DataSource) -> Value {
    let known = |value: f64| if value.is_finite() { value } else { 0.0 };
    let fields: [(&str, Value); 8] = [
        ("name_label", of.source.name.as_str().into()),
        ("name_description", of.doc.as_str().into()),
        ("enabled", of.recorded.into()),
        ("standard", of.standard.into()),
        ("units", of.units.into()),
        ("min", of.source.min.max(f64::MIN).into()),
        ("max", of.source.max.min(f64::MAX).into()),
        ("value", known(of.value).into()),
    ];
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::Map(fields.collect::<BTreeMap<_, _>>())
}

fn unknown(name: &str) -> ApiError {
    errors::INVALID_VALUE.with(["data_source", name])
}

fn query(context: &Context, owner: Owner, args: &Args<'_>) -> Reply {
    let name = args.text("data_source");
    let all = context.toolstack.metrics.sources(owner);
    let found = all.iter().find(|one| one.source.name == name).ok_or_else(|| unknown(name))?;
    let words = |why| errors::VALUE_NOT_SUPPORTED.with(["data_source", name, why]);
    match found.value {
        _ if !found.recorded => Err(words("it is not recorded")),
        value if value.is_finite() => Ok(value.into()),
        _ => Err(words("it is not known yet")),
    }
}

fn record(context: &Context, owner: Owner, args: &Args<'_>) -> Reply {
    let name = args.text("data_source");
    match context.toolstack.metrics.start_recording(owner, name) {
        true => Ok(Value::Void),
        false => Err(unknown(name)),
    }
}

/// The longest that a backup may be put off, in seconds.
const LATEST: f64 = 86_400.0;

fn backup(context: &Context, args: &Args<'_>) -> Reply {
    host(context, args)?;
    let delay = args.get("delay").clone();
    let Value::Float(seconds) = delay else { return Ok(Value::Void) };
    if !(0.0..=LATEST).contains(&seconds) {
        return Err(errors::INVALID_VALUE.with(["delay".to_owned(), seconds.to_string()]));
    }
    let toolstack = context.toolstack.clone();
    if seconds == 0.0 {
        toolstack.metrics.save();
        return Ok(Value::Void);
    }
    // As with XAPI the call does not wait for it.
    tokio::runtime::Handle::current().spawn(async move {
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        drop(tokio::task::spawn_blocking(move || toolstack.metrics.save()));
    });
    Ok(Value::Void)
}

fn forget(context: &Context, owner: Owner, args: &Args<'_>) -> Reply {
    let name = args.text("data_source");
    match context.toolstack.metrics.forget_source(owner, name) {
        true => Ok(Value::Void),
        false => Err(unknown(name)),
    }
}
