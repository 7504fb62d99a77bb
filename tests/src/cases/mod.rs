// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cases, longest first so that two of them side by side end early.

mod bench;
mod boot;
mod installed;
mod screens;

pub use boot::{LIMIT, READY};

use crate::runner::Case;

/// How the names of cases begin that measure or make pictures; they are run by name alone.
pub const ON_DEMAND: &[&str] = &["bench-", "picture-"];

/// Every case.
pub fn all() -> Vec<Case> {
    let mut cases = installed::cases();
    cases.extend(boot::cases());
    cases.extend(bench::cases());
    cases.extend(screens::cases());
    cases
}
