// SPDX-License-Identifier: MIT OR Apache-2.0
//! The plan as a person reads it, at most 78 characters wide where the machine's own words allow.

use std::fmt;

use appliance_model::handover::{AddressMode, BondMode, Ipv6Mode, LocalSrKind, Management};
use image_formats::gpt::Role;

use super::Plan;
use crate::answers::{BOND_HASHES, BOND_MODES, NtpServer, OnSuccess};
use crate::discovery::Disk;
use crate::size::Size;

impl Plan {
    /// One line about a disk.
    fn disk_line(disk: &Disk) -> String {
        let mut line = format!("{}  {}", disk.path.display(), Size(disk.size));
        if let Some(model) = &disk.model {
            line.push_str(&format!("  {model}"));
        }
        if let Some(serial) = &disk.serial {
            line.push_str(&format!("  (serial {serial})"));
        }
        line
    }

    /// What is lost with a disk, a line for each thing; empty for an empty disk.
    fn lost(disk: &Disk) -> Vec<String> {
        let contents = disk.contents.iter();
        contents.map(|content| format!("{}: {}", content.device, content.words())).collect()
    }

    /// The management network in words: a line, and further ones for what is not usual.
    pub fn network_lines(&self) -> Vec<String> {
        let Some(management) = &self.handover.management else {
            return vec!["the first network card, by DHCP".to_owned()];
        };
        let plain = management.ipv6 == Ipv6Mode::None && management.bond.is_none();
        let dns = match management.dns.as_slice() {
            [] => String::new(),
            dns => format!("DNS {}", dns.join(" ")),
        };
        let ipv4 = match &management.mode {
            AddressMode::None => "no IPv4".to_owned(),
            AddressMode::Dhcp => "DHCP".to_owned(),
            AddressMode::Static { address, gateway } => with_gateway(address, gateway),
        };
        let ipv6 = match &management.ipv6 {
            Ipv6Mode::None => None,
            Ipv6Mode::Auto => Some("IPv6 as routers announce".to_owned()),
            Ipv6Mode::Dhcp => Some("IPv6 by DHCP".to_owned()),
            Ipv6Mode::Static { address, gateway } => {
                Some(format!("IPv6 {}", with_gateway(address, gateway)))
            }
        };
        let vlan = management.vlan.map(|tag| format!("VLAN {tag}"));
        let mtu = management.mtu.map(|mtu| format!("MTU {mtu}"));
        let link: Vec<String> = vlan.into_iter().chain(mtu).collect();
        let mut lines = vec![self.cards_line(management)];
        if plain && link.is_empty() {
            let dns = if dns.is_empty() { dns } else { format!(", {dns}") };
            lines[0].push_str(&format!(": {ipv4}{dns}"));
            return lines;
        }
        let rest = [link.join(", "), ipv4, ipv6.unwrap_or_default(), dns];
        lines.extend(rest.into_iter().filter(|line| !line.is_empty()));
        lines
    }

    fn cards_line(&self, management: &Management) -> String {
        let name = |at: usize| self.nic_names.get(at).map_or("?", String::as_str);
        let Some(bond) = &management.bond else {
            return format!("{} ({})", name(0), management.mac);
        };
        let cards = bond.members.iter().enumerate();
        let cards: Vec<String> = cards.map(|(at, mac)| format!("{} ({mac})", name(at))).collect();
        let word = |found: Option<&&'static str>| found.copied().unwrap_or_default();
        let modes = BOND_MODES.iter().find(|(_, mode)| *mode == bond.mode).map(|(word, _)| word);
        let hashes = BOND_HASHES.iter().find(|(_, hash)| *hash == bond.hash).map(|(word, _)| word);
        let hash = match bond.mode {
            BondMode::Lacp => format!(" by {}", word(hashes)),
            _ => String::new(),
        };
        format!("bond of {}: {}{hash}", cards.join(", "), word(modes))
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

    /// Guests' storage that stays as it is, a line for each.
    fn kept_lines(&self) -> Option<Vec<String>> {
        let lines = self.kept.as_ref()?.storage.iter().map(|storage| {
            let size = storage.size.map(|size| format!("{}, ", Size(size))).unwrap_or_default();
            format!("{} ({size}on {})", storage.name, storage.devices.join(", "))
        });
        Some(lines.collect())
    }

    /// Local storage in words.
    pub fn storage_line(&self) -> String {
        if let Some(lines) = self.kept_lines() {
            return match lines.is_empty() {
                true => "none is there, and none is made".to_owned(),
                false => format!("KEPT: {}; nothing on it is written", lines.join(", ")),
            };
        }
        let rest = self.layout.partition(Role::Sr).sectors * self.layout.sector_size().bytes();
        let more: u64 = self.storage_disks.iter().map(|disk| disk.size).sum();
        let size = if self.storage_on_system { rest + more } else { more };
        match self.handover.local_sr.as_ref().map(|sr| sr.kind) {
            None => format!("none; {} stay unused", Size(rest)),
            Some(LocalSrKind::Ext) => format!("{}, image files on ext4", Size(size)),
            Some(LocalSrKind::LvmThin) => format!("{}, thin logical volumes", Size(size)),
        }
    }

    fn write_disk(&self, f: &mut fmt::Formatter<'_>, title: &str, disk: &Disk) -> fmt::Result {
        writeln!(f, "  {title:<8}  {}", Self::disk_line(disk))?;
        if let Some(multipath) = &disk.multipath {
            let paths: Vec<String> =
                multipath.paths.iter().map(|path| path.display().to_string()).collect();
            writeln!(f, "            reached over {}: {}", multipath.words(), paths.join(", "))?;
        }
        if self.kept.is_some() {
            return Ok(());
        }
        match Self::lost(disk).as_slice() {
            [] => writeln!(f, "            nothing was recognised on it"),
            lost => {
                writeln!(f, "            EVERYTHING on it will be lost:")?;
                lost.iter().try_for_each(|line| writeln!(f, "              {line}"))
            }
        }
    }

    fn purpose(&self, role: Role) -> &'static str {
        match role {
            Role::BiosBoot | Role::Esp | Role::SlotA if self.kept.is_some() => "written anew",
            Role::SlotB if self.kept.is_some() => "not written",
            Role::State if self.kept.is_some() => "guests' records KEPT, the rest anew",
            Role::Sr if self.kept.is_some() => "KEPT: not written",
            Role::BiosBoot => "boot loader for BIOS",
            Role::Esp => "EFI system partition",
            Role::SlotA => "system",
            Role::SlotB => "room for the next version",
            Role::State => "settings, logs, database",
            Role::Sr if self.storage_on_system => "local storage",
            Role::Sr => "unused",
        }
    }
}

fn with_gateway(address: &str, gateway: &Option<String>) -> String {
    match gateway {
        Some(gateway) => format!("{address}, gateway {gateway}"),
        None => address.to_owned(),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = if self.kept.is_some() { " over the host there; guests STAY" } else { "" };
        writeln!(f, "Xenith {} will be installed{kept}:", self.medium.build_id)?;
        for (index, (disk, _)) in self.disks().enumerate() {
            self.write_disk(f, if index == 0 { "disk" } else { "mirror" }, disk)?;
        }
        for disk in &self.storage_disks {
            self.write_disk(f, "storage", disk)?;
        }
        self.torn.iter().try_for_each(|line| writeln!(f, "  torn      {line}"))?;
        if self.mirror.is_some() {
            let verb = if self.kept.is_some() { "have" } else { "get" };
            writeln!(f, "            both disks {verb} these, 3 to 6 as software RAID 1:")?;
        }
        for partition in self.layout.partitions() {
            let size = partition.sectors * self.layout.sector_size().bytes();
            let name = partition.role.name();
            let (number, size) = (partition.role.number(), Size(size).to_string());
            let purpose = self.purpose(partition.role);
            writeln!(f, "            {number}  {name:<13} {size:>8}  {purpose}")?;
        }
        writeln!(f, "  host      {}", self.hostname)?;
        for (at, line) in self.network_lines().iter().enumerate() {
            writeln!(f, "  {:<8}  {line}", if at == 0 { "network" } else { "" })?;
        }
        writeln!(f, "  login     {}", self.login_line())?;
        writeln!(f, "  storage   {}", self.storage_line())?;
        if self.kept.is_some() {
            writeln!(
                f,
                "  kept      VMs, their disks and networks, the pool, who may log in to it"
            )?;
        }
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
        if !self.storage_disks.is_empty()
            && self.storage_disks.len() + usize::from(self.storage_on_system) > 1
        {
            let text = "storage is one group over its disks: the loss of one can lose all in it";
            writeln!(f, "  note      {text}")?;
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
