// SPDX-License-Identifier: MIT OR Apache-2.0
//! `role`.

use xapi_model::{Reply, Role, Value};

use super::Entry;
use crate::rbac;
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    ("role.get_permissions_name_label", get_permissions),
    ("role.get_by_permission_name_label", get_by_permission),
];

fn get_permissions(context: &Context, args: &Args<'_>) -> Reply {
    let role = context.toolstack.look("role", &args.to("self"), |role, _| rbac::of_object(role))?;
    Ok(Value::strings(role.map(rbac::permissions).unwrap_or_default()))
}

fn get_by_permission(context: &Context, args: &Args<'_>) -> Reply {
    let label = args.text("label").to_lowercase();
    let has = |role: &Role| rbac::permissions(*role).iter().any(|n| n.to_lowercase() == label);
    let found = Role::ALL.into_iter().filter(has);
    Ok(context.store().read(|objects| {
        Value::Set(found.filter_map(|role| rbac::object(objects, role)).map(Value::Ref).collect())
    }))
}
