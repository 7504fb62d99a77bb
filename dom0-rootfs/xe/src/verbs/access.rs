// SPDX-License-Identifier: MIT OR Apache-2.0
//! Users and groups of the host that may log in, and their roles.

use xapi_model::{Value, classes};

use super::{Verb, plain};
use crate::api::{Api, text};
use crate::failure::Failure;
use crate::nearest::nearest;
use crate::output::Output;
use crate::params::Params;

pub(super) static VERBS: &[Verb] = &[
    plain(
        "subject-add",
        &["subject-name"],
        &[],
        &["auth.get_subject_identifier", "subject.create"],
        "Lets a user or group of the host log in, once it has a role: subject-role-add.",
        add,
    ),
    plain(
        "subject-remove",
        &["subject-uuid"],
        &[],
        &["subject.destroy"],
        "Lets a user or group log in no longer. Sessions that are open end.",
        remove,
    ),
    plain(
        "subject-role-add",
        &["uuid"],
        &["role-name", "role-uuid"],
        &["subject.add_to_roles"],
        "Gives a subject a role, which role-list shows. The strongest of several counts, at once.",
        |api, params, _| change_role(api, params, "subject.add_to_roles"),
    ),
    plain(
        "subject-role-remove",
        &["uuid"],
        &["role-name", "role-uuid"],
        &["subject.remove_from_roles"],
        "Takes a role back from a subject. Without any it cannot log in.",
        |api, params, _| change_role(api, params, "subject.remove_from_roles"),
    ),
    plain(
        "session-subject-identifier-list",
        &[],
        &[],
        &["session.get_all_subject_identifiers"],
        "Identifiers of the users that are logged in now, without root.",
        logged_in,
    ),
    plain(
        "session-subject-identifier-logout",
        &["subject-identifier"],
        &[],
        &["session.logout_subject_identifier"],
        "Ends all sessions of a user.",
        |api, params, _| {
            let user = Value::from(params.require("subject-identifier")?);
            api.act("session.logout_subject_identifier", [user]).map(drop)
        },
    ),
];

fn add(api: &mut Api, params: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let name = Value::from(params.require("subject-name")?);
    let identifier = api.ask("auth.get_subject_identifier", [name])?;
    // The server fills in what it knows of the account.
    let fields = classes::SUBJECT.fields.iter().map(|f| (f.name.to_owned(), f.initial()));
    let mut record: std::collections::BTreeMap<String, Value> = fields.collect();
    record.insert("subject_identifier".to_owned(), identifier);
    let made = api.act("subject.create", [Value::Map(record)])?;
    let uuid = api.uuid_of("subject", &made.text())?;
    out.value(&uuid)
}

fn remove(api: &mut Api, params: &Params, _out: &mut Output<'_>) -> Result<(), Failure> {
    let subject = api.by_uuid(&classes::SUBJECT, params.require("subject-uuid")?)?.0;
    api.act("subject.destroy", [subject]).map(drop)
}

fn change_role(api: &mut Api, params: &Params, method: &str) -> Result<(), Failure> {
    let subject = api.by_uuid(&classes::SUBJECT, params.require("uuid")?)?.0;
    let role = match (params.get("role-uuid"), params.get("role-name")) {
        (Some(uuid), _) => api.by_uuid(&classes::ROLE, uuid)?.0,
        (None, Some(name)) => role_named(api, name)?,
        (None, None) => return Err(Failure::Missing("role-name".to_owned())),
    };
    api.act(method, [subject, role]).map(drop)
}

fn role_named(api: &mut Api, name: &str) -> Result<Value, Failure> {
    let roles = api.records(&classes::ROLE)?;
    let found = roles.iter().find(|(_, role)| text(role, "name_label") == name);
    if let Some((reference, _)) = found {
        return Ok(Value::Ref(xapi_model::Ref::new(reference)));
    }
    let names: Vec<String> = roles.values().map(|role| text(role, "name_label")).collect();
    let near = nearest(name, names.iter().map(String::as_str));
    Err(Failure::with_hint(format!("Unknown role '{name}'"), near))
}

fn logged_in(api: &mut Api, _: &Params, out: &mut Output<'_>) -> Result<(), Failure> {
    let all = api.ask("session.get_all_subject_identifiers", [])?;
    for identifier in all.as_set().unwrap_or_default() {
        out.value(&identifier.text())?;
    }
    Ok(())
}
