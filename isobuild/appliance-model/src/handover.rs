// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the installer leaves for the toolstack's first start.
//!
//! Written once by the installer to `/var/lib/xenith/handover.toml` on the state partition (mode
//! 0600), read by the toolstack when its database does not exist yet. A live system has none and
//! takes [`Handover::default`].

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
}

/// The management interface as the installer configured it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Management {
    /// MAC address of the network card, `aa:bb:cc:dd:ee:ff`.
    pub mac: String,
    /// How the address is found.
    pub mode: AddressMode,
}

/// How an interface gets its IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "type")]
pub enum AddressMode {
    /// By DHCP.
    Dhcp,
    /// Fixed.
    Static {
        /// Address with prefix length, `192.0.2.10/24`.
        address: String,
        /// Default gateway.
        gateway: Option<String>,
        /// Name servers.
        #[serde(default)]
        dns: Vec<String>,
    },
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
