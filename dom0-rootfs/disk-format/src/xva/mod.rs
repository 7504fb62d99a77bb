// SPDX-License-Identifier: MIT OR Apache-2.0
//! XVA: the archive in which XenServer and XCP-ng export a VM.
//!
//! A tar archive. First `ova.xml`, which describes the VM and everything about it, with an identifier
//! (`Ref:7`) for each object. Then for each disk `Ref:7/00000000`, `Ref:7/00000001`, … with its
//! contents, a MiB each, the last one shorter, and behind each a file of the same name with `.xxhash`
//! (XXH64, upper case; `.checksum` with SHA-1 until XenServer 7) that has its checksum. Numbers that
//! are left out are zeros; the first and the last are always there. An empty piece only shows that the
//! other side is still there, and its number counts for nothing. See `ocaml/xapi/stream_vdi.ml` and
//! `export.ml` of xapi.

mod read;
mod write;

pub use read::{Contents, read};
pub use write::{Writer, piece};

/// Bytes of a piece.
pub const PIECE: u64 = 1 << 20;

/// Name of the description.
pub const DESCRIPTION: &str = "ova.xml";

/// Why something is no archive.
#[derive(Debug, thiserror::Error)]
pub enum XvaError {
    /// It ends too early.
    #[error("the XVA ends in the middle: {0}")]
    CutOff(String),
    /// It is something else.
    #[error("this is no XVA: {0}")]
    NotXva(String),
    /// Another file comes than has to.
    #[error("the XVA has the file {found:?} where {expected} should be")]
    Unexpected {
        /// What should come.
        expected: String,
        /// What comes.
        found: String,
    },
    /// What came is not what was written.
    #[error("the checksum of {0} is wrong: the XVA is damaged")]
    Checksum(String),
    /// Reading or writing failed.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// XXH64 of a piece, as it is written.
fn xxhash(bytes: &[u8]) -> String {
    format!("{:016X}", twox_hash::XxHash64::oneshot(0, bytes))
}

#[cfg(test)]
mod tests;
