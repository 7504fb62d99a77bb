// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages that list one kind of thing.

use std::collections::{BTreeMap, BTreeSet};

use xapi_model::{
    EnumType, ErrorCode, Role, Type, catalogue, classes, errors as codes, http as handlers,
    left_out as absent,
};

use crate::html::{code, error, file, prose, role, table};

/// Errors that do not depend on the message.
const GENERAL: &[&ErrorCode] = &[
    &codes::MESSAGE_METHOD_UNKNOWN,
    &codes::SESSION_INVALID,
    &codes::RBAC_PERMISSION_DENIED,
    &codes::MESSAGE_PARAMETER_COUNT_MISMATCH,
    &codes::FIELD_TYPE_ERROR,
    &codes::HANDLE_INVALID,
    &codes::TOO_BUSY,
    &codes::INTERNAL_ERROR,
];

/// Every enumeration with its values and where it is used.
pub(crate) fn enums() -> String {
    let mut all: BTreeMap<&str, (&'static EnumType, BTreeSet<String>)> = BTreeMap::new();
    let mut used = |ty: &Type, place: String| {
        for kind in enums_in(ty) {
            let (_, places) = all.entry(kind.name).or_insert_with(|| (kind, BTreeSet::new()));
            places.insert(place.clone());
        }
    };
    for class in classes::ALL {
        for field in class.fields {
            let address = format!("{}#field-{}", file(class.name), field.name);
            used(&field.ty, format!("<a href=\"{address}\">{}.{}</a>", class.name, field.name));
        }
        for message in class.messages {
            let address = format!("{}#message-{}", file(class.name), message.name);
            let place = format!("<a href=\"{address}\">{}.{}</a>", class.name, message.name);
            let types = message.params.iter().map(|param| &param.ty).chain([&message.result]);
            types.for_each(|ty| used(ty, place.clone()));
        }
    }
    let mut out =
        "<h1>Enumerations</h1>\n<p>Values go over the wire as texts. What one of them means \
                   is said where it is used.</p>\n"
            .to_owned();
    let rows: Vec<_> = all
        .values()
        .map(|(kind, places)| {
            let values: Vec<String> = kind.values.iter().map(|value| code(value)).collect();
            let places: Vec<&str> = places.iter().map(String::as_str).collect();
            let cells = vec![code(kind.name), values.join(" "), places.join("<br>")];
            (Some(kind.name.to_owned()), cells)
        })
        .collect();
    out += &table(&["Name", "Values", "Used by"], &rows);
    out
}

fn enums_in(ty: &Type) -> Vec<&'static EnumType> {
    match ty {
        Type::Enum(kind) => vec![kind],
        Type::Set(item) => enums_in(item),
        Type::Map(key, value) => [enums_in(key), enums_in(value)].concat(),
        _ => Vec::new(),
    }
}

/// Every error with its arguments, and the messages that are expected to answer it.
pub(crate) fn errors() -> String {
    let general: Vec<String> = GENERAL.iter().map(|code| error(code)).collect();
    let mut out = format!(
        "<h1>Errors</h1>\n<p>An error is a code and its arguments. Any message can answer {}; the others \
         are named with the messages that are expected to answer them.</p>\n",
        general.join(", ")
    );
    let rows: Vec<_> = codes::ALL
        .iter()
        .map(|known| {
            let own = catalogue().all().filter(|m| m.errors.iter().any(|e| e.name == known.name));
            let messages: Vec<String> = match GENERAL.iter().any(|code| code.name == known.name) {
                true => vec!["any".to_owned()],
                false => own
                    .map(|m| {
                        let address = format!("{}#message-{}", file(m.class.name), m.name);
                        format!("<a href=\"{address}\">{}</a>", m.full_name())
                    })
                    .collect(),
            };
            let cells = vec![
                code(known.name),
                known.params.join(", "),
                prose(known.doc),
                messages.join(" "),
            ];
            (Some(known.name.to_owned()), cells)
        })
        .collect();
    out += &table(&["Code", "Arguments", "What it means", "Answered by"], &rows);
    out
}

/// The roles, and how many messages each may call.
pub(crate) fn roles() -> String {
    let mut out = "<h1>Roles</h1>\n<p>Root has the strongest. Other users of a host, and groups, are let \
                   in as <a href=\"subject.html\">subjects</a> with a role. Each role may do all that the \
                   ones before it may.</p>\n"
        .to_owned();
    let rows: Vec<_> = Role::ALL
        .iter()
        .map(|role| {
            let may = catalogue().all().filter(|message| role.may(message.role)).count();
            let cells = vec![code(role.name()), format!("{}.", prose(role.doc())), may.to_string()];
            (Some(role.name().to_owned()), cells)
        })
        .collect();
    out += &table(&["Role", "What it is for", "Messages"], &rows);
    out
}

/// What is beside the messages.
pub(crate) fn http() -> String {
    let mut out = "<h1>HTTP</h1>\n<p>Contents and consoles do not go through messages. These requests \
                   need a session (<code>session_id=</code>) or a user's name and password (HTTP's basic \
                   authentication), but for blobs that are public.</p>\n"
        .to_owned();
    let rows: Vec<_> = handlers::ALL
        .iter()
        .map(|known| (None, vec![prose(known.doc), code(known.name), role(known.role)]))
        .collect();
    out += &table(&["Request", "Name among permissions", "Role"], &rows);
    out
}

/// What XenServer has and this has not.
pub(crate) fn left_out() -> String {
    let mut out = "<h1>What is left out</h1>\n<p>Classes and messages of XenServer's data model that are \
                   not there, by the reason. They answer \
                   <a href=\"errors.html#MESSAGE_METHOD_UNKNOWN\">MESSAGE_METHOD_UNKNOWN</a>: nothing is \
                   accepted that would not be done.</p>\n"
        .to_owned();
    for left_out in absent::ALL {
        out += &format!(
            "<h2>{}</h2>\n<p>{}</p>\n<p class=\"names\">",
            prose(left_out.topic),
            prose(left_out.reason)
        );
        let classes = left_out.classes.iter().map(|name| match classes::find(name) {
            Some(_) => format!(
                "<strong id=\"{name}\"><a href=\"{}\">{name}</a></strong> (all but its lists, which are empty)",
                file(name)
            ),
            None => format!("<strong id=\"{name}\">{name}</strong> (the whole class)"),
        });
        let messages = left_out.messages.iter().map(|name| code(name));
        out += &classes.chain(messages).collect::<Vec<_>>().join("<br>\n");
        out += "</p>\n";
    }
    out += "<h2 id=\"paths\">Paths of HTTP</h2>\n<p>XenServer answers requests for these beside the \
            messages. Here they answer 404.</p>\n";
    let rows: Vec<_> = absent::PATHS
        .iter()
        .map(|left_out| (None, vec![code(left_out.path), prose(left_out.reason)]))
        .collect();
    out += &table(&["Path", "Why"], &rows);
    out
}
