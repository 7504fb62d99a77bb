// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the value of a parameter can be.

use xapi_model::Type;

use crate::api::Api;
use crate::command::Command;
use crate::failure::Failure;
use crate::fields::{CliField, enum_text};
use crate::select;
use crate::views::{self, View};

/// Parameters that name a file.
const FILES: &[&str] = &["filename", "certificate", "private-key", "certificate-chain"];
/// Values of the database that are more than this help nobody to choose.
const MOST: usize = 500;

/// Values of a parameter.
#[derive(Debug)]
pub(super) enum Values {
    /// Nothing is known of them.
    None,
    /// Names of files.
    Files,
    /// One of these.
    Words(Vec<String>),
    /// Some of these, with commas between.
    List(Vec<String>),
    /// The host knows.
    Objects(Asked),
}

/// What to ask the host for.
#[derive(Debug)]
pub(super) struct Asked {
    view: View,
    /// Fields whose values it can be.
    fields: Vec<&'static str>,
    /// Another one, by its name.
    field: Option<CliField>,
}

impl Asked {
    fn of(view: View, fields: &[&'static str]) -> Values {
        Values::Objects(Asked { view, fields: fields.to_vec(), field: None })
    }
}

/// What the parameter `key` of a command can be.
pub(super) fn of(command: &Command, key: &str) -> Values {
    if FILES.contains(&key) {
        return Values::Files;
    }
    let own = view_of(command);
    match (key, &own) {
        ("params", Some(view)) => {
            let names = view.fields().into_iter().map(|field| field.name);
            return Values::List(names.chain(["all".to_owned()]).collect());
        }
        ("param-name", Some(view)) => return Values::Words(fields_for(command, view)),
        ("uuid", Some(view)) => return Asked::of(view.clone(), &["uuid"]),
        _ => {}
    }
    let selects = command.selects.as_ref().is_some_and(|view| view.name == key);
    if selects || key == "template" {
        return views::find(key)
            .map_or(Values::None, |view| Asked::of(view, &["name-label", "uuid"]));
    }
    let lists = command.name.ends_with("-list") || command.selects.is_some();
    if let Some(view) = &own
        && let Some(field) = view.fields().into_iter().find(|field| field.name == key)
        && !matches!(field.ty(), Type::Map(..) | Type::Set(_))
    {
        return of_field(view, field, lists);
    }
    if let Some(ty) = command.type_of(key) {
        return of_type(&ty);
    }
    if let Some(stem) = key.strip_suffix("-name-label") {
        return named(stem).map_or(Values::None, |view| Asked::of(view, &["name-label"]));
    }
    let stem = key.strip_suffix("-uuid").and_then(named);
    stem.map_or(Values::None, |view| Asked::of(view, &["uuid"]))
}

/// Values of the database for what is asked.
pub(super) fn of_objects(asked: &Asked, api: &mut Api) -> Result<Vec<String>, Failure> {
    let all = asked.view.fields();
    let mut fields: Vec<&CliField> =
        all.iter().filter(|field| asked.fields.contains(&field.name.as_str())).collect();
    fields.extend(&asked.field);
    let mut values = Vec::new();
    for found in select::filter(api, &asked.view, &[])? {
        for field in &fields {
            values.push(field.text(api, &found.record)?);
        }
    }
    values.retain(|value| !value.is_empty() && !value.contains('\n'));
    values.truncate(MOST);
    Ok(values)
}

/// A field that objects are picked by, or that is set.
fn of_field(view: &View, field: CliField, lists: bool) -> Values {
    match (field.ty(), lists) {
        (Type::Enum(kind), true) => {
            Values::Words(kind.values.iter().map(|value| enum_text(kind, value)).collect())
        }
        (Type::String | Type::Ref(_), true) => {
            Values::Objects(Asked { view: view.clone(), fields: Vec::new(), field: Some(field) })
        }
        (ty, _) => of_type(&ty),
    }
}

fn of_type(ty: &Type) -> Values {
    match ty {
        Type::Bool => Values::Words(vec!["true".to_owned(), "false".to_owned()]),
        Type::Enum(kind) => Values::Words(kind.values.iter().map(|v| (*v).to_owned()).collect()),
        Type::Ref(class) => {
            let view = views::all().into_iter().find(|view| view.class.name == *class);
            view.map_or(Values::None, |view| Asked::of(view, &["uuid"]))
        }
        _ => Values::None,
    }
}

/// The kind of object that a command is for: `host-cpu` of `host-cpu-list`.
fn view_of(command: &Command) -> Option<View> {
    let begins = |view: &View| {
        command.name.strip_prefix(&view.name).is_some_and(|rest| rest.starts_with('-'))
    };
    let longest = views::all().into_iter().filter(begins).max_by_key(|view| view.name.len());
    command.selects.clone().or(longest)
}

/// The kind of object that a name ends with: `sr` of `suspend-SR`.
fn named(name: &str) -> Option<View> {
    let name = name.to_lowercase();
    let starts = std::iter::once(0).chain(name.match_indices('-').map(|(at, _)| at + 1));
    starts.into_iter().find_map(|at| views::find(&name[at..]))
}

/// Fields that `param-name` can be.
fn fields_for(command: &Command, view: &View) -> Vec<String> {
    let fits = |field: &CliField| {
        let holds = matches!(field.ty(), Type::Map(..) | Type::Set(_));
        match command.name.rsplit_once("-param-").map(|(_, verb)| verb) {
            Some("add" | "remove") => field.writable() && holds,
            Some("clear") => field.writable(),
            _ => true,
        }
    };
    view.fields().into_iter().filter(fits).map(|field| field.name).collect()
}
