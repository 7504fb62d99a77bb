// SPDX-License-Identifier: MIT OR Apache-2.0
//! What will be done, decided before anything is written. Pure.

mod choose;
pub(crate) mod kept;
mod refusal;
mod show;
mod target;

use std::path::PathBuf;

use appliance_model::handover::{Bond, Handover, LocalSr, Management};
use image_formats::gpt::{DiskGuids, DiskLayout, Role, SectorSize};
use uuid::Uuid;

pub use kept::{Kept, KeptStorage};
pub use refusal::{PlanError, Refusal};
use target::Target;

use crate::answers::{
    Answers, DiskChoice, Hostname, InterfaceChoice, NetworkAnswer, NtpServer, OnSuccess,
    PasswordHash, RegionalAnswer, SshKey,
};
use crate::discovery::{Discovery, Disk, Medium, Nic};
use crate::hooks::{ScriptSource, Stage};
use crate::web::{Proxy, Url};

/// Where an array's content begins on its partitions, in bytes: what lies before it tells the kernel
/// what it is, so nothing takes one disk of a mirror for the whole.
pub const ARRAY_START: u64 = 1 << 20;

/// A decided installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The disk, as it was found.
    pub disk: Disk,
    /// Its partitions: new ones, or those of the host that is installed again.
    pub layout: DiskLayout,
    /// The second disk with the same content; none: the host is on one disk.
    pub mirror: Option<Mirror>,
    /// More disks for guests' storage, as they were found.
    pub storage_disks: Vec<Disk>,
    /// Whether guests' storage takes the rest of the system disk.
    pub storage_on_system: bool,
    /// What other disks lose by it, a line for each thing.
    pub torn: Vec<String>,
    /// What stays of the host that is there; none: nothing does.
    pub kept: Option<Kept>,
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
    /// The kernel's present names of the management cards, for people.
    pub nic_names: Vec<String>,
    /// All network cards, whose names the host keeps.
    pub nics: Vec<Nic>,
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

/// The second disk of a host that is on two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The disk, as it was found.
    pub disk: Disk,
    /// Its partitions, of the same sizes and at the same places as the first disk's.
    pub layout: DiskLayout,
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
    /// For a mirror.
    pub mirror: MirrorIds,
    /// The host's machine-id.
    pub machine: Uuid,
    /// The local SR's uuid.
    pub sr: Uuid,
}

/// What a mirror has besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorIds {
    /// Of the second disk and its partitions.
    pub guids: DiskGuids,
    /// Serial number of the second EFI system partition's file system.
    pub esp: u32,
    /// Of the arrays, by the place of what they hold in [`Role::ALL`].
    pub arrays: [Uuid; Role::ALL.len()],
}

impl Ids {
    /// New ones.
    pub fn random() -> Self {
        let partitions = || std::array::from_fn(|_| Uuid::new_v4());
        let guids = || DiskGuids { disk: Uuid::new_v4(), partitions: partitions() };
        let serial = || Uuid::new_v4().as_fields().0;
        Self {
            guids: guids(),
            state: Uuid::new_v4(),
            esp: serial(),
            mirror: MirrorIds { guids: guids(), esp: serial(), arrays: partitions() },
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
        let target = match answers.keep {
            true => Target::kept(answers, found, ids)?,
            false => Target::wiped(answers, found, ids)?,
        };
        target.check_room(&found.medium)?;
        let Target { disk, layout, mirror, storage, torn, kept, ids } = target;
        let nics = match &answers.network {
            Some(network) => choose::nics(&network.interface, &found.nics)?,
            None => Vec::new(),
        };
        let management = answers.network.as_ref().map(|network| management(network, &nics));
        let management = management.transpose()?;
        let uuid = ids.sr.to_string();
        let handover = Handover {
            pool_name: answers.pool_name.clone(),
            management,
            local_sr: answers.storage.as_ref().map(|sr| LocalSr { uuid, kind: sr.kind }),
            reinstallation: kept.as_ref().map(|_| ids.machine.to_string()),
        };
        Ok(Self {
            disk: disk.clone(),
            layout,
            storage_disks: storage.into_iter().cloned().collect(),
            storage_on_system: answers.storage.as_ref().is_some_and(|sr| sr.on_system),
            torn,
            kept,
            mirror,
            medium: found.medium.clone(),
            hostname: answers.hostname.clone(),
            root_password: answers.root_password.clone(),
            ssh_keys: answers.ssh_keys.clone(),
            ssh: answers.ssh,
            ntp: answers.ntp.clone(),
            regional: answers.regional.clone(),
            handover,
            nic_names: nics.iter().map(|nic| nic.name.clone()).collect(),
            nics: found.nics.clone(),
            on_success: answers.on_success,
            scripts: answers.hooks.scripts.clone(),
            webhook: answers.webhook.as_ref().map(|webhook| webhook.url.clone()),
            proxy: answers.proxy.clone(),
            ids,
        })
    }

    /// Whether a host is there that can be installed again.
    ///
    /// # Errors
    /// Why not.
    pub fn can_keep(disk: &DiskChoice, found: &Discovery) -> Result<(), PlanError> {
        kept::choose_host(disk, found).map(drop)
    }

    /// Whether a BIOS can start the disk; UEFI always can.
    pub fn bios_boots(&self) -> bool {
        self.layout.sector_size() == SectorSize::B512
    }

    /// A file on the medium.
    pub fn source(&self, name: &str) -> PathBuf {
        self.medium.path.join(name)
    }

    /// What the kernel command line calls a partition, or the array of a mirror.
    pub fn boot_name(&self, role: Role) -> String {
        match self.mirror {
            None => format!("PARTUUID={}", self.layout.partition(role).guid),
            Some(_) => format!("MD={}", role.name()),
        }
    }

    /// The arrays of a mirror with their ids; none without one.
    pub fn arrays(&self) -> Vec<(Role, Uuid)> {
        let all = Role::ALL.into_iter().zip(self.ids.mirror.arrays);
        all.filter(|(role, _)| self.mirror.is_some() && role.is_mirrored()).collect()
    }

    /// Names in the world of the host's disks that are reached over several paths.
    pub fn multipaths(&self) -> Vec<&str> {
        let multipaths = self.wiped().filter_map(|disk| disk.multipath.as_ref());
        multipaths.filter_map(|multipath| multipath.wwid.as_deref()).collect()
    }

    /// Every disk that gets partitions, the first one first.
    pub fn disks(&self) -> impl Iterator<Item = (&Disk, &DiskLayout)> {
        let second = self.mirror.as_ref().map(|mirror| (&mirror.disk, &mirror.layout));
        std::iter::once((&self.disk, &self.layout)).chain(second)
    }

    /// Every disk that is wiped, or whose system is written anew, those with partitions first.
    pub fn wiped(&self) -> impl Iterator<Item = &Disk> {
        self.disks().map(|(disk, _)| disk).chain(&self.storage_disks)
    }

    /// Paths of the disks that the host is on, in words.
    pub fn disk_names(&self) -> String {
        names(self.disks().map(|(disk, _)| disk))
    }

    /// Paths of the disks that are wiped, in words.
    pub fn wiped_names(&self) -> String {
        names(self.wiped())
    }
}

fn names<'a>(disks: impl Iterator<Item = &'a Disk>) -> String {
    let names: Vec<String> = disks.map(|disk| disk.path.display().to_string()).collect();
    match names.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        names => names.concat(),
    }
}

/// Neither an array nor a volume group can be over disks of different sectors.
fn alike(one: &Disk, other: &Disk) -> Result<(), PlanError> {
    match one.sector_size == other.sector_size {
        true => Ok(()),
        false => Err(PlanError::SectorSizes {
            disks: [one.path.clone(), other.path.clone()],
            sizes: [one.sector_size, other.sector_size],
        }),
    }
}

/// The disk's sectors, if it can be installed on.
fn usable(disk: &Disk) -> Result<SectorSize, PlanError> {
    let refused = |refusal| PlanError::Disk { disk: disk.path.clone(), refusal };
    if let Some(refusal) = Refusal::of(disk) {
        return Err(refused(refusal));
    }
    sector_size(disk).ok_or_else(|| refused(Refusal::SectorSize(disk.sector_size)))
}

/// What the toolstack is told of the network, once the cards are known.
///
/// # Errors
/// [`PlanError::Mtu`].
fn management(network: &NetworkAnswer, nics: &[&Nic]) -> Result<Management, PlanError> {
    for nic in nics {
        if let (Some(mtu), Some(most)) = (network.mtu, nic.max_mtu)
            && mtu > most
        {
            let nic = format!("{} {}", nic.name, nic.mac);
            return Err(PlanError::Mtu { nic, mtu, most });
        }
    }
    let members: Vec<String> = nics.iter().map(|nic| nic.mac.as_str().to_owned()).collect();
    let bond = match &network.interface {
        InterfaceChoice::Bond(bond) => {
            Some(Bond { members: members.clone(), mode: bond.mode, hash: bond.hash })
        }
        _ => None,
    };
    Ok(Management {
        mac: members.into_iter().next().unwrap_or_default(),
        vlan: network.vlan,
        mtu: network.mtu,
        dns: network.dns.clone(),
        mode: network.address.clone(),
        ipv6: network.ipv6.clone(),
        bond,
    })
}

/// The same without a disk: for a test of the network before the installation.
///
/// # Errors
/// The answers do not name cards that are there, or something of them that they cannot do.
pub fn management_on(network: &NetworkAnswer, nics: &[Nic]) -> Result<Management, PlanError> {
    management(network, &choose::nics(&network.interface, nics)?)
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
