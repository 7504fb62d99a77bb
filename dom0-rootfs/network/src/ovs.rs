// SPDX-License-Identifier: MIT OR Apache-2.0
//! Open vSwitch for bridges, systemd-networkd for addresses.

use std::fs;
use std::sync::Arc;

use serde::Deserialize;

use crate::backend::{IpMode, IpStatus, NetworkBackend, PhysicalNic};
use crate::error::NetworkError;
use crate::names::{check_interface, check_mode, quoted};
use crate::program::{System, io};
use crate::{networkd, nics};

/// Marks our own uplinks among the ports of a bridge: a key of the port's external ids.
const UPLINK_OF: &str = "xenith-uplink-of";

/// The network of a real host.
pub struct OvsBackend {
    system: Arc<dyn System>,
}

impl OvsBackend {
    /// The backend on a host.
    pub fn new(system: Arc<dyn System>) -> Self {
        Self { system }
    }

    fn vsctl(&self, doing: &str, commands: &[Vec<String>]) -> Result<String, NetworkError> {
        let mut args = vec!["--timeout=30", "--bare"];
        for command in commands {
            args.push("--");
            args.extend(command.iter().map(String::as_str));
        }
        self.system.must(doing, "ovs-vsctl", &args)
    }

    fn ip(&self, doing: &str, args: &[&str]) -> Result<String, NetworkError> {
        self.system.must(doing, "ip", args)
    }

    fn attribute(&self, interface: &str, name: &str) -> Result<String, NetworkError> {
        let file = format!("/sys/class/net/{interface}/{name}");
        if !self.exists(interface) {
            return Err(NetworkError::NoSuchInterface(interface.to_owned()));
        }
        let text =
            fs::read_to_string(self.system.path(&file)).map_err(io(format!("reading {file}")))?;
        Ok(text.trim().to_owned())
    }

    fn exists(&self, interface: &str) -> bool {
        self.system.path(&format!("/sys/class/net/{interface}")).exists()
    }

    /// Names of the ports that were uplinks of a bridge up to now.
    fn uplinks(&self, bridge: &str) -> Result<Vec<String>, NetworkError> {
        let condition = format!("external_ids:{UPLINK_OF}={}", quoted(bridge));
        let find = ["--columns=name", "find", "Port", &condition].map(str::to_owned);
        let out = self.vsctl(&format!("looking for the uplinks of {bridge}"), &[find.to_vec()])?;
        Ok(out.split_whitespace().map(str::to_owned).collect())
    }
}

fn command<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

impl NetworkBackend for OvsBackend {
    fn physical(&self) -> Result<Vec<PhysicalNic>, NetworkError> {
        nics::physical(&*self.system)
    }

    fn ensure_bridge(
        &self,
        bridge: &str,
        uplinks: &[String],
        mtu: u32,
    ) -> Result<(), NetworkError> {
        check_interface(bridge)?;
        for uplink in uplinks {
            check_interface(uplink)?;
        }
        let mac = uplinks.first().map(|first| self.attribute(first, "address")).transpose()?;
        if let Some(missing) = uplinks.iter().find(|uplink| !self.exists(uplink)) {
            return Err(NetworkError::NoSuchInterface(missing.clone()));
        }
        let former: Vec<_> =
            self.uplinks(bridge)?.into_iter().filter(|port| !uplinks.contains(port)).collect();

        let mut commands = vec![command(["--may-exist", "add-br", bridge])];
        // A bridge without a controller has to switch like one, at once.
        commands.push(command(["set", "Bridge", bridge, "fail_mode=standalone"]));
        match mac {
            // DHCP servers and switches know the host by its card's address, whatever else joins.
            Some(mac) => commands.push(command([
                "set",
                "Bridge",
                bridge,
                &format!("other_config:hwaddr={}", quoted(&mac)),
            ])),
            None => {
                commands.push(command(["remove", "Bridge", bridge, "other_config", "hwaddr"]));
            }
        }
        commands.push(command(["set", "Interface", bridge, &format!("mtu_request={mtu}")]));
        for port in &former {
            commands.push(command(["--if-exists", "del-port", bridge, port]));
        }
        for uplink in uplinks {
            commands.push(command(["--may-exist", "add-port", bridge, uplink]));
            let mark = format!("external_ids:{UPLINK_OF}={}", quoted(bridge));
            commands.push(command(["set", "Port", uplink, &mark]));
        }
        let doing = format!("making bridge {bridge}");
        self.vsctl(&doing, &commands)?;

        for port in &former {
            networkd::remove(&*self.system, &networkd::uplink_file(port))?;
        }
        let mtu_text = mtu.to_string();
        for uplink in uplinks {
            let text = networkd::uplink(uplink, mtu);
            networkd::write(&*self.system, &networkd::uplink_file(uplink), &text)?;
        }
        networkd::reload(&*self.system)?;
        for uplink in uplinks {
            self.ip(&doing, &["link", "set", "dev", uplink, "mtu", &mtu_text, "up"])?;
        }
        self.ip(&doing, &["link", "set", "dev", bridge, "up"]).map(drop)
    }

    fn remove_bridge(&self, bridge: &str) -> Result<(), NetworkError> {
        check_interface(bridge)?;
        // Files first: once the bridge is gone nobody knows which uplinks it had.
        for uplink in self.uplinks(bridge)? {
            networkd::remove(&*self.system, &networkd::uplink_file(&uplink))?;
        }
        networkd::remove(&*self.system, &networkd::address_file(bridge))?;
        self.vsctl(
            &format!("removing bridge {bridge}"),
            &[command(["--if-exists", "del-br", bridge])],
        )?;
        networkd::reload(&*self.system)
    }

    fn plug(&self, bridge: &str, link: &str, ids: &[(String, String)]) -> Result<(), NetworkError> {
        check_interface(bridge)?;
        check_interface(link)?;
        let mtu = self.attribute(bridge, "mtu")?;
        if !self.exists(link) {
            return Err(NetworkError::NoSuchInterface(link.to_owned()));
        }
        let mut set = command(["set", "Interface", link]);
        for (key, value) in ids {
            set.push(format!("external_ids:{}={}", quoted(key), quoted(value)));
        }
        // A port of this name may be left from a guest of an earlier boot, in any bridge.
        let mut commands =
            vec![command(["--if-exists", "del-port", link]), command(["add-port", bridge, link])];
        if !ids.is_empty() {
            commands.push(set);
        }
        let doing = format!("plugging {link} into {bridge}");
        self.vsctl(&doing, &commands)?;
        self.ip(&doing, &["link", "set", "dev", link, "mtu", &mtu, "up"]).map(drop)
    }

    fn unplug(&self, link: &str) -> Result<(), NetworkError> {
        check_interface(link)?;
        self.vsctl(&format!("unplugging {link}"), &[command(["--if-exists", "del-port", link])])
            .map(drop)
    }

    fn configure_address(&self, interface: &str, mode: &IpMode) -> Result<(), NetworkError> {
        check_interface(interface)?;
        check_mode(mode)?;
        let text = networkd::address(interface, mode);
        networkd::write(&*self.system, &networkd::address_file(interface), &text)?;
        networkd::reload(&*self.system)
    }

    fn address(&self, interface: &str) -> Result<Option<IpStatus>, NetworkError> {
        check_interface(interface)?;
        if !self.exists(interface) {
            return Err(NetworkError::NoSuchInterface(interface.to_owned()));
        }
        let doing = format!("asking for the address of {interface}");
        let addresses = self.ip(&doing, &["-json", "-4", "address", "show", "dev", interface])?;
        let routes =
            self.ip(&doing, &["-json", "-4", "route", "show", "default", "dev", interface])?;
        parse_status(&addresses, &routes)
            .map_err(|error| NetworkError::Failed { doing, detail: error.to_string() })
    }
}

fn parse_status(addresses: &str, routes: &str) -> Result<Option<IpStatus>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Link {
        #[serde(default)]
        addr_info: Vec<Address>,
    }
    #[derive(Deserialize)]
    struct Address {
        local: String,
        prefixlen: u8,
        scope: String,
    }
    #[derive(Deserialize)]
    struct Route {
        gateway: Option<String>,
    }
    let links: Vec<Link> = serde_json::from_str(addresses)?;
    let routes: Vec<Route> = serde_json::from_str(routes)?;
    let found = links.into_iter().flat_map(|link| link.addr_info).find(|a| a.scope == "global");
    Ok(found.map(|address| IpStatus {
        address: address.local,
        prefix: address.prefixlen,
        gateway: routes.into_iter().find_map(|route| route.gateway),
    }))
}

#[cfg(test)]
#[path = "ovs_tests.rs"]
mod tests;
