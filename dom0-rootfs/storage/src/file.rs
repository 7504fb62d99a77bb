// SPDX-License-Identifier: MIT OR Apache-2.0
//! `file`: VDIs in a folder of a filesystem that somebody else looks after.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use crate::driver::{About, Mode, SrDriver, SrSpec, SrStat, VdiInfo};
use crate::error::StorageError;
use crate::folder::Folder;
use crate::loops;
use crate::program::{System, io};

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

/// VDIs below `device_config:location`, in a folder named after the SR.
pub struct FileDriver {
    system: Arc<dyn System>,
}

impl FileDriver {
    /// The driver on a host.
    pub fn new(system: Arc<dyn System>) -> Self {
        Self { system }
    }

    fn path(&self, sr: &SrSpec) -> Result<PathBuf, StorageError> {
        let wrong = |problem: String| StorageError::Config { key: "location".to_owned(), problem };
        let location = sr
            .device_config
            .get("location")
            .ok_or_else(|| wrong("is missing: a folder on this host".to_owned()))?;
        if !location.starts_with('/') {
            return Err(wrong(format!("is {location}, no absolute path")));
        }
        let location = PathBuf::from(location);
        if !location.is_dir() {
            return Err(wrong(format!("is {}, no folder on this host", location.display())));
        }
        Ok(location.join(sr.uuid.to_string()))
    }

    fn folder(&self, sr: &SrSpec) -> Result<Folder, StorageError> {
        let path = self.path(sr)?;
        if !path.is_dir() {
            return Err(StorageError::Failed {
                doing: format!("looking for SR {}", sr.uuid),
                detail: format!("{} does not exist", path.display()),
            });
        }
        Ok(Folder::new(path))
    }
}

impl SrDriver for FileDriver {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn about(&self) -> About {
        About {
            name: "Folder",
            description: "Sparse files in a folder of a filesystem that is mounted on the host",
            configuration: &[(
                "location",
                "a folder on the host; a folder named after the SR is made in it",
            )],
            features: FEATURES,
        }
    }

    fn create(&self, sr: &SrSpec) -> Result<(), StorageError> {
        let path = self.path(sr)?;
        fs::create_dir_all(&path).map_err(io(format!("creating {}", path.display())))
    }

    fn destroy(&self, sr: &SrSpec) -> Result<(), StorageError> {
        let path = self.path(sr)?;
        if !path.exists() {
            return Ok(());
        }
        let folder = Folder::new(path.clone());
        for vdi in folder.scan()? {
            loops::refuse_active(&*self.system, vdi.uuid, &folder.file(vdi.uuid))?;
        }
        folder.destroy_all()?;
        fs::remove_dir(&path).map_err(io(format!("removing {}", path.display())))
    }

    fn attach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.folder(sr)?.clean()
    }

    fn detach(&self, _sr: &SrSpec) -> Result<(), StorageError> {
        Ok(())
    }

    fn stat(&self, sr: &SrSpec) -> Result<SrStat, StorageError> {
        self.folder(sr)?.stat()
    }

    fn scan(&self, sr: &SrSpec) -> Result<Vec<VdiInfo>, StorageError> {
        self.folder(sr)?.scan()
    }

    fn vdi_create(&self, sr: &SrSpec, vdi: Uuid, size: u64) -> Result<VdiInfo, StorageError> {
        self.folder(sr)?.create(vdi, size)
    }

    fn vdi_destroy(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError> {
        let folder = self.folder(sr)?;
        loops::refuse_active(&*self.system, vdi, &folder.file(vdi))?;
        folder.destroy(vdi)
    }

    fn vdi_clone(&self, sr: &SrSpec, from: Uuid, to: Uuid) -> Result<VdiInfo, StorageError> {
        self.folder(sr)?.copy(from, to)
    }

    fn vdi_resize(&self, sr: &SrSpec, vdi: Uuid, size: u64) -> Result<VdiInfo, StorageError> {
        let folder = self.folder(sr)?;
        let info = folder.grow(vdi, size)?;
        loops::grown(&*self.system, &folder.file(vdi))?;
        Ok(info)
    }

    fn vdi_activate(&self, sr: &SrSpec, vdi: Uuid, mode: Mode) -> Result<PathBuf, StorageError> {
        let folder = self.folder(sr)?;
        folder.info(vdi)?;
        loops::activate(&*self.system, vdi, &folder.file(vdi), mode)
    }

    fn vdi_deactivate(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError> {
        let folder = self.folder(sr)?;
        match folder.info(vdi) {
            Ok(_) => loops::deactivate(&*self.system, &folder.file(vdi)),
            Err(StorageError::NoSuchVdi(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
