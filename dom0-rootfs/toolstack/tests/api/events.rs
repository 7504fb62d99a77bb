// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events reach everybody who waits, and nobody else.

use std::time::{Duration, Instant};

use crate::common::{Client, Served, Wire};
use xapi_model::{Call, Value};

pub fn from(client: &Client, classes: &[&str], token: &str, timeout: f64) -> Value {
    let classes = Value::strings(classes.iter().copied());
    client.ok("event.from", vec![classes, token.into(), timeout.into()])
}

pub fn part(batch: &Value, name: &str) -> Value {
    batch.as_map().unwrap()[name].clone()
}

/// Class, operation and reference of each event.
pub fn summary(batch: &Value) -> Vec<(String, String, String)> {
    let events = part(batch, "events");
    let text = |event: &Value, name| part(event, name).text();
    let summary = |e| (text(e, "class"), text(e, "operation"), text(e, "ref"));
    events.as_set().unwrap().iter().map(summary).collect()
}

#[test]
fn a_life_in_events() {
    let served = Served::new();
    for wire in [Wire::Xml, Wire::Json] {
        let client = served.login(wire);
        let all = from(&client, &["*"], "", 0.0);
        let events = part(&all, "events").as_set().unwrap().len();
        let counts = part(&all, "valid_ref_counts");
        let counted: i64 =
            counts.as_map().unwrap().values().map(|n| n.text().parse::<i64>().unwrap()).sum();
        assert_eq!(i64::try_from(events).unwrap(), counted);
        let token = part(&all, "token").text();
        assert_eq!(summary(&from(&client, &["*"], &token, 0.0)), []);
        let template = client.named("VM", "Linux PV (own boot loader)");
        let vm = client.text("VM.clone", vec![template.into(), "guest".into()]);
        let batch = from(&client, &["vm"], &token, 10.0);
        assert!(summary(&batch).contains(&("vm".into(), "add".into(), vm.clone())));
        let made = part(&batch, "token").text();
        client.ok("VM.set_name_label", vec![vm.as_str().into(), "renamed".into()]);
        let batch = from(&client, &["VM"], &made, 10.0);
        let changed = summary(&batch);
        assert_eq!(changed.last().unwrap(), &("vm".into(), "mod".into(), vm.clone()));
        let events = part(&batch, "events");
        let snapshot = part(events.as_set().unwrap().last().unwrap(), "snapshot");
        assert_eq!(part(&snapshot, "name_label").text(), "renamed");
        let before = part(&batch, "token").text();
        client.ok("VM.destroy", vec![vm.as_str().into()]);
        let batch = from(&client, &["VM"], &before, 10.0);
        let gone = ("vm".to_owned(), "del".to_owned(), vm.clone());
        assert!(summary(&batch).contains(&gone));
        // Made and gone within the span: it never was, for whoever asks only now.
        assert!(!summary(&from(&client, &["VM"], &token, 0.0)).iter().any(|(_, _, r)| *r == vm));
        // Somebody else's class, an object of its own, a class that does not exist here.
        assert_eq!(summary(&from(&client, &["network", "VGPU"], &made, 0.0)), []);
        assert_eq!(summary(&from(&client, &[&format!("VM/{vm}")], &before, 0.0)), [gone]);
        let error = client.err("event.from", vec![Value::strings(["*"]), "x".into(), 0.0.into()]);
        assert_eq!(error.code, "EVENT_FROM_TOKEN_PARSE_FAILURE");
        let future = (1u64 << 62).to_string();
        for unknown in ["1,0", &format!("{future},0"), &u64::MAX.to_string()] {
            let params = vec![Value::strings(["*"]), unknown.into(), 0.0.into()];
            assert_eq!(client.err("event.from", params).code, "EVENTS_LOST", "{unknown}");
        }
    }
}

#[test]
fn an_injected_event_comes_back() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let pool = served.toolstack.pool().to_string();
    let start = part(&from(&client, &["pool"], "", 0.0), "token").text();
    let token = client.text("event.inject", vec!["pool".into(), pool.as_str().into()]);
    let batch = from(&client, &["pool"], &start, 10.0);
    assert_eq!(summary(&batch), [("pool".into(), "mod".into(), pool)]);
    assert!(part(&batch, "token").text() >= token);
    from(&client, &["pool"], &token, 0.0);
    let error = client.err("event.inject", vec!["pool".into(), "OpaqueRef:1".into()]);
    assert_eq!(error.code, "HANDLE_INVALID");
}

#[test]
fn the_old_way() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    assert_eq!(client.err("event.next", vec![]).code, "SESSION_NOT_REGISTERED");
    client.ok("event.register", vec![Value::strings(["pool"])]);
    let pool = served.toolstack.pool();
    client.ok("pool.set_name_label", vec![pool.clone().into(), "a".into()]);
    let events = client.ok("event.next", vec![]);
    assert_eq!(part(&events.as_set().unwrap()[0], "ref").text(), pool.to_string());
    client.ok("event.unregister", vec![Value::strings(["pool"])]);
    assert_eq!(client.err("event.next", vec![]).code, "SESSION_NOT_REGISTERED");
    let newest: u64 = client.text("event.get_current_id", vec![]).parse().unwrap();
    assert!(newest > 0);
}

#[test]
fn whoever_logs_out_hears_no_more() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let token = part(&from(&client, &["pool"], "", 0.0), "token").text();
    let other = client.clone();
    let waiting = std::thread::spawn(move || {
        let classes = Value::strings(["pool"]);
        other.call("event.from", vec![classes, token.into(), 30.0.into()])
    });
    client.ok("session.logout", vec![]);
    let client = served.login(Wire::Json);
    let pool = served.toolstack.pool();
    client.ok("pool.set_name_label", vec![pool.into(), "a".into()]);
    assert_eq!(waiting.join().unwrap().unwrap_err().code, "SESSION_INVALID");
}

#[test]
fn two_hundred_wait_at_once() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let token = part(&from(&client, &["pool"], "", 0.0), "token").text();
    let pool = served.toolstack.pool();
    let waiters: Vec<_> = (0..200)
        .map(|_| {
            let toolstack = served.toolstack.clone();
            let classes = Value::strings(["pool"]);
            let session = Value::from(client.session.as_str());
            let params = vec![session, classes, token.as_str().into(), 60.0.into()];
            let call = Call { method: "event.from".into(), params };
            served.spawn(async move {
                let peer = toolstack::toolstack::Peer::Network("test".into());
                toolstack::dispatch::call(&toolstack, &peer, call).await
            })
        })
        .collect();
    // While they wait, others are served.
    let begun = Instant::now();
    client.ok("VM.get_all_records", vec![]);
    assert!(begun.elapsed() < Duration::from_secs(5));
    client.ok("pool.set_name_label", vec![pool.clone().into(), "news".into()]);
    for waiter in waiters {
        let batch = served.block_on(waiter).unwrap().unwrap();
        let expected = ("pool".to_owned(), "mod".to_owned(), pool.to_string());
        assert_eq!(summary(&batch), [expected]);
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
}
