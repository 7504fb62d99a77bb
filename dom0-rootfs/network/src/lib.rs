// SPDX-License-Identifier: MIT OR Apache-2.0
//! Host networking: Open vSwitch bridges, links and their fake.
//!
//! Bridges and ports live in Open vSwitch's own database, which is made anew at every boot: the
//! caller knows which bridges there are, and ports of guests that are gone must not come back.
//! Addresses live in files of systemd-networkd and survive a reboot. Each call makes one transaction in
//! Open vSwitch's database at most, and can be made again after it was cut off.
//!
//! What a guest's start waits for asks the database and the kernel itself; bridges, which are made once a
//! boot, are left to `ovs-vsctl`.

mod backend;
mod error;
mod fake;
mod guard;
mod links;
mod made;
mod names;
mod networkd;
mod nics;
mod ovs;
mod ovsdb;
mod ports;
mod program;
mod reach;
#[cfg(test)]
mod recorder;

pub use backend::*;
pub use error::NetworkError;
pub use fake::{CutOff, FakeNetwork};
pub use guard::{Guard, Identity};
pub use links::raise;
pub use ovs::OvsBackend;
pub use ovsdb::transact;
pub use program::{Host, Ran, System};
