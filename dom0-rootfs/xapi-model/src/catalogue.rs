// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every message that the description gives rise to.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::class::Class;
use crate::classes;
use crate::error::ErrorCode;
use crate::errors;
use crate::field::{Field, Qualifier};
use crate::message::{Message, Param, param};
use crate::role::Role;
use crate::types::Type;

/// Where a message comes from, which is also how it is carried out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `get_all`: every reference.
    GetAll,
    /// `get_all_records`: every object by its reference.
    GetAllRecords,
    /// `get_all_records_where`: those that match an expression.
    GetAllRecordsWhere,
    /// `get_record`.
    GetRecord,
    /// `get_by_uuid`.
    GetByUuid,
    /// `get_by_name_label`.
    GetByNameLabel,
    /// `get_FIELD`.
    Get(&'static Field),
    /// `set_FIELD`.
    Set(&'static Field),
    /// `add_to_FIELD` of a map, `add_FIELD` of a set.
    Add(&'static Field),
    /// `remove_from_FIELD` of a map, `remove_FIELD` of a set.
    Remove(&'static Field),
    /// `create` from a record.
    Create,
    /// `destroy`.
    Destroy,
    /// Written out in the class's table.
    Own(&'static Message),
}

/// A message with everything that dispatch, clients and the reference need.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// Its class.
    pub class: &'static Class,
    /// Its name without the class: `start`.
    pub name: String,
    /// Where it comes from.
    pub kind: Kind,
    /// Parameters after the session.
    pub params: Vec<Param>,
    /// What it answers.
    pub result: Type,
    /// Weakest role that may call it, be it for some keys only.
    pub role: Role,
    /// Codes that it is expected to fail with.
    pub errors: &'static [&'static ErrorCode],
    /// Its first parameter is a session.
    pub session: bool,
    /// `Async.` is offered.
    pub asynchronous: bool,
}

impl Described {
    /// `VM.start`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.class.name, self.name)
    }

    /// What it does.
    pub fn doc(&self) -> String {
        let class = self.class.name;
        match self.kind {
            Kind::GetAll => format!("Every {class}."),
            Kind::GetAllRecords => format!("Every {class} with all its fields."),
            Kind::GetAllRecordsWhere => format!("Every {class} that matches an expression."),
            Kind::GetRecord => format!("All fields of a {class}."),
            Kind::GetByUuid => format!("The {class} with a uuid."),
            Kind::GetByNameLabel => format!("Every {class} with a name_label."),
            Kind::Get(field) => format!("{}: {}", field.name, field.doc),
            Kind::Set(field) => format!("Sets {}: {}", field.name, field.doc),
            Kind::Add(field) => format!("Adds to {}: {}", field.name, field.doc),
            Kind::Remove(field) => format!("Removes from {}: {}", field.name, field.doc),
            Kind::Create => format!("Makes a {class} from a record."),
            Kind::Destroy => format!("Removes a {class}."),
            Kind::Own(message) => message.doc.into(),
        }
    }

    /// Role needed for one key of the map that it adds to or removes from; [`Described::role`] for
    /// everything else.
    pub fn role_for(&self, key: &str) -> Role {
        match self.kind {
            Kind::Add(field) | Kind::Remove(field) if !field.keys.is_empty() => {
                let others = field.role.unwrap_or(self.class.write);
                field.key(key).map_or(others, |(_, role)| role)
            }
            _ => self.role,
        }
    }

    /// Parameters that must be given, the session not counted.
    pub fn required(&self) -> usize {
        self.params.iter().filter(|p| p.default.is_none()).count()
    }
}

/// All messages by their full name.
#[derive(Debug)]
pub struct Catalogue {
    messages: BTreeMap<String, Described>,
}

impl Catalogue {
    /// The message `VM.start`; no `Async.`.
    pub fn find(&self, full_name: &str) -> Option<&Described> {
        self.messages.get(full_name)
    }

    /// All, by name.
    pub fn all(&self) -> impl Iterator<Item = &Described> {
        self.messages.values()
    }
}

/// The catalogue of this description.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
        let all = classes::ALL.iter().flat_map(|class| of_class(class));
        Catalogue { messages: all.map(|m| (m.full_name(), m)).collect() }
    });
    &CATALOGUE
}

const UNKNOWN_OBJECT: &[&ErrorCode] = &[&errors::HANDLE_INVALID];

/// Types made once and kept for the life of the program, as tables of types are `'static`.
fn kept(ty: Type) -> &'static Type {
    Box::leak(Box::new(ty))
}

fn of_class(class: &'static Class) -> Vec<Described> {
    let reference = Type::Ref(class.name);
    let record = Type::Record(class.name);
    let this = param("self", reference, "the object");
    let mut all = Vec::new();
    let mut add = |name: &str, kind, params: &[Param], result, role| {
        let errors = if params.iter().any(|p| p.name == "self") { UNKNOWN_OBJECT } else { &[] };
        all.push(Described {
            class,
            name: name.into(),
            kind,
            params: params.into(),
            result,
            role,
            errors,
            session: true,
            asynchronous: matches!(kind, Kind::Create | Kind::Destroy),
        });
    };
    let read = class.read;
    if class.listed {
        let records = Type::Map(kept(reference), kept(record));
        let expression =
            param("expr", Type::String, "an expression, as `field \"name__label\" = \"x\" and …`");
        add("get_all", Kind::GetAll, &[], Type::Set(kept(reference)), read);
        add("get_all_records", Kind::GetAllRecords, &[], records, read);
        add("get_all_records_where", Kind::GetAllRecordsWhere, &[expression], records, read);
    }
    if class.field("uuid").is_some() {
        let uuid = param("uuid", Type::String, "the uuid");
        add("get_record", Kind::GetRecord, &[this], record, read);
        add("get_by_uuid", Kind::GetByUuid, &[uuid], reference, read);
    }
    if class.named() && class.listed {
        let label = param("label", Type::String, "the name_label");
        let found = Type::Set(kept(reference));
        add("get_by_name_label", Kind::GetByNameLabel, &[label], found, read);
    }
    if class.field("uuid").is_some() && class.getters {
        for field in class.fields {
            of_field(class, field, this, &mut add);
        }
    }
    if let Some(role) = class.lifecycle {
        let args = param("args", record, "the new object's fields");
        add("create", Kind::Create, &[args], reference, role);
        add("destroy", Kind::Destroy, &[this], Type::Void, role);
    }
    all.extend(class.messages.iter().map(|message| Described {
        class,
        name: message.name.into(),
        kind: Kind::Own(message),
        params: message.params.into(),
        result: message.result,
        role: message.role,
        errors: message.errors,
        session: message.session,
        asynchronous: message.asynchronous,
    }));
    all
}

fn of_field(
    class: &'static Class,
    field: &'static Field,
    this: Param,
    add: &mut impl FnMut(&str, Kind, &[Param], Type, Role),
) {
    let name = field.name;
    add(&format!("get_{name}"), Kind::Get(field), &[this], field.ty, class.read);
    if field.qualifier != Qualifier::Rw {
        return;
    }
    let role = field.role.unwrap_or(class.write);
    let value = param("value", field.ty, "the new value");
    add(&format!("set_{name}"), Kind::Set(field), &[this, value], Type::Void, role);
    match field.ty {
        Type::Map(key, item) => {
            let role = field.keys.iter().map(|(_, role)| *role).fold(role, Role::min);
            let key = param("key", *key, "the key");
            let item = param("value", *item, "its value");
            let both = [this, key, item];
            add(&format!("add_to_{name}"), Kind::Add(field), &both, Type::Void, role);
            let one = [this, key];
            add(&format!("remove_from_{name}"), Kind::Remove(field), &one, Type::Void, role);
        }
        Type::Set(item) => {
            let one = [this, param("value", *item, "the member")];
            add(&format!("add_{name}"), Kind::Add(field), &one, Type::Void, role);
            add(&format!("remove_{name}"), Kind::Remove(field), &one, Type::Void, role);
        }
        _ => {}
    }
}
