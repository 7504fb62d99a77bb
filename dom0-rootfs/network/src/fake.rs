// SPDX-License-Identifier: MIT OR Apache-2.0
//! A network for tests and for the simulator.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::backend::{IpMode, IpStatus, NetworkBackend, PhysicalNic};
use crate::error::NetworkError;
use crate::names::{check_interface, check_mode};

/// A host with network cards that are only described. It checks what the real one checks.
#[derive(Debug, Default)]
pub struct FakeNetwork {
    nics: Vec<PhysicalNic>,
    lease: Option<IpStatus>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bridges: BTreeMap<String, (Vec<String>, u32)>,
    ports: BTreeMap<String, (String, Vec<(String, String)>)>,
    modes: BTreeMap<String, IpMode>,
    faults: VecDeque<(String, NetworkError)>,
}

impl FakeNetwork {
    /// A host with these network cards. `lease` is what DHCP gives; none: no server answers.
    pub fn new(nics: Vec<PhysicalNic>, lease: Option<IpStatus>) -> Self {
        Self { nics, lease, state: Mutex::default() }
    }

    /// The next call of the method `call` (`plug`, `ensure_bridge`, …) fails with `error`, before it
    /// does anything.
    pub fn fail_once(&self, call: &str, error: NetworkError) {
        self.lock().faults.push_back((call.to_owned(), error));
    }

    /// Bridges that exist, with their uplinks.
    pub fn bridges(&self) -> BTreeMap<String, Vec<String>> {
        let state = self.lock();
        state.bridges.iter().map(|(name, (uplinks, _))| (name.clone(), uplinks.clone())).collect()
    }

    /// Guests' links that are plugged in, with their bridge.
    pub fn ports(&self) -> BTreeMap<String, String> {
        let state = self.lock();
        state.ports.iter().map(|(link, (bridge, _))| (link.clone(), bridge.clone())).collect()
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

    fn ensure_bridge(
        &self,
        bridge: &str,
        uplinks: &[String],
        mtu: u32,
    ) -> Result<(), NetworkError> {
        let mut state = self.start("ensure_bridge")?;
        check_interface(bridge)?;
        for uplink in uplinks {
            if !self.nics.iter().any(|nic| nic.device == *uplink) {
                return Err(NetworkError::NoSuchInterface(uplink.clone()));
            }
            let taken = state
                .bridges
                .iter()
                .find(|(name, (ups, _))| name.as_str() != bridge && ups.contains(uplink));
            if let Some((other, _)) = taken {
                return Err(NetworkError::Failed {
                    doing: format!("making bridge {bridge}"),
                    detail: format!("{uplink} is a port of {other}"),
                });
            }
        }
        state.bridges.insert(bridge.to_owned(), (uplinks.to_vec(), mtu));
        Ok(())
    }

    fn remove_bridge(&self, bridge: &str) -> Result<(), NetworkError> {
        let mut state = self.start("remove_bridge")?;
        state.bridges.remove(bridge);
        state.modes.remove(bridge);
        state.ports.retain(|_, (name, _)| name != bridge);
        Ok(())
    }

    fn plug(&self, bridge: &str, link: &str, ids: &[(String, String)]) -> Result<(), NetworkError> {
        let mut state = self.start("plug")?;
        check_interface(link)?;
        if !state.bridges.contains_key(bridge) {
            return Err(NetworkError::NoSuchInterface(bridge.to_owned()));
        }
        state.ports.insert(link.to_owned(), (bridge.to_owned(), ids.to_vec()));
        Ok(())
    }

    fn unplug(&self, link: &str) -> Result<(), NetworkError> {
        self.start("unplug")?.ports.remove(link);
        Ok(())
    }

    fn configure_address(&self, interface: &str, mode: &IpMode) -> Result<(), NetworkError> {
        let mut state = self.start("configure_address")?;
        check_interface(interface)?;
        check_mode(mode)?;
        state.modes.insert(interface.to_owned(), mode.clone());
        Ok(())
    }

    fn address(&self, interface: &str) -> Result<Option<IpStatus>, NetworkError> {
        let state = self.start("address")?;
        if !state.bridges.contains_key(interface)
            && !self.nics.iter().any(|nic| nic.device == interface)
        {
            return Err(NetworkError::NoSuchInterface(interface.to_owned()));
        }
        Ok(match state.modes.get(interface) {
            None | Some(IpMode::None) => None,
            Some(IpMode::Dhcp) => self.lease.clone(),
            Some(IpMode::Static { address, gateway, .. }) => {
                address.split_once('/').and_then(|(address, prefix)| {
                    Some(IpStatus {
                        address: address.to_owned(),
                        prefix: prefix.parse().ok()?,
                        gateway: gateway.clone(),
                    })
                })
            }
        })
    }
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

    #[test]
    fn bridges_ports_addresses_and_faults() {
        let lease = IpStatus { address: "192.0.2.50".to_owned(), prefix: 24, gateway: None };
        let net = FakeNetwork::new(vec![nic("eth0"), nic("eth1")], Some(lease.clone()));
        let failed = || NetworkError::Failed { doing: "x".into(), detail: "y".into() };
        net.fail_once("ensure_bridge", failed());
        assert!(net.ensure_bridge("xenbr0", &["eth0".into()], 1500).is_err());
        assert!(net.bridges().is_empty());
        net.ensure_bridge("xenbr0", &["eth0".into()], 1500).unwrap();
        assert!(net.ensure_bridge("xenbr1", &["eth0".into()], 1500).is_err());
        assert!(net.ensure_bridge("xenbr1", &["eth7".into()], 1500).is_err());
        assert!(net.plug("xenbr1", "vif1.0", &[]).is_err());
        net.plug("xenbr0", "vif1.0", &[]).unwrap();
        assert_eq!(net.ports()["vif1.0"], "xenbr0");
        assert_eq!(net.address("xenbr0").unwrap(), None);
        net.configure_address("xenbr0", &IpMode::Dhcp).unwrap();
        assert_eq!(net.address("xenbr0").unwrap(), Some(lease));
        net.unplug("vif1.0").unwrap();
        net.remove_bridge("xenbr0").unwrap();
        assert!(net.address("xenbr0").is_err());
    }
}
