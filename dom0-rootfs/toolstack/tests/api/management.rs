// SPDX-License-Identifier: MIT OR Apache-2.0
//! The management interface as the installer left it: bridges, records, addresses.

use std::sync::Arc;

use crate::common::{Served, Wire, eventually};
use appliance_model::handover::{AddressMode, Bond, BondHash, BondMode, Ipv6Mode, Management};
use network::{Addressing, Bridge, FakeNetwork, IpMode, PhysicalNic, Uplink};
use xapi_model::Value;

fn management() -> Management {
    Management {
        mac: "52:54:00:00:00:01".to_owned(),
        vlan: None,
        mtu: None,
        dns: Vec::new(),
        mode: AddressMode::Dhcp,
        ipv6: Ipv6Mode::None,
        bond: None,
    }
}

fn bond(mode: BondMode) -> Bond {
    let members = ["52:54:00:00:00:01", "52:54:00:00:00:00"].map(str::to_owned).to_vec();
    Bond { members, mode, hash: BondHash::SrcMac }
}

/// The one interface that the host is managed through.
fn record(served: &Served) -> Value {
    let client = served.login(Wire::Json);
    let filter = vec!["field \"management\" = \"true\"".into()];
    let found = client.ok("PIF.get_all_records_where", filter);
    let found = found.as_map().unwrap();
    assert_eq!(found.len(), 1);
    found.values().next().unwrap().clone()
}

fn field(record: &Value, name: &str) -> String {
    record.as_map().unwrap()[name].as_str().unwrap_or_default().to_owned()
}

fn bridge(name: &str, uplink: Uplink, mtu: u32) -> Bridge {
    Bridge { name: name.to_owned(), uplink, mtu }
}

#[test]
fn a_vlan_on_a_bond_with_both_families() {
    let asked = Management {
        vlan: Some(42),
        mtu: Some(9000),
        dns: vec!["192.0.2.53".into(), "2001:db8::53".into()],
        mode: AddressMode::Static {
            address: "192.0.2.20/24".into(),
            gateway: Some("192.0.2.1".into()),
        },
        ipv6: Ipv6Mode::Static {
            address: "2001:db8::20/64".into(),
            gateway: Some("fe80::1".into()),
        },
        bond: Some(bond(BondMode::Lacp)),
        ..management()
    };
    let served = Served::installed(Some(asked), |_| {});
    let bridges = served.network.bridges();
    let cards = ["eth1", "eth0"].map(str::to_owned).to_vec();
    let mode = network::BondMode::Lacp { by_ports: false };
    let port = Uplink::Bond(network::Bond { name: "bond0".into(), cards, mode });
    let vlan = Uplink::Vlan { bridge: "xapi0".into(), tag: 42 };
    let expected = [bridge("xapi0", port, 9000), bridge("xapi1", vlan, 9000)];
    assert_eq!(bridges.into_values().collect::<Vec<_>>(), expected, "no card has one alone");

    let pif = record(&served);
    for (name, value) in [
        ("device", "bond0"),
        ("MAC", "52:54:00:00:00:01"),
        ("ip_configuration_mode", "Static"),
        ("IP", "192.0.2.20"),
        ("netmask", "255.255.255.0"),
        ("gateway", "192.0.2.1"),
        ("DNS", "192.0.2.53,2001:db8::53"),
        ("ipv6_configuration_mode", "Static"),
        ("ipv6_gateway", "fe80::1"),
        ("primary_address_type", "IPv4"),
    ] {
        assert_eq!(field(&pif, name), value, "{name}");
    }
    let map = pif.as_map().unwrap();
    assert_eq!(map["IPv6"], Value::strings(["2001:db8::20/64".to_owned()]));
    assert_eq!((&map["VLAN"], &map["physical"]), (&Value::Int(42), &Value::Bool(false)));
    assert_eq!(map["currently_attached"], Value::Bool(true));

    let client = served.login(Wire::Json);
    let only = |class: &str| {
        let records = client.ok(&format!("{class}.get_all_records"), vec![]);
        let records = records.as_map().unwrap().clone();
        assert_eq!(records.len(), 1, "{class}");
        records.into_values().next().unwrap()
    };
    let object = only("Bond");
    assert_eq!(field(&object, "mode"), "lacp");
    let properties = &object.as_map().unwrap()["properties"];
    assert_eq!(field(properties, "hashing_algorithm"), "src_mac");
    assert_eq!(object.as_map().unwrap()["slaves"].as_set().unwrap().len(), 2);
    assert_eq!(object.as_map().unwrap()["links_up"], Value::Int(2));
    let vlan = only("VLAN");
    assert_eq!(vlan.as_map().unwrap()["tag"], Value::Int(42));
    assert_eq!(field(&vlan, "tagged_PIF"), field(&object, "master"));
    let tagged = client.ok("PIF.get_VLAN_slave_of", vec![field(&vlan, "tagged_PIF").into()]);
    assert_eq!(tagged.as_set().unwrap().len(), 1);

    // A guest in the network of one of the cards would be cut off.
    let made = client.make_vm("guest");
    let error = client.err("VM.start", vec![made.vm.into(), false.into(), false.into()]);
    assert_eq!(error.code, "CANNOT_PLUG_BOND_SLAVE");
}

#[test]
fn a_vlan_on_a_card_keeps_the_cards_own_network() {
    let served = Served::installed(Some(Management { vlan: Some(7), ..management() }), |_| {});
    let card = |name: &str, card: &str| bridge(name, Uplink::Card(card.into()), 1500);
    let vlan = Uplink::Vlan { bridge: "xenbr1".into(), tag: 7 };
    let expected = [bridge("xapi0", vlan, 1500), card("xenbr0", "eth0"), card("xenbr1", "eth1")];
    assert_eq!(served.network.bridges().into_values().collect::<Vec<_>>(), expected);
    assert_eq!(field(&record(&served), "IP"), "192.0.2.10");
    assert_eq!(served.network.addressing("xenbr1"), None);
}

#[test]
fn a_host_with_ipv6_only_has_its_address_there() {
    let asked = Management { mode: AddressMode::None, ipv6: Ipv6Mode::Auto, ..management() };
    let served = Served::installed(Some(asked), |_| {});
    let pif = record(&served);
    for (name, value) in [
        ("ip_configuration_mode", "None"),
        ("IP", ""),
        ("ipv6_configuration_mode", "Autoconf"),
        ("ipv6_gateway", "fe80::1"),
        ("primary_address_type", "IPv6"),
    ] {
        assert_eq!(field(&pif, name), value, "{name}");
    }
    let client = served.login(Wire::Json);
    let host = vec![served.toolstack.host().into()];
    assert_eq!(client.text("host.get_address", host), "2001:db8::5054:ff:fe00:0");

    // Each family is changed without the other.
    let pifs =
        client.ok("PIF.get_all_records_where", vec!["field \"management\" = \"true\"".into()]);
    let pif: Value = pifs.as_map().unwrap().keys().next().unwrap().as_str().into();
    let call = |message: &str, words: &[&str]| {
        let words = words.iter().map(|word| Value::from(*word));
        let message = format!("PIF.{message}");
        let parameters = std::iter::once(pif.clone()).chain(words).collect();
        client.raw(&message, [vec![client.session.as_str().into()], parameters].concat())
    };
    call("reconfigure_ipv6", &["Static", "2001:db8::9/64", "", "2001:db8::53"]).unwrap();
    call("reconfigure_ip", &["DHCP", "", "", "", ""]).unwrap();
    let addressing = served.network.addressing("xenbr1").unwrap();
    assert_eq!(addressing.ipv4, IpMode::Dhcp);
    let ipv6 = network::Ipv6Mode::Static { address: "2001:db8::9/64".into(), gateway: None };
    assert_eq!(
        addressing,
        Addressing { ipv6, dns: vec!["2001:db8::53".into()], ..addressing.clone() }
    );
    for bad in ["2001:db8::9", "2001:db8::9/129", "192.0.2.1/24", ""] {
        assert!(call("reconfigure_ipv6", &["Static", bad, "", ""]).is_err(), "{bad}");
    }
    assert!(call("reconfigure_ipv6", &["Static", "2001:db8::9/64", "192.0.2.1", ""]).is_err());
}

/// A machine that finds a card late.
struct Late {
    inner: Arc<FakeNetwork>,
    all: std::sync::atomic::AtomicBool,
}

impl network::NetworkBackend for Late {
    fn physical(&self) -> Result<Vec<PhysicalNic>, network::NetworkError> {
        let mut nics = self.inner.physical()?;
        if !self.all.load(std::sync::atomic::Ordering::Relaxed) {
            nics.truncate(1);
        }
        Ok(nics)
    }
    fn ensure_bridge(&self, bridge: &Bridge) -> Result<(), network::NetworkError> {
        self.inner.ensure_bridge(bridge)
    }
    fn remove_bridge(&self, bridge: &str) -> Result<(), network::NetworkError> {
        self.inner.remove_bridge(bridge)
    }
    fn plug(
        &self,
        bridge: &str,
        link: &str,
        port: &network::GuestPort,
    ) -> Result<(), network::NetworkError> {
        self.inner.plug(bridge, link, port)
    }

    fn guard(&self, link: &str, guard: &network::Guard) -> Result<(), network::NetworkError> {
        self.inner.guard(link, guard)
    }
    fn unplug(&self, link: &str) -> Result<(), network::NetworkError> {
        self.inner.unplug(link)
    }
    fn configure_address(
        &self,
        interface: &str,
        addressing: &Addressing,
    ) -> Result<(), network::NetworkError> {
        self.inner.configure_address(interface, addressing)
    }
    fn addresses(&self, interface: &str) -> Result<network::Addresses, network::NetworkError> {
        self.inner.addresses(interface)
    }
    fn set_manager(&self, manager: Option<&network::Manager>) -> Result<(), network::NetworkError> {
        self.inner.set_manager(manager)
    }
    fn set_snooping(&self, enabled: bool) -> Result<(), network::NetworkError> {
        self.inner.set_snooping(enabled)
    }
    fn reaches(&self, address: std::net::IpAddr) -> Result<bool, network::NetworkError> {
        self.inner.reaches(address)
    }
    fn ssh_clients(&self) -> Result<Vec<std::net::IpAddr>, network::NetworkError> {
        self.inner.ssh_clients()
    }
}

#[test]
fn a_card_that_comes_late_joins_its_bond() {
    let asked = Management { bond: Some(bond(BondMode::ActiveBackup)), ..management() };
    let mut late = None;
    let served = Served::installed(Some(asked), |outside| {
        // The simulation's own, which the test looks at.
        let inner = Arc::new(FakeNetwork::new(
            outside.network.physical().unwrap(),
            outside.network.addresses("eth0").unwrap().ipv6,
        ));
        let network = Arc::new(Late { inner, all: false.into() });
        outside.network = network.clone();
        late = Some(network);
    });
    let late = late.unwrap();
    let cards = || match &late.inner.bridges()["xapi0"].uplink {
        Uplink::Bond(bond) => bond.cards.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(cards(), ["eth0"]);
    late.all.store(true, std::sync::atomic::Ordering::Relaxed);
    toolstack::host_network::scan(&served.toolstack).unwrap();
    eventually("the other card is in the bond", || cards() == ["eth0", "eth1"]);
    assert_eq!(late.inner.bridges().len(), 1);
}
