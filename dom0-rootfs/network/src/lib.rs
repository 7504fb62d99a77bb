// SPDX-License-Identifier: MIT OR Apache-2.0
//! Host networking: Open vSwitch bridges, links and their fake.

mod backend;
mod error;

pub use backend::*;
pub use error::NetworkError;
