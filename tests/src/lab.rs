// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every case works with: the images under test, the emulator, a place for files.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use isobuild::emulator::Accelerator;
use isobuild::sandbox::Sandbox;

/// Shared by all cases of a run.
pub struct Lab {
    /// Unpacked `emulator` packages: QEMU, OVMF.
    pub emulator: PathBuf,
    /// Unpacked `clients` packages: Python, Node, a fence agent.
    pub clients: PathBuf,
    /// The daemon, built for this machine.
    pub toolstack: PathBuf,
    /// The ISO under test.
    pub iso: PathBuf,
    /// The folder for netboot under test.
    pub netboot: Option<PathBuf>,
    /// Raw disk image that the test guests boot from, see [`crate::guest`].
    pub guest_disk: PathBuf,
    /// Folder with [`crate::guest::KERNEL`] and [`crate::guest::INITRD`] of the test guests.
    pub guest_boot: PathBuf,
    /// Folder with the newest XenAPI for Python.
    pub xenapi: PathBuf,
    /// A folder for each case's files is made below it.
    pub work: PathBuf,
    /// How QEMU runs.
    pub accelerator: Accelerator,
}

impl Lab {
    /// A sandbox over the emulator tree.
    pub fn sandbox(&self) -> Sandbox {
        Sandbox::over(&self.emulator)
    }

    /// A sandbox over the clients' tree.
    pub fn clients(&self) -> Sandbox {
        Sandbox::over(&self.clients)
    }

    /// An empty folder for a case's files.
    pub fn folder(&self, case: &str) -> Result<PathBuf> {
        let folder = self.work.join(case);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("removing {}", folder.display()))?;
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    }

    /// Runs the Python client `lifecycle.py` against a forwarded port, its output going to `log`. It sees
    /// the log's folder as `/case`.
    pub fn client(&self, port: u16, log: &Path, args: &[&str]) -> Result<()> {
        self.client_script("lifecycle.py", port, log, args)
    }

    /// The same with another one of the Python clients.
    pub fn client_script(&self, name: &str, port: u16, log: &Path, args: &[&str]) -> Result<()> {
        let url = format!("https://127.0.0.1:{port}");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        self.clients()
            .network(true)
            .bind_ro(script, "/client")
            .bind_ro(&self.xenapi, "/client-packages")
            .env("PYTHONPATH", "/client-packages")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .bind_ro(&self.guest_disk, "/guest.img")
            .bind_rw(log.parent().unwrap_or(log), "/case")
            .log(log)
            .run(
                "python3",
                [&format!("/client/{name}"), &*url, crate::install::PASSWORD].iter().chain(args),
            )
            .with_context(|| format!("driving the host with the Python client {name}: {args:?}"))
    }
}

/// A TCP port of the loopback address that nothing uses now.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("finding a free port")?;
    Ok(listener.local_addr().context("finding a free port")?.port())
}

/// A sparse file of `bytes` bytes.
pub fn sparse_file(path: &Path, bytes: u64) -> Result<()> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    file.set_len(bytes).with_context(|| format!("sizing {}", path.display()))
}
