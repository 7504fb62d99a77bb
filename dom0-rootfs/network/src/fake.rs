// SPDX-License-Identifier: MIT OR Apache-2.0
//! A network for tests and for the simulator.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::backend::{
    Addresses, Addressing, Bridge, GuestPort, IpMode, IpStatus, Ipv6Mode, Manager, NetworkBackend,
    PhysicalNic, Uplink,
};
use crate::error::NetworkError;
use crate::guard::Guard;
use crate::names::{check_addressing, check_bridge, check_interface};

/// A host with network cards that are only described. It checks what the real one checks.
#[derive(Debug, Default)]
pub struct FakeNetwork {
    nics: Vec<PhysicalNic>,
    lease: Vec<IpStatus>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bridges: BTreeMap<String, Bridge>,
    ports: BTreeMap<String, (String, GuestPort)>,
    addressings: BTreeMap<String, Addressing>,
    manager: Option<Manager>,
    snooping: bool,
    ssh_clients: Vec<IpAddr>,
    cut_off: Option<CutOff>,
    faults: VecDeque<(String, NetworkError)>,
}

/// Whether nobody elsewhere answers, with these bridges and addresses.
pub type CutOff = fn(&BTreeMap<String, Bridge>, &BTreeMap<String, Addressing>) -> bool;

impl FakeNetwork {
    /// A host with these network cards. `lease` is what DHCP and routers give, at most one address
    /// of each family; none: nobody answers.
    pub fn new(nics: Vec<PhysicalNic>, lease: Vec<IpStatus>) -> Self {
        Self { nics, lease, state: Mutex::default() }
    }

    /// The next call of the method `call` (`plug`, `ensure_bridge`, …) fails with `error`, before it
    /// does anything.
    pub fn fail_once(&self, call: &str, error: NetworkError) {
        self.lock().faults.push_back((call.to_owned(), error));
    }

    /// Somebody is logged in over SSH, from here.
    pub fn log_in_from(&self, address: IpAddr) {
        self.lock().ssh_clients.push(address);
    }

    /// From now on nobody answers as long as the network is like this.
    pub fn cut_off_while(&self, cut_off: CutOff) {
        self.lock().cut_off = Some(cut_off);
    }

    /// Bridges that exist.
    pub fn bridges(&self) -> BTreeMap<String, Bridge> {
        self.lock().bridges.clone()
    }

    /// How an interface was told to get its addresses.
    pub fn addressing(&self, interface: &str) -> Option<Addressing> {
        self.lock().addressings.get(interface).cloned()
    }

    /// The switch's controller.
    pub fn manager(&self) -> Option<Manager> {
        self.lock().manager.clone()
    }

    /// Whether bridges snoop IGMP.
    pub fn snooping(&self) -> bool {
        self.lock().snooping
    }

    /// Guests' links that are plugged in, with their bridge.
    pub fn ports(&self) -> BTreeMap<String, String> {
        let state = self.lock();
        state.ports.iter().map(|(link, (bridge, _))| (link.clone(), bridge.clone())).collect()
    }

    /// What passes a guest's link that is plugged in.
    pub fn guard_of(&self, link: &str) -> Option<Guard> {
        self.lock().ports.get(link).map(|(_, port)| port.guard.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, call: &str) -> Result<MutexGuard<'_, State>, NetworkError> {
        let mut state = self.lock();
        let at = state.faults.iter().position(|(name, _)| name == call);
        match at.and_then(|at| state.faults.remove(at)) {
            Some((_, error)) => Err(error),
            None => Ok(state),
        }
    }
}

impl NetworkBackend for FakeNetwork {
    fn physical(&self) -> Result<Vec<PhysicalNic>, NetworkError> {
        let _state = self.start("physical")?;
        Ok(self.nics.clone())
    }

    fn ensure_bridge(&self, bridge: &Bridge) -> Result<(), NetworkError> {
        let mut state = self.start("ensure_bridge")?;
        check_bridge(bridge)?;
        if let Uplink::Vlan { bridge: parent, .. } = &bridge.uplink
            && !state.bridges.contains_key(parent)
        {
            return Err(NetworkError::NoSuchInterface(parent.clone()));
        }
        let is_there = |card: &String| self.nics.iter().any(|nic| nic.device == *card);
        // A bond works with what is left of it.
        let is_bond = matches!(bridge.uplink, Uplink::Bond(_));
        let enough = is_bond && bridge.uplink.cards().iter().any(is_there);
        for card in bridge.uplink.cards() {
            if !is_there(card) && !enough {
                return Err(NetworkError::NoSuchInterface(card.clone()));
            }
            let others = state.bridges.values().filter(|other| other.name != bridge.name);
            let taken = others.into_iter().find(|other| other.uplink.cards().contains(card));
            if let Some(other) = taken {
                return Err(NetworkError::Failed {
                    doing: format!("making bridge {}", bridge.name),
                    detail: format!("{card} is a port of {}", other.name),
                });
            }
        }
        state.bridges.insert(bridge.name.clone(), bridge.clone());
        Ok(())
    }

    fn remove_bridge(&self, bridge: &str) -> Result<(), NetworkError> {
        let mut state = self.start("remove_bridge")?;
        state.bridges.remove(bridge);
        state.addressings.remove(bridge);
        state.ports.retain(|_, (name, _)| name != bridge);
        Ok(())
    }

    fn plug(&self, bridge: &str, link: &str, port: &GuestPort) -> Result<(), NetworkError> {
        let mut state = self.start("plug")?;
        check_interface(link)?;
        if !state.bridges.contains_key(bridge) {
            return Err(NetworkError::NoSuchInterface(bridge.to_owned()));
        }
        state.ports.insert(link.to_owned(), (bridge.to_owned(), port.clone()));
        Ok(())
    }

    fn guard(&self, link: &str, guard: &Guard) -> Result<(), NetworkError> {
        let mut state = self.start("guard")?;
        let port = state.ports.get_mut(link);
        let (_, port) = port.ok_or_else(|| NetworkError::NoSuchInterface(link.to_owned()))?;
        port.guard = guard.clone();
        Ok(())
    }

    fn unplug(&self, link: &str) -> Result<(), NetworkError> {
        self.start("unplug")?.ports.remove(link);
        Ok(())
    }

    fn reaches(&self, _: IpAddr) -> Result<bool, NetworkError> {
        let state = self.start("reaches")?;
        Ok(!state.cut_off.is_some_and(|cut_off| cut_off(&state.bridges, &state.addressings)))
    }

    fn ssh_clients(&self) -> Result<Vec<IpAddr>, NetworkError> {
        Ok(self.start("ssh_clients")?.ssh_clients.clone())
    }

    fn set_manager(&self, manager: Option<&Manager>) -> Result<(), NetworkError> {
        self.start("set_manager")?.manager = manager.cloned();
        Ok(())
    }

    fn set_snooping(&self, enabled: bool) -> Result<(), NetworkError> {
        self.start("set_snooping")?.snooping = enabled;
        Ok(())
    }

    fn configure_address(
        &self,
        interface: &str,
        addressing: &Addressing,
    ) -> Result<(), NetworkError> {
        let mut state = self.start("configure_address")?;
        check_interface(interface)?;
        check_addressing(addressing)?;
        state.addressings.insert(interface.to_owned(), addressing.clone());
        Ok(())
    }

    fn addresses(&self, interface: &str) -> Result<Addresses, NetworkError> {
        let state = self.start("addresses")?;
        if !state.bridges.contains_key(interface)
            && !self.nics.iter().any(|nic| nic.device == interface)
        {
            return Err(NetworkError::NoSuchInterface(interface.to_owned()));
        }
        let Some(addressing) = state.addressings.get(interface) else {
            return Ok(Addresses::default());
        };
        let lease = |is_ipv6: bool| {
            let lease = self.lease.iter().find(|lease| lease.address.contains(':') == is_ipv6);
            lease.cloned()
        };
        let ipv4 = match &addressing.ipv4 {
            IpMode::None => None,
            IpMode::Dhcp => lease(false),
            IpMode::Static { address, gateway } => fixed(address, gateway),
        };
        let ipv6 = match &addressing.ipv6 {
            Ipv6Mode::None => None,
            Ipv6Mode::Autoconf | Ipv6Mode::Dhcp => lease(true),
            Ipv6Mode::Static { address, gateway } => fixed(address, gateway),
        };
        Ok(Addresses { ipv4, ipv6: ipv6.into_iter().collect() })
    }
}

fn fixed(address: &str, gateway: &Option<String>) -> Option<IpStatus> {
    let (address, prefix) = address.split_once('/')?;
    let (address, prefix) = (address.to_owned(), prefix.parse().ok()?);
    Some(IpStatus { address, prefix, gateway: gateway.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(device: &str) -> PhysicalNic {
        PhysicalNic {
            device: device.to_owned(),
            mac: "52:54:00:00:00:01".to_owned(),
            mtu: 1500,
            carrier: true,
            speed_mbit: Some(1000),
            driver: "simulated".to_owned(),
            pci: None,
        }
    }

    fn bridge(name: &str, uplink: Uplink) -> Bridge {
        Bridge { name: name.to_owned(), uplink, mtu: 1500 }
    }

    #[test]
    fn bridges_ports_addresses_and_faults() {
        let lease = IpStatus { address: "192.0.2.50".to_owned(), prefix: 24, gateway: None };
        let net = FakeNetwork::new(vec![nic("eth0"), nic("eth1")], vec![lease.clone()]);
        let card = |name: &str, card: &str| bridge(name, Uplink::Card(card.to_owned()));
        let failed = || NetworkError::Failed { doing: "x".into(), detail: "y".into() };
        net.fail_once("ensure_bridge", failed());
        assert!(net.ensure_bridge(&card("xenbr0", "eth0")).is_err());
        assert!(net.bridges().is_empty());
        let vlan = bridge("xapi0", Uplink::Vlan { bridge: "xenbr0".to_owned(), tag: 42 });
        assert!(net.ensure_bridge(&vlan).is_err(), "the bridge below it is not there");
        net.ensure_bridge(&card("xenbr0", "eth0")).unwrap();
        net.ensure_bridge(&vlan).unwrap();
        assert!(net.ensure_bridge(&card("xenbr1", "eth0")).is_err());
        assert!(net.ensure_bridge(&card("xenbr1", "eth7")).is_err());
        assert!(net.plug("xenbr1", "vif1.0", &GuestPort::default()).is_err());
        net.plug("xenbr0", "vif1.0", &GuestPort::default()).unwrap();
        assert_eq!(net.ports()["vif1.0"], "xenbr0");
        assert_eq!(net.addresses("xenbr0").unwrap(), Addresses::default());
        let dhcp = Addressing { ipv4: IpMode::Dhcp, ..Addressing::default() };
        net.configure_address("xenbr0", &dhcp).unwrap();
        assert_eq!(net.addresses("xenbr0").unwrap().ipv4, Some(lease));
        let address = "2001:db8::1/64".to_owned();
        let ipv6 = Ipv6Mode::Static { address, gateway: None };
        net.configure_address("xapi0", &Addressing { ipv6, ..Addressing::default() }).unwrap();
        assert_eq!(net.addresses("xapi0").unwrap().ipv6[0].address, "2001:db8::1");
        net.unplug("vif1.0").unwrap();
        net.remove_bridge("xenbr0").unwrap();
        assert!(net.addresses("xenbr0").is_err());
    }
}
