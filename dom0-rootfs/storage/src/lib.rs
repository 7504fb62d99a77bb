// SPDX-License-Identifier: MIT OR Apache-2.0
//! Storage repositories: SR drivers and their fake.

mod driver;
mod error;

pub use driver::*;
pub use error::StorageError;
