// SPDX-License-Identifier: MIT OR Apache-2.0
//! A simulated guest's text console on a real pseudo-terminal.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::error::XenopsError;

#[derive(Debug)]
pub(super) struct Console {
    guest: File,
    /// Held open so that what the guest writes is kept until someone reads it.
    _terminal: OwnedFd,
    path: PathBuf,
}

impl Console {
    pub(super) fn open() -> Result<Console, XenopsError> {
        Console::open_terminal()
            .map_err(|error| XenopsError::failed("opening a simulated console", error))
    }

    fn open_terminal() -> rustix::io::Result<Console> {
        let guest = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&guest)?;
        unlockpt(&guest)?;
        let name = ptsname(&guest, Vec::new())?.into_bytes();
        let path = PathBuf::from(std::ffi::OsString::from_vec(name));
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(&path, flags, rustix::fs::Mode::empty())?;
        Ok(Console { guest: guest.into(), _terminal: terminal, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The guest prints its login prompt.
    pub(super) fn boot(&mut self, name: &str) -> Result<(), XenopsError> {
        write!(self.guest, "simulated guest {name}\r\nlogin: ")
            .map_err(|error| XenopsError::failed("writing to a simulated console", error))
    }
}
