// SPDX-License-Identifier: MIT OR Apache-2.0
//! `Bond`.

use xapi_model::{Reply, Value, errors};

use super::Entry;
use crate::host_network::{self, Wanted};
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    ("Bond.create", create),
    ("Bond.destroy", |context, args| {
        let bond = args.to("self");
        host_network::change(context, |t| host_network::unbond(t, &bond))?;
        Ok(Value::Void)
    }),
    ("Bond.set_mode", set_mode),
    ("Bond.set_property", set_property),
];

/// A value of an enum as the description has it.
fn name(value: &Value) -> &'static str {
    match value {
        Value::Enum(name) => name,
        _ => "",
    }
}

fn create(context: &Context, args: &Args<'_>) -> Reply {
    let members = args.get("members").as_set().unwrap_or_default();
    let mode = name(args.get("mode"));
    let given = args.get("properties").as_map().cloned().unwrap_or_default();
    let wanted = Wanted {
        network: args.to("network"),
        members: members.iter().filter_map(Value::as_ref).cloned().collect(),
        mac: args.text("MAC").to_owned(),
        mode,
        properties: host_network::bond_properties(mode, &given)?,
    };
    host_network::change(context, |t| host_network::bond(t, &wanted)).map(Value::Ref)
}

fn set_mode(context: &Context, args: &Args<'_>) -> Reply {
    let (bond, mode) = (args.to("self"), name(args.get("value")));
    let properties = host_network::bond_properties(mode, &Default::default())?;
    host_network::change(context, |t| {
        if t.get("Bond", &bond)?.text("mode") != mode {
            t.set(&bond, "mode", Value::Enum(mode));
            t.set(&bond, "properties", properties);
        }
        Ok(Value::Void)
    })
}

fn set_property(context: &Context, args: &Args<'_>) -> Reply {
    let (bond, key, value) = (args.to("self"), args.text("name"), args.get("value").clone());
    host_network::change(context, |t| {
        let object = t.get("Bond", &bond)?;
        let mut given = object.map("properties").clone();
        if given.insert(key.to_owned(), value).is_none() && object.text("mode") != "lacp" {
            return Err(errors::INVALID_VALUE.with(["name", key]));
        }
        let properties = host_network::bond_properties(object.text("mode"), &given)?;
        t.set(&bond, "properties", properties);
        Ok(Value::Void)
    })
}
