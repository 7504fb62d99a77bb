// SPDX-License-Identifier: MIT OR Apache-2.0
//! Objects that are what their records say, with nothing outside of the database.

use xapi_model::{ApiError, Class, Ref, Reply, Value, classes, errors};

use super::Entry;
use crate::guards;
use crate::store::Transaction;
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    ("secret.create", |context, args| create(context, args, &classes::SECRET)),
    ("secret.destroy", |context, args| destroy(context, args, "secret")),
    ("user.create", create_user),
    ("user.destroy", |context, args| destroy(context, args, "user")),
    ("VM_group.create", |context, args| create(context, args, &classes::VM_GROUP)),
];

/// Makes an object of a client's record. References in it must lead somewhere.
pub(super) fn make(
    t: &mut Transaction<'_>,
    args: &Args<'_>,
    class: &'static Class,
) -> Result<Ref, ApiError> {
    let record = args.get("args").as_map().cloned().unwrap_or_default();
    for (name, value) in &record {
        guards::refers(t.objects(), class, name, value)?;
    }
    Ok(t.create(class, record.iter().map(|(name, value)| (name.as_str(), value.clone())).collect()))
}

pub(super) fn create(context: &Context, args: &Args<'_>, class: &'static Class) -> Reply {
    context.store().write(|t| make(t, args, class).map(Value::Ref))
}

pub(super) fn destroy(context: &Context, args: &Args<'_>, class: &str) -> Reply {
    let this = args.to("self");
    context.store().write(|t| {
        t.get(class, &this)?;
        t.remove(&this);
        Ok(Value::Void)
    })
}

fn create_user(context: &Context, args: &Args<'_>) -> Reply {
    context.store().write(|t| {
        let user = make(t, args, &classes::USER)?;
        let name = t.get("user", &user)?.text("short_name").to_owned();
        let same = t.objects().all("user").filter(|user| user.text("short_name") == name).count();
        if name.is_empty() {
            return Err(errors::INVALID_VALUE.with(["short_name", &name]));
        }
        if same > 1 {
            let words = ["user", "short_name", &name];
            return Err(errors::DB_UNIQUENESS_CONSTRAINT_VIOLATION.with(words));
        }
        Ok(user.into())
    })
}
