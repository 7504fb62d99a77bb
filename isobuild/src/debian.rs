// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's formats: control files, versions, relations, signed releases, packages.

pub mod deb822;
pub mod index;
pub mod relation;
pub mod release;
pub mod resolve;
pub mod unpack;
pub mod version;

pub(crate) use unpack::unxz;
pub use unpack::{Entry, EntryKind, unpack, unpack_all};
