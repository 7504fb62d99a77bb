// SPDX-License-Identifier: MIT OR Apache-2.0
//! Services of Dom0 that clients set up: clock, time servers, SSH, consoles, log.
//!
//! What is set lies in files of `/etc` and in what systemd starts, so it holds without the daemon; objects
//! say what the files said at the daemon's start, or what was set since.

mod clock;
mod console;
mod iscsi;
mod programs;
mod record;
mod ssh;
mod syslog;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};

pub use clock::{NtpMode, is_server};
pub use iscsi::is_name as is_iscsi_name;
pub use programs::{FakePrograms, HostPrograms, Programs};
pub use record::{Services, record};
pub use syslog::{forward, is_destination};

/// Lines of the journal that are shown.
const LINES: usize = 20_000;

/// Dom0 below a folder that looks like the root of its file system: `/`, or a made-up one.
pub struct Dom0 {
    root: PathBuf,
    programs: Arc<dyn Programs>,
    /// One change at a time.
    changing: Mutex<()>,
}

/// What systemd says of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Unit {
    active: bool,
    enabled: bool,
}

impl Dom0 {
    /// The Dom0 whose root folder this is, driven by these programs.
    pub fn new(root: PathBuf, programs: Arc<dyn Programs>) -> Dom0 {
        Dom0 { root, programs, changing: Mutex::default() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The text of a file; empty if it cannot be read.
    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.path(path);
        replace(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    fn remove(&self, path: &str) -> Result<()> {
        let path = self.path(path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.programs.run(program, arguments)
    }

    fn systemctl(&self, arguments: &[&str]) -> Result<()> {
        self.run("systemctl", arguments).map(drop)
    }

    /// The newest of what Dom0 has logged.
    pub fn journal(&self) -> Result<String> {
        let lines = format!("--lines={LINES}");
        self.run("journalctl", &["--no-pager", "--output=short-iso", &lines])
    }

    fn unit(&self, unit: &str) -> Result<Unit> {
        let properties = "--property=ActiveState,UnitFileState";
        let said = self.run("systemctl", &["show", properties, unit])?;
        let is = |line: &str| said.lines().any(|said| said.trim() == line);
        Ok(Unit {
            active: is("ActiveState=active") || is("ActiveState=activating"),
            enabled: is("UnitFileState=enabled"),
        })
    }
}

/// Puts a file in its place as a whole; its folder is made if it is not there.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // chronyd and shells read files of a folder by their endings.
    name.push(".new");
    let new = folder.join(name);
    fs::write(&new, text)?;
    fs::File::open(&new)?.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(folder)?.sync_all()
}
