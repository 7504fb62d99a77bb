// SPDX-License-Identifier: MIT OR Apache-2.0
//! `list`, `param-list`, `param-get`, `param-set`, `param-add`, `param-remove`, `param-clear`.

use xapi_model::{Type, Value};

use crate::api::Api;
use crate::failure::Failure;
use crate::fields::CliField;
use crate::output::Output;
use crate::params::Params;
use crate::select::{field, split};
use crate::views::View;
use crate::{parse, select};

/// `vm-param-list uuid=`.
pub(crate) fn list_params(
    view: &View,
    api: &mut Api,
    params: &Params,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let (_, record) = api.by_uuid(view.class, params.require("uuid")?)?;
    let mut row = Vec::new();
    for field in view.fields() {
        row.push((field.title(), field.among_all(api, &record)?));
    }
    out.records(&[row])
}

/// `vm-param-get uuid= param-name= [param-key=]`.
pub(crate) fn get(
    view: &View,
    api: &mut Api,
    params: &Params,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let (_, record) = api.by_uuid(view.class, params.require("uuid")?)?;
    let fields = view.fields();
    let field = field(&fields, params.require("param-name")?)?;
    match (params.get("param-key"), field.ty()) {
        (Some(key), Type::Map(..)) => {
            let entries = field.entries(api, &record)?;
            let found = entries.iter().find(|(name, _)| name == key);
            let (_, value) =
                found.ok_or_else(|| Failure::plain(format!("Key {key} not found in map")))?;
            out.value(value)
        }
        _ => out.value(&field.text(api, &record)?),
    }
}

/// `vm-param-set uuid= name=value … map:key=value …`.
pub(crate) fn set(
    view: &View,
    api: &mut Api,
    params: &Params,
    _out: &mut Output<'_>,
) -> Result<(), Failure> {
    let (this, record) = api.by_uuid(view.class, params.require("uuid")?)?;
    let fields = view.fields();
    // Everything is understood before anything is set.
    let mut calls = Vec::new();
    for (name, text) in params.others(&["uuid"]) {
        let (field, inside) = split(&fields, name)?;
        let own = writable(field)?;
        let message = |verb: &str| format!("{}.{verb}_{}", view.class.name, own.name);
        match (own.ty, inside) {
            (Type::Map(_, item), Some(key)) => {
                let value = parse::value(api, name, item, text)?;
                let key_value = Value::from(key);
                if field.entries(api, &record)?.iter().any(|(known, _)| known == key) {
                    calls.push((message("remove_from"), vec![this.clone(), key_value.clone()]));
                }
                calls.push((message("add_to"), vec![this.clone(), key_value, value]));
            }
            (ty, None) if field.by_message() => {
                let value = parse::value(api, name, &ty, text)?;
                calls.push((message("set"), vec![this.clone(), value]));
            }
            (Type::Set(_), Some(_)) => {
                return Err(Failure::plain("Cannot param-set on set fields"));
            }
            (Type::Set(_) | Type::Map(..), None) => {
                return Err(Failure::plain(format!(
                    "Field '{}' is a map or set. use the 'name:key=value' syntax.",
                    field.name
                )));
            }
            (ty, _) => {
                let value = parse::value(api, name, &ty, text)?;
                calls.push((message("set"), vec![this.clone(), value]));
            }
        }
    }
    if calls.is_empty() {
        return Err(Failure::plain("Nothing to set: give <field>=<value>"));
    }
    calls.into_iter().try_for_each(|(method, params)| api.act(&method, params).map(drop))
}

/// `vm-param-add uuid= param-name= param-key= | key=value …`.
pub(crate) fn add(
    view: &View,
    api: &mut Api,
    params: &Params,
    _out: &mut Output<'_>,
) -> Result<(), Failure> {
    let (this, _) = api.by_uuid(view.class, params.require("uuid")?)?;
    let fields = view.fields();
    let field = field(&fields, params.require("param-name")?)?;
    let own = writable(field)?;
    match own.ty {
        Type::Set(item) => {
            let key = params.get("param-key").ok_or_else(|| {
                Failure::plain(
                    "When adding a key to a set, use the syntax: *-param-add param-name=<name> \
                     param-key=<key>",
                )
            })?;
            let value = parse::value(api, "param-key", item, key)?;
            api.act(&format!("{}.add_{}", view.class.name, own.name), [this, value]).map(drop)
        }
        Type::Map(_, item) => {
            let entries = params.others(&["uuid", "param-name", "param-key"]);
            if entries.is_empty() {
                return Err(Failure::plain("Nothing to add: give <key>=<value>"));
            }
            for (key, text) in entries {
                let value = parse::value(api, key, item, text)?;
                let method = format!("{}.add_to_{}", view.class.name, own.name);
                api.act(&method, [this.clone(), Value::from(key), value])?;
            }
            Ok(())
        }
        _ => Err(Failure::plain("Can only add to parameters of type Set or Map")),
    }
}

/// `vm-param-remove uuid= param-name= param-key=`.
pub(crate) fn remove(
    view: &View,
    api: &mut Api,
    params: &Params,
    _out: &mut Output<'_>,
) -> Result<(), Failure> {
    let (this, record) = api.by_uuid(view.class, params.require("uuid")?)?;
    let fields = view.fields();
    let field = field(&fields, params.require("param-name")?)?;
    let key = params.require("param-key")?;
    let own = writable(field)?;
    match own.ty {
        Type::Set(item) => {
            if !field.members(api, &record)?.iter().any(|member| member == key) {
                return Err(Failure::plain(format!("Key {key} is not in the set")));
            }
            let value = parse::value(api, "param-key", item, key)?;
            api.act(&format!("{}.remove_{}", view.class.name, own.name), [this, value]).map(drop)
        }
        Type::Map(..) => {
            if !field.entries(api, &record)?.iter().any(|(known, _)| known == key) {
                return Err(Failure::plain(format!("Key {key} is not in map")));
            }
            let method = format!("{}.remove_from_{}", view.class.name, own.name);
            api.act(&method, [this, Value::from(key)]).map(drop)
        }
        _ => Err(Failure::plain("Can only remove from parameters of type Set or Map")),
    }
}

/// `vm-param-clear uuid= param-name=`.
pub(crate) fn clear(
    view: &View,
    api: &mut Api,
    params: &Params,
    _out: &mut Output<'_>,
) -> Result<(), Failure> {
    let (this, _) = api.by_uuid(view.class, params.require("uuid")?)?;
    let fields = view.fields();
    let own = writable(field(&fields, params.require("param-name")?)?)?;
    let empty = match own.ty {
        Type::String | Type::Ref(_) | Type::Set(_) | Type::Map(..) => own.ty.zero(),
        _ => return Err(Failure::plain("Cannot clear this parameter")),
    };
    api.act(&format!("{}.set_{}", view.class.name, own.name), [this, empty]).map(drop)
}

fn writable(field: &CliField) -> Result<&'static xapi_model::Field, Failure> {
    let own = field.own().filter(|_| field.writable());
    own.ok_or_else(|| {
        let kind = if matches!(field.ty(), Type::Map(..)) { "Map field" } else { "Field" };
        Failure::plain(format!("{kind} '{}' is read-only.", field.name))
    })
}

/// `vm-list [params=…] [field=value …]`.
pub(crate) fn list(
    view: &View,
    api: &mut Api,
    params: &Params,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let found = select::filter(api, view, &params.others(&["params"]))?;
    let mut fields = view.fields();
    let all = params.get("params").map_or_else(|| view.brief().is_none(), |names| names == "all");
    match params.get("params") {
        Some("all") => {}
        Some(names) => {
            let mut wanted = Vec::new();
            for name in names.split(',') {
                wanted.push(field(&fields, name)?.name.clone());
            }
            fields.retain(|field| wanted.contains(&field.name));
        }
        None => {
            if let Some(brief) = view.brief() {
                fields.retain(|field| brief.contains(&field.name.as_str()));
            }
        }
    }
    let mut rows = Vec::new();
    for one in &found {
        let mut row = Vec::new();
        for field in &fields {
            let value = match all {
                true => field.among_all(api, &one.record)?,
                false => field.text(api, &one.record)?,
            };
            row.push((field.title(), value));
        }
        rows.push(row);
    }
    out.records(&rows)
}
