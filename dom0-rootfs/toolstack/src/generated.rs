// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages that every class has: `get_record`, `set_name_label`, ….

use std::collections::BTreeMap;

use xapi_model::{ApiError, Class, Described, Field, Kind, Ref, Reply, Type, Value, errors};

use crate::query::Query;
use crate::store::Object;
use crate::toolstack::{Args, Context};
use crate::vm::kind;
use crate::{guards, memory, rbac};

/// Carries out a generated message; `create` and `destroy` are the classes' own.
pub fn call(context: &Context, message: &Described, args: &Args<'_>) -> Reply {
    let class = message.class;
    if class.name == "session" {
        return session(context, message, args);
    }
    let store = context.store();
    match message.kind {
        Kind::GetAll => {
            Ok(Value::Set(store.references(class).into_iter().map(Value::Ref).collect()))
        }
        Kind::GetAllRecords => Ok(records(context, class, |_| true)),
        Kind::GetAllRecordsWhere => {
            let text = args.text("expr");
            let query = Query::parse(class, text).map_err(|problem| {
                errors::INVALID_VALUE.with(["expr", &format!("{text}: {problem}")])
            })?;
            Ok(records(context, class, |object| query.matches(object)))
        }
        Kind::GetRecord => look(context, class, args, |object| object.record().into()),
        Kind::GetByUuid => {
            let uuid = args.text("uuid");
            let found = store.read(|o| o.by_uuid(class.name, uuid).map(|o| o.reference().into()));
            found.ok_or_else(|| errors::UUID_INVALID.with([class.name, uuid]))
        }
        Kind::GetByNameLabel => {
            let label = args.text("label");
            Ok(store.read(|objects| {
                let named = objects.all(class.name).filter(|o| o.text("name_label") == label);
                Value::Set(named.map(|o| o.reference().into()).collect())
            }))
        }
        Kind::Get(field) => look(context, class, args, |object| object.get(field.name).clone()),
        Kind::Set(field) => set(context, class, field, &args.to("self"), |object| {
            let value = args.get("value");
            rbac::check_map(context.role, message, (object.get(field.name), value))?;
            Ok(value.clone())
        }),
        Kind::Add(field) => {
            set(context, class, field, &args.to("self"), |object| added(object, field, args))
        }
        Kind::Remove(field) => set(context, class, field, &args.to("self"), |object| {
            Ok(removed(object.get(field.name).clone(), field, args))
        }),
        Kind::Create | Kind::Destroy | Kind::Own(_) => {
            Err(errors::MESSAGE_METHOD_UNKNOWN.with([message.full_name()]))
        }
    }
}

fn records(context: &Context, class: &Class, wanted: impl Fn(&Object) -> bool) -> Value {
    context.store().read(|objects| {
        let wanted = objects.all(class.name).filter(|object| wanted(object));
        Value::Map(wanted.map(|o| (o.reference().to_string(), o.record().into())).collect())
    })
}

fn look(
    context: &Context,
    class: &Class,
    args: &Args<'_>,
    look: impl FnOnce(&Object) -> Value,
) -> Reply {
    context.toolstack.look(class.name, &args.to("self"), |object, _| look(object))
}

fn set(
    context: &Context,
    class: &'static Class,
    field: &'static Field,
    reference: &Ref,
    new: impl FnOnce(&Object) -> Result<Value, ApiError>,
) -> Reply {
    context.store().write(|t| {
        let value = new(t.get(class.name, reference)?)?;
        guards::check(t.objects(), class, reference, field.name, &value)?;
        if class.name == "VM" {
            kind::follow(t, reference, field.name, &value)?;
        }
        t.set(reference, field.name, value);
        Ok(Value::Void)
    })?;
    // The guest of a VM that runs is asked to follow.
    if class.name == "VM" && field.name.starts_with("memory_dynamic_") {
        memory::balance(&context.toolstack);
    }
    Ok(Value::Void)
}

fn added(object: &Object, field: &Field, args: &Args<'_>) -> Result<Value, ApiError> {
    match object.get(field.name).clone() {
        Value::Map(mut map) => {
            let key = args.get("key").text();
            if map.contains_key(&key) {
                let (class, reference) = (object.class().name, object.reference().as_str());
                return Err(errors::MAP_DUPLICATE_KEY.with([class, field.name, reference, &key]));
            }
            map.insert(key, args.get("value").clone());
            Ok(Value::Map(map))
        }
        Value::Set(mut items) => {
            let item = args.get("value");
            if !items.contains(item) {
                items.push(item.clone());
            }
            Ok(Value::Set(items))
        }
        other => Ok(other),
    }
}

fn removed(value: Value, field: &Field, args: &Args<'_>) -> Value {
    match (value, field.ty) {
        (Value::Map(mut map), Type::Map(..)) => {
            map.remove(&args.get("key").text());
            Value::Map(map)
        }
        (Value::Set(mut items), _) => {
            items.retain(|item| item != args.get("value"));
            Value::Set(items)
        }
        (other, _) => other,
    }
}

/// Sessions are not in the store: their use would be an event each time.
fn session(context: &Context, message: &Described, args: &Args<'_>) -> Reply {
    let sessions = &context.toolstack.sessions;
    if message.kind == Kind::GetByUuid {
        let uuid = args.text("uuid");
        let found = sessions.by_uuid(uuid).map(Value::Ref);
        return found.ok_or_else(|| errors::UUID_INVALID.with(["session", uuid]));
    }
    let this = args.to("self");
    let invalid = || errors::HANDLE_INVALID.with(["session", this.as_str()]);
    let session = sessions.look(&this).ok_or_else(invalid)?;
    let Value::Map(record) = context.store().read(|objects| session.record(objects)) else {
        return Err(invalid());
    };
    let mut config: BTreeMap<String, Value> =
        session.other_config.as_map().cloned().unwrap_or_default();
    match message.kind {
        Kind::GetRecord => return Ok(Value::Map(record)),
        Kind::Get(field) => return record.get(field.name).cloned().ok_or_else(invalid),
        Kind::Set(_) => config = args.get("value").as_map().cloned().unwrap_or_default(),
        Kind::Add(_) => {
            let key = args.text("key");
            if config.contains_key(key) {
                let words = ["session", "other_config", this.as_str(), key];
                return Err(errors::MAP_DUPLICATE_KEY.with(words));
            }
            config.insert(key.to_owned(), args.get("value").clone());
        }
        Kind::Remove(_) => {
            config.remove(args.text("key"));
        }
        _ => return Err(errors::MESSAGE_METHOD_UNKNOWN.with([message.full_name()])),
    }
    sessions.change(&this, |session| session.other_config = Value::Map(config));
    Ok(Value::Void)
}
