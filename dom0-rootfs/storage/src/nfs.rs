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
        mount.unmount_nfs()?;
        mount.mount_nfs(export.options(), &export.source())?;
        let done = work(&mount.path().join(sr.uuid.to_string()));
        let unmounted = mount.unmount_nfs();
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
        mount.mount_nfs(export.options(), &export.source())
    }

    fn detach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.mount(sr).unmount_nfs()
    }

    fn folder(&self, sr: &SrSpec) -> Result<Option<Folder>, StorageError> {
        let mount = self.mount(sr);
        mount.reach()?;
        mount.folder()
    }

    fn reach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.mount(sr).reach()
    }

    fn unseen(&self, sr: &SrSpec) -> Option<Folder> {
        Some(Folder::new(self.mount(sr).path()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::driver::{Mode, SrDriver};
    use crate::format::ImageFormat;
    use crate::testing::FakeHost;

    const ONE: Uuid = Uuid::from_u128(1);
    const TWO: Uuid = Uuid::from_u128(2);

    fn sr(uuid: u128) -> SrSpec {
        let config = [("server", "nas"), ("serverpath", "/vms")];
        let config = config.map(|(key, value)| (key.to_owned(), value.to_owned()));
        SrSpec { uuid: Uuid::from_u128(uuid), device_config: config.into() }
    }

    fn host(format: ImageFormat) -> (Arc<FakeHost>, NfsDriver, PathBuf) {
        let host = Arc::new(FakeHost::new());
        let driver = NfsDriver::new(host.clone());
        let sr = sr(9);
        SrDriver::create(&driver, &sr).unwrap();
        SrDriver::attach(&driver, &sr).unwrap();
        for vdi in [ONE, TWO] {
            driver.vdi_create(&sr, vdi, 1 << 20, Some(format)).unwrap();
        }
        let node = driver.vdi_activate(&sr, ONE, Mode::ReadWrite).unwrap();
        host.lose_servers(true);
        (host, driver, node)
    }

    fn silent<T>(answer: Result<T, StorageError>) -> bool {
        matches!(answer, Err(StorageError::NoAnswer(_)))
    }

    #[test]
    fn nothing_waits_for_a_server_that_is_gone() {
        for format in [ImageFormat::Raw, ImageFormat::Qcow2] {
            let (host, driver, node) = host(format);
            let sr = sr(9);
            for asked in [
                SrDriver::reach(&driver, &sr),
                driver.stat(&sr).map(drop),
                driver.scan(&sr).map(drop),
                driver.vdi_create(&sr, Uuid::from_u128(3), 1 << 20, Some(format)).map(drop),
                driver.vdi_destroy(&sr, TWO),
                driver.vdi_clone(&sr, TWO, Uuid::from_u128(3)).map(drop),
                driver.vdi_resize(&sr, TWO, 2 << 20).map(drop),
                driver.vdi_activate(&sr, TWO, Mode::ReadWrite).map(drop),
                driver.tidy(&sr).map(drop),
                SrDriver::attach(&driver, &sr),
                SrDriver::create(&driver, &self::sr(10)),
                SrDriver::probe(&driver, &sr.device_config).map(drop),
            ] {
                assert!(silent(asked));
            }
            // What a guest has stays its own when the toolstack is started anew.
            let again = driver.vdi_activate(&sr, ONE, Mode::ReadWrite).unwrap();
            assert_eq!(again, node);
            let other = driver.vdi_activate(&sr, ONE, Mode::ReadOnly);
            assert!(matches!(other, Err(StorageError::VdiInUse(_))));
            assert_eq!(host.model().loops.len(), 1);
            host.lose_servers(false);
            assert_eq!(driver.scan(&sr).unwrap().len(), 2);
            driver.vdi_deactivate(&sr, ONE).unwrap();
            SrDriver::detach(&driver, &sr).unwrap();
            SrDriver::destroy(&driver, &sr).unwrap();
            assert_eq!(host.model(), FakeHost::new().model());
        }
    }

    #[test]
    fn an_sr_whose_server_is_gone_is_let_go_of() {
        let (host, driver, _) = host(ImageFormat::Raw);
        let sr = sr(9);
        for vdi in [ONE, TWO, ONE] {
            driver.vdi_deactivate(&sr, vdi).unwrap();
        }
        SrDriver::detach(&driver, &sr).unwrap();
        assert_eq!(host.model(), FakeHost::new().model());
        assert!(silent(SrDriver::attach(&driver, &sr)));
        assert_eq!(host.model(), FakeHost::new().model());
        host.lose_servers(false);
        SrDriver::attach(&driver, &sr).unwrap();
        assert_eq!(driver.scan(&sr).unwrap().len(), 2);
    }

    #[test]
    fn what_serves_a_disk_ends_when_its_server_is_back() {
        let (host, driver, _) = host(ImageFormat::Qcow2);
        let sr = sr(9);
        driver.vdi_deactivate(&sr, TWO).unwrap();
        for _ in 0..2 {
            assert!(silent(driver.vdi_deactivate(&sr, ONE)));
            assert!(host.model().loops.is_empty() && host.served(sr.uuid, ONE).is_some());
        }
        host.lose_servers(false);
        driver.vdi_deactivate(&sr, ONE).unwrap();
        assert!(host.served(sr.uuid, ONE).is_none());
    }
}
