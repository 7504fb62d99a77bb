// SPDX-License-Identifier: MIT OR Apache-2.0
//! Host networking: Open vSwitch bridges, links and their fake.
//!
//! Bridges and ports live in Open vSwitch's own database, which is made anew at every boot: the
//! caller knows which bridges there are, and ports of guests that are gone must not come back.
//! Addresses live in files of systemd-networkd and survive a reboot. Each call is one transaction of
//! `ovs-vsctl` at most, and can be made again after it was cut off.

mod backend;
mod error;
mod fake;
mod guard;
mod names;
mod networkd;
mod nics;
mod ovs;
mod program;

pub use backend::*;
pub use error::NetworkError;
pub use fake::FakeNetwork;
pub use guard::{Guard, Identity};
pub use ovs::OvsBackend;
pub use program::{Host, Ran, System};
