// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a role may do it can, and what it may not it cannot: messages, as calls and as tasks, keys of
//! maps, requests that are no calls.

use std::collections::BTreeSet;

use crate::common::wire::status;
use crate::common::{Client, Served, Wire};
use toolstack::session::Owner;
use xapi_model::{ApiError, Described, Kind, Reply, Role, Type, Value, catalogue, errors, http};

/// A reference to nothing.
const NOBODY: &str = "OpaqueRef:00000000-0000-0000-0000-000000000000";

/// Messages that would do something wherever they lead, each with what that is: they are called with a
/// parameter too many, which is looked at after the role.
const HEADLESS: &[(&str, &str)] = &[
    ("host.emergency_reset_server_certificate", "clients would trust the host no more"),
    ("host.shutdown_agent", "the daemon would end"),
];

/// A client with a new session of a role.
fn of_role(served: &Served, role: Role) -> Client {
    let mut client = served.client(Wire::Json);
    client.session = open(served, role);
    client
}

fn open(served: &Served, role: Role) -> String {
    served.toolstack.sessions.open(Owner::Host(role), "somebody", "test").to_string()
}

/// Of each type a value that leads nowhere.
fn nowhere(ty: &Type) -> Value {
    match ty {
        Type::Ref(_) => NOBODY.into(),
        Type::Set(item @ Type::Ref(_)) => Value::Set(vec![nowhere(item)]),
        ty => ty.zero(),
    }
}

/// Calls a message, in its `Async.` form if it is to have a task, so that it is past all checks of the role
/// and touches nothing.
fn call(client: &Client, message: &Described, prefix: &str) -> Reply {
    let name = message.full_name();
    let mut params: Vec<_> = message.params.iter().map(|param| nowhere(&param.ty)).collect();
    if HEADLESS.iter().any(|(headless, _)| *headless == name) {
        params.push("".into());
    }
    client.call(&format!("{prefix}{name}"), params)
}

/// The weakest role that may call a message with the parameters of [`call`], whose keys are empty.
fn needed(message: &Described) -> Role {
    message.role_for("")
}

fn is_denied(error: &ApiError) -> bool {
    error.is(&errors::RBAC_PERMISSION_DENIED)
}

/// Messages with a session; `asynchronous`: those that can have a task.
fn messages(asynchronous: bool) -> impl Iterator<Item = &'static Described> {
    catalogue().all().filter(move |m| m.session && (m.asynchronous || !asynchronous))
}

/// What is wrong with an answer to somebody who may call a message.
fn wrong(reply: &Reply, headless: bool) -> bool {
    let Err(error) = reply else { return headless };
    let shallow = [&errors::MESSAGE_PARAMETER_COUNT_MISMATCH, &errors::FIELD_TYPE_ERROR];
    let shallow = shallow.iter().any(|known| error.is(known));
    let closed = is_denied(error) || error.is(&errors::SESSION_INVALID);
    closed || error.is(&errors::INTERNAL_ERROR) || shallow != headless
}

#[test]
fn a_role_may_call_all_its_messages() {
    let served = Served::new();
    for role in Role::ALL {
        let mut client = of_role(&served, role);
        for message in messages(false).filter(|message| role.may(needed(message))) {
            let name = message.full_name();
            let reply = call(&client, message, "");
            let headless = HEADLESS.iter().any(|(headless, _)| *headless == name);
            assert!(!wrong(&reply, headless), "{role:?} {name}: {reply:?}");
            if name.starts_with("session.") {
                client.session = open(&served, role);
            }
        }
    }
}

#[test]
fn a_role_may_have_tasks_of_all_its_messages() {
    let served = Served::new();
    for role in Role::ALL {
        let client = of_role(&served, role);
        for message in messages(true).filter(|message| role.may(needed(message))) {
            let name = message.full_name();
            let reply = call(&client, message, "Async.");
            if HEADLESS.iter().any(|(headless, _)| *headless == name) {
                assert!(!wrong(&reply, true), "{role:?} {name}: {reply:?}");
                continue;
            }
            let task = reply.unwrap_or_else(|error| panic!("{role:?} {name}: {error}")).text();
            let ended = client.ended(&task);
            let info = ended["error_info"].as_set().unwrap();
            let words = info.iter().map(Value::text).collect::<Vec<_>>();
            let reply = match words.split_first() {
                None => Ok(Value::Void),
                Some((code, args)) => Err(ApiError { code: code.clone(), args: args.to_vec() }),
            };
            assert!(!wrong(&reply, false), "{role:?} {name}: {reply:?}");
            client.ok("task.destroy", vec![task.into()]);
        }
    }
}

#[test]
fn a_role_has_no_tasks_of_messages_that_it_may_not_call() {
    let served = Served::new();
    let root = served.login(Wire::Json);
    let mut tried = 0;
    for role in Role::ALL {
        let client = of_role(&served, role);
        for message in messages(true).filter(|message| !role.may(needed(message))) {
            let error = call(&client, message, "Async.").unwrap_err();
            assert!(is_denied(&error), "{role:?} {}: {error}", message.full_name());
            tried += 1;
        }
    }
    assert!(tried > 0);
    assert_eq!(root.ok("task.get_all", vec![]), Value::Set(vec![]));
}

#[test]
fn keys_of_maps_have_roles_of_their_own() {
    let served = Served::new();
    for role in Role::ALL {
        let client = of_role(&served, role);
        for message in messages(false) {
            let (Kind::Add(field) | Kind::Remove(field)) = message.kind else { continue };
            let other = (!field.keys.is_empty()).then_some(("anything", needed(message)));
            for (key, needed) in field.keys.iter().copied().chain(other) {
                let key = key.replace('*', "x");
                let params = message.params.iter().map(|param| match param.name {
                    "key" => key.as_str().into(),
                    _ => nowhere(&param.ty),
                });
                let error = client.err(&message.full_name(), params.collect());
                let expected = match role.may(needed) {
                    true => &errors::HANDLE_INVALID,
                    false => &errors::RBAC_PERMISSION_DENIED,
                };
                assert!(error.is(expected), "{role:?} {} {key}: {error}", message.full_name());
            }
        }
    }
}

#[test]
fn whoever_sets_a_map_changes_no_key_that_is_not_theirs() {
    let served = Served::new();
    let root = served.login(Wire::Json);
    let vm = root.make_vm("guest").vm;
    let admin = of_role(&served, Role::VmAdmin);
    let set = |client: &Client, entries: &[(&str, &str)]| {
        let map = Value::string_map(entries.iter().copied());
        client.call("VM.set_other_config", vec![vm.as_str().into(), map])
    };
    let denied = |entries: &[(&str, &str)]| set(&admin, entries).unwrap_err().description();
    set(&admin, &[("folder", "a"), ("mine", "b")]).unwrap();
    let refused =
        |how: &str| ["RBAC_PERMISSION_DENIED".to_owned(), format!("vm.{how}_other_config/key:pci")];
    assert_eq!(denied(&[("pci", "0/0000:00:02.0")])[..2], refused("add_to"));
    set(&root, &[("pci", "0/0000:00:02.0"), ("mine", "b")]).unwrap();
    // What is there already may stay, and nothing else.
    set(&admin, &[("pci", "0/0000:00:02.0"), ("mine", "c")]).unwrap();
    assert_eq!(denied(&[("pci", "0/0000:00:03.0"), ("mine", "c")])[..2], refused("add_to"));
    assert_eq!(denied(&[("mine", "c")])[..2], refused("remove_from"));
    let kept = root.ok("VM.get_other_config", vec![vm.as_str().into()]);
    assert_eq!(kept, Value::string_map([("pci", "0/0000:00:02.0"), ("mine", "c")]));
    let platform = vec![vm.as_str().into(), Value::string_map([("hvm_serial", "pty")])];
    assert_eq!(admin.err("VM.set_platform", platform.clone()).code, "RBAC_PERMISSION_DENIED");
    root.ok("VM.set_platform", platform);

    // Weaker roles have keys of their own, and none of the others.
    let operator = of_role(&served, Role::VmOperator);
    assert_eq!(set(&operator, &[("folder", "b")]).unwrap_err().args[0], "vm.set_other_config");
    let reader = of_role(&served, Role::ReadOnly);
    let task = reader.text("task.create", vec!["import".into(), "".into()]);
    let map = |key: &str| vec![task.as_str().into(), Value::string_map([(key, "x")])];
    reader.ok("task.set_other_config", map("mine"));
    let error = reader.err("task.set_other_config", map("applies_to"));
    assert_eq!(error.args[0], "task.add_to_other_config/key:applies_to");
    operator.ok("task.set_other_config", map("applies_to"));
}

/// Requests that are no calls, each with its handler; none finds what it is for.
const REQUESTS: &[(&str, &str)] = &[
    ("connect_console", "CONNECT /console?uuid=x"),
    ("connect_console", "GET /console?uuid=x"),
    ("get_audit_log", "GET /audit_log?since=20990101T00:00:00Z"),
    ("get_blob", "GET /blob?ref=x"),
    ("get_export", "GET /export?uuid=x"),
    ("get_export_metadata", "GET /export_metadata?uuid=x"),
    ("get_export_raw_vdi", "GET /export_raw_vdi?vdi=x"),
    ("get_host_rrd", "GET /host_rrd?json=true"),
    ("get_metrics", "GET /metrics?a=b"),
    ("get_rrd_updates", "GET /rrd_updates?start=0"),
    ("get_vm_rrd", "GET /vm_rrd?uuid=x"),
    ("put_blob", "PUT /blob?ref=x"),
    ("put_import", "PUT /import?sr_id=x"),
    ("put_import_metadata", "PUT /import_metadata?force=false"),
    ("put_import_raw_vdi", "PUT /import_raw_vdi?vdi=x"),
];

#[test]
fn requests_are_for_the_roles_of_their_handlers() {
    let served = Served::new();
    let known: BTreeSet<_> = http::ALL.iter().map(|handler| handler.name).collect();
    assert_eq!(REQUESTS.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), known);
    for role in Role::ALL {
        for (name, request) in REQUESTS {
            let handler = http::ALL.iter().find(|handler| handler.name == *name).unwrap();
            let line = format!("{request}&session_id={} HTTP/1.0", open(&served, role));
            let (_, head) = served.ask(&format!("{line}\r\nContent-Length: 0\r\n\r\n"));
            let refused = [401, 403].contains(&status(&head));
            assert_eq!(refused, !role.may(handler.role), "{role:?} {request}: {head}");
        }
        let target = format!("/console?uuid=x&session_id={}", open(&served, role));
        let found = status(&served.ask_socket(&target, &[]).1);
        assert_eq!(found, if role.may(http::CONSOLE.role) { 404 } else { 403 }, "{role:?}");
    }
}
