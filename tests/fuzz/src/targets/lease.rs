// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any lease says nothing, names a place with answers that is on the network, or is refused with a
//! reason. Its domains are names.

use installer_core::answers::Hostname;
use installer_core::delivery::Lease;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Lease::parse(text) {
        Ok(lease) => {
            if let Some(announced) = lease.announced {
                assert!(announced.source.needs_network());
            }
            assert!(lease.domains.iter().all(|name| name.parse::<Hostname>().is_ok()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
