// SPDX-License-Identifier: MIT OR Apache-2.0
//! VLANs, bonds, tunnels and cards that come and go, while the host and a guest use them.

use crate::common::{Client, Served, Wire, record};
use network::{BondMode, IpMode, NetworkError, Uplink};
use xapi_model::{Ref, Value};

fn network(client: &Client, name: &str) -> String {
    client.text("network.create", vec![record([("name_label", name.into())])])
}

/// The interface of a card.
fn pif(client: &Client, device: &str) -> String {
    let filter = format!("field \"device\" = \"{device}\" and field \"VLAN\" = \"-1\"");
    let found = client.ok("PIF.get_all_records_where", vec![filter.into()]);
    found.as_map().unwrap().keys().next().unwrap().clone()
}

fn bridge(client: &Client, network: &str) -> String {
    client.text("network.get_bridge", vec![network.into()])
}

fn uplink(served: &Served, bridge: &str) -> Option<Uplink> {
    served.network.bridges().get(bridge).map(|bridge| bridge.uplink.clone())
}

fn vlan(client: &Client, pif: &str, tag: i64, network: &str) -> Result<String, String> {
    let params = vec![pif.into(), tag.into(), network.into()];
    client.call("VLAN.create", params).map(|vlan| vlan.text()).map_err(|error| error.code)
}

fn bond(client: &Client, network: &str, members: &[&str], mode: &str) -> Result<String, String> {
    let members = Value::Set(members.iter().map(|pif| Value::from(*pif)).collect());
    let params = vec![network.into(), members, "".into(), mode.into()];
    client.call("Bond.create", params).map(|bond| bond.text()).map_err(|error| error.code)
}

#[test]
fn a_vlan_takes_its_guests_along() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let (net, eth0) = (network(&client, "lab"), pif(&client, "eth0"));
    let vm = client.make_vm("guest");
    client.ok("VIF.move", vec![vm.vif.as_str().into(), net.as_str().into()]);
    client.ok("VM.start", vec![vm.vm.as_str().into(), false.into(), false.into()]);
    let own = bridge(&client, &net);
    assert_eq!(uplink(&served, &own), Some(Uplink::None));
    let made = vlan(&client, &eth0, 42, &net).unwrap();
    let tagged = Uplink::Vlan { bridge: "xenbr0".into(), tag: 42 };
    assert_eq!(uplink(&served, &own), Some(tagged));
    assert_eq!(served.network.ports()["vif1.0"], own);
    let untagged = client.text("VLAN.get_untagged_PIF", vec![made.as_str().into()]);
    let fields = client.record("PIF", &untagged);
    assert_eq!((fields["VLAN"].text(), fields["device"].text()), ("42".into(), "eth0".into()));
    assert_eq!(fields["currently_attached"], true.into());
    // What cannot be.
    let other = network(&client, "other");
    for (pif, tag, net, code) in [
        (&eth0, 0, &other, "VLAN_TAG_INVALID"),
        (&eth0, 4095, &other, "VLAN_TAG_INVALID"),
        (&eth0, 42, &other, "PIF_VLAN_EXISTS"),
        (&eth0, 43, &net, "NETWORK_ALREADY_CONNECTED"),
        (&untagged, 43, &other, "PIF_IS_VLAN"),
    ] {
        assert_eq!(vlan(&client, pif, tag, net).unwrap_err(), code);
    }
    let error = client.err("VLAN.destroy", vec![made.as_str().into()]);
    assert_eq!(error.description(), ["VIF_IN_USE", net.as_str(), vm.vif.as_str()]);
    client.ok("VM.hard_shutdown", vec![vm.vm.into()]);
    client.ok("VLAN.destroy", vec![made.into()]);
    assert_eq!(uplink(&served, &own), Some(Uplink::None));
    assert_eq!(client.err("PIF.get_uuid", vec![untagged.into()]).code, "HANDLE_INVALID");
}

#[test]
fn vlans_are_made_by_the_older_messages_too() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let host = served.toolstack.host();
    let (one, other, third) = (network(&client, "1"), network(&client, "2"), network(&client, "3"));
    let params = vec!["eth0".into(), one.as_str().into(), host.clone().into(), 7.into()];
    let pif = client.text("PIF.create_VLAN", params);
    let made = client.ok("pool.create_VLAN", vec!["eth0".into(), other.into(), 8.into()]);
    assert_eq!(made.as_set().unwrap().len(), 1);
    let eth1 = self::pif(&client, "eth1");
    let params = vec![eth1.as_str().into(), third.into(), 7.into()];
    client.ok("pool.create_VLAN_from_PIF", params);
    let unknown = vec!["eth9".into(), one.as_str().into(), host.into(), 9.into()];
    assert_eq!(
        client.err("PIF.create_VLAN", unknown).description(),
        ["INVALID_VALUE", "device", "eth9"]
    );
    client.ok("PIF.destroy", vec![pif.into()]);
    assert_eq!(client.err("PIF.destroy", vec![eth1.into()]).code, "PIF_IS_PHYSICAL");
    assert_eq!(uplink(&served, &bridge(&client, &one)), Some(Uplink::None));
}

#[test]
fn what_fails_outside_leaves_no_vlan() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let (net, eth0) = (network(&client, "lab"), pif(&client, "eth0"));
    let failed = || NetworkError::Failed { doing: "making it".into(), detail: "no".into() };
    served.network.fail_once("ensure_bridge", failed());
    assert_eq!(vlan(&client, &eth0, 42, &net).unwrap_err(), "INTERNAL_ERROR");
    assert_eq!(client.ok("VLAN.get_all", vec![]), Value::Set(vec![]));
    assert_eq!(uplink(&served, &bridge(&client, &net)), Some(Uplink::None));
    vlan(&client, &eth0, 42, &net).unwrap();
}

#[test]
fn a_bond_takes_the_place_of_its_cards() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let (eth0, eth1) = (pif(&client, "eth0"), pif(&client, "eth1"));
    let (net, lab) = (network(&client, "bond"), network(&client, "lab"));
    vlan(&client, &eth0, 42, &lab).unwrap();
    let vm = client.make_vm("guest");
    client.ok("VM.start", vec![vm.vm.as_str().into(), false.into(), false.into()]);
    assert_eq!(bond(&client, &net, &[&eth0], "lacp").unwrap_err(), "PIF_BOND_NEEDS_MORE_MEMBERS");
    assert_eq!(
        bond(&client, &net, &[&eth0, &eth0], "lacp").unwrap_err(),
        "PIF_BOND_NEEDS_MORE_MEMBERS"
    );
    let made = bond(&client, &net, &[&eth0, &eth1], "lacp").unwrap();
    let own = bridge(&client, &net);
    let Some(Uplink::Bond(outside)) = uplink(&served, &own) else { panic!("no bond") };
    assert_eq!(outside.cards, ["eth0", "eth1"]);
    assert_eq!(outside.mode, BondMode::Lacp { by_ports: true });
    assert!(!served.network.bridges().contains_key("xenbr0"), "its cards have none any more");
    // Guests, VLANs, address and management went along.
    assert_eq!(served.network.ports()["vif1.0"], own);
    let tagged = Uplink::Vlan { bridge: own.clone(), tag: 42 };
    assert_eq!(uplink(&served, &bridge(&client, &lab)), Some(tagged));
    assert_eq!(served.network.addressing(&own).unwrap().ipv4, IpMode::Dhcp);
    let master = client.text("Bond.get_master", vec![made.as_str().into()]);
    let fields = client.record("PIF", &master);
    assert_eq!(
        (fields["management"].clone(), fields["IP"].text()),
        (true.into(), "192.0.2.10".into())
    );
    let slave = client.record("PIF", &eth0);
    assert_eq!((slave["management"].clone(), slave["IP"].text()), (false.into(), String::new()));
    assert_eq!(slave["bond_slave_of"].text(), made);
    // What cannot be.
    let other = network(&client, "other");
    assert_eq!(bond(&client, &other, &[&eth0, &eth1], "lacp").unwrap_err(), "PIF_ALREADY_BONDED");
    assert_eq!(vlan(&client, &eth0, 43, &other).unwrap_err(), "CANNOT_ADD_VLAN_TO_BOND_SLAVE");
    assert_eq!(client.err("PIF.plug", vec![eth0.as_str().into()]).code, "CANNOT_PLUG_BOND_SLAVE");
    // Its mode and properties.
    let property = |name: &str, value: &str| {
        client.call("Bond.set_property", vec![made.as_str().into(), name.into(), value.into()])
    };
    property("hashing_algorithm", "src_mac").unwrap();
    let mode = |served: &Served| match uplink(served, &own) {
        Some(Uplink::Bond(bond)) => bond.mode,
        other => panic!("{other:?}"),
    };
    assert_eq!(mode(&served), BondMode::Lacp { by_ports: false });
    assert_eq!(property("hashing_algorithm", "x").unwrap_err().code, "INVALID_VALUE");
    client.ok("Bond.set_mode", vec![made.as_str().into(), "active-backup".into()]);
    assert_eq!(mode(&served), BondMode::ActiveBackup);
    assert_eq!(property("hashing_algorithm", "src_mac").unwrap_err().code, "INVALID_VALUE");
    // And back.
    client.ok("Bond.destroy", vec![made.into()]);
    assert_eq!(uplink(&served, "xenbr0"), Some(Uplink::Card("eth0".into())));
    assert_eq!(uplink(&served, "xenbr1"), Some(Uplink::Card("eth1".into())));
    assert_eq!(uplink(&served, &own), Some(Uplink::None));
    assert_eq!(served.network.ports()["vif1.0"], "xenbr0");
    assert_eq!(client.record("PIF", &eth0)["management"], true.into());
    assert_eq!(served.network.addressing("xenbr0").unwrap().ipv4, IpMode::Dhcp);
}

#[test]
fn a_bond_that_fails_outside_is_taken_apart() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (eth0, eth1) = (pif(&client, "eth0"), pif(&client, "eth1"));
    let net = network(&client, "bond");
    let failed = || NetworkError::Failed { doing: "making it".into(), detail: "no".into() };
    served.network.fail_once("ensure_bridge", failed());
    assert_eq!(bond(&client, &net, &[&eth1, &eth0], "balance-slb").unwrap_err(), "INTERNAL_ERROR");
    assert_eq!(client.ok("Bond.get_all", vec![]), Value::Set(vec![]));
    assert_eq!(uplink(&served, "xenbr0"), Some(Uplink::Card("eth0".into())));
    assert_eq!(client.record("PIF", &eth0)["management"], true.into());
    // The management card comes first, wherever it is in the list.
    let made = bond(&client, &net, &[&eth1, &eth0], "balance-slb").unwrap();
    assert_eq!(client.text("Bond.get_primary_slave", vec![made.into()]), eth0);
}

#[test]
fn a_tunnel_has_a_bridge_with_room_for_headers() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let (eth0, eth1) = (pif(&client, "eth0"), pif(&client, "eth1"));
    let net = network(&client, "overlay");
    let create = |pif: &str| {
        client.call("tunnel.create", vec![pif.into(), net.as_str().into(), "vxlan".into()])
    };
    assert_eq!(create(&eth1).unwrap_err().code, "TRANSPORT_PIF_NOT_CONFIGURED");
    let tunnel = create(&eth0).unwrap().text();
    let own = served.network.bridges()[&bridge(&client, &net)].clone();
    assert_eq!((own.uplink, own.mtu), (Uplink::None, 1450));
    let fields = client.record("tunnel", &tunnel);
    assert_eq!(fields["protocol"].text(), "vxlan");
    let access = fields["access_PIF"].text();
    let carried = client.ok("PIF.get_tunnel_transport_PIF_of", vec![eth0.as_str().into()]);
    assert_eq!(carried.as_set().unwrap()[0].text(), tunnel);
    let other = network(&client, "other");
    assert_eq!(vlan(&client, &access, 5, &other).unwrap_err(), "IS_TUNNEL_ACCESS_PIF");
    client.ok("tunnel.destroy", vec![tunnel.into()]);
    assert_eq!(client.err("PIF.get_uuid", vec![access.into()]).code, "HANDLE_INVALID");
}

#[test]
fn cards_are_unplugged_forgotten_and_found_again() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (eth0, eth1) = (pif(&client, "eth0"), pif(&client, "eth1"));
    let this = || vec![eth1.as_str().into()];
    for message in ["PIF.unplug", "PIF.forget"] {
        let error = client.err(message, vec![eth0.as_str().into()]);
        assert_eq!(error.code, "PIF_IS_MANAGEMENT_INTERFACE");
    }
    client.ok("PIF.set_disallow_unplug", vec![eth1.as_str().into(), true.into()]);
    assert_eq!(client.err("PIF.unplug", this()).code, "PIF_DOES_NOT_ALLOW_UNPLUG");
    client.ok("PIF.set_disallow_unplug", vec![eth1.as_str().into(), false.into()]);
    client.ok("PIF.unplug", this());
    assert_eq!(uplink(&served, "xenbr1"), None);
    // Nobody plugs it again behind the administrator's back.
    toolstack::host_network::keep_up(&served.toolstack, None);
    assert_eq!(uplink(&served, "xenbr1"), None);
    client.ok("PIF.plug", this());
    assert_eq!(uplink(&served, "xenbr1"), Some(Uplink::Card("eth1".into())));
    assert_eq!(client.ok("PIF.get_currently_attached", this()), true.into());
    client.ok("PIF.forget", this());
    toolstack::host_network::keep_up(&served.toolstack, None);
    assert_eq!(client.ok("PIF.get_all", vec![]).as_set().unwrap().len(), 1);
    let host = || Value::from(served.toolstack.host());
    let introduce = |mac: &str| client.call("PIF.introduce", vec![host(), mac.into(), "".into()]);
    assert_eq!(introduce("52:54:00:00:00:77").unwrap_err().code, "MAC_DOES_NOT_EXIST");
    let again = introduce("52:54:00:00:00:01").unwrap();
    assert_eq!(client.ok("PIF.get_currently_attached", vec![again.clone()]), true.into());
    assert_eq!(introduce("52:54:00:00:00:01").unwrap_err().code, "DUPLICATE_PIF_DEVICE_NAME");
    client.ok("PIF.forget", vec![again]);
    client.ok("PIF.scan", vec![host()]);
    assert_eq!(client.ok("PIF.get_all", vec![]).as_set().unwrap().len(), 2);
}

#[test]
fn the_host_is_managed_through_another_interface() {
    let served = Served::new();
    let client = served.login(Wire::Xml);
    let eth1 = pif(&client, "eth1");
    let error = client.err("host.management_reconfigure", vec![eth1.as_str().into()]);
    assert_eq!(error.code, "PIF_HAS_NO_NETWORK_CONFIGURATION");
    let fixed = ["Static", "198.51.100.7", "255.255.255.0", "", ""].map(Value::from);
    let params = std::iter::once(Value::from(eth1.as_str())).chain(fixed);
    client.ok("PIF.reconfigure_ip", params.collect());
    client.ok("host.management_reconfigure", vec![eth1.as_str().into()]);
    let host = || vec![Value::from(served.toolstack.host())];
    assert_eq!(client.text("host.get_management_interface", host()), eth1);
    assert_eq!(client.text("host.get_address", host()), "198.51.100.7");
    client.ok("host.local_management_reconfigure", vec!["xenbr0".into()]);
    assert_eq!(client.text("host.get_address", host()), "192.0.2.10");
    let network = client.text("PIF.get_network", vec![eth1.as_str().into()]);
    client.ok("pool.management_reconfigure", vec![network.into()]);
    assert_eq!(client.text("host.get_management_interface", host()), eth1);
    let error = client.err("host.local_management_reconfigure", vec!["xenbr9".into()]);
    assert_eq!(error.description(), ["INVALID_VALUE", "interface", "xenbr9"]);
    assert_ne!(eth1, Ref::NULL);
}
