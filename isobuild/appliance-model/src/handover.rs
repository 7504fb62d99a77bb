// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the installer leaves for the toolstack's first start.
//!
//! Written once by the installer to `/var/lib/xenith/handover.toml` on the state partition (mode
//! 0600), read by the toolstack when its database does not exist yet, or was kept by a reinstallation
//! and does not know this one. A live system has none and takes [`Handover::default`].

use serde::{Deserialize, Serialize};

/// Path on the running host.
pub const HANDOVER_PATH: &str = "/var/lib/xenith/handover.toml";

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Handover {
    /// `name_label` of the pool; empty as on a new XenServer.
    pub pool_name: String,
    /// The management interface; none: the first network card with DHCP.
    pub management: Option<Management>,
    /// The local SR that the installer made; none: no local SR.
    pub local_sr: Option<LocalSr>,
    /// Id of a reinstallation that kept the database of the host before: these settings take the place of
    /// those in it, once. None: the host is new.
    pub reinstallation: Option<String>,
}

/// The management interface as the installer configured it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Management {
    /// MAC address of the network card, `aa:bb:cc:dd:ee:ff`; of a bond, its first member.
    pub mac: String,
    /// VLAN tag of its frames (IEEE 802.1Q), 1 to 4094; none: untagged.
    #[serde(default)]
    pub vlan: Option<u16>,
    /// MTU in bytes of the card, or of all members; none: what the card has by itself.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Addresses of name servers, of both families.
    #[serde(default)]
    pub dns: Vec<String>,
    /// How the IPv4 address is found.
    pub mode: AddressMode,
    /// How IPv6 addresses are found.
    #[serde(default)]
    pub ipv6: Ipv6Mode,
    /// Several cards that act as one.
    #[serde(default)]
    pub bond: Option<Bond>,
}

/// How an interface gets its IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "type")]
pub enum AddressMode {
    /// It has none.
    None,
    /// By DHCP.
    Dhcp,
    /// Fixed.
    Static {
        /// Address with prefix length, `192.0.2.10/24`.
        address: String,
        /// Default gateway.
        gateway: Option<String>,
    },
}

/// How an interface gets its IPv6 addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "type")]
pub enum Ipv6Mode {
    /// It has none, not even a link-local one.
    #[default]
    None,
    /// From what routers announce (SLAAC, RFC 4862), and by DHCPv6 if they say so.
    Auto,
    /// By DHCPv6 (RFC 8415), with the gateway that routers announce.
    Dhcp,
    /// Fixed.
    Static {
        /// Address with prefix length, `2001:db8::10/64`.
        address: String,
        /// Default gateway, which may be link-local.
        gateway: Option<String>,
    },
}

/// Several network cards that act as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bond {
    /// MAC addresses of all cards; the first one's is the bond's.
    pub members: Vec<String>,
    /// How they share the work.
    pub mode: BondMode,
    /// What [`BondMode::Lacp`] chooses a link by.
    #[serde(default)]
    pub hash: BondHash,
}

/// How the members of a bond share the work; the names are XenAPI's and Open vSwitch's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BondMode {
    /// One works, the others wait for it to fail. Any switch will do.
    ActiveBackup,
    /// Each guest's traffic on one of them, moved as load changes. Any switch will do.
    BalanceSlb,
    /// Link aggregation by LACP (IEEE 802.1AX), which the switch's ports must be set to.
    Lacp,
}

/// What a bond with LACP chooses the link of a frame by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BondHash {
    /// Addresses and ports of IP, TCP and UDP.
    #[default]
    TcpudpPorts,
    /// The sender's MAC address.
    SrcMac,
}

/// The local storage repository, already made on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LocalSr {
    /// The SR's uuid, which its volume group is named after.
    pub uuid: String,
    /// What lies on the disk.
    pub kind: LocalSrKind,
}

/// Kinds of local SR. The volume group is always `xsr-<uuid>`, made with `vgcreate` on the disk's
/// last partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocalSrKind {
    /// Logical volume `data` over the whole group with ext4 (label `sr`), raw VDI files in it.
    Ext,
    /// Thin pool `pool` over the whole group, a thin volume for each VDI.
    LvmThin,
}
