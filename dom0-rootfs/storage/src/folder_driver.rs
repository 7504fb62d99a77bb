// SPDX-License-Identifier: MIT OR Apache-2.0
//! What SRs have in common whose VDIs are sparse files in a folder.

use std::path::PathBuf;

use uuid::Uuid;

use crate::driver::{About, DeviceConfig, Found, Mode, Place, SrDriver, SrSpec, SrStat, VdiInfo};
use crate::error::StorageError;
use crate::folder::Folder;
use crate::loops;
use crate::program::System;

/// What such drivers can do.
pub(crate) const FEATURES: &[&str] = &[
    "VDI_CREATE",
    "VDI_DELETE",
    "VDI_CLONE",
    "VDI_SNAPSHOT",
    "VDI_RESIZE",
    "VDI_ATTACH",
    "VDI_DETACH",
    "SR_PROBE",
    "SR_UPDATE",
];

/// What tells such drivers apart; see [`SrDriver`] for what each call promises.
pub(crate) trait FolderDriver: Send + Sync {
    fn kind(&self) -> &'static str;
    fn about(&self) -> About;
    fn system(&self) -> &dyn System;
    fn place(&self, _sr: &SrSpec) -> Result<Place, StorageError> {
        Ok(Place::Here)
    }
    fn create(&self, sr: &SrSpec) -> Result<(), StorageError>;
    fn probe(&self, _config: &DeviceConfig) -> Result<Option<Vec<Found>>, StorageError> {
        Ok(None)
    }
    fn destroy(&self, sr: &SrSpec) -> Result<(), StorageError>;
    /// Makes the folder reachable.
    fn attach(&self, sr: &SrSpec) -> Result<(), StorageError>;
    fn detach(&self, sr: &SrSpec) -> Result<(), StorageError>;
    /// The folder of an attached SR; none if it is not attached to this host.
    fn folder(&self, sr: &SrSpec) -> Result<Option<Folder>, StorageError>;

    /// The folder of an SR that has to be attached.
    fn attached(&self, sr: &SrSpec) -> Result<Folder, StorageError> {
        self.folder(sr)?.ok_or(StorageError::NotAttached(sr.uuid))
    }

    /// Refuses when any VDI in a folder is a block device now.
    fn refuse_active(&self, folder: &Folder) -> Result<(), StorageError> {
        let vdis = folder.scan()?;
        vdis.iter().try_for_each(|vdi| {
            loops::refuse_active(self.system(), vdi.uuid, &folder.file(vdi.uuid))
        })
    }
}

impl<T: FolderDriver> SrDriver for T {
    fn kind(&self) -> &'static str {
        FolderDriver::kind(self)
    }

    fn about(&self) -> About {
        FolderDriver::about(self)
    }

    fn place(&self, sr: &SrSpec) -> Result<Place, StorageError> {
        FolderDriver::place(self, sr)
    }

    fn create(&self, sr: &SrSpec) -> Result<(), StorageError> {
        FolderDriver::create(self, sr)
    }

    fn destroy(&self, sr: &SrSpec) -> Result<(), StorageError> {
        FolderDriver::destroy(self, sr)
    }

    fn probe(&self, config: &DeviceConfig) -> Result<Option<Vec<Found>>, StorageError> {
        FolderDriver::probe(self, config)
    }

    fn attach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        FolderDriver::attach(self, sr)?;
        self.attached(sr)?.clean()
    }

    fn detach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        FolderDriver::detach(self, sr)
    }

    fn stat(&self, sr: &SrSpec) -> Result<SrStat, StorageError> {
        self.attached(sr)?.stat()
    }

    fn scan(&self, sr: &SrSpec) -> Result<Vec<VdiInfo>, StorageError> {
        self.attached(sr)?.scan()
    }

    fn vdi_create(&self, sr: &SrSpec, vdi: Uuid, size: u64) -> Result<VdiInfo, StorageError> {
        self.attached(sr)?.create(vdi, size)
    }

    fn vdi_destroy(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError> {
        let folder = self.attached(sr)?;
        loops::refuse_active(self.system(), vdi, &folder.file(vdi))?;
        folder.destroy(vdi)
    }

    fn vdi_clone(&self, sr: &SrSpec, from: Uuid, to: Uuid) -> Result<VdiInfo, StorageError> {
        self.attached(sr)?.copy(from, to)
    }

    fn vdi_resize(&self, sr: &SrSpec, vdi: Uuid, size: u64) -> Result<VdiInfo, StorageError> {
        let folder = self.attached(sr)?;
        let info = folder.grow(vdi, size)?;
        loops::grown(self.system(), &folder.file(vdi))?;
        Ok(info)
    }

    fn vdi_activate(&self, sr: &SrSpec, vdi: Uuid, mode: Mode) -> Result<PathBuf, StorageError> {
        let folder = self.attached(sr)?;
        folder.info(vdi)?;
        loops::activate(self.system(), vdi, &folder.file(vdi), mode)
    }

    fn vdi_deactivate(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError> {
        // An SR that is not attached has no active VDI.
        let Some(folder) = self.folder(sr)? else { return Ok(()) };
        match folder.info(vdi) {
            Ok(_) => loops::deactivate(self.system(), &folder.file(vdi)),
            Err(StorageError::NoSuchVdi(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
