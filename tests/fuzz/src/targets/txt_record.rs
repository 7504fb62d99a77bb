// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any TXT record, as strings and as resolvectl prints it, names a place with answers that is on the
//! network, or is refused with a reason.

use installer_core::delivery::Announced;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let strings: Vec<&str> = text.split('\n').collect();
    for result in [Announced::from_resolvectl(text), Announced::from_txt(&strings)] {
        match result {
            Ok(announced) => assert!(announced.source.needs_network()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
