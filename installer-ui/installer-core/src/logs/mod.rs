// SPDX-License-Identifier: MIT OR Apache-2.0
//! The logs of an installation, packed for whoever is to look at them, and brought to where that
//! person finds them.
//!
//! [`Bundle`] is a tar.gz in memory, [`Destination`] says where it goes, [`Volume`] is a stick that
//! is there.

mod bundle;
mod deliver;
mod destination;
mod secrets;
mod volume;

pub use bundle::{Bundle, Part};
pub use deliver::{DeliverError, deliver};
pub use destination::{BadDestination, Destination, Method, Scp};
pub use secrets::Secrets;
pub use volume::Volume;
