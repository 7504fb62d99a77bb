// SPDX-License-Identifier: MIT OR Apache-2.0
//! A real NFS server on the loopback address: NFS-Ganesha, by NFS 4, with files in its memory, as it needs
//! more rights than a sandbox has to serve a folder. Files are written to it by NFS too.
//!
//! Machines see the loopback address as 10.0.2.2.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use isobuild::sandbox::{Child, Sandbox, Streams};

use crate::lab::{Lab, free_port};

/// What is exported.
pub const EXPORT: &str = "/answers";
/// Where the case's folder is in the sandbox.
const FOLDER: &str = "/case";
/// How long the server may take until it serves.
const LIMIT: Duration = Duration::from_secs(120);
/// What it says when it serves.
const READY: &str = "NFS SERVER INITIALIZED";

/// The server; dropping it ends it.
pub struct Server {
    /// Its port.
    pub port: u16,
    sandbox: Sandbox,
    folder: PathBuf,
    _child: Child,
}

impl Server {
    /// Starts one whose configuration and log are in the case's folder.
    pub fn start(lab: &Lab, folder: &Path) -> Result<Self> {
        let port = free_port()?;
        fs::write(folder.join("ganesha.conf"), configuration(port))
            .context("writing the NFS server's configuration")?;
        fs::create_dir(folder.join("recovery")).context("making the NFS server's folder")?;
        let sandbox =
            lab.sandbox().network(true).bind_rw(folder, FOLDER).log(folder.join("nfs.log"));
        let args = ["-F", "-f", "/case/ganesha.conf", "-L", "STDOUT", "-p", "/tmp/pid"];
        let streams = Streams { stdout: Stdio::piped(), ..Streams::silent() };
        let mut child =
            sandbox.spawn("ganesha.nfsd", args, streams).context("starting the NFS server")?;
        let said = child.stdout.take().context("hearing the NFS server")?;
        let log = folder.join("ganesha.log");
        let mut file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let (ready, waiting) = mpsc::channel();
        // To its end, as a server that is not heard any more would stop.
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                if line.contains(READY) && ready.send(()).is_err() {
                    return;
                }
                if writeln!(file, "{line}").is_err() {
                    return;
                }
            }
        });
        waiting
            .recv_timeout(LIMIT)
            .with_context(|| format!("the NFS server does not serve; see {}", log.display()))?;
        Ok(Self { port, sandbox, folder: folder.to_owned(), _child: child })
    }

    /// Writes a file to the export; returns its address, as machines see it.
    pub fn give(&self, name: &str, text: &str) -> Result<String> {
        fs::write(self.folder.join(name), text).with_context(|| format!("writing {name}"))?;
        let to = format!("nfs://127.0.0.1{EXPORT}/{name}?nfsport={}&version=4", self.port);
        self.sandbox
            .run("nfs-cp", [format!("{FOLDER}/{name}"), to])
            .with_context(|| format!("copying {name} to the NFS server"))?;
        Ok(format!("nfs://10.0.2.2:{}{EXPORT}/{name}", self.port))
    }
}

/// NFS 4 alone: the older protocol registers with a portmapper, which would be the machine's own.
fn configuration(port: u16) -> String {
    format!(
        "NFS_CORE_PARAM {{\n\
         \x20 NFS_Port = {port};\n  Protocols = 4;\n  Bind_addr = 127.0.0.1;\n\
         \x20 Enable_NLM = false;\n  Enable_RQUOTA = false;\n\
         \x20 # It may not have itself spared where memory is short.\n  Allow_Set_Io_Flusher_Fail = true;\n}}\n\
         NFSV4 {{\n  Graceless = true;\n  RecoveryRoot = {FOLDER}/recovery;\n}}\n\
         # Without a size it keeps names and no contents.\n\
         MEM {{\n  Inode_Size = 65536;\n}}\n\
         EXPORT {{\n  Export_Id = 1;\n  Path = {EXPORT};\n  Pseudo = {EXPORT};\n\
         \x20 Access_Type = RW;\n  Squash = No_Root_Squash;\n  SecType = sys;\n\
         \x20 FSAL {{\n    Name = MEM;\n  }}\n}}\n"
    )
}
