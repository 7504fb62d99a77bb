// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors of the hypervisor seam.

use uuid::Uuid;

use crate::hypervisor::DomId;

/// Why a call to the hypervisor failed. Travels between the daemon and its worker as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum XenopsError {
    /// No such domain.
    #[error("domain {} does not exist", .0.0)]
    NoSuchDomain(DomId),
    /// A domain with this uuid exists, or is being built.
    #[error("a domain with uuid {0} exists already")]
    AlreadyExists(Uuid),
    /// The specification contradicts itself or asks for what no guest can have.
    #[error("{field} of the domain: {detail}")]
    BadSpec {
        /// Which field of the specification: `disks[1].vdev`.
        field: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The guest needs hardware virtualization and the host has none.
    #[error(
        "the host cannot run {kind} guests: hardware virtualization is absent or switched off in \
         the firmware"
    )]
    NoHardwareVirtualization {
        /// `PVH` or `HVM`.
        kind: String,
    },
    /// Not enough memory for the domain.
    #[error("building the domain needs {needed_kib} KiB, {free_kib} KiB are free")]
    NotEnoughMemory {
        /// KiB asked for.
        needed_kib: u64,
        /// KiB that are free.
        free_kib: u64,
    },
    /// The guest does not let go of a device.
    #[error("unplugging {device}: the guest refused: {detail}")]
    DetachRejected {
        /// `xvdb of domain 3`.
        device: String,
        /// What the guest's driver said.
        detail: String,
    },
    /// The guest did not let go of a device in time.
    #[error("unplugging {device}: the guest did not let go of it within {seconds} s")]
    DetachTimedOut {
        /// `xvdb of domain 3`.
        device: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The guest was asked to suspend and did not.
    #[error("suspending domain {}: the guest did not do so in time", .0.0)]
    SuspendTimedOut(DomId),
    /// Whoever waited for the operation wanted it to stop; all is as it was before.
    #[error("{doing}: stopped on request")]
    Stopped {
        /// What was under way.
        doing: String,
    },
    /// A suspend image is not whole, or of another domain.
    #[error("suspend image {image}: {detail}")]
    BadImage {
        /// Where it is.
        image: String,
        /// What is wrong with it.
        detail: String,
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

impl XenopsError {
    /// A [`XenopsError::Failed`]; `doing` is a lower-case gerund with its object.
    pub fn failed(doing: impl Into<String>, detail: impl ToString) -> XenopsError {
        XenopsError::Failed { doing: doing.into(), detail: detail.to_string() }
    }

    pub(crate) fn bad_spec(field: impl Into<String>, detail: impl Into<String>) -> XenopsError {
        XenopsError::BadSpec { field: field.into(), detail: detail.into() }
    }
}
