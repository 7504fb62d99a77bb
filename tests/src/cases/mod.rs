// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cases, longest first so that two of them side by side end early.

mod boot;
mod installed;

pub use boot::LIMIT;

use crate::runner::Case;

/// Every case.
pub fn all() -> Vec<Case> {
    let mut cases = installed::cases();
    cases.extend(boot::cases());
    cases
}
