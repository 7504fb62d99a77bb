// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audit log: who called what on which objects, and nothing that is secret.

use crate::common::{Client, Served, Wire, record};
use toolstack::session::Owner;
use xapi_model::{Role, Value};

fn fetch(client: &Client, query: &str) -> (u16, String) {
    let url = format!("{}/audit_log?session_id={}{query}", client.url, client.session);
    let mut response = client.agent.get(url).call().unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

/// The lines about a message.
fn lines(log: &str, message: &str) -> Vec<String> {
    let quoted = format!("'API' '{message}'");
    log.lines().filter(|line| line.contains(&quoted)).map(str::to_owned).collect()
}

#[test]
fn calls_are_logged_with_who_and_what() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let vm = client.make_vm("it's one").vm;
    let uuid = client.text("VM.get_uuid", vec![vm.as_str().into()]);
    let session = client.text("session.get_uuid", vec![client.session.as_str().into()]);
    let task = client.text("Async.VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
    client.ended(&task);
    client.err("VM.start", vec![vm.as_str().into(), false.into(), false.into()]);
    client.ok("VM.hard_shutdown", vec![vm.as_str().into()]);
    client.ok("VM.destroy", vec![vm.as_str().into()]);
    let (status, log) = fetch(&client, "");
    assert_eq!(status, 200);
    let start = lines(&log, "VM.start");
    assert_eq!(start.len(), 2, "{log}");
    let words = |result: &str| {
        format!(
            "('{session}' 'LOCAL_SUPERUSER' 'root' 'ALLOWED' '{result}' 'API' 'VM.start' \
             (('vm' 'it\\'s one' '{uuid}' '{vm}')))"
        )
    };
    assert!(start[0].ends_with(&words("OK")), "{}", start[0]);
    assert!(start[1].ends_with(&words("ERROR:VM_BAD_POWER_STATE")), "{}", start[1]);
    assert!(start[0].contains("|pool-admin|127.0.0.1]"), "{}", start[0]);
    // What is gone has its name all the same.
    assert!(lines(&log, "VM.destroy")[0].contains(&uuid));
    // What a call made, and objects within a record.
    let made = lines(&log, "VBD.create");
    assert!(made[0].contains("('VM' ") && made[0].contains("('VDI' 'disk' "), "{}", made[0]);
    assert!(made[0].contains("('result' "), "{}", made[0]);
    // Looking is not logged.
    assert!(lines(&log, "VM.get_uuid").is_empty() && lines(&log, "event.from").is_empty());
    // Until the pool says so.
    let pool = served.toolstack.pool();
    client.ok("pool.add_to_other_config", vec![pool.into(), "audit-reads".into(), "true".into()]);
    client.text("pool.get_all", vec![]);
    client.ok("event.from", vec![Value::strings(["pool"]), "".into(), 1.0.into()]);
    let (_, log) = fetch(&client, "");
    assert_eq!((lines(&log, "pool.get_all").len(), lines(&log, "event.from").len()), (1, 1));
    // Requests that are no calls are.
    assert!(fetch(&client, "").1.contains("'http/get_audit_log'"));
}

#[test]
fn what_is_denied_is_logged_whatever_it_is() {
    let served = Served::new();
    let root = served.login(Wire::Json);
    let mut client = served.client(Wire::Json);
    let owner = Owner::Host(Role::ReadOnly);
    client.session = served.toolstack.sessions.open(owner, "reader", "test").to_string();
    assert_eq!(client.err("secret.get_all", vec![]).code, "RBAC_PERMISSION_DENIED");
    assert_eq!(client.err("VM.start", vec![]).code, "RBAC_PERMISSION_DENIED");
    let (_, log) = fetch(&root, "");
    for message in ["secret.get_all", "VM.start"] {
        let found = lines(&log, message);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("'reader' 'DENIED' 'ERROR:RBAC_PERMISSION_DENIED'"), "{log}");
        assert!(found[0].contains("|read-only|127.0.0.1]"), "{log}");
    }
}

#[test]
fn nothing_secret_is_in_the_log() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let wrong = vec!["root".into(), "guessed-password".into()];
    client.raw("session.login_with_password", wrong).unwrap_err();
    let fields = [("value", "top-secret".into())];
    let secret = client.text("secret.create", vec![record(fields)]);
    client.ok("secret.set_value", vec![secret.as_str().into(), "more-secret".into()]);
    let add = vec![secret.as_str().into(), "key".into(), "hidden-text".into()];
    client.ok("secret.add_to_other_config", add);
    let config = Value::string_map([("chappassword", "chap-secret")]);
    let pool = served.toolstack.pool();
    client.err(
        "SR.create",
        vec![
            pool.into(),
            config,
            0.into(),
            "n".into(),
            "".into(),
            "x".into(),
            "user".into(),
            false.into(),
        ],
    );
    let (_, log) = fetch(&client, "");
    let logins = lines(&log, "session.login_with_password");
    assert!(logins[0].contains("'' '' 'root' 'ALLOWED' 'OK'"), "{log}");
    assert!(logins[1].contains("'root' 'ALLOWED' 'ERROR:SESSION_AUTHENTICATION_FAILED'"), "{log}");
    assert_eq!(lines(&log, "secret.set_value").len(), 1);
    assert_eq!(lines(&log, "SR.create").len(), 1);
    for hidden in [
        crate::common::PASSWORD,
        "guessed-password",
        "top-secret",
        "more-secret",
        "hidden-text",
        "chap-secret",
        client.session.as_str(),
    ] {
        // A message may have a word like it in its name.
        let found = log
            .lines()
            .find(|line| line.replace("secret.", "").replace("'secret'", "").contains(hidden));
        assert_eq!(found, None, "{hidden}");
    }
}

#[test]
fn names_do_not_forge_lines() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let template = client.named("VM", "Linux PVH (own boot loader)");
    let name = "x' 'y\n[20000101T00:00:00Z|audit|h|r] ('forged";
    let vm = client.text("VM.clone", vec![template.into(), name.into()]);
    client.ok("VM.set_tags", vec![vm.into(), Value::strings(["t"])]);
    let (_, log) = fetch(&client, "");
    assert!(!log.lines().any(|line| line.starts_with("[2000")), "{log}");
    assert!(log.contains(r"x\' \'y\u{a}[20000101"), "{log}");
}

#[test]
fn the_log_is_read_from_a_time_on() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    assert_eq!(fetch(&client, "&since=tomorrow").0, 400);
    let (status, log) = fetch(&client, "&since=20000101T00:00:00Z");
    assert_eq!((status, lines(&log, "session.login_with_password").len()), (200, 1));
    assert_eq!(fetch(&client, "&since=21000101T00:00:00Z"), (200, String::new()));
    let mut stranger = client.clone();
    stranger.session = "OpaqueRef:none".into();
    assert_eq!(fetch(&stranger, "").0, 401);
}
