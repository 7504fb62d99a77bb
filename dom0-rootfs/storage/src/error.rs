// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors of storage drivers.

use std::io;
use std::path::PathBuf;

use uuid::Uuid;

use crate::format::ImageFormat;

/// Whether a write failed because there is no room left, on the disk or within a quota.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Why a storage call failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A key of `device_config` is missing or wrong.
    #[error("device_config:{key} {problem}")]
    Config {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The device is in use or holds something already.
    #[error("device {} is in use: {by}", .device.display())]
    DeviceInUse {
        /// The block device.
        device: PathBuf,
        /// What uses it.
        by: String,
    },
    /// The SR is not attached to this host.
    #[error("SR {0} is not attached to this host")]
    NotAttached(Uuid),
    /// The server of the SR says nothing. It may be back later.
    #[error("the server of SR {0} does not answer")]
    NoAnswer(Uuid),
    /// SRs of this kind never do that.
    #[error("an SR of kind {kind} cannot {doing}")]
    Unsupported {
        /// `SR.type`.
        kind: &'static str,
        /// A verb with its object.
        doing: &'static str,
    },
    /// The SR does not make VDIs of this format.
    #[error("this SR makes VDIs of format {made}, not {}", .asked.name())]
    Format {
        /// What was asked for.
        asked: ImageFormat,
        /// What it makes.
        made: String,
    },
    /// No such VDI in the SR.
    #[error("VDI {0} does not exist in this SR")]
    NoSuchVdi(Uuid),
    /// The VDI is in use on this host.
    #[error("VDI {0} is in use")]
    VdiInUse(Uuid),
    /// The SR has not enough room.
    #[error("the SR has {free} bytes free, {needed} are needed")]
    NoSpace {
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
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
