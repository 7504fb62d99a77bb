// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks into a database that no daemon has open, for the installer.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use appliance_model::records::{Records, SrRecord};

use crate::database::{Database, SqliteDatabase};
use crate::derived;
use crate::store::{Objects, Store};

/// What a database says. It is opened as the daemon does it, which replays and writes: for a copy.
///
/// # Errors
/// It is no database of this version, or is not whole, or holds no host.
pub fn inspect(path: &Path) -> Result<Records> {
    ensure!(path.is_file(), "there is no database {}", path.display());
    let database = SqliteDatabase::open(path)?;
    database.verify()?;
    let store = Store::open(Box::new(database) as Box<dyn Database>, derived::derive)?;
    store.read(records).with_context(|| format!("{} holds no host", path.display()))
}

fn records(objects: &Objects) -> Option<Records> {
    let host = objects.all("host").next()?;
    let is_guest = |vm: &&crate::store::Object| {
        let other = ["is_control_domain", "is_a_template", "is_a_snapshot"];
        !other.iter().any(|field| vm.bool(field))
    };
    let srs = objects.all("SR").map(|sr| SrRecord {
        uuid: sr.uuid().to_owned(),
        name: sr.text("name_label").to_owned(),
        kind: sr.text("type").to_owned(),
    });
    let folders = objects.all("PBD").filter_map(|pbd| pbd.entry("device_config", "location"));
    Some(Records {
        host: host.uuid().to_owned(),
        name: host.text("name_label").to_owned(),
        vms: objects.all("VM").filter(is_guest).count(),
        vdis: objects.all("VDI").count(),
        srs: srs.collect(),
        folders: folders.map(str::to_owned).collect(),
    })
}
