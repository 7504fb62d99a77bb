// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules of guests' links on a real link, which a guest in another network namespace tries to
//! get around. Needs root, Open vSwitch's programs and nft.

use std::io::Write as _;
use std::path::Path;

use network::{Guard, Identity, NetworkBackend, OvsBackend};

use crate::lab::Lab;

/// Addresses of the host's end of the link.
const HOST: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

/// What a guest pings from, and what it reaches then.
fn reached(lab: &Lab) -> [bool; 2] {
    HOST.map(|address| lab.peer_pings(address))
}

#[test]
fn a_guest_is_who_it_was_told_to_be() {
    if !Path::new("/usr/sbin/nft").exists() {
        // Past what the harness keeps of tests that pass.
        std::io::stderr().write_all(b"SKIPPED: needs nft\n").unwrap();
        return;
    }
    let Some(lab) = Lab::start("guard") else { return };
    let backend = OvsBackend::new(lab.clone());
    lab.link("vif9.0", "guest");
    lab.must("ip", &["link", "set", "vif9.0", "up"]);
    lab.must("ip", &["address", "add", "192.0.2.1/24", "dev", "vif9.0"]);
    lab.must("ip", &["address", "add", "2001:db8::1/64", "dev", "vif9.0", "nodad"]);
    lab.move_to_peer("guest", &["192.0.2.10/24", "2001:db8::10/64"]);
    let mac = lab.peer("ip", &["-br", "link", "show", "guest"]);
    let mac = mac.split_whitespace().nth(2).unwrap().to_owned();
    let only = |ipv4: &[&str], ipv6: &[&str]| {
        Guard::Only(Identity {
            mac: mac.clone(),
            ipv4: ipv4.iter().map(|text| text.parse().unwrap()).collect(),
            ipv6: ipv6.iter().map(|text| text.parse().unwrap()).collect(),
        })
    };
    // Neighbours of before would answer for what is not asked any more.
    let forget = || {
        lab.must("ip", &["neigh", "flush", "all"]);
        lab.peer("ip", &["neigh", "flush", "all"]);
    };
    let own = only(&["192.0.2.10"], &["2001:db8::10"]);
    for (guard, expected) in [
        (Guard::Open, [true, true]),
        (Guard::Closed, [false, false]),
        (own.clone(), [true, true]),
        (only(&["192.0.2.10"], &[]), [true, false]),
        (only(&[], &["2001:db8::10"]), [false, true]),
        (only(&["192.0.2.11"], &["2001:db8::11"]), [false, false]),
        (only(&["192.0.2.11", "192.0.2.10"], &["2001:db8::10"]), [true, true]),
    ] {
        backend.guard("vif9.0", &guard).unwrap();
        forget();
        assert_eq!(reached(&lab), expected, "{guard:?}");
    }

    // With another address beside its own, and a neighbour that needs not be asked for.
    backend.guard("vif9.0", &own).unwrap();
    let host_mac = lab.attribute("vif9.0", "address");
    for (address, own, target) in
        [("192.0.2.66/24", "192.0.2.10", HOST[0]), ("2001:db8::66/64", "2001:db8::10", HOST[1])]
    {
        lab.peer("ip", &["address", "add", address, "dev", "guest", "nodad"]);
        lab.peer("ip", &["neigh", "replace", target, "lladdr", &host_mac, "dev", "guest"]);
        let source = address.split('/').next().unwrap();
        assert!(!lab.peer_pings_from(source, target), "{source} is not its own");
        assert!(lab.peer_pings_from(own, target), "{own} is");
        lab.peer("ip", &["address", "del", address, "dev", "guest"]);
    }
    forget();

    // With another MAC address.
    assert_eq!(reached(&lab), [true, true]);
    lab.peer("ip", &["link", "set", "guest", "address", "02:00:00:00:00:66"]);
    forget();
    assert_eq!(reached(&lab), [false, false]);

    // Once it is unplugged nothing is left.
    backend.unplug("vif9.0").unwrap();
    assert_eq!(lab.must("nft", &["list", "tables"]), "");
}
