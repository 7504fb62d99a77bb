// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cases, longest first so that two of them side by side end early.

mod bench;
mod boot;
mod installed;

pub use boot::LIMIT;

use crate::runner::Case;

/// How the names of cases begin that measure and prove nothing.
pub const MEASURING: &str = "bench-";

/// Every case.
pub fn all() -> Vec<Case> {
    let mut cases = installed::cases();
    cases.extend(boot::cases());
    cases.extend(bench::cases());
    cases
}
