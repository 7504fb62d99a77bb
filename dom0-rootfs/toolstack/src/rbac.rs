// SPDX-License-Identifier: MIT OR Apache-2.0
//! Roles of subjects: which there are, what they permit, and whom a session is for.

use xapi_model::{ApiError, Described, Kind, Ref, Role, Value, catalogue, classes, errors, http};

use crate::store::{Object, Objects, Transaction};

/// A role's uuid, the same in every pool and on XenServer.
fn uuid(role: Role) -> &'static str {
    match role {
        Role::PoolAdmin => "0165f154-ba3e-034e-6b27-5d271af109ba",
        Role::PoolOperator => "b9ce9791-0604-50cd-0649-09b3284c7dfd",
        Role::VmPowerAdmin => "7955168d-7bec-10ed-105f-c6a7e6e63249",
        Role::VmAdmin => "aaa00ab5-7340-bfbc-0d1b-7cf342639a6e",
        Role::VmOperator => "fb8d4ff9-310c-a959-0613-54101535d3d5",
        Role::ReadOnly => "7233b8e3-eacb-d7da-2c95-f2e581cdbf4e",
    }
}

/// Makes the roles, or brings them up to date.
pub fn make(t: &mut Transaction<'_>) {
    let mut weaker: Vec<Ref> = Vec::new();
    for role in Role::ALL {
        let uuid = uuid(role);
        let known = t.objects().by_uuid("role", uuid).map(|role| role.reference().clone());
        let made = known.unwrap_or_else(|| t.create(&classes::ROLE, vec![("uuid", uuid.into())]));
        t.set(&made, "name_label", role.name());
        t.set(&made, "name_description", role.doc());
        t.set(&made, "subroles", Value::Set(weaker.iter().map(Value::from).collect()));
        weaker.push(made);
    }
}

/// The role that an object of the class stands for.
pub fn of_object(role: &Object) -> Option<Role> {
    Role::ALL.into_iter().find(|known| uuid(*known) == role.uuid())
}

/// The object of a role.
pub fn object(objects: &Objects, role: Role) -> Option<Ref> {
    objects.by_uuid("role", uuid(role)).map(|role| role.reference().clone())
}

/// The strongest role of a subject.
pub fn of_subject(objects: &Objects, subject: &Object) -> Option<Role> {
    let roles = subject.refs("roles");
    roles.iter().filter_map(|role| objects.find(role)).filter_map(of_object).max()
}

/// The subject with the strongest role among those with these identifiers: a user's own and those of
/// its groups.
pub fn strongest(objects: &Objects, identifiers: &[String]) -> Option<(Ref, Role)> {
    let known = |subject: &&Object| {
        identifiers.iter().any(|known| known == subject.text("subject_identifier"))
    };
    let subjects = objects.all("subject").filter(known);
    let roles = subjects.filter_map(|s| Some((s.reference().clone(), of_subject(objects, s)?)));
    roles.max_by_key(|(_, role)| *role)
}

/// What it takes to change or cancel a task of somebody else, as XAPI calls it.
pub const OTHERS_TASKS: (&str, Role) = ("task.destroy/any", Role::PoolOperator);

/// Name of the permission to call a message, or to do so for one key of its map.
fn permission(message: &Described, key: Option<&str>) -> String {
    let key = key.map_or_else(String::new, |key| format!("/key:{key}"));
    format!("{}{key}", message.full_name()).to_lowercase()
}

/// Names of all permissions of a role: `vm.start`, `vm.add_to_other_config/key:folder`.
pub fn permissions(role: Role) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for message in catalogue().all().filter(|message| message.session) {
        if role.may(message.role_for("")) {
            names.push(permission(message, None));
        }
        if let Kind::Add(field) | Kind::Remove(field) = message.kind {
            let keys = field.keys.iter().filter(|(_, needed)| role.may(*needed));
            names.extend(keys.map(|(key, _)| permission(message, Some(key))));
        }
    }
    let handlers = http::ALL.iter().filter(|handler| role.may(handler.role));
    names.extend(handlers.map(|handler| format!("http/{}", handler.name)));
    let (others_tasks, needed) = OTHERS_TASKS;
    names.extend(role.may(needed).then(|| others_tasks.to_owned()));
    names
}

/// Refuses a message that a role may not call, whatever its parameters.
pub fn check(role: Role, message: &Described) -> Result<(), ApiError> {
    allow(role, message.role, || permission(message, None))
}

/// Refuses one key of what a message adds to or removes from, if a role may not use it.
pub fn check_key(role: Role, message: &Described, params: &[Value]) -> Result<(), ApiError> {
    let (Kind::Add(field) | Kind::Remove(field)) = message.kind else { return Ok(()) };
    let at = message.params.iter().position(|param| param.name == "key");
    let key = at.and_then(|at| params.get(at)).map(Value::text).unwrap_or_default();
    allow(role, message.role_for(&key), || {
        permission(message, field.key(&key).map(|(known, _)| known))
    })
}

/// Refuses what a message sets a map to, if a role may not change one of the keys that differ from what they
/// were.
pub fn check_map(
    role: Role,
    message: &Described,
    (old, new): (&Value, &Value),
) -> Result<(), ApiError> {
    let (Kind::Set(field), Some(old), Some(new)) = (message.kind, old.as_map(), new.as_map())
    else {
        return Ok(());
    };
    let removed = old.keys().filter(|key| !new.contains_key(*key)).map(|key| ("remove_from", key));
    let set = new.iter().filter(|(key, value)| old.get(*key) != Some(*value));
    let set = set.map(|(key, _)| ("add_to", key));
    for (how, key) in set.chain(removed) {
        let Some((known, needed)) = field.key(key) else { continue };
        let class = message.class.name;
        allow(role, needed, || format!("{class}.{how}_{}/key:{known}", field.name).to_lowercase())?;
    }
    Ok(())
}

fn allow(role: Role, needed: Role, permission: impl FnOnce() -> String) -> Result<(), ApiError> {
    if role.may(needed) { Ok(()) } else { Err(denied(&permission(), needed)) }
}

/// The error of whoever would need a role for a permission.
pub fn denied(permission: &str, needed: Role) -> ApiError {
    let needed = format!("needs the role {}", needed.name());
    errors::RBAC_PERMISSION_DENIED.with([permission, &needed])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stronger_roles_have_all_permissions_of_weaker_ones() {
        let mut before: Vec<String> = Vec::new();
        for role in Role::ALL {
            let now = permissions(role);
            assert!(before.iter().all(|name| now.contains(name)), "{role:?}");
            assert!(now.len() > before.len(), "{role:?}");
            before = now;
        }
    }

    #[test]
    fn some_keys_need_less_than_others() {
        let may = |role, name: &str| permissions(role).iter().any(|known| known == name);
        assert!(may(Role::VmOperator, "vm.add_to_other_config/key:folder"));
        assert!(may(Role::VmOperator, "vm.remove_from_other_config/key:xencenter.customfields.*"));
        assert!(!may(Role::VmOperator, "vm.add_to_other_config"));
        assert!(may(Role::VmAdmin, "vm.add_to_other_config"));
        assert!(!may(Role::ReadOnly, "vm.start"));
    }
}
