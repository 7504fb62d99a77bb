// SPDX-License-Identifier: MIT OR Apache-2.0
//! Contents of disks and whole VMs, out of and into the host, as streams.
//!
//! All of it blocks, reads and writes a piece at a time, tells its task how far it is, and stops
//! when the task is cancelled.

pub mod disk;
pub mod export;
pub mod import;
pub mod intake;
mod ova;

use disk_format::framed::FramedError;
use disk_format::qcow2::Qcow2Error;
use disk_format::vhd::VhdError;
use disk_format::xva::XvaError;
use xapi_model::{ApiError, errors};

use crate::failure::chain;
use crate::task::Cancel;
use crate::toolstack::Context;

/// Why a transfer did not come to its end.
#[derive(Debug)]
pub struct Failed(pub ApiError);

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Failed {
        Failed(error)
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Failed {
        Failed(errors::SR_BACKEND_FAILURE.with(["", "", &chain(&error)]))
    }
}

impl From<FramedError> for Failed {
    fn from(error: FramedError) -> Failed {
        Failed(match &error {
            FramedError::Io(_) => errors::SR_BACKEND_FAILURE.with(["", "", &chain(&error)]),
            FramedError::CutOff(_) => errors::IMPORT_ERROR_PREMATURE_EOF.with([error.to_string()]),
            FramedError::Place { .. } => errors::IMPORT_ERROR_GENERIC.with([error.to_string()]),
        })
    }
}

impl From<VhdError> for Failed {
    fn from(error: VhdError) -> Failed {
        Failed(match &error {
            VhdError::Io { .. } => errors::SR_BACKEND_FAILURE.with(["", "", &chain(&error)]),
            VhdError::CutOff(_) => errors::IMPORT_ERROR_PREMATURE_EOF.with([error.to_string()]),
            _ => errors::IMPORT_ERROR_GENERIC.with([error.to_string()]),
        })
    }
}

impl From<Qcow2Error> for Failed {
    fn from(error: Qcow2Error) -> Failed {
        Failed(match &error {
            Qcow2Error::Io { .. } => errors::SR_BACKEND_FAILURE.with(["", "", &chain(&error)]),
            Qcow2Error::CutOff(_) => errors::IMPORT_ERROR_PREMATURE_EOF.with([error.to_string()]),
            _ => errors::IMPORT_ERROR_GENERIC.with([error.to_string()]),
        })
    }
}

impl From<XvaError> for Failed {
    fn from(error: XvaError) -> Failed {
        Failed(match &error {
            XvaError::Io { .. } => errors::SR_BACKEND_FAILURE.with(["", "", &chain(&error)]),
            XvaError::CutOff(_) => errors::IMPORT_ERROR_PREMATURE_EOF.with([error.to_string()]),
            XvaError::NotXva(_) => errors::IMPORT_ERROR_GENERIC.with([error.to_string()]),
            XvaError::Unexpected { expected, found } => {
                errors::IMPORT_ERROR_UNEXPECTED_FILE.with([expected, found])
            }
            XvaError::Checksum(piece) => errors::IMPORT_ERROR_SOME_CHECKSUMS_FAILED.with([piece]),
        })
    }
}

/// Where a stream ends that comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// After so many bytes.
    After(u64),
    /// Somewhere, and it says so then.
    Told,
    /// Where its format does. More may follow, and if the connection ends before, it is not whole.
    Open,
}

/// A transfer under way, as its task shows it.
pub struct Work {
    /// Who it is for; its task hears of progress.
    pub context: Context,
    cancel: Cancel,
    total: u64,
    done: u64,
    told: u64,
}

impl Work {
    /// Begins it; `cancel` is its task's.
    pub fn new(context: Context, cancel: Cancel) -> Work {
        Work { context, cancel, total: 0, done: 0, told: 0 }
    }

    /// So many bytes are to be moved.
    pub fn total(&mut self, bytes: u64) {
        self.total = bytes;
    }

    /// So many more bytes are done.
    ///
    /// # Errors
    /// `TASK_CANCELLED`.
    pub fn done(&mut self, bytes: u64) -> Result<(), ApiError> {
        self.done += bytes;
        let percent = (self.done.saturating_mul(100) / self.total.max(1)).min(100);
        if percent > self.told {
            self.told = percent;
            self.context.progress(percent as f64 / 100.0);
        }
        self.context.check_cancelled(&self.cancel)
    }

    /// The error that counts: a transfer that was cancelled fails in many ways.
    pub fn reason(&self, error: Failed) -> ApiError {
        match self.context.check_cancelled(&self.cancel) {
            Err(cancelled) => cancelled,
            Ok(()) => error.0,
        }
    }
}
