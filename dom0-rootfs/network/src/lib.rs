// SPDX-License-Identifier: MIT OR Apache-2.0
//! Host networking: Open vSwitch bridges, links and their fake.
//!
//! Bridges and ports live in Open vSwitch's own database, addresses in files of systemd-networkd, so
//! both are there again after a reboot before anybody asks. Each call is one transaction of
//! `ovs-vsctl` at most, and can be made again after it was cut off.

mod backend;
mod error;
mod fake;
mod names;
mod networkd;
mod nics;
mod ovs;
mod program;

pub use backend::*;
pub use error::NetworkError;
pub use fake::FakeNetwork;
pub use ovs::OvsBackend;
pub use program::{Host, Ran, System};
