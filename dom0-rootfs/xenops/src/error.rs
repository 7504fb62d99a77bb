// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors of the hypervisor seam.

use crate::hypervisor::DomId;

/// Why a call to the hypervisor failed.
#[derive(Debug, thiserror::Error)]
pub enum XenopsError {
    /// No such domain.
    #[error("domain {} does not exist", .0.0)]
    NoSuchDomain(DomId),
    /// Not enough memory for the domain.
    #[error("building the domain needs {needed_kib} KiB, {free_kib} KiB are free")]
    NotEnoughMemory {
        /// KiB asked for.
        needed_kib: u64,
        /// KiB that are free.
        free_kib: u64,
    },
    /// The hypervisor refused or failed; `detail` is its own last words.
    #[error("{doing}: {detail}")]
    Failed {
        /// A lower-case gerund with its object: "building domain 3".
        doing: String,
        /// What the hypervisor library said.
        detail: String,
    },
    /// The worker process died or did not answer in time; it has been replaced.
    #[error("{doing}: the hypervisor worker {detail}")]
    WorkerLost {
        /// What was under way.
        doing: String,
        /// "exited with signal 11", "did not answer within 120 s".
        detail: String,
    },
}
