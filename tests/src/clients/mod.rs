// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real clients of the API: packages of PyPI and npm, pinned by hash and kept in the cache, and the
//! daemon of a made-up host for them.

mod npm;
mod python;
mod simulator;

use std::path::Path;

use isobuild::sandbox::Sandbox;

pub use npm::install as install_npm;
pub use python::{NEWEST, OLD, install as install_python, release};
pub use simulator::Simulator;

/// The folder of the cache that has what was downloaded.
const KEPT: &str = "clients";

/// Variables of the caller's environment that do.
const VARIABLES: &[&str] = &[
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// With the host's network; /etc tells where names are resolved, packages are, and who is trusted.
fn networked(sandbox: &Sandbox) -> Sandbox {
    let mut sandbox = sandbox.clone().network(true);
    // There it may only be said where that is written down.
    let resolver = Path::new("/etc/resolv.conf").canonicalize().ok();
    if let Some(folder) =
        resolver.as_deref().and_then(Path::parent).filter(|f| !f.starts_with("/etc"))
    {
        sandbox = sandbox.bind_ro(folder, folder);
    }
    for name in VARIABLES {
        if let Ok(value) = std::env::var(name) {
            sandbox = sandbox.env(*name, value);
        }
    }
    sandbox
}
