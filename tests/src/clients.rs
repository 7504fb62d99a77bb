// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real clients that drive the host: packages of PyPI, pinned by hash.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::lab::Lab;

/// Variables of the caller's environment that do.
const VARIABLES: &[&str] = &[
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Installs the clients with the sandbox's pip into a folder and returns it.
pub fn install(lab: &Lab) -> Result<PathBuf> {
    let folder = lab.folder("clients")?;
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/requirements.txt");
    // The host's /etc tells pip where names are resolved, where packages are and whom to trust.
    let mut sandbox = lab
        .sandbox()
        .network(true)
        .log(lab.work.join("clients.log"))
        .bind_ro("/etc", "/etc")
        .bind_rw(&folder, "/packages")
        .bind_ro(requirements, "/requirements.txt");
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
    let args = "-m pip install --no-cache-dir --disable-pip-version-check --require-hashes \
                --no-deps --only-binary :all: --target /packages -r /requirements.txt";
    sandbox
        .run("python3", args.split_whitespace())
        .context("installing the Python clients with pip")?;
    Ok(folder)
}
