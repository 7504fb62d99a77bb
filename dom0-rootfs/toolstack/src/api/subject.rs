// SPDX-License-Identifier: MIT OR Apache-2.0
//! `subject`.

use xapi_model::{ApiError, Ref, Reply, Value, classes, errors};

use super::Entry;
use crate::rbac;
use crate::store::{Object, Transaction};
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    ("subject.create", create),
    ("subject.destroy", destroy),
    ("subject.add_to_roles", add_role),
    ("subject.remove_from_roles", remove_role),
    ("subject.get_permissions_name_label", get_permissions),
];

fn create(context: &Context, args: &Args<'_>) -> Reply {
    let record = args.get("args").as_map().cloned().unwrap_or_default();
    let given = |name: &str| record.get(name).cloned();
    let identifier = given("subject_identifier").map(|value| value.text()).unwrap_or_default();
    let account = context.toolstack.accounts.by_identifier(&identifier);
    let account = account.map_err(|e| errors::INTERNAL_ERROR.with([format!("{e:#}")]))?;
    let account = account.ok_or_else(|| errors::SUBJECT_CANNOT_BE_RESOLVED.bare())?;
    let known = Value::string_map(account.information());
    let config = match given("other_config") {
        Some(Value::Map(map)) if !map.is_empty() => Value::Map(map),
        _ => known,
    };
    context.store().write(|t| {
        let same = |subject: &Object| subject.text("subject_identifier") == identifier;
        if t.objects().all("subject").any(same) {
            return Err(errors::SUBJECT_ALREADY_EXISTS.bare());
        }
        let fields =
            vec![("subject_identifier", identifier.as_str().into()), ("other_config", config)];
        Ok(Value::Ref(t.create(&classes::SUBJECT, fields)))
    })
}

fn destroy(context: &Context, args: &Args<'_>) -> Reply {
    let subject = args.to("self");
    context.store().write(|t| {
        t.get("subject", &subject)?;
        t.remove(&subject);
        Ok(Value::Void)
    })
}

/// The roles of a subject, with the one that a call is about taken out, and whether it was there.
fn others(t: &Transaction<'_>, subject: &Ref, role: &Ref) -> Result<(Vec<Ref>, bool), ApiError> {
    let mut roles = t.get("subject", subject)?.refs("roles");
    t.get("role", role)?;
    let before = roles.len();
    roles.retain(|known| known != role);
    let had = roles.len() < before;
    Ok((roles, had))
}

fn set(t: &mut Transaction<'_>, subject: &Ref, roles: Vec<Ref>) {
    t.set(subject, "roles", Value::Set(roles.into_iter().map(Value::Ref).collect()));
}

fn add_role(context: &Context, args: &Args<'_>) -> Reply {
    let (subject, role) = (args.to("self"), args.to("role"));
    context.store().write(|t| {
        let (mut roles, had) = others(t, &subject, &role)?;
        if had {
            return Err(errors::ROLE_ALREADY_EXISTS.bare());
        }
        roles.push(role);
        set(t, &subject, roles);
        Ok(Value::Void)
    })
}

fn remove_role(context: &Context, args: &Args<'_>) -> Reply {
    let (subject, role) = (args.to("self"), args.to("role"));
    context.store().write(|t| {
        let (roles, had) = others(t, &subject, &role)?;
        if !had {
            return Err(errors::ROLE_NOT_FOUND.bare());
        }
        set(t, &subject, roles);
        Ok(Value::Void)
    })
}

fn get_permissions(context: &Context, args: &Args<'_>) -> Reply {
    let role = context
        .toolstack
        .look("subject", &args.to("self"), |subject, objects| rbac::of_subject(objects, subject))?;
    Ok(Value::strings(role.map(rbac::permissions).unwrap_or_default()))
}
