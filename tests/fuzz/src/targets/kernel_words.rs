// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any kernel command line says nothing about the network, or something that makes files, or is
//! refused with a reason.

use installer_core::discovery::Nic;
use installer_core::network::{BootNetwork, files};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let nic = |last: u8| Nic {
        name: format!("eno{last}"),
        mac: format!("52:54:00:00:00:{last:02x}").parse().unwrap(),
        driver: None,
        carrier: None,
        max_mtu: None,
    };
    match BootNetwork::parse(text) {
        Ok(None) => {}
        Ok(Some(network)) => match network.management(&[nic(1), nic(2)], Some(text)) {
            Ok(management) => {
                // No value leaves its line.
                for (_, text) in files(&management).files {
                    assert!(text.lines().all(|line| line.len() < 200));
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        },
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
