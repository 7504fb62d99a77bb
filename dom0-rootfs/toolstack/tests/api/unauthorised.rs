// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nobody gets further than their session and role allow, in any message.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Served, Wire, eventually};
use toolstack::auth::{Account, Accounts, Login};
use toolstack::session::Owner;
use toolstack::toolstack::Peer;
use xapi_model::{Call, Ref, Role, Value, catalogue, left_out};

#[test]
fn no_message_works_without_a_session() {
    let served = Served::new();
    for wire in [Wire::Xml, Wire::Json] {
        let messages: Vec<_> = catalogue().all().filter(|message| message.session).collect();
        for messages in messages.chunks(100) {
            // A stranger's connection does not stay open for as long as all of this takes.
            let client = served.client(wire);
            for message in messages {
                let name = message.full_name();
                let forged = Value::from("OpaqueRef:00000000-0000-0000-0000-00000000dead");
                let params = message.params.iter().map(|param| param.ty.zero());
                let with_forged = std::iter::once(forged).chain(params).collect();
                for params in [vec![], vec!["".into()], vec![Ref::NULL.into()], with_forged] {
                    let error = client.raw(&name, params).unwrap_err();
                    assert_eq!(error.code, "SESSION_INVALID", "{name}");
                }
            }
        }
    }
}

#[test]
fn only_login_needs_no_session() {
    let without: Vec<_> =
        catalogue().all().filter(|message| !message.session).map(|m| m.full_name()).collect();
    let logins = ["session.login_with_password", "session.slave_local_login_with_password"];
    assert_eq!(without, logins);
}

#[test]
fn a_role_may_do_no_more_than_its_messages() {
    let served = Served::new();
    for role in Role::ALL {
        let mut client = served.client(Wire::Json);
        client.session =
            served.toolstack.sessions.open(Owner::Host(role), "somebody", "test").to_string();
        for message in catalogue().all().filter(|message| !role.may(message.role)) {
            let error = client.err(&message.full_name(), vec![]);
            assert_eq!(error.code, "RBAC_PERMISSION_DENIED", "{role:?} {}", message.full_name());
        }
    }
}

#[test]
fn what_is_unknown_is_unknown_with_and_without_a_session() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    for name in
        ["VM.no_such", "VM", "", "Async.VM.get_record", "no_such.get_all", "Async.Async.VM.start"]
    {
        for params in [vec![], vec![client.session.as_str().into()]] {
            let error = client.raw(name, params).unwrap_err();
            assert_eq!(error.description(), ["MESSAGE_METHOD_UNKNOWN", name]);
        }
    }
}

#[test]
fn passwords_are_checked_and_guessing_is_braked() {
    let served = Served::new();
    let client = served.client(Wire::Json);
    let login = |user: &str, password: &str| {
        client.raw("session.login_with_password", vec![user.into(), password.into()])
    };
    assert!(login("root", crate::common::PASSWORD).is_ok());
    let with_version =
        vec!["root".into(), crate::common::PASSWORD.into(), "1.0".into(), "test".into()];
    assert!(client.raw("session.login_with_password", with_version).is_ok());
    // Right credentials for a wrong user, and an empty password.
    for (user, password) in [("daemon", crate::common::PASSWORD), ("root", ""), ("root", "Secret")]
    {
        assert_eq!(login(user, password).unwrap_err().code, "SESSION_AUTHENTICATION_FAILED");
    }
    // One that would take a day to check is wrong at once.
    let error = login("root", &"x".repeat(4 << 20)).unwrap_err();
    assert_eq!(error.code, "SESSION_AUTHENTICATION_FAILED");
    for _ in 0..10 {
        assert!(login("root", "guess").is_err());
    }
    let error = login("root", crate::common::PASSWORD).unwrap_err();
    assert_eq!(error.code, "SESSION_AUTHENTICATION_FAILED");
    assert!(error.args[1].contains("Too many"));
}

#[test]
fn an_account_of_ones_own_is_no_help_in_guessing() {
    let served = Served::new();
    let client = served.client(Wire::Json);
    let login = |user: &str, password: &str| {
        client.raw("session.login_with_password", vec![user.into(), password.into()])
    };
    // Ann's password is right, whether or not she has a role here.
    for round in 0..10 {
        assert!(login("root", "guess").is_err());
        let error = login("ann", crate::common::PASSWORD).unwrap_err();
        let braked = error.args[1].contains("Too many");
        assert_eq!(braked, round == 9, "{round}: {error:?}");
    }
    let error = login("root", crate::common::PASSWORD).unwrap_err();
    assert!(error.args[1].contains("Too many"), "{error:?}");
}

#[test]
fn who_mistypes_may_go_on_after_the_right_password() {
    let served = Served::new();
    let client = served.client(Wire::Json);
    let login = |password: &str| {
        client.raw("session.login_with_password", vec!["root".into(), password.into()])
    };
    for _ in 0..3 {
        for _ in 0..9 {
            assert!(login("guess").is_err());
        }
        login(crate::common::PASSWORD).unwrap();
    }
}

/// A password check that takes until the test says so.
struct Slow {
    checking: AtomicUsize,
    most: AtomicUsize,
    done: AtomicBool,
}

impl Accounts for Slow {
    fn check(&self, _: &str, _: &str) -> anyhow::Result<Option<Login>> {
        let now = self.checking.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        eventually("the test is done", || self.done.load(Ordering::SeqCst));
        self.checking.fetch_sub(1, Ordering::SeqCst);
        Ok(None)
    }

    fn by_name(&self, _: &str) -> anyhow::Result<Option<Account>> {
        Ok(None)
    }

    fn by_identifier(&self, _: &str) -> anyhow::Result<Option<Account>> {
        Ok(None)
    }

    fn groups(&self, _: &str) -> anyhow::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn set_root_password(&self, _: &str) -> anyhow::Result<()> {
        anyhow::bail!("nobody has a password here")
    }
}

#[test]
fn who_logs_in_keeps_nobody_waiting_who_has() {
    let slow = Arc::new(Slow {
        checking: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        done: AtomicBool::new(false),
    });
    let served = Served::with(|outside| outside.accounts = slow.clone());
    // More than there are threads for work that blocks.
    let logins: Vec<_> = (0..600)
        .map(|number| {
            let toolstack = served.toolstack.clone();
            let params = vec!["root".into(), "guess".into()];
            let call = Call { method: "session.login_with_password".into(), params };
            served.spawn(async move {
                let peer = Peer::Network(number.to_string());
                toolstack::dispatch::call(&toolstack, &peer, call).await
            })
        })
        .collect();
    eventually("passwords are checked", || slow.checking.load(Ordering::SeqCst) > 0);
    let mut client = served.client(Wire::Json);
    client.session =
        served.toolstack.sessions.open(Owner::Host(Role::PoolAdmin), "root", "test").to_string();
    client.ok("VM.get_all", vec![]);
    assert!(slow.checking.load(Ordering::SeqCst) > 0, "it did not wait for them");
    slow.done.store(true, Ordering::SeqCst);
    for login in logins {
        assert!(served.block_on(login).unwrap().is_err());
    }
    assert!(slow.most.load(Ordering::SeqCst) <= 4);
}

#[test]
fn slow_strangers_keep_nobody_waiting_who_has_a_session() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let socket = served.folder.path().join("xapi.sock");
    let beginning =
        format!("POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n{}", "x".repeat(32 << 10));
    let strangers: Vec<_> = (0..8)
        .map(|_| {
            let mut stranger = UnixStream::connect(&socket).unwrap();
            stranger.write_all(beginning.as_bytes()).unwrap();
            stranger
        })
        .collect();
    let begun = Instant::now();
    let pool = served.toolstack.pool();
    for _ in 0..4 {
        let config = Value::string_map([("big", "y".repeat(100 << 10))]);
        client.ok("pool.set_gui_config", vec![pool.clone().into(), config]);
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    drop(strangers);
}

#[test]
fn a_session_ends_with_logout() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    client.ok("session.get_record", vec![client.session.as_str().into()]);
    client.ok("session.logout", vec![]);
    assert_eq!(client.err("VM.get_all", vec![]).code, "SESSION_INVALID");
}

#[test]
fn parameters_are_counted_and_typed() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let error = client.err("VM.start", vec!["OpaqueRef:1".into()]);
    assert_eq!(error.description(), ["MESSAGE_PARAMETER_COUNT_MISMATCH", "VM.start", "4", "2"]);
    let error = client.err("VM.start", vec!["OpaqueRef:1".into(), "yes".into(), false.into()]);
    assert_eq!(error.description(), ["FIELD_TYPE_ERROR", "start_paused", "bool"]);
    let error = client.err("VM.start", vec!["OpaqueRef:1".into(), false.into(), false.into()]);
    assert_eq!(error.description(), ["HANDLE_INVALID", "VM", "OpaqueRef:1"]);
    let error = client.err("VM.get_by_uuid", vec!["x".into()]);
    assert_eq!(error.description(), ["UUID_INVALID", "VM", "x"]);
}

#[test]
fn handlers_ask_for_a_session_too() {
    let served = Served::new();
    let client = served.client(Wire::Json);
    for path in [
        "/rrd_updates?start=0&host=true",
        "/host_rrd",
        "/vm_rrd?uuid=x",
        "/metrics",
        "/export_raw_vdi?vdi=x",
        "/console?uuid=x",
        "/export_raw_vdi?session_id=x",
        "/export?uuid=x",
        "/export_metadata?all=true",
    ] {
        let response = client.agent.get(format!("{}{path}", client.url)).call().unwrap();
        assert_eq!(response.status(), 401, "{path}");
    }
    for path in ["/import_raw_vdi", "/import", "/import_metadata"] {
        let response = client.agent.put(format!("{}{path}", client.url)).send("x").unwrap();
        assert_eq!(response.status(), 401, "{path}");
    }
    // Whoever only operates VMs carries none away, and brings none.
    let role = Owner::Host(Role::VmOperator);
    let session = served.toolstack.sessions.open(role, "somebody", "test");
    for path in ["/export?uuid=x", "/export_metadata?all=true", "/export_raw_vdi?vdi=x"] {
        let url = format!("{}{path}&session_id={session}", client.url);
        assert_eq!(client.agent.get(url).call().unwrap().status(), 403, "{path}");
    }
    for path in ["/import", "/import_metadata", "/import_raw_vdi"] {
        let url = format!("{}{path}?session_id={session}", client.url);
        assert_eq!(client.agent.put(url).send("x").unwrap().status(), 403, "{path}");
    }
    for path in left_out::PATHS.iter().map(|left_out| left_out.path).chain(["/nothing"]) {
        let response = client.agent.get(format!("{}{path}", client.url)).call().unwrap();
        assert_eq!(response.status(), 404, "{path}");
        let response = client.agent.put(format!("{}{path}", client.url)).send("x").unwrap();
        assert_eq!(response.status(), 404, "{path}");
    }
    let response = client.agent.get(format!("{}/jsonrpc", client.url)).call().unwrap();
    assert_eq!(response.status(), 405);
}
