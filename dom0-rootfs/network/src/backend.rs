// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam to the host's network.

use crate::error::NetworkError;

/// What the toolstack needs of the host's network. All calls block and are safe to repeat.
pub trait NetworkBackend: Send + Sync {
    /// Physical network cards of the host, in a stable order (by PCI address). Early in a boot
    /// there are none, until each has got its name.
    fn physical(&self) -> Result<Vec<PhysicalNic>, NetworkError>;
    /// Makes sure that an Open vSwitch bridge exists with these ports as uplinks and this MTU, and
    /// that its links are up. Takes no notice of guests' ports.
    fn ensure_bridge(&self, bridge: &str, uplinks: &[String], mtu: u32)
    -> Result<(), NetworkError>;
    /// Removes a bridge; one that is not there is no error.
    fn remove_bridge(&self, bridge: &str) -> Result<(), NetworkError>;
    /// Puts a guest's link (`vif3.0`) into a bridge with the guest's identity in its external ids, up.
    fn plug(&self, bridge: &str, link: &str, ids: &[(String, String)]) -> Result<(), NetworkError>;
    /// The reverse; a link that is not there is no error.
    fn unplug(&self, link: &str) -> Result<(), NetworkError>;
    /// Gives an interface (a bridge) its address; survives a reboot.
    fn configure_address(&self, interface: &str, mode: &IpMode) -> Result<(), NetworkError>;
    /// The address that an interface has now.
    fn address(&self, interface: &str) -> Result<Option<IpStatus>, NetworkError>;
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

/// How an interface gets its IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IpMode {
    /// No address.
    None,
    /// DHCP.
    Dhcp,
    /// Fixed.
    Static {
        /// With prefix length: `192.0.2.10/24`.
        address: String,
        /// Default gateway.
        gateway: Option<String>,
        /// Name servers.
        dns: Vec<String>,
    },
}

/// The address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpStatus {
    /// Dotted quad.
    pub address: String,
    /// Prefix length in bits.
    pub prefix: u8,
    /// Default gateway through this interface.
    pub gateway: Option<String>,
}
