// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Xen component: hypervisor and tools compiled from source.
//!
//! Two recipes over one pinned source tarball: [`Xen`] (`xen`), keyed by the Kconfig fragments,
//! and [`XenTools`] (`xen-tools`), which knows nothing of them.

mod compile;
mod install;
pub mod kconfig;
mod patches;
pub mod source;
mod xen;
mod xen_tools;

pub use kconfig::Kconfig;
pub use xen::Xen;
pub use xen_tools::XenTools;
