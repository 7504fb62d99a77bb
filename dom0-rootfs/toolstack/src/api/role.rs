// SPDX-License-Identifier: MIT OR Apache-2.0
//! `role`.

use xapi_model::{Reply, Role, Value};

use super::Entry;
use crate::rbac;
use crate::store::Object;
use crate::toolstack::{Args, Context};

pub(super) const HANDLERS: &[Entry] = &[
    // A role's permissions as roles: itself and all that it includes.
    ("role.get_permissions", |context, args| {
        let role = args.to("self");
        let mut all = context.toolstack.look("role", &role, |role, _| role.refs("subroles"))?;
        all.push(role);
        Ok(Value::Set(all.into_iter().map(Value::Ref).collect()))
    }),
    ("role.get_by_permission", |context, args| {
        let role = args.to("permission");
        context.toolstack.look("role", &role, |_, objects| {
            let has = |other: &&Object| {
                other.reference() == &role || other.refs("subroles").contains(&role)
            };
            Value::Set(objects.all("role").filter(has).map(|r| r.reference().into()).collect())
        })
    }),
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
