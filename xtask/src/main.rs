// SPDX-License-Identifier: MIT OR Apache-2.0
//! The only entry to the pipeline: cargo xtask.

fn main() {}
