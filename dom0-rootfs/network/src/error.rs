// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors of host networking.

/// Why a network call failed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No such interface.
    #[error("network interface {0} does not exist")]
    NoSuchInterface(String),
    /// A name, address or other value cannot be used.
    #[error("{value:?} is no {what}")]
    Invalid {
        /// What it should have been: `interface name`, `IPv4 address with prefix length`, ….
        what: &'static str,
        /// What it is.
        value: String,
    },
    /// A program of Dom0 or the kernel failed.
    #[error("{doing}: {detail}")]
    Failed {
        /// A lower-case gerund with its object.
        doing: String,
        /// Its last words.
        detail: String,
    },
}
