// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the toolstack's database says of a host, for whoever installs the host again.
//!
//! `xenith-toolstack --inspect FILE` prints it as JSON; the installer reads that before it writes anything.

use serde::{Deserialize, Serialize};

/// File name of the database in `/var/lib/xenith`; SQLite keeps more beside it, whose names begin so.
pub const DATABASE: &str = "state.db";

/// A host and what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Records {
    /// The host's uuid.
    pub host: String,
    /// What it is called.
    pub name: String,
    /// How many guests there are, snapshots and templates not counted.
    pub vms: usize,
    /// How many virtual disks there are.
    pub vdis: usize,
    /// Its storage repositories.
    pub srs: Vec<SrRecord>,
    /// Folders of the host that are storage repositories: they have to stay.
    pub folders: Vec<String>,
}

/// A storage repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SrRecord {
    /// Its uuid.
    pub uuid: String,
    /// What it is called.
    pub name: String,
    /// Its driver.
    pub kind: String,
}
