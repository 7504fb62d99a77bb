// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam to the host's network.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::error::NetworkError;
use crate::guard::Guard;

/// What the toolstack needs of the host's network. All calls block and are safe to repeat.
pub trait NetworkBackend: Send + Sync {
    /// Physical network cards of the host, in a stable order (by PCI address). Early in a boot
    /// there are none, until each has got its name.
    fn physical(&self) -> Result<Vec<PhysicalNic>, NetworkError>;
    /// Makes sure that an Open vSwitch bridge exists with this uplink and MTU, and that its links
    /// are up. Takes no notice of guests' ports. A bond is made of those of its cards that are there.
    fn ensure_bridge(&self, bridge: &Bridge) -> Result<(), NetworkError>;
    /// Removes a bridge; one that is not there is no error.
    fn remove_bridge(&self, bridge: &str) -> Result<(), NetworkError>;
    /// Puts a guest's link (`vif3.0`) into a bridge, up. Nothing passes it before its guard is there.
    fn plug(&self, bridge: &str, link: &str, port: &GuestPort) -> Result<(), NetworkError>;
    /// Changes what passes a guest's link, whose port stays as it is.
    fn guard(&self, link: &str, guard: &Guard) -> Result<(), NetworkError>;
    /// The reverse; a link that is not there is no error.
    fn unplug(&self, link: &str) -> Result<(), NetworkError>;
    /// Gives an interface (a bridge) its addresses; survives a reboot.
    fn configure_address(
        &self,
        interface: &str,
        addressing: &Addressing,
    ) -> Result<(), NetworkError>;
    /// The addresses that an interface has now.
    fn addresses(&self, interface: &str) -> Result<Addresses, NetworkError>;
    /// Whether whoever is at an address answers this host, be it by its link's address alone. Takes some
    /// seconds where nobody does.
    fn reaches(&self, address: IpAddr) -> Result<bool, NetworkError>;
    /// Where those are who have an SSH connection to this host.
    fn ssh_clients(&self) -> Result<Vec<IpAddr>, NetworkError>;
    /// Lets a controller manage the switch, or nobody. Holds until the host's next start.
    fn set_manager(&self, manager: Option<&Manager>) -> Result<(), NetworkError>;
    /// Lets every bridge, also those made later, send multicast only where somebody asked for it
    /// (IGMP snooping, RFC 4541), or everywhere. Holds until the host's next start.
    fn set_snooping(&self, enabled: bool) -> Result<(), NetworkError>;
}

/// A controller of the switch, over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// Its address, which the switch connects to; none: it connects to the switch.
    pub address: Option<IpAddr>,
    /// Its port, or the switch's; none is the usual one.
    pub port: Option<u16>,
    /// File with the switch's key.
    pub key: PathBuf,
    /// File with the switch's certificate.
    pub certificate: PathBuf,
    /// File in which the authority of the first controller that was met is kept; nobody else is trusted
    /// later.
    pub authority: PathBuf,
}

/// A bridge as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its name, which is that of its interface too.
    pub name: String,
    /// Where its frames leave the host.
    pub uplink: Uplink,
    /// MTU in bytes, of the uplink's cards too.
    pub mtu: u32,
}

/// A guest's port in a bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestPort {
    /// What Open vSwitch, and a controller of it, is told of the guest: the port's external ids.
    pub ids: Vec<(String, String)>,
    /// What passes.
    pub guard: Guard,
}

/// Where frames of a bridge leave the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uplink {
    /// Nowhere: the bridge connects guests of this host.
    None,
    /// Through a network card.
    Card(String),
    /// Through several cards that act as one.
    Bond(Bond),
    /// Through another bridge, which must be there, with a VLAN tag.
    Vlan {
        /// The other bridge.
        bridge: String,
        /// Tag of IEEE 802.1Q, 1 to 4094.
        tag: u16,
    },
}

/// Several cards that act as one, in the words of ovs-vswitchd.conf.db(5), table `Port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bond {
    /// Name of the port: `bond0`. No interface of the kernel is called so.
    pub name: String,
    /// The cards; the bridge takes the MAC address of the first one.
    pub cards: Vec<String>,
    /// How they share the work.
    pub mode: BondMode,
}

/// How cards of a bond share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BondMode {
    /// One works, the others wait for it to fail.
    ActiveBackup,
    /// Each source MAC address and VLAN on one of them.
    BalanceSlb,
    /// LACP (IEEE 802.1AX); without a partner that speaks it, as [`BondMode::ActiveBackup`].
    Lacp {
        /// Links are chosen by addresses and ports of IP, TCP and UDP, not by source MAC addresses.
        by_ports: bool,
    },
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalNic {
    /// Interface name: `eth0`, `enp3s0`.
    pub device: String,
    /// Permanent MAC address.
    pub mac: String,
    /// MTU in bytes.
    pub mtu: u32,
    /// The cable is plugged in.
    pub carrier: bool,
    /// Mbit/s, if known.
    pub speed_mbit: Option<u32>,
    /// Driver name.
    pub driver: String,
    /// PCI address, if it is a PCI device.
    pub pci: Option<String>,
}

/// How an interface gets its addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addressing {
    /// IPv4.
    pub ipv4: IpMode,
    /// IPv6.
    pub ipv6: Ipv6Mode,
    /// Name servers of both families, beside those that DHCP and routers tell of.
    pub dns: Vec<String>,
}

/// How an interface gets its IPv4 address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IpMode {
    /// No address.
    #[default]
    None,
    /// DHCP.
    Dhcp,
    /// Fixed.
    Static {
        /// With prefix length: `192.0.2.10/24`.
        address: String,
        /// Default gateway.
        gateway: Option<String>,
    },
}

/// How an interface gets its IPv6 addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Ipv6Mode {
    /// No address, not even a link-local one.
    #[default]
    None,
    /// From router advertisements (SLAAC, RFC 4862), and by DHCPv6 if these say so.
    Autoconf,
    /// DHCPv6 (RFC 8415), with the gateway of router advertisements.
    Dhcp,
    /// Fixed.
    Static {
        /// With prefix length: `2001:db8::10/64`.
        address: String,
        /// Default gateway, which may be link-local.
        gateway: Option<String>,
    },
}

/// The addresses of an interface; link-local ones are not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The first IPv4 address.
    pub ipv4: Option<IpStatus>,
    /// IPv6 addresses.
    pub ipv6: Vec<IpStatus>,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpStatus {
    /// Without prefix length.
    pub address: String,
    /// Prefix length in bits.
    pub prefix: u8,
    /// Default gateway of its family through this interface.
    pub gateway: Option<String>,
}

impl Manager {
    /// As ovs-vsctl(8) writes it: `ssl:192.0.2.1:6632`, `pssl:6640`.
    pub(crate) fn target(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        match self.address {
            Some(IpAddr::V4(address)) => format!("ssl:{address}{port}"),
            Some(IpAddr::V6(address)) => format!("ssl:[{address}]{port}"),
            None if port.is_empty() => "pssl:".to_owned(),
            None => format!("pssl{port}"),
        }
    }
}

impl Uplink {
    /// Its port in Open vSwitch's database, if it has one.
    pub(crate) fn port(&self) -> Option<&str> {
        match self {
            Self::Card(card) => Some(card),
            Self::Bond(bond) => Some(&bond.name),
            Self::None | Self::Vlan { .. } => None,
        }
    }

    /// The cards that it needs.
    pub(crate) fn cards(&self) -> &[String] {
        match self {
            Self::Card(card) => std::slice::from_ref(card),
            Self::Bond(bond) => &bond.cards,
            Self::None | Self::Vlan { .. } => &[],
        }
    }
}
