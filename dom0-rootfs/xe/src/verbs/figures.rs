// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vm-data-source-…` and `host-data-source-…`: figures over time.

use xapi_model::Value;

use super::{Verb, on_vms};
use crate::api::{Api, Record, text};
use crate::failure::Failure;
use crate::output::{Output, Row};
use crate::params::Params;
use crate::select::{Found, each, selected};
use crate::views;

const NAME: &str = "data-source";

/// A verb on selected VMs that XenServer's users seldom need.
const fn vm(
    name: &'static str,
    required: &'static [&'static str],
    needs: &'static [&'static str],
    help: &'static str,
    run: super::Run,
) -> Verb {
    Verb { required, common: false, ..on_vms(name, needs, help, run) }
}

/// The same on selected hosts.
const fn host(
    name: &'static str,
    required: &'static [&'static str],
    needs: &'static [&'static str],
    help: &'static str,
    run: super::Run,
) -> Verb {
    Verb { selects: Some("host"), ..vm(name, required, needs, help, run) }
}

pub(super) static VERBS: &[Verb] = &[
    vm(
        "vm-data-source-list",
        &[],
        &["VM.get_data_sources"],
        "Lists the figures of VMs that run.",
        |api, params, out| list(api, params, out, "vm"),
    ),
    vm(
        "vm-data-source-query",
        &[NAME],
        &["VM.query_data_source"],
        "Prints a recorded figure as it is now.",
        |api, params, out| query(api, params, out, "vm"),
    ),
    vm(
        "vm-data-source-record",
        &[NAME],
        &["VM.record_data_source"],
        "Begins to record a figure.",
        |api, params, _| act(api, params, "vm", "record_data_source"),
    ),
    vm(
        "vm-data-source-forget",
        &[NAME],
        &["VM.forget_data_source_archives"],
        "Forgets what was recorded of a figure.",
        |api, params, _| act(api, params, "vm", "forget_data_source_archives"),
    ),
    host(
        "host-data-source-list",
        &[],
        &["host.get_data_sources"],
        "Lists the figures of a host.",
        |api, params, out| list(api, params, out, "host"),
    ),
    host(
        "host-data-source-query",
        &[NAME],
        &["host.query_data_source"],
        "Prints a recorded figure as it is now.",
        |api, params, out| query(api, params, out, "host"),
    ),
    host(
        "host-data-source-record",
        &[NAME],
        &["host.record_data_source"],
        "Begins to record a figure.",
        |api, params, _| act(api, params, "host", "record_data_source"),
    ),
    host(
        "host-data-source-forget",
        &[NAME],
        &["host.forget_data_source_archives"],
        "Forgets what was recorded of a figure.",
        |api, params, _| act(api, params, "host", "forget_data_source_archives"),
    ),
];

/// The objects that the parameters pick, and the name of their class.
fn picked(
    api: &mut Api,
    params: &Params,
    view: &str,
) -> Result<(Vec<Found>, &'static str), Failure> {
    let view = views::find(view).ok_or_else(|| Failure::plain("this API does not have them"))?;
    Ok((selected(api, &view, params, &[NAME])?, view.class.name))
}

fn list(api: &mut Api, params: &Params, out: &mut Output<'_>, view: &str) -> Result<(), Failure> {
    let (found, class) = picked(api, params, view)?;
    each(&found, |one| {
        let all = api.ask(&format!("{class}.get_data_sources"), [one.reference.clone()])?;
        let rows: Vec<Row> = all
            .as_set()
            .into_iter()
            .flatten()
            .filter_map(|source| source.as_map().map(row))
            .collect();
        out.records(&rows)
    })
}

/// A figure as XenServer's xe prints it.
fn row(source: &Record) -> Row {
    let names = ["name_label", "name_description", "enabled", "standard", "min", "max", "units"];
    let limit = |value: &Value| match value {
        Value::Float(limit) if limit.abs() >= f64::MAX => {
            if *limit > 0.0 {
                "inf".to_owned()
            } else {
                "-inf".to_owned()
            }
        }
        Value::Float(limit) => format!("{limit:.3}"),
        other => other.text(),
    };
    let shown = |name: &str| match source.get(name) {
        Some(value @ Value::Float(_)) => limit(value),
        _ => text(source, name),
    };
    names.iter().map(|name| ((*name).to_owned(), shown(name))).collect()
}

fn query(api: &mut Api, params: &Params, out: &mut Output<'_>, view: &str) -> Result<(), Failure> {
    let name = params.require(NAME)?;
    let (found, class) = picked(api, params, view)?;
    each(&found, |one| {
        let method = format!("{class}.query_data_source");
        let figure = api.ask(&method, [one.reference.clone(), name.into()])?;
        out.value(&figure.text())
    })
}

fn act(api: &mut Api, params: &Params, view: &str, message: &str) -> Result<(), Failure> {
    let name = params.require(NAME)?;
    let (found, class) = picked(api, params, view)?;
    each(&found, |one| {
        api.act(&format!("{class}.{message}"), [one.reference.clone(), name.into()]).map(drop)
    })
}
