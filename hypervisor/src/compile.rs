// SPDX-License-Identifier: MIT OR Apache-2.0
//! What both recipes do first: Xen's source unpacked in a sandbox that cannot tell one machine from
//! another.

use std::path::PathBuf;

use isobuild::recipe::{BoxError, BuildEnv};
use isobuild::sandbox::Sandbox;

use crate::source;

/// Where the source lies inside the sandbox. The same on every machine: object files name it.
pub(crate) const SOURCE: &str = "/build/xen";

/// Xen's source in the scratch folder, and the sandbox to compile it in.
pub(crate) struct SourceTree {
    /// The folder as the host sees it.
    pub(crate) host: PathBuf,
    sandbox: Sandbox,
}

impl SourceTree {
    /// Unpacks the pinned tarball.
    pub(crate) fn unpack(build: &dyn BuildEnv) -> Result<Self, BoxError> {
        build.status("unpacking");
        let tarball = build.locked_file(&source::tarball()?.sha256)?;
        let host = build.scratch().join("xen");
        std::fs::create_dir(&host)?;
        build.sandbox().bind_ro(tarball, "/xen.tar.xz").run(
            "tar",
            [
                "--extract",
                "--file=/xen.tar.xz",
                "--strip-components=1",
                "--no-same-owner",
                "-C",
                SOURCE,
            ],
        )?;
        let sandbox = build
            .sandbox()
            .cwd(SOURCE)
            // Would be asked of the machine, and end up in the binary.
            .env("XEN_WHOAMI", "xenith")
            .env("XEN_DOMAIN", "xenith")
            .env("XEN_BUILD_HOST", "xenith")
            // Nothing is downloaded, and the version is not asked of an enclosing repository.
            .env("GIT", "/bin/false")
            .env("WGET", "/bin/false")
            .env("PYTHON", "/usr/bin/python3");
        Ok(Self { host, sandbox })
    }

    /// Applies patches in order, each a name and its text. One whose context is not there exactly is refused.
    pub(crate) fn patch(self, patches: &[(&str, &str)]) -> Result<Self, BoxError> {
        for (name, text) in patches {
            std::fs::write(self.host.join(name), text)?;
            self.run("patch", &["--strip=1", "--fuzz=0", "--batch", "--input", name])?;
            std::fs::remove_file(self.host.join(name))?;
        }
        Ok(self)
    }

    /// Runs a program in the source's folder.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Result<(), BoxError> {
        Ok(self.sandbox.run(program, args)?)
    }

    /// The same tree with one more variable in the environment.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.sandbox = self.sandbox.env(name, value);
        self
    }
}

/// `-j` for make: as many jobs as the machine has processors.
pub(crate) fn jobs() -> String {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    format!("-j{count}")
}
