// SPDX-License-Identifier: MIT OR Apache-2.0
//! Open vSwitch for bridges, systemd-networkd for addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use crate::backend::{
    Addresses, Addressing, Bond, BondMode, Bridge, GuestPort, IpStatus, Manager, NetworkBackend,
    PhysicalNic, Uplink,
};
use crate::error::NetworkError;
use crate::guard::Guard;
use crate::made::Wanted;
use crate::names::{check_addressing, check_bridge, check_guard, check_interface, quoted};
use crate::networkd::Networkd;
use crate::program::{System, io};
use crate::{guard, networkd, nics, ports, reach};

/// Marks our own uplinks among the ports of a bridge: a key of the port's external ids.
pub(crate) const UPLINK_OF: &str = "xenith-uplink-of";

/// The network of a real host.
pub struct OvsBackend {
    system: Arc<dyn System>,
    networkd: Networkd,
    /// Links whose rules are to be removed with their port. A link that is gone takes its rules along;
    /// the empty table that one of before the start of this process leaves does no harm.
    guarded: Mutex<BTreeSet<String>>,
    /// Bridges that are made from now on snoop IGMP.
    snooping: AtomicBool,
    /// Bridges that were made sure of since the start of this process.
    sure: Mutex<BTreeMap<String, Sure>>,
}

/// What a bridge was made sure of.
#[derive(Debug, PartialEq, Eq)]
struct Sure {
    /// Indices of its link and of its cards': another one is another bridge, or another card of the name.
    links: Vec<String>,
    uplink: Uplink,
    mtu: u32,
    mac: Option<String>,
    snooping: bool,
}

impl OvsBackend {
    /// The backend on a host.
    pub fn new(system: Arc<dyn System>) -> Self {
        let networkd = Networkd::new(Arc::clone(&system));
        let (guarded, snooping) = (Mutex::default(), AtomicBool::new(false));
        Self { system, networkd, guarded, snooping, sure: Mutex::default() }
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

    fn sure(&self) -> MutexGuard<'_, BTreeMap<String, Sure>> {
        self.sure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is to be sure of when a bridge is as `wanted`; nothing if it is not there.
    fn found(&self, wanted: &Wanted<'_>) -> Option<Sure> {
        let Bridge { name, uplink, mtu } = wanted.bridge;
        let links = std::iter::once(name).chain(uplink.cards());
        let links: Result<_, _> = links.map(|link| self.attribute(link, "ifindex")).collect();
        Some(Sure {
            links: links.ok()?,
            uplink: uplink.clone(),
            mtu: *mtu,
            mac: wanted.mac.map(str::to_owned),
            snooping: wanted.snooping,
        })
    }

    /// Whether this process has made sure of a bridge already, and it is still there.
    fn is_sure(&self, wanted: &Wanted<'_>) -> bool {
        let found = self.found(wanted);
        found.is_some() && self.sure().get(&wanted.bridge.name) == found.as_ref()
    }

    fn be_sure(&self, wanted: &Wanted<'_>) {
        if let Some(found) = self.found(wanted) {
            self.sure().insert(wanted.bridge.name.clone(), found);
        }
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
        let wanted = Wanted { bridge, mac: Some(&mac), snooping: false };
        if self.is_sure(&wanted) {
            return Ok(());
        }
        self.sure().remove(name);
        if !self.is_made(&wanted) {
            let set = command([
                "set",
                "Interface",
                name,
                &format!("mac={}", quoted(&mac)),
                &format!("mtu_request={mtu}"),
            ]);
            let add = command(["--may-exist", "add-br", name, parent, &tag.to_string()]);
            self.vsctl(&doing, &[add, set])?;
        }
        self.keep_quiet(name)?;
        self.networkd.reload()?;
        self.raise(&doing, name, None)?;
        self.be_sure(&wanted);
        Ok(())
    }

    /// Makes a bridge that is none within another one, whatever it was up to now, with its uplink.
    fn make(&self, wanted: &Wanted<'_>) -> Result<(), NetworkError> {
        let Bridge { name, uplink, mtu } = wanted.bridge;
        let cards = uplink.cards();
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
        if wanted.snooping {
            commands.push(snooping(name, true));
        }
        match wanted.mac {
            // DHCP servers and switches know the host by its card's address, whatever else joins.
            Some(mac) => commands.push(command([
                "set",
                "Bridge",
                name,
                &format!("other_config:hwaddr={}", quoted(mac)),
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
                let set = set("Port", &bond.name, &bond_columns(bond.mode));
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
        self.vsctl(&format!("making bridge {name}"), &commands)?;

        for card in former.iter().filter(|card| !cards.contains(card)) {
            self.networkd.remove(&networkd::uplink_file(card))?;
        }
        Ok(())
    }

    /// Whether there is nothing to do. Where the database does not answer there may be: `ovs-vsctl` waits
    /// for it, and says why it does not.
    fn is_made(&self, wanted: &Wanted<'_>) -> bool {
        wanted.is_made(&*self.system).unwrap_or(false)
    }

    /// Gives a link an MTU in bytes, if one is said, and sets it up.
    fn raise(&self, doing: &str, link: &str, mtu: Option<u32>) -> Result<(), NetworkError> {
        self.system.raise(link, mtu).map_err(io(format!("{doing}: setting {link} up")))
    }
}

/// A value of a row in the database: a column's, or that of a key in a column which is a map.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) key: Option<&'static str>,
    pub(crate) value: &'static str,
}

impl Column {
    fn new(name: &'static str, value: &'static str) -> Self {
        Self { name, key: None, value }
    }

    fn keyed(name: &'static str, key: &'static str, value: &'static str) -> Self {
        Self { name, key: Some(key), value }
    }

    /// As `ovs-vsctl set` takes it.
    fn setting(&self) -> String {
        match self.key {
            Some(key) => format!("{}:{key}={}", self.name, self.value),
            None => format!("{}={}", self.name, self.value),
        }
    }
}

/// Columns of a bond's port. The delays are those of XenServer: a switch may need half a minute
/// until it forwards on a link that came up.
pub(crate) fn bond_columns(mode: BondMode) -> Vec<Column> {
    let (mode, lacp, delays) = match mode {
        BondMode::ActiveBackup => ("active-backup", "off", ["31000", "200"]),
        BondMode::BalanceSlb => ("balance-slb", "off", ["31000", "200"]),
        BondMode::Lacp { by_ports: true } => ("balance-tcp", "active", ["0", "0"]),
        BondMode::Lacp { by_ports: false } => ("balance-slb", "active", ["0", "0"]),
    };
    let mut columns = vec![Column::new("bond_mode", mode), Column::new("lacp", lacp)];
    if lacp == "active" {
        // A switch that does not answer, or not yet, must not cut the host off.
        columns.push(Column::keyed("other_config", "lacp-fallback-ab", "true"));
    }
    columns.push(Column::new("bond_updelay", delays[0]));
    columns.push(Column::new("bond_downdelay", delays[1]));
    columns
}

/// Columns of a bridge that sends multicast only where somebody asked for it, or everywhere.
pub(crate) fn snooping_columns(enabled: bool) -> [Column; 2] {
    let value = if enabled { "true" } else { "false" };
    let key = "mcast-snooping-disable-flood-unregistered";
    [Column::new("mcast_snooping_enable", value), Column::keyed("other_config", key, value)]
}

fn snooping(bridge: &str, enabled: bool) -> Vec<String> {
    set("Bridge", bridge, &snooping_columns(enabled))
}

/// The command that gives the row `name` of a table these values.
fn set(table: &str, name: &str, columns: &[Column]) -> Vec<String> {
    let mut words = command(["set", table, name]);
    words.extend(columns.iter().map(Column::setting));
    words
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
        let snooping = self.snooping.load(Ordering::Relaxed);
        let wanted = Bridge { name: name.clone(), uplink: uplink.clone(), mtu: *mtu };
        let wanted = Wanted { bridge: &wanted, mac: mac.as_deref(), snooping };
        if self.is_sure(&wanted) {
            return Ok(());
        }
        self.sure().remove(name);
        if !self.is_made(&wanted) {
            self.make(&wanted)?;
        }
        for card in cards {
            let text = networkd::uplink(card, *mtu);
            self.networkd.write(&networkd::uplink_file(card), &text)?;
        }
        self.keep_quiet(name)?;
        self.networkd.reload()?;
        let doing = format!("making bridge {name}");
        for card in cards {
            self.raise(&doing, card, Some(*mtu))?;
        }
        self.raise(&doing, name, None)?;
        self.be_sure(&wanted);
        Ok(())
    }

    fn remove_bridge(&self, bridge: &str) -> Result<(), NetworkError> {
        check_interface(bridge)?;
        self.sure().remove(bridge);
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
        let text = self.attribute(bridge, "mtu")?;
        let mtu = text.parse();
        let mtu = mtu.map_err(|_| NetworkError::Invalid { what: "MTU", value: text })?;
        if !self.exists(link) {
            return Err(NetworkError::NoSuchInterface(link.to_owned()));
        }
        // A link that is new has no guard.
        if port.guard != Guard::Open {
            self.guard(link, &port.guard)?;
        }
        ports::add(&*self.system, bridge, link, &port.ids)?;
        // Not before: what a guest that runs sends would be Dom0's to hear.
        self.raise(&format!("plugging {link} into {bridge}"), link, Some(mtu))
    }

    fn unplug(&self, link: &str) -> Result<(), NetworkError> {
        check_interface(link)?;
        ports::remove(&*self.system, link)?;
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

    fn reaches(&self, address: IpAddr) -> Result<bool, NetworkError> {
        reach::reaches(&*self.system, address)
    }

    fn ssh_clients(&self) -> Result<Vec<IpAddr>, NetworkError> {
        reach::ssh_clients(&*self.system)
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
