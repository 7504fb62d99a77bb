// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cargo in the sandbox.

use std::fs;
use std::path::PathBuf;

use super::host::{self, Crates};
use crate::recipe::{BoxError, Build};
use crate::sandbox::Sandbox;
use crate::store::Claim;

/// Cargo, with everything at hand to be called in the sandbox.
#[derive(Debug)]
pub struct Cargo {
    /// What `rustc -vV` says.
    pub(super) version: String,
    /// The toolchain's folder on the host.
    pub(super) toolchain: PathBuf,
    /// Fetched crates.
    pub(super) crates: Crates,
    /// Holds `sources`, and cargo's target folders.
    pub(super) kept: PathBuf,
    /// The right to use that.
    pub(super) _claim: Claim,
}

impl Cargo {
    /// Where the sources are copied to.
    pub(super) fn sources(&self) -> PathBuf {
        self.kept.join("sources")
    }

    /// The target folder of this name, on the host. Calls with other flags want another: in one folder
    /// they would compile everything again.
    pub fn target(&self, name: &str) -> PathBuf {
        self.kept.join(name)
    }

    /// A sandbox in which `cargo` compiles the sources into the target folder `name`, without network.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub fn sandbox(&self, build: &Build<'_>, name: &str) -> Result<Sandbox, BoxError> {
        let target = self.target(name);
        fs::create_dir_all(&target)?;
        // Cargo's own files beside the registry, which is read-only.
        let home = build.scratch().join("cargo-home");
        fs::create_dir_all(&home)?;
        fs::write(home.join("config.toml"), &self.crates.config)?;
        Ok(build
            .sandbox()
            .bind_ro(&self.toolchain, "/toolchain")
            .bind_ro(self.sources(), "/xenith")
            .bind_rw(target, "/target")
            .bind_rw(home, "/cargo")
            .bind_ro(&self.crates.registry, "/cargo/registry")
            .cwd("/xenith")
            .env("PATH", "/toolchain/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("CARGO_HOME", "/cargo")
            .env("CARGO_TARGET_DIR", "/target")
            .env("CARGO_TERM_COLOR", "never")
            .env("CARGO_INCREMENTAL", "0"))
    }

    /// Folders whose place must not show in a program, with what shows instead.
    fn places(&self) -> Vec<(String, String)> {
        let registries = self.crates.unpacked.iter();
        registries
            .map(|name| (format!("/cargo/registry/src/{name}"), "crates".to_owned()))
            .chain([
                ("/xenith".to_owned(), "xenith".to_owned()),
                ("/target".to_owned(), "target".to_owned()),
            ])
            .collect()
    }

    /// Flags of rustc by which no place of this sandbox shows in a program.
    ///
    /// # Errors
    /// The compiler does not say what it was built from.
    pub fn rust_flags(&self) -> Result<Vec<String>, BoxError> {
        let mut flags: Vec<String> =
            self.places().iter().map(|(a, b)| format!("--remap-path-prefix={a}={b}")).collect();
        // Where the standard library's source is installed the compiler names it in messages.
        let commit = host::commit(&self.version)?;
        flags.push(format!("--remap-path-prefix=/toolchain/lib/rustlib/src/rust=/rustc/{commit}"));
        Ok(flags)
    }

    /// The same for C compilers.
    pub fn c_flags(&self) -> Vec<String> {
        self.places().iter().map(|(a, b)| format!("-ffile-prefix-map={a}={b}")).collect()
    }
}
