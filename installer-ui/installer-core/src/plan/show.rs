// SPDX-License-Identifier: MIT OR Apache-2.0
//! The plan as a person reads it, at most 78 characters wide where the machine's own words allow.

use std::fmt;

use appliance_model::handover::{AddressMode, LocalSrKind};
use image_formats::gpt::Role;

use super::Plan;
use crate::answers::{NtpServer, OnSuccess};
use crate::size::Size;

impl Plan {
    /// One line about the disk.
    pub fn disk_line(&self) -> String {
        let mut line = format!("{}  {}", self.disk.path.display(), Size(self.disk.size));
        if let Some(model) = &self.disk.model {
            line.push_str(&format!("  {model}"));
        }
        if let Some(serial) = &self.disk.serial {
            line.push_str(&format!("  (serial {serial})"));
        }
        line
    }

    /// What is lost, a line for each thing; empty for an empty disk.
    pub fn lost(&self) -> Vec<String> {
        let lines = self.disk.contents.iter().map(|content| {
            let label = content.label.as_ref().map(|label| format!(" {label:?}"));
            format!("{}: {}{}", content.device, content.kind, label.unwrap_or_default())
        });
        lines.collect()
    }

    /// The management network in words.
    pub fn network_line(&self) -> String {
        let Some(management) = &self.handover.management else {
            return "the first network card, by DHCP".to_owned();
        };
        let name = self.nic_name.as_deref().unwrap_or("?");
        let mode = match &management.mode {
            AddressMode::Dhcp => "DHCP".to_owned(),
            AddressMode::Static { address, gateway, dns } => {
                let gateway = gateway.as_ref().map(|g| format!(", gateway {g}"));
                let dns = (!dns.is_empty()).then(|| format!(", DNS {}", dns.join(" ")));
                format!("{address}{}{}", gateway.unwrap_or_default(), dns.unwrap_or_default())
            }
        };
        format!("{name} ({}): {mode}", management.mac)
    }

    /// Login in words.
    pub fn login_line(&self) -> String {
        let ssh = match (self.ssh, self.ssh_keys.len()) {
            (false, _) => "SSH off".to_owned(),
            (true, 0) => "SSH on".to_owned(),
            (true, 1) => "SSH on, one key".to_owned(),
            (true, n) => format!("SSH on, {n} keys"),
        };
        format!("root, by password; {ssh}")
    }

    /// Local storage in words.
    pub fn storage_line(&self) -> String {
        let size = self.layout.partition(Role::Sr).sectors * self.layout.sector_size().bytes();
        match self.handover.local_sr.as_ref().map(|sr| sr.kind) {
            None => format!("none; {} stay unused", Size(size)),
            Some(LocalSrKind::Ext) => format!("{}, image files on ext4", Size(size)),
            Some(LocalSrKind::LvmThin) => format!("{}, thin logical volumes", Size(size)),
        }
    }

    fn purpose(role: Role) -> &'static str {
        match role {
            Role::BiosBoot => "boot loader for BIOS",
            Role::Esp => "EFI system partition",
            Role::SlotA => "system",
            Role::SlotB => "room for the next version",
            Role::State => "settings, logs, database",
            Role::Sr => "local storage",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Xenith {} will be installed:", self.medium.build_id)?;
        writeln!(f, "  disk      {}", self.disk_line())?;
        match self.lost().as_slice() {
            [] => writeln!(f, "            nothing was recognised on it")?,
            lost => {
                writeln!(f, "            EVERYTHING on it will be lost:")?;
                lost.iter().try_for_each(|line| writeln!(f, "              {line}"))?;
            }
        }
        for partition in self.layout.partitions() {
            let size = partition.sectors * self.layout.sector_size().bytes();
            let name = partition.role.name();
            let (number, size) = (partition.role.number(), Size(size).to_string());
            let purpose = Self::purpose(partition.role);
            writeln!(f, "            {number}  {name:<13} {size:>8}  {purpose}")?;
        }
        writeln!(f, "  host      {}", self.hostname)?;
        writeln!(f, "  network   {}", self.network_line())?;
        writeln!(f, "  login     {}", self.login_line())?;
        writeln!(f, "  storage   {}", self.storage_line())?;
        if let Some(keymap) = &self.regional.keymap {
            writeln!(f, "  keyboard  {}", keymap.as_str())?;
        }
        if let Some(zone) = &self.regional.zone {
            writeln!(f, "  zone      {}", zone.as_str())?;
        }
        if !self.ntp.is_empty() {
            let servers: Vec<&str> = self.ntp.iter().map(NtpServer::as_str).collect();
            writeln!(f, "  time      from {}", servers.join(", "))?;
        }
        if !self.handover.pool_name.is_empty() {
            writeln!(f, "  pool      {}", self.handover.pool_name)?;
        }
        if let Some(proxy) = &self.proxy {
            writeln!(f, "  proxy     {proxy}")?;
        }
        for (stage, source) in &self.scripts {
            writeln!(f, "  script    {stage}: {source}")?;
        }
        if let Some(url) = &self.webhook {
            writeln!(f, "  report    to {url}")?;
        }
        if !self.bios_boots() {
            writeln!(f, "  note      4096-byte sectors: only UEFI will start this disk")?;
        }
        let after = match self.on_success {
            OnSuccess::Reboot => "restart into the installed host",
            OnSuccess::Poweroff => "power off",
            OnSuccess::Shell => "stay, with a shell",
        };
        write!(f, "  then      {after}")
    }
}
