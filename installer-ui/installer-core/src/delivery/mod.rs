// SPDX-License-Identifier: MIT OR Apache-2.0
//! How answers reach the installer: where they are, and how they are fetched from there.
//!
//! [`Asked`] is what the kernel command line or the options of the program say, checked as a whole.

mod announced;
mod asked;
mod nfs;
mod place;
mod source;

pub use announced::{Announced, AnnouncedError, Lease, OPTION_SHA256, OPTION_URL, look};
pub use asked::{Asked, AskedError, Words};
pub use nfs::NfsFile;
pub use place::{Place, PlaceError};
pub use source::{AnswerSource, SourceError};
