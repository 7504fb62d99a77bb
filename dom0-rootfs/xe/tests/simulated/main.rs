// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real xe against the real toolstack with a made-up host behind it.

mod completion;
mod daemon;
mod life;
mod tutorials;
