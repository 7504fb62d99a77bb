// SPDX-License-Identifier: MIT OR Apache-2.0
//! Users beside root: subjects, roles, whose changes count at once.

use crate::common::{Client, PASSWORD, Served, Wire};
use xapi_model::Value;

/// Logs in as a user; the error if that is refused.
fn login(served: &Served, user: &str) -> Result<Client, xapi_model::ApiError> {
    let mut client = served.client(Wire::Json);
    let params = vec![user.into(), PASSWORD.into(), "1.0".into(), "test".into()];
    client.session = client.raw("session.login_with_password", params)?.text();
    Ok(client)
}

fn add_subject(root: &Client, name: &str) -> String {
    let identifier = root.ok("auth.get_subject_identifier", vec![name.into()]);
    let record = Value::Map([("subject_identifier".to_owned(), identifier)].into());
    root.text("subject.create", vec![record])
}

fn role(root: &Client, name: &str) -> String {
    root.named("role", name)
}

#[test]
fn a_user_gets_in_with_a_role_and_only_so_far() {
    let served = Served::new();
    let root = served.login(Wire::Json);
    assert_eq!(login(&served, "ann").unwrap_err().code, "SESSION_AUTHENTICATION_FAILED");
    let ann = add_subject(&root, "ann");
    assert_eq!(login(&served, "ann").unwrap_err().args[1], "The user has no role here");

    root.ok("subject.add_to_roles", vec![ann.as_str().into(), role(&root, "read-only").into()]);
    let client = login(&served, "ann").unwrap();
    let session = client.record("session", &client.session);
    assert_eq!(session["subject"].text(), ann);
    assert_eq!(session["auth_user_sid"].text(), "uid-1000");
    assert_eq!(session["auth_user_name"].text(), "ann");
    assert_eq!(session["is_local_superuser"], Value::Bool(false));
    client.ok("VM.get_all_records", vec![]);
    let template = root.named("VM", "Linux PVH (own boot loader)");
    let clone = vec![template.as_str().into(), "x".into()];
    assert_eq!(client.err("VM.clone", clone.clone()).code, "RBAC_PERMISSION_DENIED");

    // A stronger role counts in the same session; so does its loss.
    let admin = role(&root, "vm-admin");
    root.ok("subject.add_to_roles", vec![ann.as_str().into(), admin.as_str().into()]);
    let again = vec![ann.as_str().into(), admin.as_str().into()];
    assert_eq!(root.err("subject.add_to_roles", again.clone()).code, "ROLE_ALREADY_EXISTS");
    let vm = client.text("VM.clone", clone);
    root.ok("subject.remove_from_roles", again.clone());
    assert_eq!(root.err("subject.remove_from_roles", again).code, "ROLE_NOT_FOUND");
    assert_eq!(client.err("VM.destroy", vec![vm.into()]).code, "RBAC_PERMISSION_DENIED");

    // Whoever is no subject any more is out.
    root.ok("subject.destroy", vec![ann.into()]);
    assert_eq!(client.err("VM.get_all", vec![]).code, "SESSION_INVALID");
}

#[test]
fn groups_let_their_members_in() {
    let served = Served::new();
    let root = served.login(Wire::Xml);
    let operators = add_subject(&root, "operators");
    let operator = role(&root, "vm-operator");
    root.ok("subject.add_to_roles", vec![operators.as_str().into(), operator.into()]);
    assert!(login(&served, "ann").is_err(), "she is in no group");
    assert!(login(&served, "operators").is_err(), "groups do not log in");
    let bob = login(&served, "bob").unwrap();
    assert_eq!(bob.record("session", &bob.session)["subject"].text(), operators);
    let groups = bob.ok("auth.get_group_membership", vec!["uid-1001".into()]);
    assert_eq!(groups, Value::strings(["gid-2000"]));

    // Some keys of a map are for operators, others are not.
    let template = root.named("VM", "Linux PVH (own boot loader)");
    let add = |key: &str| vec![template.as_str().into(), key.into(), "x".into()];
    bob.ok("VM.add_to_other_config", add("folder"));
    bob.ok("VM.add_to_other_config", add("XenCenter.CustomFields.owner"));
    let error = bob.err("VM.add_to_other_config", add("other"));
    assert_eq!(error.args[0], "vm.add_to_other_config");
    let whole = vec![template.as_str().into(), Value::string_map([("folder", "y")])];
    assert_eq!(bob.err("VM.set_other_config", whole).code, "RBAC_PERMISSION_DENIED");
    bob.ok("VM.remove_from_other_config", vec![template.as_str().into(), "folder".into()]);
}

#[test]
fn sessions_of_a_user_are_ended_together() {
    let served = Served::new();
    let root = served.login(Wire::Json);
    let ann = add_subject(&root, "ann");
    let operator = role(&root, "pool-operator");
    root.ok("subject.add_to_roles", vec![ann.into(), operator.into()]);
    let (one, other) = (login(&served, "ann").unwrap(), login(&served, "ann").unwrap());
    let known = root.ok("session.get_all_subject_identifiers", vec![]);
    assert_eq!(known, Value::strings(["uid-1000"]));
    one.ok("session.logout_subject_identifier", vec!["uid-1000".into()]);
    one.ok("VM.get_all", vec![]);
    assert_eq!(other.err("VM.get_all", vec![]).code, "SESSION_INVALID");
    root.ok("session.logout_subject_identifier", vec!["".into()]);
    root.ok("VM.get_all", vec![]);
}

#[test]
fn others_tasks_are_for_pool_operators() {
    let served = Served::new();
    let root = served.login(Wire::Json);
    let (ann, bob) = (add_subject(&root, "ann"), add_subject(&root, "bob"));
    for subject in [ann, bob.clone()] {
        root.ok("subject.add_to_roles", vec![subject.into(), role(&root, "vm-admin").into()]);
    }
    let (ann, client) = (login(&served, "ann").unwrap(), login(&served, "bob").unwrap());
    let task = ann.text("task.create", vec!["import".into(), "".into()]);
    let done = vec![task.as_str().into(), "success".into()];
    assert_eq!(client.err("task.set_status", done.clone()).code, "RBAC_PERMISSION_DENIED");
    let destroy = vec![task.as_str().into()];
    assert_eq!(client.err("task.destroy", destroy.clone()).code, "RBAC_PERMISSION_DENIED");
    ann.ok("task.set_status", done);
    root.ok("subject.add_to_roles", vec![bob.into(), role(&root, "pool-operator").into()]);
    client.ok("task.destroy", destroy);
}

#[test]
fn roles_and_their_permissions_are_known() {
    let served = Served::new();
    let root = served.login(Wire::Xml);
    let roles = root.ok("role.get_all", vec![]);
    assert_eq!(roles.as_set().unwrap().len(), 6);
    let admin = root.record("role", &role(&root, "pool-admin"));
    assert_eq!(admin["uuid"].text(), "0165f154-ba3e-034e-6b27-5d271af109ba");
    assert_eq!(admin["subroles"].as_set().unwrap().len(), 5);
    let operator = role(&root, "vm-operator");
    let permissions = root.ok("role.get_permissions_name_label", vec![operator.into()]);
    let permissions = permissions.as_set().unwrap().to_vec();
    assert!(permissions.contains(&"vm.start".into()) && !permissions.contains(&"vm.clone".into()));
    let label = vec!["subject.create".into()];
    let who = root.ok("role.get_by_permission_name_label", label);
    assert_eq!(who, Value::strings([role(&root, "pool-admin")]));
}

#[test]
fn subjects_are_accounts_of_the_host() {
    let served = Served::new();
    let root = served.login(Wire::Json);
    let name = vec!["nobody-here".into()];
    assert_eq!(root.err("auth.get_subject_identifier", name).code, "SUBJECT_CANNOT_BE_RESOLVED");
    let unknown = Value::Map([("subject_identifier".to_owned(), "uid-77".into())].into());
    assert_eq!(root.err("subject.create", vec![unknown]).code, "SUBJECT_CANNOT_BE_RESOLVED");
    let ann = add_subject(&root, "ann");
    let same = Value::Map([("subject_identifier".to_owned(), "uid-1000".into())].into());
    assert_eq!(root.err("subject.create", vec![same]).code, "SUBJECT_ALREADY_EXISTS");
    let config = root.record("subject", &ann)["other_config"].clone();
    assert_eq!(config.as_map().unwrap()["subject-name"].text(), "ann");
    let known = root.ok("auth.get_subject_information_from_identifier", vec!["uid-1000".into()]);
    assert_eq!(known, config);
}

#[test]
fn only_root_logs_in_to_the_host_itself() {
    let served = Served::new();
    let root = served.login(Wire::Json);
    let ann = add_subject(&root, "ann");
    root.ok("subject.add_to_roles", vec![ann.into(), role(&root, "pool-admin").into()]);
    login(&served, "ann").unwrap();
    for wire in [Wire::Xml, Wire::Json] {
        let mut client = served.client(wire);
        let message = "session.slave_local_login_with_password";
        let local = |params: &[&str]| {
            client.raw(message, params.iter().map(|param| Value::from(*param)).collect())
        };
        for (user, password) in [("ann", PASSWORD), ("root", "guess"), ("root", ""), ("", PASSWORD)]
        {
            let error = local(&[user, password]).unwrap_err();
            assert_eq!(
                error.description(),
                ["SESSION_AUTHENTICATION_FAILED", user, "Authentication failure"]
            );
        }
        let error = local(&["root", PASSWORD, "1.0"]).unwrap_err();
        assert_eq!(error.description(), ["MESSAGE_PARAMETER_COUNT_MISMATCH", message, "2", "3"]);
        client.session = local(&["root", PASSWORD]).unwrap().text();
        let session = client.record("session", &client.session);
        assert_eq!(session["is_local_superuser"], Value::Bool(true));
        assert_eq!(session["pool"], Value::Bool(false));
        // It is as good as any other of root's, and ends in either way.
        client.ok("pool.get_all_records", vec![]);
        let logout = if wire == Wire::Xml { "session.local_logout" } else { "session.logout" };
        client.ok(logout, vec![]);
        assert_eq!(client.err("pool.get_all", vec![]).code, "SESSION_INVALID");
    }
}
