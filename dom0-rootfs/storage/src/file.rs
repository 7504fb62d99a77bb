// SPDX-License-Identifier: MIT OR Apache-2.0
//! `file`: VDIs in a folder of a filesystem that somebody else looks after.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::driver::{About, SrSpec};
use crate::error::StorageError;
use crate::folder::Folder;
use crate::folder_driver::{CONFIGURATION, FEATURES, FolderDriver};
use crate::program::{System, io};

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
}

impl FolderDriver for FileDriver {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn system(&self) -> &dyn System {
        &*self.system
    }

    fn about(&self) -> About {
        About {
            name: "Folder",
            description: "Raw or qcow2 files in a folder of a filesystem that is mounted on the host",
            configuration: &[
                ("location", "a folder on the host; a folder named after the SR is made in it"),
                CONFIGURATION,
            ],
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
        self.refuse_active(&folder)?;
        folder.destroy_all()?;
        fs::remove_dir(&path).map_err(io(format!("removing {}", path.display())))
    }

    /// It is there or it is not; there is nothing to do.
    fn attach(&self, _sr: &SrSpec) -> Result<(), StorageError> {
        Ok(())
    }

    fn detach(&self, _sr: &SrSpec) -> Result<(), StorageError> {
        Ok(())
    }

    fn folder(&self, sr: &SrSpec) -> Result<Option<Folder>, StorageError> {
        let path = self.path(sr)?;
        if !path.is_dir() {
            return Err(StorageError::Failed {
                doing: format!("looking for SR {}", sr.uuid),
                detail: format!("{} does not exist", path.display()),
            });
        }
        Ok(Some(Folder::new(path)))
    }
}
