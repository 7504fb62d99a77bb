// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was chosen and typed, and the answers it makes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use appliance_model::handover::LocalSrKind;
use installer_core::answers::{
    Answers, BadField, DiskChoice, Hostname, OnSuccess, PasswordHash, StorageAnswer,
};
use installer_core::discovery::{Discovery, Disk};
use installer_core::hooks::HookAnswers;
use installer_core::plan::Refusal;

use super::{Field, NetworkForm, Purpose, RegionalForm};

/// Kinds of local storage, in the order of the screen.
pub const STORAGE: &[(&str, Option<LocalSrKind>)] = &[
    ("image files on ext4", Some(LocalSrKind::Ext)),
    ("thin logical volumes", Some(LocalSrKind::LvmThin)),
    ("none", None),
];

/// Everything that the screens ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Whether guests and their storage stay of a host that is there.
    pub keep: bool,
    /// Index among the candidates.
    pub disk: usize,
    /// What further disks are for, by path.
    pub purposes: BTreeMap<PathBuf, Purpose>,
    /// Index among the further disks.
    pub more: usize,
    /// Whether guests' storage leaves the rest of the system disk unused.
    pub only_more: bool,
    /// Index in [`STORAGE`].
    pub storage: usize,
    /// The host's name.
    pub hostname: Field,
    /// The network screen.
    pub network: NetworkForm,
    /// The password screen.
    pub password: PasswordForm,
    /// Keyboard and time zone.
    pub regional: RegionalForm,
    /// Typed consent.
    pub consent: Field,
}

/// The password screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PasswordForm {
    /// 0 password, 1 the same again, 2 SSH.
    pub focus: usize,
    /// The password.
    pub first: Field,
    /// The same again.
    pub second: Field,
    /// Whether the SSH server starts.
    pub ssh: bool,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            keep: false,
            disk: 0,
            purposes: BTreeMap::new(),
            more: 0,
            only_more: false,
            storage: 0,
            hostname: Field::new("xenith"),
            network: NetworkForm::default(),
            password: PasswordForm::default(),
            regional: RegionalForm::default(),
            consent: Field::default(),
        }
    }
}

impl Form {
    /// Keeps the choices within what the machine has. The disk that was selected `before` stays so
    /// if it is still there; otherwise the first one that can be used is.
    pub(super) fn fit(&mut self, found: &Discovery, before: Option<&Discovery>) {
        let disks: Vec<&Disk> = found.candidates().collect();
        let path = before.and_then(|before| self.disk(before)).map(|disk| &disk.path);
        let kept = disks.iter().position(|disk| Some(&disk.path) == path);
        let usable = disks.iter().position(|disk| Refusal::of(disk).is_none());
        self.disk = kept.or(usable).unwrap_or(0);
        self.purposes.retain(|path, _| disks.iter().any(|disk| disk.path == *path));
        let connected = found.nics.iter().position(|nic| nic.carrier == Some(true));
        self.network.card = connected.unwrap_or(0);
        self.consent = Field::default();
    }

    /// The selected disk.
    pub fn disk<'a>(&self, found: &'a Discovery) -> Option<&'a Disk> {
        found.candidates().nth(self.disk)
    }

    /// The host's name.
    ///
    /// # Errors
    /// The sentence for the screen.
    pub fn hostname(&self) -> Result<Hostname, BadField> {
        self.hostname.text().trim().parse()
    }

    /// Root's password, hashed.
    ///
    /// # Errors
    /// The sentence for the screen.
    pub fn password(&self) -> Result<PasswordHash, BadField> {
        let form = &self.password;
        let hash = PasswordHash::of_plain(form.first.text())?;
        match form.first.text() == form.second.text() {
            true => Ok(hash),
            false => Err(BadField::new("the two passwords are not the same")),
        }
    }

    /// Guests' storage; none if there is to be none.
    ///
    /// # Errors
    /// The sentence for the screen.
    pub fn storage(&self, found: &Discovery) -> Result<Option<StorageAnswer>, BadField> {
        let disks = self.disks_for(Purpose::Storage, found);
        match STORAGE[self.storage].1 {
            None if disks.is_empty() => Ok(None),
            None => Err(BadField::new(
                "disks are chosen for guests' storage, but of what kind it is says \"none\"",
            )),
            Some(kind) => {
                let on_system = !self.only_more || disks.is_empty();
                let disks = disks.into_iter().map(DiskChoice::Device).collect();
                Ok(Some(StorageAnswer { kind, on_system, disks }))
            }
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// The first thing that is not right.
    pub fn answers(&self, found: &Discovery) -> Result<Answers, BadField> {
        let disk = self.disk(found).ok_or_else(|| BadField::new("no disk is selected"))?;
        Ok(Answers {
            disk: DiskChoice::Device(disk.path.clone()),
            keep: self.keep,
            mirror: match self.keep {
                true => None,
                false => self.disks_for(Purpose::Mirror, found).pop().map(DiskChoice::Device),
            },
            hostname: self.hostname()?,
            network: self.network.answer(found)?,
            root_password: self.password()?,
            ssh_keys: Vec::new(),
            ssh: self.password.ssh,
            storage: if self.keep { None } else { self.storage(found)? },
            ntp: Vec::new(),
            regional: self.regional.answer(),
            pool_name: String::new(),
            on_success: OnSuccess::Reboot,
            hooks: HookAnswers::default(),
            webhook: None,
            proxy: None,
        })
    }
}
