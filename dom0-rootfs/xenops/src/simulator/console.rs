// SPDX-License-Identifier: MIT OR Apache-2.0
//! A simulated guest's text console on a real pseudo-terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::Simulator;
use crate::error::XenopsError;
use crate::hypervisor::DomId;

impl Simulator {
    /// What was typed at the text console of a domain since the last look, or a part of it.
    pub fn typed(&self, domain: DomId) -> Result<Vec<u8>, XenopsError> {
        match &mut self.lock().domain(domain)?.console {
            Some(console) => console.typed(),
            None => Ok(Vec::new()),
        }
    }
}

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

    fn typed(&mut self) -> Result<Vec<u8>, XenopsError> {
        let failed = |error| XenopsError::failed("reading from a simulated console", error);
        let mut guest = [PollFd::new(&self.guest, PollFlags::IN)];
        poll(&mut guest, Some(&Timespec::default())).map_err(|error| failed(error.into()))?;
        let mut bytes = vec![0; 4096];
        let count = match guest[0].revents().contains(PollFlags::IN) {
            true => self.guest.read(&mut bytes).map_err(failed)?,
            false => 0,
        };
        bytes.truncate(count);
        Ok(bytes)
    }
}
