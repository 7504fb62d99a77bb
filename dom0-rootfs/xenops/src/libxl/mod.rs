// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real hypervisor, through libxl. Runs in the worker process only.
//!
//! libxl's types never reach Rust: its own JSON is the boundary. A configuration goes in as JSON
//! that [`config`] writes and libxl parses (fields left out keep libxl's defaults, which a
//! zeroed C struct would not), facts come out as JSON that libxl writes and [`facts`] parses, and
//! between them is a C shim of integers and strings. The C compiler checks the shim against the
//! headers of the Xen that is built, so there are no generated bindings to keep in step and no
//! layout to assert; what is unsafe is a dozen calls in [`ffi`].
//!
//! libxl builds under a lock of its context, so each thread that works has a context of its own,
//! kept in a pool. Events are not libxl's: a thread watches `@releaseDomain` in xenstore (which
//! fires when any domain ends or goes) and compares lists, so they come for every domain, whoever
//! built it. Devices of PV and PVH guests are our own ([`devices`]), and so is such a guest's end ([`ending`]);
//! libxl runs no hotplug scripts to speak of, see [`hotplug`].

pub(crate) mod config;
#[cfg(feature = "libxl")]
mod device_model;
pub(crate) mod devices;
pub(crate) mod ending;
pub(crate) mod facts;
#[cfg(feature = "libxl")]
mod ffi;
pub(crate) mod heard;
pub(crate) mod hotplug;
pub(crate) mod links;
#[cfg(feature = "libxl")]
mod real;
pub(crate) mod sysfs;
pub(crate) mod took;
#[cfg(feature = "libxl")]
mod transfer;

#[cfg(feature = "libxl")]
pub use hotplug::run_as_script;
#[cfg(feature = "libxl")]
pub use real::{Libxl, understood};
