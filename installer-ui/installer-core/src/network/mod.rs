// SPDX-License-Identifier: MIT OR Apache-2.0
//! The network during an installation: for answers from elsewhere, and to try what was chosen.

mod kernel;
mod networkd;
mod test;

pub use kernel::{BootNetwork, MAC_FILE};
pub use networkd::{FilePlan, every_card, files};
pub use test::{Facts, Probe, Reply, Subject, test};
