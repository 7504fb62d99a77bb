// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image build library: lock, fetch, store, sandbox, job graph, assembly.
//!
//! ```text
//! profile + lock ─► recipes ─► graph ─► store (artifacts by key)
//!                               │ fetch (files by SHA-256, from any mirror)
//!                               └ sandbox (programs of the tools tree)
//! ```

pub mod assemble;
pub mod debian;
pub mod digest;
pub mod emulator;
pub mod fetch;
pub mod graph;
pub mod inputs;
pub mod interrupt;
pub mod lock;
pub mod progress;
pub mod recipe;
pub mod report;
pub mod rust;
pub mod sandbox;
pub mod store;
pub mod tools;
