// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any list of a medium is either refused or says the same when it is written again, and names no
//! file outside of the medium.

use appliance_model::sums::Sums;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(sums) = text.parse::<Sums>() else { return };
    assert!(sums.iter().count() > 0);
    let part = |part: &str| !matches!(part, "" | "." | "..");
    assert!(sums.iter().all(|(path, _)| path.split('/').all(part)));
    assert_eq!(sums.to_string().parse(), Ok(sums));
}
