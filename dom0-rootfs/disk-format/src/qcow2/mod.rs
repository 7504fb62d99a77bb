// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's images, versions 2 and 3 (`docs/interop/qcow2.rst` of QEMU): those that stand alone.
//!
//! The disk is in clusters, which lie anywhere in the file. Two levels of tables say where: an entry of the
//! first leads to a table of the second, an entry of that to a cluster. Clusters that are nowhere are zeros.

mod header;
mod inflate;
mod read;
mod stream;
mod table;
mod write;

pub use read::read;
pub use write::{CLUSTER, Writer};

/// Why something is no image that can be read.
#[derive(Debug, thiserror::Error)]
pub enum Qcow2Error {
    /// It is something else.
    #[error("this is no qcow2 image: it does not begin with \"QFI\"")]
    NotQcow2,
    /// It says what the format does not allow.
    #[error("the qcow2 image cannot be read: {0}")]
    Invalid(String),
    /// It has what is not understood here, or needs another file.
    #[error("the qcow2 image {0}: convert it with qemu-img first")]
    Unsupported(&'static str),
    /// It ends too early.
    #[error("the qcow2 image ends in the middle: {0}")]
    CutOff(&'static str),
    /// Reading or writing failed.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

fn invalid(text: impl Into<String>) -> Qcow2Error {
    Qcow2Error::Invalid(text.into())
}

#[cfg(test)]
mod tests;
