// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs of this workspace, compiled in the sandbox by the host's pinned toolchain.
//!
//! The toolchain is bound in read-only, so the C library and the C compiler are the locked ones, and
//! every path that could end up in a program is the same on every machine. Crates are fetched by the
//! host's cargo, before. Cargo's target folder is kept between builds beside the store, one for each
//! combination of toolchain and tools, so that a one-line change does not compile everything again.
//! Cargo trusts modification times; the sources are therefore copied into a folder of their own, in
//! which only files whose contents differ are written.

mod cargo;
mod host;
mod packages;
mod stage;
mod workspace;

pub use cargo::Cargo;
pub use host::metadata;
pub use packages::Packages;

/// What everything is compiled for.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";
