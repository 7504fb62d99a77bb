// SPDX-License-Identifier: MIT OR Apache-2.0
//! No text makes the reader of certificates panic, and what it accepts has times that can be written.
//!
//! The input is DER or PEM.

use toolstack::server::certificate::{certificates, facts};

pub(crate) fn run(data: &[u8]) {
    if let Some(facts) = facts(data) {
        assert!(
            !facts.not_before.to_string().is_empty() && !facts.not_after.to_string().is_empty()
        );
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    for (pem, der) in certificates(text).unwrap_or_default() {
        assert!(pem.contains("CERTIFICATE") && facts(&der).is_some());
    }
}
