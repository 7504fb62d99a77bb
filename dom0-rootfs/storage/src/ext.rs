// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ext`: VDIs in an ext4 filesystem on a logical volume of its own.

use std::sync::Arc;

use crate::device;
use crate::driver::{About, DeviceConfig, Found, SrSpec};
use crate::error::StorageError;
use crate::folder::Folder;
use crate::folder_driver::{CONFIGURATION, FEATURES, FolderDriver};
use crate::lvm::{self, VolumeGroup};
use crate::mount::Mount;
use crate::program::System;

const VOLUME: &str = "data";

/// ext4 on volume `data` over the whole group, mounted at `/run/sr-mount/<uuid>`.
pub struct ExtDriver {
    system: Arc<dyn System>,
}

impl ExtDriver {
    /// The driver on a host.
    pub fn new(system: Arc<dyn System>) -> Self {
        Self { system }
    }

    fn mount(&self, sr: &SrSpec) -> Mount<'_> {
        Mount::of(&*self.system, sr.uuid)
    }

    fn group(&self, sr: &SrSpec) -> VolumeGroup<'_> {
        VolumeGroup::of(&*self.system, sr.uuid)
    }
}

impl FolderDriver for ExtDriver {
    fn kind(&self) -> &'static str {
        "ext"
    }

    fn system(&self) -> &dyn System {
        &*self.system
    }

    fn about(&self) -> About {
        About {
            name: "Local EXT4",
            description: "Raw or qcow2 files in an ext4 filesystem on a disk of the host",
            configuration: &[
                ("device", "the disk or partition, for example /dev/sdb"),
                ("force", "true: overwrite a filesystem or partition table on the device"),
                CONFIGURATION,
            ],
            features: FEATURES,
        }
    }

    fn create(&self, sr: &SrSpec) -> Result<(), StorageError> {
        let group = self.group(sr);
        group.create(sr)?;
        if group.volume(VOLUME)?.is_none() {
            // Wiped, so that the signature looked for below can only be our own.
            let args = ["--yes", "--wipesignatures", "y", "--zero", "y", "--extents", "100%FREE"];
            group.lvm("lvcreate", &[&args[..], &["--name", VOLUME, &group.name]].concat())?;
        }
        group.lvm("lvchange", &["--activate", "y", &group.full(VOLUME)])?;
        let node = group.node(VOLUME);
        // mkfs writes the superblock last, so one that is there says that the filesystem is whole.
        if !device::signatures(&*self.system, &node)?.iter().any(|found| found.kind == "ext4") {
            let doing = format!("making the filesystem of SR {}", sr.uuid);
            let args = ["-q", "-F", "-m", "0", "-T", "largefile", "-L", "sr"];
            let node = node.to_string_lossy();
            self.system.must(&doing, "mkfs.ext4", &[&args[..], &[&*node]].concat())?;
        }
        Ok(())
    }

    fn probe(&self, config: &DeviceConfig) -> Result<Option<Vec<Found>>, StorageError> {
        lvm::probe(&*self.system, config, VOLUME).map(Some)
    }

    fn destroy(&self, sr: &SrSpec) -> Result<(), StorageError> {
        if let Some(folder) = self.folder(sr)? {
            self.refuse_active(&folder)?;
        }
        self.detach(sr)?;
        self.group(sr).destroy(sr)
    }

    fn attach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        let mount = self.mount(sr);
        if mount.mounted()? {
            return Ok(());
        }
        let group = self.group(sr);
        if group.volume(VOLUME)?.is_none() {
            return Err(StorageError::Failed {
                doing: format!("attaching SR {}", sr.uuid),
                detail: format!("no disk of this host holds volume {}", group.full(VOLUME)),
            });
        }
        group.lvm("lvchange", &["--activate", "y", &group.full(VOLUME)])?;
        mount.mount("ext4", "", &group.node(VOLUME).to_string_lossy())
    }

    fn detach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.mount(sr).unmount()?;
        let group = self.group(sr);
        if group.size()?.is_some() {
            group.lvm("vgchange", &["--activate", "n", &group.name])?;
        }
        Ok(())
    }

    fn folder(&self, sr: &SrSpec) -> Result<Option<Folder>, StorageError> {
        self.mount(sr).folder()
    }
}
