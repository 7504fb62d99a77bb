// SPDX-License-Identifier: MIT OR Apache-2.0
//! A host whose database a reinstallation has kept, with other settings.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use appliance_model::handover::{
    AddressMode, Bond, BondHash, BondMode, Handover, Ipv6Mode, Management,
};
use appliance_model::records::Records;
use network::{Addressing, FakeNetwork, IpMode, Uplink};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use toolstack::daemon::{Daemon, Places};
use toolstack::simulate::Simulation;
use toolstack::toolstack::Toolstack;
use xapi_model::{Ref, classes};

/// A daemon that was started over a database that was there, or over none.
struct Host {
    folder: TempDir,
    toolstack: Arc<Toolstack>,
    network: Arc<FakeNetwork>,
    _runtime: Runtime,
}

impl Host {
    fn start(before: Option<&Host>, handover: Handover) -> Host {
        let folder = tempfile::tempdir().unwrap();
        if let Some(before) = before {
            copy_database(before.folder.path(), folder.path());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let simulation = Simulation::new(folder.path(), crate::common::PASSWORD, true).unwrap();
        let network = simulation.network.clone();
        let local_sr = simulation.handover.local_sr.clone().filter(|_| before.is_none());
        let handover = Handover { local_sr, ..handover };
        let places = Places {
            database: folder.path().join("state.db"),
            tls: folder.path().join("tls"),
            listen: ([127, 0, 0, 1], 0).into(),
            socket: None,
        };
        let started = Daemon::start(&places, simulation.into_outside(), handover);
        let toolstack = runtime.block_on(started).unwrap().toolstack;
        Host { folder, toolstack, network, _runtime: runtime }
    }

    fn reinstalled(&self, id: &str, management: Option<Management>) -> Host {
        let reinstallation = Some(id.to_owned());
        Host::start(Some(self), Handover { management, reinstallation, ..Handover::default() })
    }

    fn uuids(&self, class: &'static str) -> Vec<String> {
        self.toolstack.store.read(|objects| {
            let mut uuids: Vec<String> =
                objects.all(class).map(|object| object.uuid().to_owned()).collect();
            uuids.sort();
            uuids
        })
    }

    fn count(&self, class: &'static str) -> usize {
        self.uuids(class).len()
    }

    /// The bridge of the network in which the guest is, with what it is connected to.
    fn guests_uplink(&self) -> Uplink {
        let bridge = self.toolstack.store.read(|objects| {
            let vif = objects.all("VIF").next().unwrap();
            objects.find(&vif.to("network")).unwrap().text("bridge").to_owned()
        });
        self.network.bridges()[&bridge].uplink.clone()
    }

    /// The interfaces that were told how to get addresses, by their bridges' uplinks.
    fn addressed(&self) -> Vec<(Uplink, Addressing)> {
        let bridges = self.network.bridges().into_values();
        let told = bridges
            .filter_map(|bridge| Some((bridge.uplink, self.network.addressing(&bridge.name)?)));
        told.collect()
    }
}

fn copy_database(from: &Path, to: &Path) {
    for name in ["state.db", "state.db-wal"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// A guest with a card in the network of the host's first card.
fn make_guest(host: &Host) {
    let made = host.toolstack.store.write(|t| {
        let pif = t.objects().all("PIF").find(|pif| pif.text("device") == "eth0").unwrap();
        let network = pif.to("network");
        let vm = t.create(&classes::VM, vec![("name_label", "guest".into())]);
        t.create(&classes::VIF, vec![("VM", vm.into()), ("network", network.into())]);
        Ok(())
    });
    made.unwrap();
}

fn management(mode: AddressMode) -> Management {
    Management {
        mac: "52:54:00:00:00:00".to_owned(),
        vlan: None,
        mtu: None,
        dns: Vec::new(),
        mode,
        ipv6: Ipv6Mode::None,
        bond: None,
    }
}

fn bonded(vlan: Option<u16>) -> Management {
    let members = ["52:54:00:00:00:00", "52:54:00:00:00:01"].map(str::to_owned).to_vec();
    let bond = Bond { members, mode: BondMode::ActiveBackup, hash: BondHash::TcpudpPorts };
    Management { vlan, bond: Some(bond), ..management(AddressMode::Dhcp) }
}

fn bond_of(cards: [&str; 2]) -> Uplink {
    let cards = cards.map(str::to_owned).to_vec();
    let mode = network::BondMode::ActiveBackup;
    Uplink::Bond(network::Bond { name: "bond0".into(), cards, mode })
}

#[test]
fn host_pool_storage_and_guests_stay_and_addresses_are_new() {
    let old = Host::start(None, Handover::default());
    make_guest(&old);
    let fixed = management(AddressMode::Static { address: "192.0.2.7/24".into(), gateway: None });
    let new = old.reinstalled("1", Some(fixed));
    for class in ["host", "pool", "SR", "PBD", "VM", "VIF", "VDI", "network", "PIF"] {
        assert_eq!(new.uuids(class), old.uuids(class), "{class}");
    }
    let ipv4 = IpMode::Static { address: "192.0.2.7/24".into(), gateway: None };
    let expected = (Uplink::Card("eth0".into()), Addressing { ipv4, ..Addressing::default() });
    assert_eq!(new.addressed(), [expected]);
    // A restart of the daemon changes nothing more.
    let again = new.reinstalled("1", Some(management(AddressMode::Dhcp)));
    assert!(again.addressed().is_empty());
}

#[test]
fn addresses_of_other_interfaces_are_told_again() {
    let old = Host::start(None, Handover::default());
    let set = old.toolstack.store.write(|t| {
        let pif = t.objects().all("PIF").find(|pif| pif.text("device") == "eth1").unwrap();
        let pif: Ref = pif.reference().clone();
        t.set(&pif, "ip_configuration_mode", xapi_model::Value::Enum("DHCP"));
        Ok(())
    });
    set.unwrap();
    let new = old.reinstalled("1", None);
    let dhcp = Addressing { ipv4: IpMode::Dhcp, ..Addressing::default() };
    let cards = ["eth0", "eth1"].map(|card| (Uplink::Card(card.into()), dhcp.clone()));
    assert_eq!(new.addressed(), cards);
}

#[test]
fn guests_stay_connected_whatever_becomes_of_the_cards() {
    let old = Host::start(None, Handover::default());
    make_guest(&old);
    assert_eq!(old.guests_uplink(), Uplink::Card("eth0".into()));

    // Both cards become a bond, with the management on a VLAN.
    let bond = old.reinstalled("1", Some(bonded(Some(42))));
    assert_eq!(bond.guests_uplink(), bond_of(["eth0", "eth1"]));
    let managed: Vec<Uplink> = bond.addressed().into_iter().map(|(uplink, _)| uplink).collect();
    assert!(matches!(managed.as_slice(), [Uplink::Vlan { tag: 42, .. }]), "{managed:?}");
    assert_eq!((bond.count("Bond"), bond.count("VLAN")), (1, 1));

    // The same once more takes what is there.
    let same = bond.reinstalled("2", Some(bonded(Some(42))));
    for class in ["Bond", "VLAN", "PIF", "network"] {
        assert_eq!(same.uuids(class), bond.uuids(class), "{class}");
    }
    assert_eq!(same.guests_uplink(), bond_of(["eth0", "eth1"]));

    // Without the VLAN it stays, as a network for guests.
    let untagged = same.reinstalled("3", Some(bonded(None)));
    assert_eq!((untagged.count("Bond"), untagged.count("VLAN")), (1, 1));
    let managed: Vec<Uplink> = untagged.addressed().into_iter().map(|(it, _)| it).collect();
    assert_eq!(managed, [bond_of(["eth0", "eth1"])]);

    // And without the bond.
    let card = untagged.reinstalled("4", Some(management(AddressMode::Dhcp)));
    assert_eq!(card.guests_uplink(), Uplink::Card("eth0".into()));
    assert_eq!((card.count("Bond"), card.count("VLAN")), (0, 1));
    let managed: Vec<Uplink> = card.addressed().into_iter().map(|(it, _)| it).collect();
    assert_eq!(managed, [Uplink::Card("eth0".into())]);
    let bridges = card.network.bridges().into_values();
    let uplinks: Vec<Uplink> = bridges.map(|bridge| bridge.uplink).collect();
    assert!(uplinks.iter().any(|it| matches!(it, Uplink::Vlan { tag: 42, .. })), "{uplinks:?}");
}

#[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
fn inspect(database: &Path) -> Result<Records, String> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_xenith-toolstack"))
        .arg("--inspect")
        .arg(database)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

#[test]
fn a_database_tells_what_a_host_has() {
    let host = Host::start(None, Handover::default());
    make_guest(&host);
    let folder = tempfile::tempdir().unwrap();
    copy_database(host.folder.path(), folder.path());
    let database = folder.path().join("state.db");
    let records = inspect(&database).unwrap();
    assert_eq!(vec![records.host.clone()], host.uuids("host"));
    assert_eq!((records.vms, records.vdis), (1, host.count("VDI")));
    let sr = records.srs.iter().find(|sr| sr.kind == "ext").unwrap();
    assert_eq!(sr.name, "Local storage");
    assert!(host.uuids("SR").contains(&sr.uuid));
}

#[test]
fn what_is_no_database_of_a_host_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("state.db");
    let error = inspect(&database).unwrap_err();
    assert!(error.contains("there is no database"), "{error}");
    assert!(!database.exists());
    let host = Host::start(None, Handover::default());
    copy_database(host.folder.path(), folder.path());
    let mut bytes = fs::read(&database).unwrap();
    bytes.truncate(100);
    bytes.resize(4096, 0x5a);
    fs::write(&database, bytes).unwrap();
    fs::remove_file(folder.path().join("state.db-wal")).unwrap();
    inspect(&database).unwrap_err();
    fs::write(&database, "SQLite format 4").unwrap();
    inspect(&database).unwrap_err();
    fs::remove_file(&database).unwrap();
    fs::write(&database, "").unwrap();
    let error = inspect(&database).unwrap_err();
    assert!(error.contains("holds no host"), "{error}");
}
