// SPDX-License-Identifier: MIT OR Apache-2.0
//! Objects picked by values of their fields.

use std::rc::Rc;

use xapi_model::{Ref, Type, Value, errors};

use crate::api::{Api, Record, Records, text};
use crate::failure::Failure;
use crate::fields::CliField;
use crate::names::alike;
use crate::nearest::nearest;
use crate::params::Params;
use crate::views::View;

/// An object that was picked.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) reference: Value,
    pub(crate) record: Record,
}

impl Found {
    pub(crate) fn uuid(&self) -> String {
        text(&self.record, "uuid")
    }
}

/// A field, and for maps and sets what stands behind the colon.
struct Criterion<'a> {
    field: &'a CliField,
    inside: Option<&'a str>,
    value: &'a str,
}

/// The field that a name means.
pub(crate) fn field<'a>(fields: &'a [CliField], name: &str) -> Result<&'a CliField, Failure> {
    let exact = fields.iter().find(|field| field.name == name);
    exact.or_else(|| fields.iter().find(|field| alike(&field.name, name))).ok_or_else(|| {
        let near = nearest(name, fields.iter().map(|field| field.name.as_str()));
        Failure::with_hint(format!("Unknown field '{name}'"), near)
    })
}

/// A field and what is meant inside it: `other-config:key`, or the old `other-config-key`.
pub(crate) fn split<'a, 'b>(
    fields: &'a [CliField],
    name: &'b str,
) -> Result<(&'a CliField, Option<&'b str>), Failure> {
    if let Some((stem, inside)) = name.split_once(':') {
        let field = field(fields, stem)?;
        return match field.ty() {
            Type::Map(..) | Type::Set(_) => Ok((field, Some(inside))),
            _ => Err(Failure::plain(format!("Field '{}' is not a set or map", field.name))),
        };
    }
    if let Ok(field) = field(fields, name) {
        return Ok((field, None));
    }
    let maps = fields.iter().filter(|field| matches!(field.ty(), Type::Map(..) | Type::Set(_)));
    let inside = maps.filter_map(|field| {
        let inside = name.strip_prefix(field.name.as_str())?.strip_prefix('-')?;
        Some((field, inside))
    });
    match inside.min_by_key(|(_, inside)| inside.len()) {
        Some((field, inside)) => Ok((field, Some(inside))),
        None => field(fields, name).map(|field| (field, None)),
    }
}

impl Criterion<'_> {
    fn matches(&self, api: &mut Api, record: &Record) -> Result<bool, Failure> {
        Ok(match (self.field.ty(), self.inside) {
            (Type::Map(..), Some(key)) => {
                let entries = self.field.entries(api, record)?;
                entries.iter().any(|(name, value)| name == key && value == self.value)
            }
            (Type::Set(_), Some("contains")) => {
                self.field.members(api, record)?.iter().any(|member| member == self.value)
            }
            (Type::Set(_), Some(_)) => {
                return Err(Failure::plain(
                    "Invalid syntax for set filtering (should be set-param:contains=key)",
                ));
            }
            _ => self.field.text(api, record)? == self.value,
        })
    }
}

/// Objects of a view whose fields have these values, by name and uuid.
pub(crate) fn filter(
    api: &mut Api,
    view: &View,
    wanted: &[(&str, &str)],
) -> Result<Vec<Found>, Failure> {
    let fields = view.fields();
    let wanted = view
        .always
        .iter()
        .copied()
        .filter(|(name, _)| {
            // What is asked for goes before what the view is made of.
            !wanted.iter().any(|(asked, _)| alike(asked, name))
        })
        .chain(wanted.iter().copied());
    let criteria = wanted
        .map(|(name, value)| {
            let (field, inside) = split(&fields, name)?;
            Ok(Criterion { field, inside, value })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let mut found = Vec::new();
    for (reference, record) in candidates(api, view, &criteria)?.iter() {
        let mut all = true;
        for criterion in &criteria {
            all = all && criterion.matches(api, record)?;
        }
        if all {
            let reference = Value::Ref(Ref::new(reference));
            found.push(Found { reference, record: record.clone() });
        }
    }
    found.sort_by_cached_key(|found| (text(&found.record, "name_label"), found.uuid()));
    Ok(found)
}

/// What may meet the criteria: one object where they name its uuid, otherwise all.
fn candidates(api: &mut Api, view: &View, criteria: &[Criterion<'_>]) -> Result<Records, Failure> {
    let Some(named) = criteria.iter().find(|criterion| criterion.field.name == "uuid") else {
        return api.records(view.class);
    };
    match api.by_uuid(view.class, named.value) {
        Ok((reference, record)) => Ok(Rc::new([(reference.text(), record)].into())),
        // Or it went between two questions.
        Err(Failure::Api(error))
            if error.is(&errors::UUID_INVALID) || error.is(&errors::HANDLE_INVALID) =>
        {
            Ok(Rc::default())
        }
        Err(error) => Err(error),
    }
}

/// Objects that the parameters of a verb pick. `own` are the verb's own parameters. The parameter
/// called like the view (`vm=`) matches name or uuid.
pub(crate) fn selected(
    api: &mut Api,
    view: &View,
    params: &Params,
    own: &[&str],
) -> Result<Vec<Found>, Failure> {
    let others = params.others(own);
    let named: Vec<&str> =
        others.iter().filter(|(key, _)| *key == view.name).map(|(_, value)| *value).collect();
    let mut wanted: Vec<_> = others.into_iter().filter(|(key, _)| *key != view.name).collect();
    if view.class.name == "VM" {
        // Never by accident: who means Dom0 says so.
        let says = |wanted: &[(&str, &str)]| {
            wanted.iter().any(|(key, _)| ["uuid", "is-control-domain"].contains(key))
        };
        if !says(&wanted) {
            wanted.push(("is-control-domain", "false"));
        }
    }
    let mut found = filter(api, view, &wanted)?;
    found.retain(|found| {
        named.iter().all(|name| {
            found.uuid() == **name
                || text(&found.record, "name_label") == **name
                || (view.name == "host" && text(&found.record, "hostname") == **name)
        })
    });
    let kind = if view.class.name == "VM" { "VMs".to_owned() } else { view.plural() };
    if found.is_empty() {
        return Err(Failure::plain(format!("No matching {kind} found")));
    }
    if found.len() > 1 && !params.flag("multiple")? {
        return Err(Failure::plain(format!(
            "Multiple matching {kind} found. --multiple required to complete the operation"
        )));
    }
    Ok(found)
}

/// Does something to each object; with several, those that fail do not stop the others.
pub(crate) fn each(
    found: &[Found],
    mut act: impl FnMut(&Found) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if let [one] = found {
        return act(one);
    }
    let mut failed = Vec::new();
    for one in found {
        match act(one) {
            Ok(()) => {}
            Err(Failure::Closed) => return Err(Failure::Closed),
            Err(failure) => failed.push((one.uuid(), failure.render())),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Several(failed)) }
}
