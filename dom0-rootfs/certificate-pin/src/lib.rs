// SPDX-License-Identifier: MIT OR Apache-2.0
//! Trust in TLS servers by the fingerprint of their certificate: for servers that made it themselves,
//! so that there is no authority to ask.

mod fingerprint;
mod verifier;

pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use verifier::{AnotherCertificate, Verifier};
