// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any text names a place or is refused with a reason; scp is given no option, and no line end.

#![no_main]

use installer_core::logs::Destination;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<Destination>() {
        Ok(Destination::Scp(scp)) => {
            assert!(!scp.target().starts_with('-') && !scp.target().contains(['\n', ' ']));
        }
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
