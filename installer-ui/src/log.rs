// SPDX-License-Identifier: MIT OR Apache-2.0
//! One log for a file and for the screen.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tracing_subscriber::fmt::time::Uptime;

use crate::state::Event;

/// Folder of log and lock.
pub const FOLDER: &str = "/run/xenith";

/// The log of this process.
#[derive(Debug, Clone)]
pub struct Log(Arc<Mutex<Sinks>>);

#[derive(Debug)]
struct Sinks {
    file: File,
    screen: Option<Sender<Event>>,
}

/// Where the log of the installer on a console is.
pub fn path(console: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("installer-{console}.log"))
}

impl Log {
    /// Everything traced from now on goes into the console's log file.
    pub fn start(console: &str) -> Result<Self> {
        let path = path(console);
        fs::create_dir_all(FOLDER).with_context(|| format!("creating {FOLDER}"))?;
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        let log = Self(Arc::new(Mutex::new(Sinks { file, screen: None })));
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_target(false)
            .with_timer(Uptime::default())
            .with_writer(move || writer.clone())
            .init();
        Ok(log)
    }

    /// Sends each line to the screen too.
    pub fn show_on(&self, screen: Sender<Event>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).screen = Some(screen);
    }
}

/// Called once for each event, with whole lines.
impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.file.write_all(bytes)?;
        if let Some(screen) = &sinks.screen {
            for line in String::from_utf8_lossy(bytes).lines() {
                // Control characters of programs must not reach the terminal.
                let line = line.replace(char::is_control, " ");
                // The screen is gone when the installer ends.
                let _ = screen.send(Event::Log(line));
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).file.flush()
    }
}
