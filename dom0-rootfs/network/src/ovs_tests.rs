// SPDX-License-Identifier: MIT OR Apache-2.0
//! The backend against a recorded host, and its files against golden ones.

use serde_json::json;

use super::*;
use crate::backend::{IpMode, Ipv6Mode};
use crate::recorder::Recorder;

fn bridge(name: &str, uplink: Uplink, mtu: u32) -> Bridge {
    Bridge { name: name.to_owned(), uplink, mtu }
}

fn xenbr0() -> Bridge {
    bridge("xenbr0", Uplink::Card("eth0".to_owned()), 1500)
}

fn dhcp() -> Addressing {
    Addressing { ipv4: IpMode::Dhcp, ..Addressing::default() }
}

fn eth0() -> Recorder {
    let host = Recorder::new();
    host.nic("eth0", "pci0000:00/0000:00:03.0", "pci", &[("address", "52:54:00:12:34:56")]);
    host
}

#[test]
fn a_bridge_is_one_transaction_and_takes_its_uplinks_address() {
    let host = Arc::new(eth0());
    let backend = OvsBackend::new(host.clone());
    backend.ensure_bridge(&xenbr0()).unwrap();
    assert_eq!(
        host.take_log(),
        [
            r#"ovs-vsctl --timeout=30 --bare -- --columns=name find Port external_ids:xenith-uplink-of="xenbr0""#,
            concat!(
                "ovs-vsctl --timeout=30 --bare -- --may-exist add-br xenbr0",
                " -- set Bridge xenbr0 fail_mode=standalone",
                r#" -- set Bridge xenbr0 other_config:hwaddr="52:54:00:12:34:56""#,
                " -- set Interface xenbr0 mtu_request=1500",
                " -- --may-exist add-port xenbr0 eth0",
                r#" -- set Port eth0 external_ids:xenith-uplink-of="xenbr0""#,
                r#" -- set Interface eth0 external_ids:xenith-uplink-of="xenbr0""#,
            ),
            "networkctl reload",
            "raise eth0 mtu 1500",
            "raise xenbr0",
        ]
    );
    assert_eq!(
        host.file("10-xenith-uplink-eth0.network").unwrap(),
        include_str!("../tests/golden/uplink.network")
    );
    let quiet = include_str!("../tests/golden/none.network");
    assert_eq!(host.file("20-xenith-xenbr0.network").unwrap(), quiet, "no address by itself");
    backend.configure_address("xenbr0", &dhcp()).unwrap();
    backend.ensure_bridge(&xenbr0()).unwrap();
    let kept = include_str!("../tests/golden/dhcp.network");
    assert_eq!(host.file("20-xenith-xenbr0.network").unwrap(), kept);
}

#[test]
fn a_bridge_is_made_sure_of_once_as_long_as_it_is_the_same() {
    let host = Arc::new(eth0());
    host.nic("eth0", "", "", &[("ifindex", "2")]);
    host.nic("xenbr0", "", "", &[("ifindex", "7")]);
    let backend = OvsBackend::new(host.clone());
    let looked = |wanted: &Bridge| {
        backend.ensure_bridge(wanted).unwrap();
        !host.take_log().is_empty()
    };
    assert!(looked(&xenbr0()));
    assert!(!looked(&xenbr0()));
    let larger = bridge("xenbr0", Uplink::Card("eth0".to_owned()), 9000);
    assert!(looked(&larger) && !looked(&larger));
    // What went wrong half-way is looked at again, also on the way back.
    *host.fail.lock().unwrap() = Some("raise");
    backend.ensure_bridge(&xenbr0()).unwrap_err();
    *host.fail.lock().unwrap() = None;
    host.take_log();
    assert!(looked(&larger) && !looked(&larger));
    backend.set_snooping(true).unwrap();
    assert!(looked(&larger) && !looked(&larger));
    // Somebody removed it and made another, or put another card in.
    for name in ["xenbr0", "eth0"] {
        host.nic(name, "", "", &[("ifindex", "8")]);
        assert!(looked(&larger) && !looked(&larger));
    }
    backend.remove_bridge("xenbr0").unwrap();
    assert!(looked(&larger));
}

#[test]
fn a_former_uplink_leaves_with_its_file() {
    let mut host = eth0();
    host.answers.push(("find Port", "eth0\n".to_owned()));
    host.answers.push(("find Interface", "eth0\n".to_owned()));
    fs::create_dir_all(host.root.path().join("etc/systemd/network")).unwrap();
    fs::write(host.root.path().join("etc/systemd/network/10-xenith-uplink-eth0.network"), "")
        .unwrap();
    let host = Arc::new(host);
    OvsBackend::new(host.clone()).ensure_bridge(&bridge("xapi0", Uplink::None, 9000)).unwrap();
    let log = host.take_log();
    assert!(log[2].contains("-- --if-exists del-port xapi0 eth0"), "{log:?}");
    assert!(log[2].contains("-- remove Bridge xapi0 other_config hwaddr"), "{log:?}");
    assert_eq!(host.file("10-xenith-uplink-eth0.network"), None);
}

#[test]
fn what_cannot_work_runs_nothing() {
    let host = Arc::new(eth0());
    let backend = OvsBackend::new(host.clone());
    let missing =
        backend.ensure_bridge(&bridge("xenbr0", Uplink::Card("eth1".into()), 1500)).unwrap_err();
    assert!(matches!(missing, NetworkError::NoSuchInterface(ref name) if name == "eth1"));
    assert!(backend.ensure_bridge(&bridge("../../x", Uplink::None, 1500)).is_err());
    assert!(backend.plug("xenbr0", "vif1.0", &GuestPort::default()).is_err());
    assert!(backend.configure_address("a b", &dhcp()).is_err());
    assert_eq!(host.take_log(), Vec::<String>::new());
}

#[test]
fn a_failure_tells_the_last_words_and_the_call_can_be_made_again() {
    let host = Arc::new(eth0());
    let mut backend = OvsBackend::new(host.clone());
    // What was read already is not read again.
    for (part, programs) in [("add-br", 5), ("networkctl", 5), ("raise", 4)] {
        *host.fail.lock().unwrap() = Some(part);
        let error = backend.ensure_bridge(&xenbr0()).unwrap_err();
        assert!(error.to_string().ends_with(": database is gone"), "{error}");
        *host.fail.lock().unwrap() = None;
        host.take_log();
        backend.ensure_bridge(&xenbr0()).unwrap();
        assert_eq!(host.take_log().len(), programs, "after {part}");
        // The next one begins as if the process had just been started.
        backend = OvsBackend::new(host.clone());
    }
}

#[test]
fn files_are_read_when_they_changed_and_once_whoever_else_has_them_read() {
    let host = Arc::new(eth0());
    let backend = OvsBackend::new(host.clone());
    let reloads = || host.take_log().iter().filter(|line| line.contains("networkctl")).count();
    *host.busy.lock().unwrap() = 2;
    backend.ensure_bridge(&xenbr0()).unwrap();
    assert_eq!(reloads(), 3);
    backend.ensure_bridge(&xenbr0()).unwrap();
    assert_eq!(reloads(), 0);
    backend.configure_address("xenbr0", &dhcp()).unwrap();
    assert_eq!(reloads(), 1);
    backend.remove_bridge("xenbr0").unwrap();
    assert_eq!(reloads(), 1);
}

#[test]
fn a_port_that_the_kernel_has_is_waited_for_no_longer() {
    let mut host = Recorder::new();
    host.nic("xenbr0", "", "", &[("mtu", "1500")]);
    host.nic("vif3.0", "vif-3-0", "xen-backend", &[("master", "")]);
    host.rows = vec![("Bridge", json!({"_uuid": ["uuid", "b"]}))];
    let host = Arc::new(host);
    let backend = OvsBackend::new(host.clone());
    backend.plug("xenbr0", "vif3.0", &GuestPort::default()).unwrap();
    let log = host.take_log();
    assert!(log.iter().any(|line| line.contains("insert")), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("wait")), "{log:?}");
}

#[test]
fn a_guest_replaces_what_an_earlier_boot_left() {
    let mut host = Recorder::new();
    host.nic("xenbr0", "", "", &[("mtu", "9000")]);
    // The kernel may have it still as the port that it was.
    host.nic("vif3.0", "vif-3-0", "xen-backend", &[("master", "")]);
    host.rows = vec![
        ("Bridge", json!({"_uuid": ["uuid", "b"]})),
        ("Port", json!({"_uuid": ["uuid", "old"]})),
        ("Interface", json!({"ofport": 3})),
    ];
    let host = Arc::new(host);
    let backend = OvsBackend::new(host.clone());
    let ids = vec![("xs-vm-uuid".to_owned(), "u-1".to_owned())];
    let port = GuestPort { ids, guard: Guard::Closed };
    backend.plug("xenbr0", "vif3.0", &port).unwrap();
    backend.unplug("vif3.0").unwrap();
    let ports = |column: &str, relation: &str, row: &str, change: &str, kind: &str, port: &str| {
        json!({
            "op": "mutate", "table": "Bridge", "where": [[column, relation, ["uuid", row]]],
            "mutations": [["ports", change, [kind, port]]],
        })
        .to_string()
    };
    let leave = ports("ports", "includes", "old", "delete", "uuid", "old");
    assert_eq!(
        host.take_log(),
        [
            &format!("nft {}", guard::rules("vif3.0", &Guard::Closed)),
            &*leave,
            &json!({
                "op": "insert", "table": "Interface", "uuid-name": "interface",
                "row": {"name": "vif3.0", "external_ids": ["map", [["xs-vm-uuid", "u-1"]]]},
            })
            .to_string(),
            &json!({
                "op": "insert", "table": "Port", "uuid-name": "port",
                "row": {"name": "vif3.0", "interfaces": ["named-uuid", "interface"]},
            })
            .to_string(),
            &ports("_uuid", "==", "b", "insert", "named-uuid", "port"),
            &json!({
                "op": "wait", "table": "Interface", "where": [["name", "==", "vif3.0"]],
                "columns": ["ofport"], "until": "!=", "rows": [{"ofport": ["set", []]}], "timeout": 25000,
            })
            .to_string(),
            "raise vif3.0 mtu 9000",
            &leave,
            "nft add table netdev xenith_vif3_0; delete table netdev xenith_vif3_0",
        ]
    );
}

#[test]
fn a_port_that_the_switch_refuses_is_an_error() {
    let mut host = Recorder::new();
    host.nic("xenbr0", "", "", &[("mtu", "1500")]);
    host.nic("vif3.0", "vif-3-0", "xen-backend", &[]);
    let refused = json!({"ofport": -1, "error": "could not open network device vif3.0"});
    host.rows = vec![("Bridge", json!({"_uuid": ["uuid", "b"]})), ("Interface", refused)];
    let host = Arc::new(host);
    let backend = OvsBackend::new(host.clone());
    let plug = || backend.plug("xenbr0", "vif3.0", &GuestPort::default()).unwrap_err().to_string();
    assert_eq!(plug(), "plugging vif3.0 into xenbr0: could not open network device vif3.0");
    *host.fail.lock().unwrap() = Some("database");
    assert_eq!(plug(), "plugging vif3.0 into xenbr0: database is gone");
}

#[test]
fn addresses_become_files() {
    let fixed = IpMode::Static {
        address: "192.0.2.10/24".to_owned(),
        gateway: Some("192.0.2.1".to_owned()),
    };
    let dns = vec!["192.0.2.53".to_owned(), "198.51.100.53".to_owned()];
    let fixed6 = Ipv6Mode::Static {
        address: "2001:db8::10/64".to_owned(),
        gateway: Some("fe80::1".to_owned()),
    };
    let of = |ipv4: &IpMode, ipv6: &Ipv6Mode| Addressing {
        ipv4: ipv4.clone(),
        ipv6: ipv6.clone(),
        dns: Vec::new(),
    };
    let cases = [
        (Addressing::default(), include_str!("../tests/golden/none.network")),
        (dhcp(), include_str!("../tests/golden/dhcp.network")),
        (
            Addressing { dns: dns.clone(), ..of(&fixed, &Ipv6Mode::None) },
            include_str!("../tests/golden/static.network"),
        ),
        (of(&fixed, &fixed6), include_str!("../tests/golden/static-both.network")),
        (
            Addressing { dns: vec!["2001:db8::53".into()], ..of(&IpMode::None, &fixed6) },
            include_str!("../tests/golden/static6.network"),
        ),
        (of(&IpMode::None, &Ipv6Mode::Autoconf), include_str!("../tests/golden/auto6.network")),
        (
            of(&IpMode::Dhcp, &Ipv6Mode::Autoconf),
            include_str!("../tests/golden/dhcp-auto6.network"),
        ),
        (of(&IpMode::None, &Ipv6Mode::Dhcp), include_str!("../tests/golden/dhcp6.network")),
        (of(&IpMode::Dhcp, &Ipv6Mode::Dhcp), include_str!("../tests/golden/dhcp-both.network")),
    ];
    for (addressing, expected) in cases {
        let host = Arc::new(Recorder::new());
        OvsBackend::new(host.clone()).configure_address("xenbr0", &addressing).unwrap();
        assert_eq!(host.file("20-xenith-xenbr0.network").unwrap(), expected);
        assert_eq!(host.take_log(), ["networkctl reload"]);
    }
}

#[test]
fn a_bond_is_one_port_of_many_cards() {
    let host = Recorder::new();
    for (name, last) in [("eth0", "3"), ("eth1", "4")] {
        let address = format!("52:54:00:00:00:0{last}");
        host.nic(name, &format!("pci0000:00/0000:00:0{last}.0"), "pci", &[("address", &address)]);
    }
    let host = Arc::new(host);
    let backend = OvsBackend::new(host.clone());
    let words = |mode| {
        let cards = vec!["eth1".to_owned(), "eth0".to_owned()];
        let bond = Bond { name: "bond0".to_owned(), cards, mode };
        backend.ensure_bridge(&bridge("xapi0", Uplink::Bond(bond), 9000)).unwrap();
        host.take_log()
    };
    assert_eq!(
        words(BondMode::Lacp { by_ports: true }),
        [
            r#"ovs-vsctl --timeout=30 --bare -- --columns=name find Port external_ids:xenith-uplink-of="xapi0""#,
            concat!(
                "ovs-vsctl --timeout=30 --bare -- --may-exist add-br xapi0",
                " -- set Bridge xapi0 fail_mode=standalone",
                r#" -- set Bridge xapi0 other_config:hwaddr="52:54:00:00:00:04""#,
                " -- set Interface xapi0 mtu_request=9000",
                " -- --may-exist add-bond xapi0 bond0 eth1 eth0",
                " -- set Port bond0 bond_mode=balance-tcp lacp=active",
                " other_config:lacp-fallback-ab=true bond_updelay=0 bond_downdelay=0",
                r#" -- set Port bond0 external_ids:xenith-uplink-of="xapi0""#,
                r#" -- set Interface eth1 external_ids:xenith-uplink-of="xapi0""#,
                r#" -- set Interface eth0 external_ids:xenith-uplink-of="xapi0""#,
            ),
            "networkctl reload",
            "raise eth1 mtu 9000",
            "raise eth0 mtu 9000",
            "raise xapi0",
        ]
    );
    for (mode, expected) in [
        (BondMode::Lacp { by_ports: false }, "bond_mode=balance-slb lacp=active"),
        (BondMode::ActiveBackup, "bond_mode=active-backup lacp=off bond_updelay=31000"),
        (BondMode::BalanceSlb, "bond_mode=balance-slb lacp=off bond_updelay=31000"),
    ] {
        let log = words(mode);
        assert!(log[1].contains(expected), "{log:?}");
    }
    assert!(host.file("10-xenith-uplink-eth0.network").unwrap().contains("MTUBytes=9000\n"));
    let bond = Bond {
        name: "bond0".to_owned(),
        cards: vec!["eth0".to_owned()],
        mode: BondMode::BalanceSlb,
    };
    backend.ensure_bridge(&bridge("xapi0", Uplink::Bond(bond), 1500)).unwrap();
    assert!(host.take_log()[1].contains("--may-exist add-port xapi0 eth0 --"), "one is no bond");

    let made_of = |cards: &[&str]| {
        let cards = cards.iter().map(|card| (*card).to_owned()).collect();
        let bond = Bond { name: "bond0".to_owned(), cards, mode: BondMode::ActiveBackup };
        let made = backend.ensure_bridge(&bridge("xapi0", Uplink::Bond(bond), 1500));
        made.map(|()| host.take_log()[1].clone())
    };
    assert!(made_of(&["eth7", "eth1"]).unwrap().contains("add-port xapi0 eth1 --"), "one is gone");
    assert!(made_of(&["eth1", "eth7", "eth0"]).unwrap().contains("add-bond xapi0 bond0 eth1 eth0"));
    let gone = made_of(&["eth7", "eth8"]).unwrap_err();
    assert!(matches!(gone, NetworkError::NoSuchInterface(ref name) if name == "eth7"));
}

#[test]
fn a_card_that_joins_later_makes_a_bond_of_the_port() {
    let mut host = eth0();
    host.nic("eth1", "pci0000:00/0000:00:04.0", "pci", &[("address", "52:54:00:00:00:04")]);
    host.answers.push(("find Port", "eth0\n".to_owned()));
    host.answers.push(("find Interface", "eth0\n".to_owned()));
    let host = Arc::new(host);
    let bond = Bond {
        name: "bond0".to_owned(),
        cards: vec!["eth0".to_owned(), "eth1".to_owned()],
        mode: BondMode::ActiveBackup,
    };
    let backend = OvsBackend::new(host.clone());
    backend.ensure_bridge(&bridge("xapi0", Uplink::Bond(bond), 1500)).unwrap();
    let log = host.take_log();
    let expected =
        "-- --if-exists del-port xapi0 eth0 -- --may-exist add-bond xapi0 bond0 eth0 eth1";
    assert!(log[2].contains(expected), "{log:?}");
    assert!(host.file("10-xenith-uplink-eth0.network").is_some());
}

#[test]
fn a_vlan_is_a_bridge_in_a_bridge() {
    let host = Recorder::new();
    host.nic("xenbr0", "", "", &[("address", "52:54:00:12:34:56")]);
    let host = Arc::new(host);
    let backend = OvsBackend::new(host.clone());
    let uplink = Uplink::Vlan { bridge: "xenbr0".to_owned(), tag: 42 };
    backend.ensure_bridge(&bridge("xapi0", uplink, 1500)).unwrap();
    assert_eq!(
        host.take_log(),
        [
            concat!(
                "ovs-vsctl --timeout=30 --bare -- --may-exist add-br xapi0 xenbr0 42",
                r#" -- set Interface xapi0 mac="52:54:00:12:34:56" mtu_request=1500"#,
            ),
            "networkctl reload",
            "raise xapi0",
        ]
    );
    let uplink = Uplink::Vlan { bridge: "xenbr7".to_owned(), tag: 42 };
    let missing = backend.ensure_bridge(&bridge("xapi0", uplink, 1500)).unwrap_err();
    assert!(matches!(missing, NetworkError::NoSuchInterface(ref name) if name == "xenbr7"));
}

#[test]
fn a_removed_bridge_takes_its_files_along() {
    let mut host = eth0();
    host.answers.push(("find Interface", "eth0\n".to_owned()));
    let host = Arc::new(host);
    let backend = OvsBackend::new(host.clone());
    backend.ensure_bridge(&xenbr0()).unwrap();
    backend.configure_address("xenbr0", &dhcp()).unwrap();
    backend.remove_bridge("xenbr0").unwrap();
    let left: Vec<_> =
        fs::read_dir(host.root.path().join("etc/systemd/network")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn cards_come_by_pci_address_without_guests_back_ends() {
    let mut host = Recorder::new();
    host.nic("lo", "", "", &[]);
    host.nic(
        "enp9s0",
        "pci0000:00/0000:09:00.0",
        "pci",
        &[("mtu", "9000"), ("carrier", "1"), ("speed", "10000")],
    );
    host.nic(
        "eth0",
        "pci0000:00/0000:02:00.0/virtio2",
        "virtio",
        &[("mtu", "1500"), ("speed", "-1")],
    );
    host.nic("usb0", "platform/usb1", "usb", &[]);
    host.nic("vif3.0", "vif-3-0", "xen-backend", &[]);
    host.answers.push((
        "link show",
        r#"[{"ifindex":1,"ifname":"lo","address":"00:00:00:00:00:00"},{"ifindex":2,"ifname":"usb0","address":"00:00:00:00:00:05"},
            {"ifindex":3,"ifname":"vif3.0","address":"fe:ff:ff:ff:ff:ff"},
            {"ifindex":4,"ifname":"enp9s0","address":"02:00:00:00:00:09","permaddr":"52:54:00:00:00:09"},
            {"ifindex":5,"ifname":"eth0","address":"52:54:00:00:00:02"}]"#
            .to_owned(),
    ));
    let nics = OvsBackend::new(Arc::new(host)).physical().unwrap();
    let facts: Vec<_> =
        nics.iter().map(|n| (n.device.as_str(), n.mac.as_str(), n.pci.as_deref())).collect();
    assert_eq!(
        facts,
        [
            ("eth0", "52:54:00:00:00:02", Some("0000:02:00.0")),
            ("enp9s0", "52:54:00:00:00:09", Some("0000:09:00.0")),
            ("usb0", "00:00:00:00:00:05", None),
        ]
    );
    assert_eq!((nics[0].speed_mbit, nics[0].carrier), (None, false));
    assert_eq!((nics[1].speed_mbit, nics[1].carrier, nics[1].mtu), (Some(10_000), true, 9000));
    assert_eq!(nics[1].driver, "e1000e");
}

#[test]
fn cards_are_shown_once_all_have_their_names() {
    let mut host = Recorder::new();
    host.nic("eth0", "pci0000:00/0000:02:00.0", "pci", &[]);
    host.nic("enp9s0", "pci0000:00/0000:09:00.0", "pci", &[]);
    host.answers.push((
        "link show",
        r#"[{"ifindex":2,"ifname":"eth0","address":"52:54:00:00:00:02"},
            {"ifindex":3,"ifname":"enp9s0","address":"52:54:00:00:00:09"}]"#
            .to_owned(),
    ));
    let records = host.root.path().join("run/udev/data");
    fs::create_dir_all(&records).unwrap();
    fs::write(records.join("n3"), "").unwrap();
    let backend = OvsBackend::new(Arc::new(host));
    assert_eq!(backend.physical().unwrap(), []);
    fs::write(records.join("n2"), "").unwrap();
    assert_eq!(backend.physical().unwrap().len(), 2);
}

#[test]
fn the_addresses_of_now() {
    let addresses = r#"[{"ifindex":5,"ifname":"xenbr0","addr_info":[
        {"family":"inet","local":"169.254.3.4","prefixlen":16,"scope":"link"},
        {"family":"inet","local":"10.0.2.15","prefixlen":24,"scope":"global","dynamic":true},
        {"family":"inet","local":"10.0.3.15","prefixlen":24,"scope":"global"},
        {"family":"inet6","local":"fec0::5054:ff:fe12:3456","prefixlen":64,"scope":"site"},
        {"family":"inet6","local":"2001:db8::10","prefixlen":64,"scope":"global"},
        {"family":"inet6","local":"2001:db8::11","prefixlen":64,"scope":"global","tentative":true},
        {"family":"inet6","local":"2001:db8::12","prefixlen":64,"scope":"global","dadfailed":true},
        {"family":"inet6","local":"fe80::5054:ff:fe12:3456","prefixlen":64,"scope":"link"}]}]"#;
    let gateway = |address: &str| {
        format!(r#"[{{"dst":"default","gateway":"{address}","dev":"xenbr0","flags":[]}}]"#)
    };
    let found = parse_status(addresses, &[gateway("10.0.2.2"), gateway("fe80::2")]).unwrap();
    let ipv4 = found.ipv4.unwrap();
    assert_eq!((ipv4.address.as_str(), ipv4.prefix), ("10.0.2.15", 24));
    assert_eq!(ipv4.gateway.as_deref(), Some("10.0.2.2"));
    let ipv6: Vec<_> = found.ipv6.iter().map(|status| status.address.as_str()).collect();
    assert_eq!(ipv6, ["fec0::5054:ff:fe12:3456", "2001:db8::10"]);
    assert_eq!(found.ipv6[0].gateway.as_deref(), Some("fe80::2"));
    let none = || "[]".to_owned();
    assert_eq!(parse_status("[{},{}]", &[none(), none()]).unwrap(), Addresses::default());
    assert!(parse_status("", &[none(), none()]).is_err());
}

#[test]
fn a_controller_gets_the_switch_and_loses_it() {
    let host = Arc::new(eth0());
    let backend = OvsBackend::new(host.clone());
    let mut manager = Manager {
        address: Some("192.0.2.1".parse().unwrap()),
        port: Some(6632),
        key: "/k".into(),
        certificate: "/c".into(),
        authority: "/a".into(),
    };
    backend.set_manager(Some(&manager)).unwrap();
    manager.address = None;
    manager.port = None;
    backend.set_manager(Some(&manager)).unwrap();
    backend.set_manager(None).unwrap();
    let start = "ovs-vsctl --timeout=30 --bare --";
    assert_eq!(
        host.take_log(),
        [
            format!("{start} --bootstrap set-ssl /k /c /a -- set-manager ssl:192.0.2.1:6632"),
            format!("{start} --bootstrap set-ssl /k /c /a -- set-manager pssl:"),
            format!("{start} del-manager -- del-ssl"),
        ]
    );
    *host.fail.lock().unwrap() = Some("del-manager");
    assert!(backend.set_manager(None).is_err());
}

#[test]
fn bridges_snoop_when_they_are_told_and_when_they_are_new() {
    let mut host = eth0();
    host.answers.push(("list Bridge", "xenbr0\n\nxapi1\n".to_owned()));
    let host = Arc::new(host);
    let backend = OvsBackend::new(host.clone());
    backend.set_snooping(true).unwrap();
    let set = |bridge: &str, enabled: bool| {
        format!(
            "-- set Bridge {bridge} mcast_snooping_enable={enabled} \
             other_config:mcast-snooping-disable-flood-unregistered={enabled}"
        )
    };
    let log = host.take_log();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log[1].ends_with(&format!("{} {}", set("xenbr0", true), set("xapi1", true))));
    backend.ensure_bridge(&xenbr0()).unwrap();
    assert!(host.take_log().iter().any(|line| line.contains(&set("xenbr0", true))));
    backend.set_snooping(false).unwrap();
    assert!(host.take_log()[1].contains(&set("xenbr0", false)));
    backend.ensure_bridge(&xenbr0()).unwrap();
    assert!(!host.take_log().iter().any(|line| line.contains("mcast")));
}
