// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real clients against a made-up host. Needs no virtual machine.

use std::path::Path;

use anyhow::{Context, Result};

use crate::clients::{self, Simulator};
use crate::lab::Lab;
use crate::runner::{Case, Figures};

/// One for all clients, as they take seconds, and one for the page of `docs/` about one of them; the other
/// pages are run by xe's tests.
pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "clients-simulator",
            about: "XenAPI of PyPI (now and 2.x), fence_xenapi, async-xenapi and ws of npm, on a made-up host",
            run,
        },
        Case {
            name: "clients-tutorial",
            about: "docs/from-python.md as it is written, on a made-up host",
            run: tutorial,
        },
    ]
}

fn tutorial(lab: &Lab, folder: &Path, _figures: &Figures) -> Result<()> {
    let simulator = Simulator::start(&lab.toolstack, folder)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sandbox = lab
        .clients()
        .network(true)
        .bind_ro(root.join("clients"), "/client")
        .bind_ro(root.join("../docs"), "/docs")
        .bind_ro(&lab.xenapi, "/packages")
        .env("PYTHONPATH", "/packages")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .log(folder.join("client.log"));
    let words =
        ["/client/tutorial.py", "/docs/from-python.md", &*simulator.url, Simulator::PASSWORD];
    sandbox.run("python3", words).context("running docs/from-python.md")
}

fn run(lab: &Lab, folder: &Path, _figures: &Figures) -> Result<()> {
    let simulator = Simulator::start(&lab.toolstack, folder)?;
    let host = Server {
        url: &simulator.url,
        password: Simulator::PASSWORD,
        certificate: &simulator.certificate,
        kind: "simulated",
    };
    drive(lab, folder, &host)
}

/// Whom the clients drive.
pub(super) struct Server<'a> {
    /// `https://127.0.0.1:…`.
    pub(super) url: &'a str,
    /// Root's.
    pub(super) password: &'a str,
    /// Its own, which nobody else knows.
    pub(super) certificate: &'a Path,
    /// `simulated`, or `installed`: there guests without a system are not asked for anything.
    pub(super) kind: &'a str,
}

/// All clients, one after the other.
pub(super) fn drive(lab: &Lab, folder: &Path, host: &Server<'_>) -> Result<()> {
    let old = clients::install_python(lab, clients::OLD)?;
    let npm = clients::install_npm(lab)?;
    let sandbox = lab
        .clients()
        .network(true)
        .bind_ro(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients"), "/client")
        .bind_ro(host.certificate, "/host.pem")
        .bind_ro(&npm, "/npm")
        .env("NODE_PATH", "/npm")
        .env("PYTHONPATH", "/packages")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // Debian's client cannot be told to trust everybody.
        .env("SSL_CERT_FILE", "/host.pem");
    let drive = |name: &str, packages: &Path, program: &str, words: &[&str]| {
        let words = words.iter().copied().chain([host.url, host.password]);
        let sandbox = sandbox.clone().bind_ro(packages, "/packages");
        let sandbox = sandbox.log(folder.join(format!("{name}.log")));
        sandbox
            .run(program, words)
            .with_context(|| format!("driving a host ({}) with {name}", host.kind))
    };
    for (list, packages) in [(clients::NEWEST, &lab.xenapi), (clients::OLD, &old)] {
        let release = clients::release(list)?;
        drive(list, packages, "python3", &["/client/daily.py", &release, host.kind])?;
    }
    drive("fence_xenapi", &lab.xenapi, "python3", &["/client/fence.py"])?;
    drive("async-xenapi", &lab.xenapi, "node", &["/client/async.js", host.kind])
}
