// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam to Xen: Hypervisor trait, libxl worker, simulator.

mod error;
mod hypervisor;

pub use error::XenopsError;
pub use hypervisor::*;
