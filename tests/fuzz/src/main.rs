// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `fuzz`: libFuzzer over the target that the variable `FUZZ_TARGET` names. Arguments are
//! libFuzzer's.
#![no_main]

use std::sync::OnceLock;

use fuzz::Run;
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Run> = OnceLock::new();

/// The target that was asked for.
fn chosen() -> Run {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names the target");
    fuzz::target(&name).unwrap_or_else(|| panic!("there is no target {name}"))
}

fuzz_target!(|data: &[u8]| { TARGET.get_or_init(chosen)(data) });
