// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bridges, bonds and VLANs.

use std::sync::Arc;

use network::{
    Addressing, Bond, BondMode, Bridge, Guard, GuestPort, IpMode, NetworkBackend, OvsBackend,
    Uplink,
};

use crate::lab::Lab;

fn bridge(name: &str, uplink: Uplink, mtu: u32) -> Bridge {
    Bridge { name: name.to_owned(), uplink, mtu }
}

/// A bridge that is there is found without a program but networkd's, which each run of the daemon has read its files;
/// one that somebody changed is mended by the next run.
fn stays_made(lab: &Arc<Lab>, bridge: &Bridge, change: &[&str]) {
    let ensure = || OvsBackend::new(lab.clone()).ensure_bridge(bridge).unwrap();
    assert_eq!(lab.programs(ensure), 1, "{bridge:?}");
    lab.must("ovs-vsctl", change);
    assert!(lab.programs(ensure) > 1, "{change:?}");
    assert_eq!(lab.programs(ensure), 1, "after {change:?}");
}

#[test]
fn a_bridge_with_an_uplink_and_a_guest() {
    let Some(lab) = Lab::start("card") else { return };
    let backend = OvsBackend::new(lab.clone());
    lab.link("xnt0", "xnt1");
    let with_uplink = bridge("xntbr", Uplink::Card("xnt0".to_owned()), 1400);
    for _ in 0..2 {
        backend.ensure_bridge(&with_uplink).unwrap();
        assert_eq!(lab.attribute("xntbr", "address"), lab.attribute("xnt0", "address"));
        assert_eq!(
            (lab.attribute("xntbr", "mtu"), lab.attribute("xnt0", "mtu")),
            ("1400".into(), "1400".into())
        );
        assert_eq!(lab.must("ovs-vsctl", &["list-ports", "xntbr"]), "xnt0");
        let flags =
            |link| i64::from_str_radix(lab.attribute(link, "flags").trim_start_matches("0x"), 16);
        assert_eq!(
            (flags("xntbr").unwrap() & 1, flags("xnt0").unwrap() & 1),
            (1, 1),
            "both are up"
        );
    }

    let ids = vec![("xs-vm-uuid".to_owned(), "a \"quoted\" one".to_owned())];
    let port = GuestPort { ids, guard: Guard::Open };
    for _ in 0..2 {
        let plug = || backend.plug("xntbr", "xnt1", &port).unwrap();
        assert_eq!(lab.programs(plug), 0);
        assert_eq!(lab.must("ovs-vsctl", &["port-to-br", "xnt1"]), "xntbr");
        let id = lab.must("ovs-vsctl", &["get", "Interface", "xnt1", "external_ids:xs-vm-uuid"]);
        assert_eq!(id, r#""a \"quoted\" one""#);
        assert_eq!(lab.attribute("xnt1", "mtu"), "1400");
    }
    backend.ensure_bridge(&with_uplink).unwrap();
    assert_eq!(lab.must("ovs-vsctl", &["list-ports", "xntbr"]), "xnt0\nxnt1", "guests stay");
    for _ in 0..2 {
        assert_eq!(lab.programs(|| backend.unplug("xnt1").unwrap()), 0);
        assert_eq!(lab.must("ovs-vsctl", &["list-ports", "xntbr"]), "xnt0");
    }
    stays_made(&lab, &with_uplink, &["set", "Port", "xnt0", "external_ids={}"]);
    stays_made(&lab, &with_uplink, &["set", "Bridge", "xntbr", "fail_mode=secure"]);
    stays_made(&lab, &with_uplink, &["del-port", "xnt0"]);

    let dhcp = Addressing { ipv4: IpMode::Dhcp, ..Addressing::default() };
    backend.configure_address("xntbr", &dhcp).unwrap();
    assert_eq!(backend.addresses("xntbr").unwrap().ipv4, None);
    lab.must("ip", &["address", "add", "192.0.2.7/24", "dev", "xntbr"]);
    lab.must("ip", &["address", "add", "2001:db8::7/64", "dev", "xntbr", "nodad"]);
    lab.must("ip", &["route", "add", "default", "via", "192.0.2.1"]);
    lab.must("ip", &["-6", "route", "add", "default", "via", "fe80::1", "dev", "xntbr"]);
    let now = backend.addresses("xntbr").unwrap();
    let all: Vec<_> = now.ipv4.iter().chain(&now.ipv6).collect();
    let facts = |at: usize| (all[at].address.as_str(), all[at].prefix, all[at].gateway.as_deref());
    assert_eq!(facts(0), ("192.0.2.7", 24, Some("192.0.2.1")));
    assert_eq!(facts(1), ("2001:db8::7", 64, Some("fe80::1")));

    let physical = backend.physical().unwrap();
    assert!(physical.iter().all(|nic| !nic.device.starts_with("xnt")), "{physical:?}");
    backend.ensure_bridge(&bridge("xntbr", Uplink::None, 1500)).unwrap();
    assert_eq!(lab.must("ovs-vsctl", &["list-ports", "xntbr"]), "", "the former uplink is gone");
    let nowhere = backend.plug("xntbr9", "xnt1", &port).unwrap_err().to_string();
    assert!(nowhere.contains("xntbr9"), "{nowhere}");
    for _ in 0..2 {
        backend.remove_bridge("xntbr").unwrap();
        assert!(!lab.exists("xntbr"));
    }
}

/// A switch with two links to the host (`card0`, `card1`) and, in VLAN 42, a server that answers.
fn switch(lab: &Lab) {
    lab.link("card0", "port0");
    lab.link("card1", "port1");
    lab.link("port2", "server");
    lab.must("ovs-vsctl", &["add-br", "switch"]);
    lab.must("ovs-vsctl", &["add-port", "switch", "port2", "tag=42"]);
    for port in ["port0", "port1", "port2", "switch"] {
        lab.must("ip", &["link", "set", port, "up"]);
    }
    lab.move_to_peer("server", &["192.0.2.1/24", "2001:db8::1/64"]);
}

/// The host's side: a bond, and the management interface in VLAN 42 of it.
fn host(lab: &Arc<Lab>, backend: &OvsBackend, mode: BondMode) {
    let cards = ["card0", "card1"].map(str::to_owned).to_vec();
    let bond = Bond { name: "bond0".to_owned(), cards, mode };
    for _ in 0..2 {
        backend.ensure_bridge(&bridge("xapi0", Uplink::Bond(bond.clone()), 1450)).unwrap();
        let vlan = Uplink::Vlan { bridge: "xapi0".to_owned(), tag: 42 };
        backend.ensure_bridge(&bridge("xapi1", vlan, 1450)).unwrap();
    }
    let below = bridge("xapi0", Uplink::Bond(bond), 1450);
    stays_made(lab, &below, &["set", "Port", "bond0", "bond_updelay=7"]);
    let vlan = Uplink::Vlan { bridge: "xapi0".to_owned(), tag: 42 };
    let within = bridge("xapi1", vlan, 1450);
    stays_made(lab, &within, &["set", "Interface", "xapi1", "mtu_request=1400"]);
    lab.link("xng0", "xng1");
    backend.plug("xapi1", "xng0", &GuestPort::default()).unwrap();
    assert_eq!(lab.must("ovs-vsctl", &["get", "Port", "xng0", "tag"]), "42");
    assert_eq!(lab.must("ovs-vsctl", &["port-to-br", "xng0"]), "xapi1");
    backend.unplug("xng0").unwrap();
    for link in ["xapi0", "xapi1"] {
        assert_eq!(lab.attribute(link, "address"), lab.attribute("card0", "address"));
    }
    for link in ["xapi0", "xapi1", "card0", "card1"] {
        assert_eq!(lab.attribute(link, "mtu"), "1450", "{link}");
    }
    lab.must("ip", &["address", "replace", "192.0.2.2/24", "dev", "xapi1"]);
    lab.must("ip", &["address", "replace", "2001:db8::2/64", "dev", "xapi1", "nodad"]);
}

#[test]
fn lacp_with_a_vlan_carries_both_families_and_survives_a_cut() {
    let Some(lab) = Lab::start("lacp") else { return };
    let backend = OvsBackend::new(lab.clone());
    switch(&lab);
    let bond = ["add-bond", "switch", "lag", "port0", "port1", "lacp=active"];
    lab.must("ovs-vsctl", &[&bond[..], &["bond_mode=balance-tcp", "trunks=42"]].concat());
    host(&lab, &backend, BondMode::Lacp { by_ports: true });
    for card in ["card0", "card1"] {
        // Ends when the other side has answered.
        lab.must("ovs-vsctl", &["wait-until", "Interface", card, "lacp_current=true"]);
    }
    lab.reaches("192.0.2.1");
    lab.reaches("2001:db8::1");
    lab.must("ip", &["link", "set", "port0", "down"]);
    lab.reaches("192.0.2.1");
    lab.must("ip", &["link", "set", "port0", "up"]);
    lab.must("ip", &["link", "set", "port1", "down"]);
    lab.reaches("2001:db8::1");
    // Guests' VLANs beside it leave it alone.
    let other = Uplink::Vlan { bridge: "xapi0".to_owned(), tag: 43 };
    backend.ensure_bridge(&bridge("xapi2", other, 1450)).unwrap();
    backend.remove_bridge("xapi2").unwrap();
    lab.reaches("192.0.2.1");
}

#[test]
fn a_bond_needs_nothing_of_the_switch_without_lacp() {
    for (name, mode) in [("ab", BondMode::ActiveBackup), ("slb", BondMode::BalanceSlb)] {
        let Some(lab) = Lab::start(name) else { return };
        let backend = OvsBackend::new(lab.clone());
        switch(&lab);
        for port in ["port0", "port1"] {
            lab.must("ovs-vsctl", &["add-port", "switch", port, "trunks=42"]);
        }
        host(&lab, &backend, mode);
        lab.reaches("192.0.2.1");
        lab.must("ip", &["link", "set", "port0", "down"]);
        lab.reaches("2001:db8::1");
    }
}

#[test]
fn lacp_without_a_partner_falls_back_to_one_link() {
    let Some(lab) = Lab::start("fallback") else { return };
    let backend = OvsBackend::new(lab.clone());
    switch(&lab);
    for port in ["port0", "port1"] {
        lab.must("ovs-vsctl", &["add-port", "switch", port, "trunks=42"]);
    }
    host(&lab, &backend, BondMode::Lacp { by_ports: false });
    lab.reaches("192.0.2.1");
    // A bond whose cards are others is made anew.
    let bond = Bond {
        name: "bond0".to_owned(),
        cards: vec!["card1".to_owned()],
        mode: BondMode::ActiveBackup,
    };
    backend.ensure_bridge(&bridge("xapi0", Uplink::Bond(bond), 1450)).unwrap();
    assert_eq!(lab.must("ovs-vsctl", &["list-ports", "xapi0"]), "card1");
    lab.reaches("192.0.2.1");
}
