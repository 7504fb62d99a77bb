// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a person sees on a host's monitor; see `main.rs`.

pub mod client;
pub mod draw;
pub mod facts;
pub mod follow;
pub mod mirror;
pub mod program;
pub mod state;
pub mod terminal;
