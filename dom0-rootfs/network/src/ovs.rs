// SPDX-License-Identifier: MIT OR Apache-2.0
//! Open vSwitch for bridges, systemd-networkd for addresses.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use crate::backend::{
    Addresses, Addressing, Bond, BondMode, Bridge, GuestPort, IpStatus, Manager, NetworkBackend,
    PhysicalNic, Uplink,
};
use crate::error::NetworkError;
use crate::guard::Guard;
use crate::names::{check_addressing, check_bridge, check_guard, check_interface, quoted};
use crate::networkd::Networkd;
use crate::program::{System, io};
use crate::{guard, networkd, nics};

/// Marks our own uplinks among the ports of a bridge: a key of the port's external ids.
const UPLINK_OF: &str = "xenith-uplink-of";

/// The network of a real host.
pub struct OvsBackend {
    system: Arc<dyn System>,
    networkd: Networkd,
    /// Links whose rules are to be removed with their port. A link that is gone takes its rules along;
    /// the empty table that one of before the start of this process leaves does no harm.
    guarded: Mutex<BTreeSet<String>>,
    /// Bridges that are made from now on snoop IGMP.
    snooping: AtomicBool,
}

impl OvsBackend {
    /// The backend on a host.
    pub fn new(system: Arc<dyn System>) -> Self {
        let networkd = Networkd::new(Arc::clone(&system));
        let (guarded, snooping) = (Mutex::default(), AtomicBool::new(false));
        Self { system, networkd, guarded, snooping }
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

    fn nft(&self, link: &str, commands: &str) -> Result<(), NetworkError> {
        self.system.must(&format!("guarding {link}"), "nft", &[commands]).map(drop)
    }

    fn guarded(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Names in `table` (`Port` or `Interface`) that are the uplink of a bridge up to now.
    fn uplinks(&self, table: &str, bridge: &str) -> Result<Vec<String>, NetworkError> {
        let condition = format!("external_ids:{UPLINK_OF}={}", quoted(bridge));
        let find = ["--columns=name", "find", table, &condition].map(str::to_owned);
        let out = self.vsctl(&format!("looking for the uplinks of {bridge}"), &[find.to_vec()])?;
        Ok(out.split_whitespace().map(str::to_owned).collect())
    }

    /// An uplink without the cards of a bond that are gone: a bond is there for that. Open vSwitch
    /// wants two cards for one; what is left of it works alone.
    fn present(&self, uplink: &Uplink) -> Uplink {
        let Uplink::Bond(bond) = uplink else { return uplink.clone() };
        let cards: Vec<String> =
            bond.cards.iter().filter(|card| self.exists(card)).cloned().collect();
        match cards.as_slice() {
            [] => uplink.clone(),
            [card] => Uplink::Card(card.clone()),
            _ => Uplink::Bond(Bond { cards, ..bond.clone() }),
        }
    }

    /// The MAC address that a bridge has for others: that of its uplink's first card.
    fn mac(&self, uplink: &Uplink) -> Result<Option<String>, NetworkError> {
        match uplink {
            Uplink::None => Ok(None),
            Uplink::Card(card) => self.attribute(card, "address").map(Some),
            Uplink::Bond(bond) => {
                bond.cards.first().map(|card| self.attribute(card, "address")).transpose()
            }
            Uplink::Vlan { bridge, .. } => self.attribute(bridge, "address").map(Some),
        }
    }

    /// Without a file of its own an interface would take IPv6 addresses from whoever announces some,
    /// guests too, and answer there.
    fn keep_quiet(&self, bridge: &str) -> Result<(), NetworkError> {
        let name = networkd::address_file(bridge);
        match self.networkd.exists(&name) {
            true => Ok(()),
            false => {
                let none = networkd::address(bridge, &Addressing::default());
                self.networkd.write(&name, &none)
            }
        }
    }

    /// A bridge within another one, for one VLAN ("fake bridge" in ovs-vsctl(8)).
    fn ensure_vlan(&self, bridge: &Bridge, parent: &str, tag: u16) -> Result<(), NetworkError> {
        let Bridge { name, mtu, .. } = bridge;
        let mac = self.mac(&bridge.uplink)?.unwrap_or_default();
        let doing = format!("making bridge {name} for VLAN {tag} on {parent}");
        let set = command([
            "set",
            "Interface",
            name,
            &format!("mac={}", quoted(&mac)),
            &format!("mtu_request={mtu}"),
        ]);
        let add = command(["--may-exist", "add-br", name, parent, &tag.to_string()]);
        self.vsctl(&doing, &[add, set])?;
        self.keep_quiet(name)?;
        self.networkd.reload()?;
        self.ip(&doing, &["link", "set", "dev", name, "up"]).map(drop)
    }
}

/// Columns of a bond's port. The delays are those of XenServer: a switch may need half a minute
/// until it forwards on a link that came up.
fn bond_columns(mode: BondMode) -> Vec<String> {
    let (words, delays) = match mode {
        BondMode::ActiveBackup => (vec!["bond_mode=active-backup", "lacp=off"], true),
        BondMode::BalanceSlb => (vec!["bond_mode=balance-slb", "lacp=off"], true),
        BondMode::Lacp { by_ports } => {
            let mode = if by_ports { "bond_mode=balance-tcp" } else { "bond_mode=balance-slb" };
            // A switch that does not answer, or not yet, must not cut the host off.
            (vec![mode, "lacp=active", "other_config:lacp-fallback-ab=true"], false)
        }
    };
    let delays = if delays {
        ["bond_updelay=31000", "bond_downdelay=200"]
    } else {
        ["bond_updelay=0", "bond_downdelay=0"]
    };
    words.into_iter().chain(delays).map(str::to_owned).collect()
}

/// Sends multicast of a bridge only where somebody asked for it, or everywhere.
fn snooping(bridge: &str, enabled: bool) -> Vec<String> {
    let enable = format!("mcast_snooping_enable={enabled}");
    let flood = format!("other_config:mcast-snooping-disable-flood-unregistered={enabled}");
    command(["set", "Bridge", bridge, &enable, &flood])
}

fn command<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

impl NetworkBackend for OvsBackend {
    fn physical(&self) -> Result<Vec<PhysicalNic>, NetworkError> {
        nics::physical(&*self.system)
    }

    fn ensure_bridge(&self, bridge: &Bridge) -> Result<(), NetworkError> {
        check_bridge(bridge)?;
        let Bridge { name, uplink, mtu } = bridge;
        if let Uplink::Vlan { bridge: parent, tag } = uplink {
            return self.ensure_vlan(bridge, parent, *tag);
        }
        let uplink = &self.present(uplink);
        let mac = self.mac(uplink)?;
        let cards = uplink.cards();
        if let Some(missing) = cards.iter().find(|card| !self.exists(card)) {
            return Err(NetworkError::NoSuchInterface(missing.clone()));
        }
        let ports = self.uplinks("Port", name)?;
        // Cards of before, which a port of another kind or another bond may have had.
        let former: Vec<String> = match ports.is_empty() {
            true => Vec::new(),
            false => self.uplinks("Interface", name)?,
        };
        let others = former.iter().any(|card| !cards.contains(card)) || former.len() != cards.len();
        let stays = |port: &String| Some(port.as_str()) == uplink.port() && !others;

        let mut commands = vec![command(["--may-exist", "add-br", name])];
        // A bridge without a controller has to switch like one, at once.
        commands.push(command(["set", "Bridge", name, "fail_mode=standalone"]));
        if self.snooping.load(Ordering::Relaxed) {
            commands.push(snooping(name, true));
        }
        match mac {
            // DHCP servers and switches know the host by its card's address, whatever else joins.
            Some(mac) => commands.push(command([
                "set",
                "Bridge",
                name,
                &format!("other_config:hwaddr={}", quoted(&mac)),
            ])),
            None => {
                commands.push(command(["remove", "Bridge", name, "other_config", "hwaddr"]));
            }
        }
        commands.push(command(["set", "Interface", name, &format!("mtu_request={mtu}")]));
        for port in ports.iter().filter(|port| !stays(port)) {
            commands.push(command(["--if-exists", "del-port", name, port]));
        }
        let mark = format!("external_ids:{UPLINK_OF}={}", quoted(name));
        match uplink {
            Uplink::Card(card) => commands.push(command(["--may-exist", "add-port", name, card])),
            Uplink::Bond(bond) => {
                let mut add = command(["--may-exist", "add-bond", name, &bond.name]);
                add.extend(bond.cards.iter().cloned());
                let mut set = command(["set", "Port", &bond.name]);
                set.extend(bond_columns(bond.mode));
                commands.extend([add, set]);
            }
            Uplink::None | Uplink::Vlan { .. } => {}
        }
        if let Some(port) = uplink.port() {
            commands.push(command(["set", "Port", port, &mark]));
        }
        for card in cards {
            commands.push(command(["set", "Interface", card, &mark]));
        }
        let doing = format!("making bridge {name}");
        self.vsctl(&doing, &commands)?;

        for card in former.iter().filter(|card| !cards.contains(card)) {
            self.networkd.remove(&networkd::uplink_file(card))?;
        }
        let mtu_text = mtu.to_string();
        for card in cards {
            let text = networkd::uplink(card, *mtu);
            self.networkd.write(&networkd::uplink_file(card), &text)?;
        }
        self.keep_quiet(name)?;
        self.networkd.reload()?;
        for card in cards {
            self.ip(&doing, &["link", "set", "dev", card, "mtu", &mtu_text, "up"])?;
        }
        self.ip(&doing, &["link", "set", "dev", name, "up"]).map(drop)
    }

    fn remove_bridge(&self, bridge: &str) -> Result<(), NetworkError> {
        check_interface(bridge)?;
        // Files first: once the bridge is gone nobody knows which uplinks it had.
        for uplink in self.uplinks("Interface", bridge)? {
            self.networkd.remove(&networkd::uplink_file(&uplink))?;
        }
        self.networkd.remove(&networkd::address_file(bridge))?;
        self.vsctl(
            &format!("removing bridge {bridge}"),
            &[command(["--if-exists", "del-br", bridge])],
        )?;
        self.networkd.reload()
    }

    fn plug(&self, bridge: &str, link: &str, port: &GuestPort) -> Result<(), NetworkError> {
        check_interface(bridge)?;
        check_interface(link)?;
        let mtu = self.attribute(bridge, "mtu")?;
        if !self.exists(link) {
            return Err(NetworkError::NoSuchInterface(link.to_owned()));
        }
        // A link that is new has no guard.
        if port.guard != Guard::Open {
            self.guard(link, &port.guard)?;
        }
        let mut set = command(["set", "Interface", link]);
        for (key, value) in &port.ids {
            set.push(format!("external_ids:{}={}", quoted(key), quoted(value)));
        }
        // A port of this name may be left from a guest of an earlier boot, in any bridge.
        let mut commands =
            vec![command(["--if-exists", "del-port", link]), command(["add-port", bridge, link])];
        if !port.ids.is_empty() {
            commands.push(set);
        }
        let doing = format!("plugging {link} into {bridge}");
        self.vsctl(&doing, &commands)?;
        self.ip(&doing, &["link", "set", "dev", link, "mtu", &mtu, "up"]).map(drop)
    }

    fn unplug(&self, link: &str) -> Result<(), NetworkError> {
        check_interface(link)?;
        self.vsctl(&format!("unplugging {link}"), &[command(["--if-exists", "del-port", link])])?;
        let guarded = self.guarded().remove(link);
        if guarded { self.nft(link, &guard::open(link)) } else { Ok(()) }
    }

    fn guard(&self, link: &str, guard: &Guard) -> Result<(), NetworkError> {
        check_interface(link)?;
        check_guard(guard)?;
        if !self.exists(link) {
            return Err(NetworkError::NoSuchInterface(link.to_owned()));
        }
        self.guarded().insert(link.to_owned());
        self.nft(link, &guard::rules(link, guard))
    }

    fn configure_address(
        &self,
        interface: &str,
        addressing: &Addressing,
    ) -> Result<(), NetworkError> {
        check_interface(interface)?;
        check_addressing(addressing)?;
        let text = networkd::address(interface, addressing);
        self.networkd.write(&networkd::address_file(interface), &text)?;
        self.networkd.reload()
    }

    fn addresses(&self, interface: &str) -> Result<Addresses, NetworkError> {
        check_interface(interface)?;
        if !self.exists(interface) {
            return Err(NetworkError::NoSuchInterface(interface.to_owned()));
        }
        let doing = format!("asking for the addresses of {interface}");
        let all = self.ip(&doing, &["-json", "address", "show", "dev", interface])?;
        let mut routes = ["-4", "-6"].into_iter().map(|family| {
            self.ip(&doing, &["-json", family, "route", "show", "default", "dev", interface])
        });
        let (first, second) = (routes.next().transpose()?, routes.next().transpose()?);
        let routes = [first.unwrap_or_default(), second.unwrap_or_default()];
        parse_status(&all, &routes)
            .map_err(|error| NetworkError::Failed { doing, detail: error.to_string() })
    }

    fn set_manager(&self, manager: Option<&Manager>) -> Result<(), NetworkError> {
        let Some(manager) = manager else {
            let commands = [command(["del-manager"]), command(["del-ssl"])];
            return self.vsctl("taking the switch from its controller", &commands).map(drop);
        };
        let files = [&manager.key, &manager.certificate, &manager.authority];
        let mut ssl = command(["--bootstrap", "set-ssl"]);
        ssl.extend(files.map(|file| file.display().to_string()));
        let target = manager.target();
        let doing = format!("letting {target} manage the switch");
        self.vsctl(&doing, &[ssl, command(["set-manager", &target])]).map(drop)
    }

    fn set_snooping(&self, enabled: bool) -> Result<(), NetworkError> {
        let doing = "changing how multicast is sent";
        // Bridges for VLANs are none in the database: they follow those that they are in.
        let list = command(["--columns=name", "list", "Bridge"]);
        let bridges = self.vsctl(doing, &[list])?;
        let commands: Vec<Vec<String>> =
            bridges.split_whitespace().map(|bridge| snooping(bridge, enabled)).collect();
        if !commands.is_empty() {
            self.vsctl(doing, &commands)?;
        }
        self.snooping.store(enabled, Ordering::Relaxed);
        Ok(())
    }
}

/// Understands `ip -json address`, and `ip -json route` of both families.
fn parse_status(addresses: &str, routes: &[String; 2]) -> Result<Addresses, serde_json::Error> {
    #[derive(Deserialize)]
    struct Link {
        #[serde(default)]
        addr_info: Vec<Address>,
    }
    #[derive(Deserialize)]
    struct Address {
        family: String,
        local: String,
        prefixlen: u8,
        scope: String,
        /// An address of which is not known yet whether another host has it, or is known that one has.
        #[serde(default)]
        tentative: bool,
        #[serde(default)]
        dadfailed: bool,
    }
    #[derive(Deserialize)]
    struct Route {
        gateway: Option<String>,
    }
    let links: Vec<Link> = serde_json::from_str(addresses)?;
    // The kernel calls fec0::/10 "site".
    let gateway = |text: &String| -> Result<Option<String>, serde_json::Error> {
        let routes: Vec<Route> = serde_json::from_str(text)?;
        Ok(routes.into_iter().find_map(|route| route.gateway))
    };
    let (gateway4, gateway6) = (gateway(&routes[0])?, gateway(&routes[1])?);
    let mut found = Addresses::default();
    for address in links.into_iter().flat_map(|link| link.addr_info) {
        if !["global", "site"].contains(&address.scope.as_str())
            || address.tentative
            || address.dadfailed
        {
            continue;
        }
        let is_ipv6 = address.family == "inet6";
        let gateway = if is_ipv6 { &gateway6 } else { &gateway4 };
        let status = IpStatus {
            address: address.local,
            prefix: address.prefixlen,
            gateway: gateway.clone(),
        };
        if is_ipv6 {
            found.ipv6.push(status);
        } else if found.ipv4.is_none() {
            found.ipv4 = Some(status);
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "ovs_tests.rs"]
mod tests;
