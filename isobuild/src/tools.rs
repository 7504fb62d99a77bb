// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tools trees: locked packages unpacked to run programs from.

/// The recipe whose tree [`crate::recipe::BuildEnv::sandbox`] runs over.
pub const NAME: &str = "tools";
/// The folder of such an artifact that is the root of the tree.
pub const ROOT: &str = "root";
