// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pure types of the appliance: profile, lock, digest, medium and its checksums, boot options, handover.

pub mod boot;
mod digest;
pub mod handover;
pub mod lock;
pub mod medium;
mod nearest;
pub mod profile;
pub mod records;
pub mod sums;

pub use digest::{Digest, NotADigest};
pub use nearest::nearest;
