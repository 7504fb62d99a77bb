// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page of a class.

use xapi_model::{
    Class, Described, Field, Kind, Literal, Param, Qualifier, Type, Value, catalogue, left_out,
};

use crate::html::{self, code, error, escaped, prose, role, sentence, table, ty};
use crate::neighbours;

pub(crate) fn body(class: &'static Class) -> String {
    let messages: Vec<&Described> =
        catalogue().all().filter(|message| message.class.name == class.name).collect();
    let derived = |message: &&Described| {
        matches!(message.kind, Kind::Get(_) | Kind::Set(_) | Kind::Add(_) | Kind::Remove(_))
    };
    let (plain, of_fields): (Vec<&Described>, Vec<&Described>) =
        messages.into_iter().partition(|message| !derived(message));
    let mut out = format!("<h1>{}</h1>\n<p>{}</p>\n", class.name, prose(class.doc));
    out += &format!("<p class=\"facts\">{}</p>\n", facts(class));
    out += &neighbours::picture(class);
    if !class.fields.is_empty() {
        out += "<h2>Fields</h2>\n";
        let rows: Vec<_> = class.fields.iter().map(|field| row_of_field(class, field)).collect();
        out += &table(&["Field", "Type", "Set by", "When new", "What it means"], &rows);
    }
    out += "<h2>Messages</h2>\n";
    if plain.is_empty() {
        out += "<p>None but those of its fields.</p>\n";
    }
    plain.iter().for_each(|message| out += &of_message(message));
    if !of_fields.is_empty() {
        out += "<h2>Messages of the fields</h2>\n";
        let rows: Vec<_> = of_fields.iter().map(|message| row_of_message(message)).collect();
        out += &table(&["Message", "Role", "What it does"], &rows);
    }
    out
}

fn facts(class: &Class) -> String {
    let mut facts = vec![match (class.stored, class.field("uuid").is_some()) {
        (_, false) => "It has no objects.".to_owned(),
        (true, _) => "Its objects are kept in the database.".to_owned(),
        (false, _) => "Its objects are gone when the toolstack ends.".to_owned(),
    }];
    if class.field("uuid").is_some() {
        let events = if class.events { "are events" } else { "are no events" };
        facts.push(format!("Changes {events}."));
        facts.push(format!("Fields are read with the role {}.", role(class.read)));
    }
    if left_out::of_class(class.name).is_some() {
        facts.push(format!("<a href=\"left-out.html#{}\">Why there are none.</a>", class.name));
    }
    facts.join(" ")
}

fn row_of_field(class: &'static Class, field: &'static Field) -> (Option<String>, Vec<String>) {
    let cells = vec![
        code(field.name),
        ty(&field.ty),
        setter(class, field),
        initial(field),
        prose(field.doc),
    ];
    (Some(format!("field-{}", field.name)), cells)
}

/// Who gives a field its value.
fn setter(class: &'static Class, field: &'static Field) -> String {
    if let (Some(back), Type::Set(Type::Ref(other))) = (field.mirrors, field.ty) {
        return format!(
            "follows <a href=\"{0}#field-{back}\">{other}.{back}</a>",
            html::file(other)
        );
    }
    let own = format!("{}.set_{}", class.name, field.name);
    let by_message = catalogue().find(&own).filter(|m| matches!(m.kind, Kind::Own(_)));
    let mut ways = Vec::new();
    match field.qualifier {
        Qualifier::Rw => {
            let needed = field.role.unwrap_or(class.write);
            ways.push(format!("clients: {}", role(needed)));
            let keys = field.keys.iter();
            ways.extend(
                keys.map(|(key, other)| format!("its key {}: {}", code(key), role(*other))),
            );
        }
        Qualifier::Constructor => ways.push("who creates it".to_owned()),
        Qualifier::Runtime if by_message.is_none() => ways.push("the toolstack".to_owned()),
        Qualifier::Runtime => {}
    }
    ways.extend(by_message.map(|message| {
        format!("<a href=\"#message-{0}\">{0}</a>: {1}", message.name, role(message.role))
    }));
    ways.join("<br>")
}

/// What a field of a new object is, where that is not nothing.
fn initial(field: &Field) -> String {
    match (field.default, field.ty) {
        (Some(Literal::Strings(texts)), _) => code(&texts.join(", ")),
        (_, Type::Bool | Type::Int | Type::Float | Type::Enum(_)) => code(&shown(&field.initial())),
        (Some(Literal::Str(text)), _) => code(text),
        _ => String::new(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Bool(flag) => flag.to_string(),
        other => other.text(),
    }
}

/// `void VM.start (session ref session_id, VM ref vm, …)`.
fn signature(message: &Described) -> String {
    let session = message.session.then(|| "session ref session_id".to_owned());
    let given = message.params.iter().map(|param| {
        let one = format!("{} {}", ty(&param.ty), param.name);
        if param.default.is_some() { format!("[{one}]") } else { one }
    });
    let params: Vec<String> = session.into_iter().chain(given).collect();
    format!("{} {} ({})", ty(&message.result), message.full_name(), params.join(", "))
}

fn of_message(message: &Described) -> String {
    let name = &message.name;
    let mut out =
        format!("<h3 id=\"message-{name}\">{name}</h3>\n<p>{}</p>\n", prose(&message.doc()));
    out += &format!("<pre>{}</pre>\n", signature(message));
    if !message.params.is_empty() {
        let rows: Vec<_> = message.params.iter().map(|param| (None, row_of_param(param))).collect();
        out += &table(&["Parameter", "Type", "What it is"], &rows);
    }
    let mut facts = match message.session {
        true => vec![format!("Role: {}.", role(message.role))],
        false => vec!["Needs no session.".to_owned()],
    };
    if message.asynchronous {
        facts.push(format!("As a task: {}.", code(&format!("Async.{}", message.full_name()))));
    }
    if !message.errors.is_empty() {
        let errors: Vec<String> = message.errors.iter().map(|known| error(known)).collect();
        facts.push(format!("Errors: {}.", errors.join(", ")));
    }
    out + &format!("<p class=\"facts\">{}</p>\n", facts.join(" "))
}

fn row_of_param(param: &Param) -> Vec<String> {
    let default = match param.default {
        None => String::new(),
        Some(default) => {
            let value = shown(&default.value(&param.ty));
            let value = if value.is_empty() { "empty".to_owned() } else { code(&value) };
            match param.ty {
                Type::Ref(_) => " When left out: null.".to_owned(),
                Type::Set(_) | Type::Map(..) => " When left out: empty.".to_owned(),
                _ => format!(" When left out: {value}."),
            }
        }
    };
    let doc = sentence(param.doc);
    let stop = if default.is_empty() { "" } else { "." };
    vec![code(param.name), ty(&param.ty), format!("{doc}{stop}{default}")]
}

/// Messages that follow from a field differ by their names alone.
fn row_of_message(message: &Described) -> (Option<String>, Vec<String>) {
    let mut needed = role(message.role);
    let others = message.role_for("");
    if others != message.role {
        needed = format!("{needed} for some keys, {}", role(others));
    }
    let signature = format!("<code>{}</code>", signature(message));
    let asynchronous = if message.asynchronous { " Also as a task." } else { "" };
    let doc = format!("{}{}", prose(&message.doc()), escaped(asynchronous));
    (Some(format!("message-{}", message.name)), vec![signature, needed, doc])
}
