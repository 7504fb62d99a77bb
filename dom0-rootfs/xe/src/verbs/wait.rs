// SPDX-License-Identifier: MIT OR Apache-2.0
//! `event-wait`.

use xapi_model::Value;

use super::{Verb, plain};
use crate::api::Api;
use crate::failure::Failure;
use crate::fields::CliField;
use crate::output::Output;
use crate::params::Params;
use crate::select::field;
use crate::views;

pub(super) static VERBS: &[Verb] = &[plain(
    "event-wait",
    &["class"],
    &["<field>"],
    &["event.from"],
    "Waits until an object of a class has the given values: event-wait class=vm uuid=… \
     power-state=running. With field=/=value until it has another one.",
    wait,
)];

/// How long the server may keep one question, in seconds.
const PATIENCE: f64 = 30.0;

fn wait(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let name = params.require("class")?;
    let view = views::find(&name.to_lowercase()).ok_or_else(|| {
        let all = views::all();
        let near = crate::nearest::nearest(name, all.iter().map(|view| view.name.as_str()));
        Failure::with_hint(format!("Unknown class '{name}'"), near)
    })?;
    let fields = view.fields();
    let mut wanted = Vec::new();
    for (name, value) in params.others(&["class"]) {
        let equal = !value.starts_with("/=");
        let value = value.strip_prefix("/=").unwrap_or(value);
        wanted.push((field(&fields, name)?, equal, value));
    }
    let mut token = Value::from("");
    loop {
        let class = Value::strings([view.class.name]);
        // Nothing that was seen before the events counts after them.
        let batch = api.act("event.from", [class, token.clone(), Value::Float(PATIENCE)])?;
        let next = batch.as_map().and_then(|batch| batch.get("token")).cloned();
        token = next.ok_or_else(|| Failure::plain("the server's events have no token"))?;
        let records = api.records(view.class)?;
        for record in records.values() {
            if matches(api, record, &wanted)? {
                return Ok(());
            }
        }
    }
}

fn matches(
    api: &mut Api,
    record: &crate::api::Record,
    wanted: &[(&CliField, bool, &str)],
) -> Result<bool, Failure> {
    for (field, equal, value) in wanted {
        if (field.text(api, record)? == *value) != *equal {
            return Ok(false);
        }
    }
    Ok(true)
}
