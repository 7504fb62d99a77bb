// SPDX-License-Identifier: MIT OR Apache-2.0
//! `nfs`: VDIs in a folder of an NFS server.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::driver::{About, DeviceConfig, Found, Place, SrSpec};
use crate::error::StorageError;
use crate::export::Export;
use crate::folder::Folder;
use crate::folder_driver::{CONFIGURATION, FEATURES, FolderDriver};
use crate::mount::Mount;
use crate::program::{System, io};

/// VDIs below an export, in a folder named after the SR.
pub struct NfsDriver {
    system: Arc<dyn System>,
}

impl NfsDriver {
    /// The driver on a host.
    pub fn new(system: Arc<dyn System>) -> Self {
        Self { system }
    }

    fn mount(&self, sr: &SrSpec) -> Mount<'_> {
        Mount::of(&*self.system, sr.uuid)
    }

    /// Does something to the SR's folder in the export itself, with the SR detached.
    fn in_export(
        &self,
        sr: &SrSpec,
        work: impl FnOnce(&Path) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let (export, mount) = (Export::of(sr)?, self.mount(sr));
        // What an interrupted call mounted, or the SR itself.
        mount.unmount()?;
        mount.mount("nfs", export.options(), &export.source())?;
        let done = work(&mount.path().join(sr.uuid.to_string()));
        let unmounted = mount.unmount();
        done.and(unmounted)
    }
}

impl FolderDriver for NfsDriver {
    fn kind(&self) -> &'static str {
        "nfs"
    }

    fn system(&self) -> &dyn System {
        &*self.system
    }

    fn place(&self, sr: &SrSpec) -> Result<Place, StorageError> {
        Ok(Place::Elsewhere { attached: self.mount(sr).mounted()? })
    }

    fn about(&self) -> About {
        About {
            name: "NFS",
            description: "Raw or qcow2 files in a folder of an NFS server",
            configuration: &[
                ("server", "name or address of the server"),
                ("serverpath", "the folder it exports; one named after the SR is made in it"),
                ("nfsversion", "3, 4, 4.0, 4.1 or 4.2; by default what both sides know, up to 4.1"),
                ("options", "further options of nfs(5), with commas between them"),
                CONFIGURATION,
            ],
            features: FEATURES,
        }
    }

    fn create(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.in_export(sr, |folder| match fs::create_dir(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made.map_err(io(format!(
                "creating folder {} in {} (may root of this host write there?)",
                sr.uuid,
                Export::of(sr)?.source()
            ))),
        })
    }

    fn probe(&self, config: &DeviceConfig) -> Result<Option<Vec<Found>>, StorageError> {
        // Of no SR: only where it is mounted meanwhile is called so.
        let look = SrSpec { uuid: Uuid::new_v4(), device_config: config.clone() };
        let mut found = Vec::new();
        self.in_export(&look, |folder| {
            let export = folder.parent().unwrap_or(folder);
            let reading = || io(format!("reading {}", export.display()));
            for entry in fs::read_dir(export).map_err(reading())? {
                let entry = entry.map_err(reading())?;
                let uuid = entry.file_name().to_str().and_then(|name| name.parse().ok());
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                found.extend(uuid.filter(|_| is_folder).map(|uuid| Found {
                    uuid,
                    devices: Vec::new(),
                    size: None,
                }));
            }
            Ok(())
        })?;
        found.sort_by_key(|sr| sr.uuid);
        Ok(Some(found))
    }

    fn destroy(&self, sr: &SrSpec) -> Result<(), StorageError> {
        if let Some(folder) = self.folder(sr)? {
            self.refuse_active(&folder)?;
        }
        self.in_export(sr, |path| {
            if !path.exists() {
                return Ok(());
            }
            Folder::new(path.to_owned()).destroy_all()?;
            fs::remove_dir(path).map_err(io(format!("removing folder {}", sr.uuid)))
        })
    }

    fn attach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        let mount = self.mount(sr);
        if mount.mounted()? {
            return Ok(());
        }
        let export = Export::of(sr)?.below(&sr.uuid.to_string());
        mount.mount("nfs", export.options(), &export.source())
    }

    fn detach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.mount(sr).unmount()
    }

    fn folder(&self, sr: &SrSpec) -> Result<Option<Folder>, StorageError> {
        self.mount(sr).folder()
    }
}
