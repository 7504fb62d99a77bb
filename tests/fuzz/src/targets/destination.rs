// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any text names a place or is refused with a reason; scp is given no option, and no line end.

use installer_core::logs::Destination;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Destination>() {
        Ok(Destination::Scp(scp)) => {
            assert!(!scp.target().starts_with('-') && !scp.target().contains(['\n', ' ']));
        }
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
