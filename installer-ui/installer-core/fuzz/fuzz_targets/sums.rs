// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any list of a medium is either refused or says the same when it is written again, and names no
//! file outside of the medium.

#![no_main]

use appliance_model::sums::Sums;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(sums) = text.parse::<Sums>() else { return };
    assert!(sums.iter().count() > 0);
    let part = |part: &str| !matches!(part, "" | "." | "..");
    assert!(sums.iter().all(|(path, _)| path.split('/').all(part)));
    assert_eq!(sums.to_string().parse(), Ok(sums));
});
