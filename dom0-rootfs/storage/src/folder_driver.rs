// SPDX-License-Identifier: MIT OR Apache-2.0
//! What SRs have in common whose VDIs are files in a folder: raw ones, which are sparse, and of format
//! qcow2, which share what they have in common. A VDI stays what it was made as.

use std::path::PathBuf;

use uuid::Uuid;

use crate::driver::{About, DeviceConfig, Found, Mode, Place, SrDriver, SrSpec, SrStat, VdiInfo};
use crate::error::StorageError;
use crate::folder::Folder;
use crate::format::{self, ImageFormat};
use crate::loops;
use crate::program::System;
use crate::qcow2::{self, Qcow2};

/// What such drivers can do.
pub(crate) const FEATURES: &[&str] = &[
    "VDI_CREATE",
    "VDI_DELETE",
    "VDI_CLONE",
    "VDI_SNAPSHOT",
    "VDI_RESIZE",
    "VDI_RESIZE_ONLINE",
    "VDI_ATTACH",
    "VDI_DETACH",
    "SR_PROBE",
    "SR_UPDATE",
];

/// What such drivers say of the key of `device_config` that they share.
pub(crate) const CONFIGURATION: (&str, &str) = (
    format::PREFERRED,
    "formats of new VDIs, raw and qcow2, the one that is made by default first; by default raw,qcow2",
);

/// What tells such drivers apart; see [`SrDriver`] for what each call promises.
pub(crate) trait FolderDriver: Send + Sync {
    fn kind(&self) -> &'static str;
    fn about(&self) -> About;
    fn system(&self) -> &dyn System;
    fn place(&self, _sr: &SrSpec) -> Result<Place, StorageError> {
        Ok(Place::Here)
    }
    fn reach(&self, _sr: &SrSpec) -> Result<(), StorageError> {
        Ok(())
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

    /// The folder of an attached SR whose server does not answer, not to be looked into.
    fn unseen(&self, _sr: &SrSpec) -> Option<Folder> {
        None
    }

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

    /// The block device of a VDI that is active already, without a look at the VDI.
    fn active_unseen(
        &self,
        sr: &SrSpec,
        vdi: Uuid,
        mode: Mode,
    ) -> Result<Option<PathBuf>, StorageError> {
        let Some(folder) = self.unseen(sr) else { return Ok(None) };
        for disk in [folder.file(vdi), qcow2::disk(self.system(), sr, vdi)] {
            if let Some(found) = loops::active(self.system(), vdi, &disk, mode)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Detaches the block device of a VDI, without a look at the VDI.
    fn deactivate_unseen(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError> {
        let Some(folder) = self.unseen(sr) else { return Ok(()) };
        loops::detach_unseen(self.system(), &folder.file(vdi))?;
        qcow2::let_go(self.system(), sr, vdi)
    }

    /// The qcow2 VDIs of a folder.
    fn qcow2<'a>(&'a self, sr: &SrSpec, folder: &'a Folder) -> Qcow2<'a> {
        Qcow2::new(self.system(), sr, folder.path())
    }
}

impl<T: FolderDriver> SrDriver for T {
    fn kind(&self) -> &'static str {
        FolderDriver::kind(self)
    }

    fn about(&self) -> About {
        FolderDriver::about(self)
    }

    fn formats(&self) -> Vec<ImageFormat> {
        let qcow2 = qcow2::is_possible(self.system()).then_some(ImageFormat::Qcow2);
        [ImageFormat::Raw].into_iter().chain(qcow2).collect()
    }

    fn place(&self, sr: &SrSpec) -> Result<Place, StorageError> {
        FolderDriver::place(self, sr)
    }

    fn reach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        FolderDriver::reach(self, sr)
    }

    fn create(&self, sr: &SrSpec) -> Result<(), StorageError> {
        format::preferred(sr, &self.formats())?;
        FolderDriver::create(self, sr)
    }

    fn destroy(&self, sr: &SrSpec) -> Result<(), StorageError> {
        qcow2::close(self.system(), sr)?;
        FolderDriver::destroy(self, sr)
    }

    fn probe(&self, config: &DeviceConfig) -> Result<Option<Vec<Found>>, StorageError> {
        FolderDriver::probe(self, config)
    }

    fn attach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        format::preferred(sr, &self.formats())?;
        FolderDriver::attach(self, sr)?;
        self.attached(sr)?.clean()
    }

    fn detach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        qcow2::close(self.system(), sr)?;
        FolderDriver::detach(self, sr)
    }

    fn stat(&self, sr: &SrSpec) -> Result<SrStat, StorageError> {
        self.attached(sr)?.stat()
    }

    fn scan(&self, sr: &SrSpec) -> Result<Vec<VdiInfo>, StorageError> {
        let folder = self.attached(sr)?;
        let mut found = folder.scan()?;
        found.extend(self.qcow2(sr, &folder).scan()?);
        found.sort_by_key(|vdi| vdi.uuid);
        Ok(found)
    }

    fn vdi_create(
        &self,
        sr: &SrSpec,
        vdi: Uuid,
        size: u64,
        format: Option<ImageFormat>,
    ) -> Result<VdiInfo, StorageError> {
        let folder = self.attached(sr)?;
        match format::choose(sr, &self.formats(), format)? {
            ImageFormat::Raw => folder.create(vdi, size),
            ImageFormat::Qcow2 => self.qcow2(sr, &folder).create(vdi, size),
        }
    }

    fn vdi_destroy(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError> {
        let folder = self.attached(sr)?;
        let qcow2 = self.qcow2(sr, &folder);
        if qcow2.has(vdi)? {
            return qcow2.destroy(vdi);
        }
        loops::refuse_active(self.system(), vdi, &folder.file(vdi))?;
        folder.destroy(vdi)
    }

    fn vdi_clone(&self, sr: &SrSpec, from: Uuid, to: Uuid) -> Result<VdiInfo, StorageError> {
        let folder = self.attached(sr)?;
        let qcow2 = self.qcow2(sr, &folder);
        if qcow2.has(from)? { qcow2.clone(from, to) } else { folder.copy(from, to) }
    }

    fn vdi_resize(&self, sr: &SrSpec, vdi: Uuid, size: u64) -> Result<VdiInfo, StorageError> {
        let folder = self.attached(sr)?;
        let qcow2 = self.qcow2(sr, &folder);
        if qcow2.has(vdi)? {
            return qcow2.grow(vdi, size);
        }
        let info = folder.grow(vdi, size)?;
        loops::grown(self.system(), &folder.file(vdi))?;
        Ok(info)
    }

    fn vdi_activate(&self, sr: &SrSpec, vdi: Uuid, mode: Mode) -> Result<PathBuf, StorageError> {
        let folder = match self.attached(sr) {
            Err(error @ StorageError::NoAnswer(_)) => {
                // A guest that runs has it since before the toolstack was started.
                return self.active_unseen(sr, vdi, mode)?.ok_or(error);
            }
            folder => folder?,
        };
        let qcow2 = self.qcow2(sr, &folder);
        if qcow2.has(vdi)? {
            return qcow2.activate(vdi, mode);
        }
        folder.info(vdi)?;
        loops::activate(self.system(), vdi, &folder.file(vdi), mode)
    }

    fn vdi_deactivate(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError> {
        let folder = match self.folder(sr) {
            Err(StorageError::NoAnswer(_)) => return self.deactivate_unseen(sr, vdi),
            folder => folder?,
        };
        // An SR that is not attached has no active VDI.
        let Some(folder) = folder else { return Ok(()) };
        let qcow2 = self.qcow2(sr, &folder);
        if qcow2.has(vdi)? {
            return qcow2.deactivate(vdi);
        }
        match folder.info(vdi) {
            Ok(_) => loops::deactivate(self.system(), &folder.file(vdi)),
            Err(StorageError::NoSuchVdi(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn tidy(&self, sr: &SrSpec) -> Result<bool, StorageError> {
        match self.folder(sr)? {
            Some(folder) => self.qcow2(sr, &folder).tidy(),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::{ImageFormat, format};
    use crate::driver::{SrDriver, SrSpec};
    use crate::error::StorageError;
    use crate::file::FileDriver;
    use crate::program::System;
    use crate::testing::FakeHost;

    #[test]
    fn formats_are_those_that_the_host_has_programs_for() {
        let (host, place) = (Arc::new(FakeHost::new()), tempfile::tempdir().unwrap());
        let sr = |preferred: &str| {
            let location = place.path().to_str().unwrap().to_owned();
            let config = [("location".to_owned(), location)];
            let preferred = (format::PREFERRED.to_owned(), preferred.to_owned());
            SrSpec {
                uuid: Uuid::nil(),
                device_config: config.into_iter().chain([preferred]).collect(),
            }
        };
        let driver: &dyn SrDriver = &FileDriver::new(host.clone());
        for wrong in ["vhd,qcow2", "qcow2 raw"] {
            let refused = driver.create(&sr(wrong)).unwrap_err().to_string();
            assert!(refused.ends_with(&format!("is {wrong}; of raw, qcow2 only")), "{refused}");
        }
        assert_eq!(place.path().read_dir().unwrap().count(), 0, "nothing was made");
        driver.create(&sr("qcow2,raw")).unwrap();
        let made = |preferred: &str, vdi: u128| {
            let made = driver.vdi_create(&sr(preferred), Uuid::from_u128(vdi), 1 << 20, None);
            made.map(|made| made.format).map_err(|error| error.to_string())
        };
        assert_eq!(made("qcow2,raw", 1), Ok(Some(ImageFormat::Qcow2)));
        assert_eq!(made("raw", 2), Ok(Some(ImageFormat::Raw)));
        let all = driver.scan(&sr("raw")).unwrap();
        assert_eq!(all.len(), 2, "one beside the other: {all:?}");

        std::fs::remove_file(host.root().join("usr/bin/qemu-storage-daemon")).unwrap();
        assert_eq!(driver.formats(), [ImageFormat::Raw]);
        assert!(made("qcow2", 3).unwrap_err().ends_with("of raw only"));
        let asked = Some(ImageFormat::Qcow2);
        let refused = driver.vdi_create(&sr("raw"), Uuid::from_u128(3), 1 << 20, asked);
        assert!(matches!(refused, Err(StorageError::Format { .. })), "{refused:?}");
    }
}
