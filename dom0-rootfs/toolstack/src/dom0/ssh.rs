// SPDX-License-Identifier: MIT OR Apache-2.0
//! Logins over SSH.

use std::sync::PoisonError;

use anyhow::Result;

use super::Dom0;

const SSH: &str = "ssh.service";
/// While it is there SSH is for hosts whose toolstack does not run: the toolstack ends it when it is
/// ready, and `xenith-toolstack.service` begins it when the toolstack has ended.
const AUTO: &str = "/etc/xenith/ssh-auto";

impl Dom0 {
    /// Whether somebody can log in, now or after the next start.
    pub(super) fn ssh(&self) -> Result<bool> {
        let unit = self.unit(SSH)?;
        Ok(unit.active || (unit.enabled && !self.ssh_auto()))
    }

    /// Whether SSH is only for a host without its toolstack.
    pub(super) fn ssh_auto(&self) -> bool {
        self.path(AUTO).exists()
    }

    /// Lets people log in, or not, now and later. Who is logged in stays.
    pub fn set_ssh(&self, enabled: bool) -> Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if enabled {
            return self.systemctl(&["enable", "--now", SSH]);
        }
        match self.ssh_auto() {
            // It is begun at the next start too, until the toolstack is ready.
            true => self.systemctl(&["stop", SSH]),
            false => self.systemctl(&["disable", "--now", SSH]),
        }
    }

    /// Leaves it to the toolstack: people can log in only while that does not run.
    pub fn set_ssh_auto(&self, auto: bool) -> Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if !auto {
            return self.remove(AUTO);
        }
        self.systemctl(&["enable", SSH])?;
        self.write(AUTO, "")?;
        self.systemctl(&["stop", SSH])
    }

    /// The toolstack runs: ends SSH that was begun because it did not.
    pub fn toolstack_is_ready(&self) -> Result<()> {
        match self.ssh_auto() {
            true => self.systemctl(&["stop", SSH]),
            false => Ok(()),
        }
    }
}
