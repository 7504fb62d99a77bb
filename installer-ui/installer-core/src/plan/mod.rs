// SPDX-License-Identifier: MIT OR Apache-2.0
//! What will be done, decided before anything is written. Pure.

mod choose;
mod refusal;
mod show;

use std::path::PathBuf;

use appliance_model::handover::{Handover, LocalSr, Management};
use image_formats::gpt::{DiskGuids, DiskLayout, Role, SectorSize};
use uuid::Uuid;

pub use refusal::{PlanError, Refusal};

use crate::answers::{
    Answers, Hostname, NtpServer, OnSuccess, PasswordHash, RegionalAnswer, SshKey,
};
use crate::discovery::{Discovery, Disk, Medium};
use crate::hooks::{ScriptSource, Stage};
use crate::web::{Proxy, Url};

/// A decided installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The disk, as it was found.
    pub disk: Disk,
    /// Its new partitions.
    pub layout: DiskLayout,
    /// What is copied.
    pub medium: Medium,
    /// Name of the host.
    pub hostname: Hostname,
    /// Root's password.
    pub root_password: PasswordHash,
    /// Keys that may log in as root.
    pub ssh_keys: Vec<SshKey>,
    /// Whether the SSH server starts.
    pub ssh: bool,
    /// Time servers; none: Debian's.
    pub ntp: Vec<NtpServer>,
    /// Keyboard and time zone.
    pub regional: RegionalAnswer,
    /// For the toolstack.
    pub handover: Handover,
    /// The kernel's present name of the management card, for people.
    pub nic_name: Option<String>,
    /// What happens afterwards.
    pub on_success: OnSuccess,
    /// Scripts that run meanwhile, for people.
    pub scripts: Vec<(Stage, ScriptSource)>,
    /// Who is told how it ended, for people.
    pub webhook: Option<Url>,
    /// The proxy of the host's shells.
    pub proxy: Option<Proxy>,
    /// Random ids.
    pub ids: Ids,
}

/// Everything random about an installation, drawn before the plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// Of the disk and its partitions.
    pub guids: DiskGuids,
    /// Of the state file system.
    pub state: Uuid,
    /// Serial number of the EFI system partition's file system.
    pub esp: u32,
    /// The host's machine-id.
    pub machine: Uuid,
    /// The local SR's uuid.
    pub sr: Uuid,
}

impl Ids {
    /// New ones.
    pub fn random() -> Self {
        let partitions = std::array::from_fn(|_| Uuid::new_v4());
        Self {
            guids: DiskGuids { disk: Uuid::new_v4(), partitions },
            state: Uuid::new_v4(),
            esp: Uuid::new_v4().as_fields().0,
            machine: Uuid::new_v4(),
            sr: Uuid::new_v4(),
        }
    }
}

impl Plan {
    /// Fits the answers to the machine.
    ///
    /// # Errors
    /// The answers do not name exactly one disk or network card, or what they name cannot be used.
    pub fn make(answers: &Answers, found: &Discovery, ids: Ids) -> Result<Self, PlanError> {
        let disk = choose::disk(&answers.disk, found)?;
        if let Some(refusal) = Refusal::of(disk) {
            return Err(PlanError::Disk { disk: disk.path.clone(), refusal });
        }
        let sector_size = sector_size(disk).ok_or_else(|| PlanError::Disk {
            disk: disk.path.clone(),
            refusal: Refusal::SectorSize(disk.sector_size),
        })?;
        let layout = DiskLayout::new(disk.size, sector_size, &ids.guids).map_err(|_| {
            PlanError::Disk { disk: disk.path.clone(), refusal: Refusal::TooSmall(disk.size) }
        })?;
        let room = |role| layout.partition(role).sectors * sector_size.bytes();
        let (slot, esp) = (room(Role::SlotA), room(Role::Esp));
        if found.medium.root_image_size > slot {
            let size = found.medium.root_image_size;
            return Err(PlanError::ImageTooLarge { what: "the system's image", size, room: slot });
        }
        // Both slots' files, the next version's maybe larger, and the file system's own tables.
        if found.medium.boot_size > esp / 3 {
            let size = found.medium.boot_size;
            return Err(PlanError::ImageTooLarge {
                what: "hypervisor and kernel",
                size,
                room: esp / 3,
            });
        }
        let nic = match &answers.network {
            Some(network) => Some((choose::nic(&network.interface, found)?, &network.address)),
            None => None,
        };
        let management = nic
            .map(|(nic, mode)| Management { mac: nic.mac.as_str().to_owned(), mode: mode.clone() });
        let local_sr = answers.storage.map(|kind| LocalSr { uuid: ids.sr.to_string(), kind });
        Ok(Self {
            disk: disk.clone(),
            layout,
            medium: found.medium.clone(),
            hostname: answers.hostname.clone(),
            root_password: answers.root_password.clone(),
            ssh_keys: answers.ssh_keys.clone(),
            ssh: answers.ssh,
            ntp: answers.ntp.clone(),
            regional: answers.regional.clone(),
            handover: Handover { pool_name: answers.pool_name.clone(), management, local_sr },
            nic_name: nic.map(|(nic, _)| nic.name.clone()),
            on_success: answers.on_success,
            scripts: answers.hooks.scripts.clone(),
            webhook: answers.webhook.as_ref().map(|webhook| webhook.url.clone()),
            proxy: answers.proxy.clone(),
            ids,
        })
    }

    /// Whether a BIOS can start the disk; UEFI always can.
    pub fn bios_boots(&self) -> bool {
        self.layout.sector_size() == SectorSize::B512
    }

    /// A file on the medium.
    pub fn source(&self, name: &str) -> PathBuf {
        self.medium.path.join(name)
    }

    /// The id of a partition, as the kernel command line names it.
    pub fn partuuid(&self, role: Role) -> String {
        format!("PARTUUID={}", self.layout.partition(role).guid)
    }
}

fn sector_size(disk: &Disk) -> Option<SectorSize> {
    match disk.sector_size {
        512 => Some(SectorSize::B512),
        4096 => Some(SectorSize::B4096),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
