// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to a toolstack: the socket of this host, or TLS; calls, files and consoles over it.

mod console;
mod http;
mod tls;

pub use console::relay;
pub use http::{Connection, Stream};
pub use tls::{Certificate, open_tls};

/// Where the toolstack listens for root of its own host.
pub const SOCKET: &str = "/run/xenith/xapi.sock";
