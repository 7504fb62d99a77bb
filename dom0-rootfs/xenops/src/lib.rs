// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam to Xen: Hypervisor trait, libxl worker, simulator.

mod admission;
mod error;
mod events;
mod hypervisor;
pub mod image;
mod known;
#[cfg(any(feature = "libxl", test))]
mod libxl;
mod onlooker;
mod platform;
mod simulator;
mod spec;
#[cfg(test)]
mod testing;
mod usage;
mod vdev;
mod worker;
pub mod xenstore;

pub use admission::{Admission, Admitted, needed_kib};
pub use error::XenopsError;
pub use hypervisor::*;
#[cfg(feature = "libxl")]
pub use libxl::{Libxl, run_as_script, understood};
pub use onlooker::{Nobody, Onlooker};
pub use platform::{Platform, Video, Viridian};
pub use simulator::{Call, Manners, SimulatedHost, Simulator};
pub use spec::{CheckedSpec, MAX_VCPUS, MAX_VIDEO_MIB, MIN_MEMORY_KIB};
pub use usage::{DiskUsage, DomainUsage, LinkUsage, NicUsage, Traffic, Usage};
pub use vdev::Vdev;
pub use worker::{Deadlines, OPERATIONS, ServeError, Worker, answer_once, serve};
