// SPDX-License-Identifier: MIT OR Apache-2.0
//! A change of the management network lasts only if whoever manages the host still reaches it.

use std::time::{Duration, Instant};

use network::{Addressing, Bridge, IpMode, Uplink};
use toolstack::host_network;
use toolstack::store::Objects;
use xapi_model::{ApiError, Value};

use crate::common::{Client, Served, Wire, eventually, record};

/// Where the administrator sits.
const ADMIN: &str = "198.51.100.9";

/// A host that somebody is logged in to, who has some time to be there again after a change.
fn served(trial: Duration) -> (Served, Client) {
    let served = Served::with(|outside| outside.trial = trial);
    served.network.log_in_from(ADMIN.parse().unwrap());
    let client = served.login(Wire::Xml);
    (served, client)
}

fn management(client: &Client) -> (String, std::collections::BTreeMap<String, Value>) {
    let query = vec!["field \"management\" = \"true\"".into()];
    let found = client.ok("PIF.get_all_records_where", query);
    let (pif, record) = found.as_map().unwrap().iter().next().unwrap();
    (pif.clone(), record.as_map().unwrap().clone())
}

fn set_address(client: &Client, address: &str) -> Result<Value, ApiError> {
    let (pif, _) = management(client);
    let words = ["Static", address, "255.255.255.0", "203.0.113.1", ""].map(Value::from);
    client.call("PIF.reconfigure_ip", std::iter::once(pif.into()).chain(words).collect())
}

fn ipv4(served: &Served) -> IpMode {
    served.network.addressing("xenbr0").map(|addressing| addressing.ipv4).unwrap_or_default()
}

fn is_elsewhere(
    _: &std::collections::BTreeMap<String, Bridge>,
    addressings: &std::collections::BTreeMap<String, Addressing>,
) -> bool {
    addressings.get("xenbr0").is_some_and(|it| matches!(it.ipv4, IpMode::Static { .. }))
}

fn is_bonded(
    bridges: &std::collections::BTreeMap<String, Bridge>,
    _: &std::collections::BTreeMap<String, Addressing>,
) -> bool {
    bridges.values().any(|bridge| matches!(bridge.uplink, Uplink::Bond(_)))
}

/// Everything that says what networks are made of, and what they are.
fn state(served: &Served) -> impl PartialEq + std::fmt::Debug + use<> {
    let all = |objects: &Objects| {
        let classes = ["PIF", "network", "Bond", "VLAN", "VIF"].into_iter();
        let all = classes.flat_map(|class| objects.all(class));
        let mut all: Vec<String> = all
            .map(|object| {
                // In no order of their own.
                let fields =
                    object.record().to_map().into_iter().map(|(name, value)| match value {
                        Value::Set(set) => {
                            let mut set: Vec<String> = set.iter().map(Value::text).collect();
                            set.sort();
                            format!("{name}={set:?}")
                        }
                        other => format!("{name}={other:?}"),
                    });
                format!("{} {}", object.reference(), fields.collect::<Vec<_>>().join(" "))
            })
            .collect();
        all.sort();
        all
    };
    let addressings = ["xenbr0", "xenbr1", "xapi0"].map(|name| served.network.addressing(name));
    (
        served.toolstack.store.read(all),
        served.network.bridges(),
        served.network.ports(),
        addressings,
    )
}

#[test]
fn an_address_that_locks_the_administrator_out_is_taken_back() {
    let (served, client) = served(Duration::from_millis(20));
    let before = state(&served);
    served.network.cut_off_while(is_elsewhere);
    let error = set_address(&client, "203.0.113.7").unwrap_err();
    assert_eq!(error.code, "PIF_CONFIGURATION_ERROR");
    assert_eq!(error.args[0], management(&client).0);
    assert!(error.args[1].contains(ADMIN), "{error}");
    assert_eq!(state(&served), before);
    assert_eq!(ipv4(&served), IpMode::Dhcp);
    let messages = client.ok("message.get_all_records", vec![]);
    let messages = messages.as_map().unwrap();
    let is_said = |message: &Value| {
        message.as_map().unwrap()["name"].text() == "MANAGEMENT_NETWORK_TAKEN_BACK"
    };
    assert!(messages.values().any(is_said), "{messages:?}");
    // A change that does not is not.
    served.network.cut_off_while(|_, _| false);
    set_address(&client, "203.0.113.7").unwrap();
    assert_eq!(management(&client).1["IP"].text(), "203.0.113.7");
    assert!(served.toolstack.store.read(|o| o.note("network-on-trial").is_none()));
}

#[test]
fn whoever_is_there_again_in_time_keeps_it() {
    let (served, client) = served(Duration::from_secs(300));
    served.network.cut_off_while(is_elsewhere);
    let toolstack = served.toolstack.clone();
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| set_address(&client, "203.0.113.7"));
        eventually("it is changed", || matches!(ipv4(&served), IpMode::Static { .. }));
        // As the server does with a client's first session; one from before says nothing.
        toolstack.arrivals.note(Instant::now());
        eventually("it ends", || {
            toolstack.arrivals.note(Instant::now());
            changing.is_finished()
        });
        changing.join().unwrap().unwrap();
    });
    assert_eq!(management(&client).1["IP"].text(), "203.0.113.7");
}

#[test]
fn nobody_is_asked_who_never_answered() {
    let (served, client) = served(Duration::from_millis(20));
    // The administrator's packet filter keeps silent, and the new gateway does too.
    served.network.cut_off_while(|_, _| true);
    let error = set_address(&client, "203.0.113.7").unwrap_err();
    assert!(error.args[1].contains("203.0.113.1 "), "{error}");
    // With the gateway there it is kept.
    served.network.cut_off_while(|_, addressings| !is_elsewhere(&Default::default(), addressings));
    set_address(&client, "203.0.113.7").unwrap();
}

#[test]
fn whoever_sits_at_the_machine_is_not_locked_out() {
    let served = Served::with(|outside| outside.trial = Duration::from_millis(20));
    let client = served.login(Wire::Xml);
    served.network.cut_off_while(is_elsewhere);
    set_address(&client, "203.0.113.7").unwrap();
}

#[test]
fn so_is_a_bond() {
    let (served, client) = served(Duration::from_millis(20));
    let net = client.text("network.create", vec![record([("name_label", "bonded".into())])]);
    let made = client.make_vm("guest");
    client.ok("VM.start", vec![made.vm.as_str().into(), false.into(), false.into()]);
    let cards = client.ok("PIF.get_all", vec![]);
    let create = || {
        let params = vec![net.as_str().into(), cards.clone(), "".into(), "lacp".into()];
        client.call("Bond.create", params)
    };
    let before = state(&served);
    served.network.cut_off_while(is_bonded);
    assert_eq!(create().unwrap_err().code, "PIF_CONFIGURATION_ERROR");
    assert_eq!(state(&served), before);

    // Neither is one taken apart by which alone the host was reached.
    served.network.cut_off_while(|_, _| false);
    let bond = create().unwrap();
    let before = state(&served);
    served.network.cut_off_while(|bridges, _| !is_bonded(bridges, &Default::default()));
    assert_eq!(client.err("Bond.destroy", vec![bond.clone()]).code, "PIF_CONFIGURATION_ERROR");
    assert_eq!(state(&served), before);
    served.network.cut_off_while(|_, _| false);
    client.ok("Bond.destroy", vec![bond]);
}

#[test]
fn a_daemon_that_starts_takes_back_what_was_on_trial() {
    let (served, client) = served(Duration::from_secs(300));
    let before = state(&served);
    served.network.cut_off_while(is_elsewhere);
    let toolstack = served.toolstack.clone();
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| set_address(&client, "203.0.113.7"));
        eventually("it is changed", || matches!(ipv4(&served), IpMode::Static { .. }));
        host_network::end_trial(&toolstack);
        assert_eq!(state(&served), before);
        assert!(toolstack.store.read(|o| o.note("network-on-trial").is_none()));
        eventually("it ends", || {
            toolstack.arrivals.note(Instant::now());
            changing.is_finished()
        });
        changing.join().unwrap().unwrap();
    });
    // Once is enough.
    host_network::end_trial(&toolstack);
    assert_eq!(state(&served), before);
}
