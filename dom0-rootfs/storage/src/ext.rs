// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ext`: VDIs in an ext4 filesystem on a logical volume of its own.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use crate::driver::{About, Mode, SrDriver, SrSpec, SrStat, VdiInfo};
use crate::error::StorageError;
use crate::folder::Folder;
use crate::lvm::VolumeGroup;
use crate::program::{System, io};
use crate::{device, loops};

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

    fn group(&self, sr: &SrSpec) -> VolumeGroup<'_> {
        VolumeGroup::of(&*self.system, sr.uuid)
    }

    fn folder(&self, sr: &SrSpec) -> Result<Folder, StorageError> {
        let mount = mount_point(sr);
        if !device::mounted(&*self.system, &mount)? {
            return Err(StorageError::Failed {
                doing: format!("looking into SR {}", sr.uuid),
                detail: "it is not attached to this host".to_owned(),
            });
        }
        Ok(Folder::new(self.system.path(&mount)))
    }
}

fn mount_point(sr: &SrSpec) -> String {
    format!("/run/sr-mount/{}", sr.uuid)
}

impl SrDriver for ExtDriver {
    fn kind(&self) -> &'static str {
        "ext"
    }

    fn about(&self) -> About {
        About {
            name: "Local EXT4",
            description: "Sparse files in an ext4 filesystem on a disk of the host",
            configuration: &[
                ("device", "the disk or partition, for example /dev/sdb"),
                ("force", "true: overwrite a filesystem or partition table on the device"),
            ],
            features: crate::file::FEATURES,
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

    fn destroy(&self, sr: &SrSpec) -> Result<(), StorageError> {
        if device::mounted(&*self.system, &mount_point(sr))? {
            let folder = self.folder(sr)?;
            for vdi in folder.scan()? {
                loops::refuse_active(&*self.system, vdi.uuid, &folder.file(vdi.uuid))?;
            }
        }
        self.detach(sr)?;
        self.group(sr).destroy(sr)
    }

    fn attach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        let mount = mount_point(sr);
        if !device::mounted(&*self.system, &mount)? {
            let group = self.group(sr);
            if group.volume(VOLUME)?.is_none() {
                return Err(StorageError::Failed {
                    doing: format!("attaching SR {}", sr.uuid),
                    detail: format!("no disk of this host holds volume {}", group.full(VOLUME)),
                });
            }
            group.lvm("lvchange", &["--activate", "y", &group.full(VOLUME)])?;
            let folder = self.system.path(&mount);
            fs::create_dir_all(&folder).map_err(io(format!("creating {mount}")))?;
            let node = group.node(VOLUME);
            let options = "noatime,nodev,nosuid,noexec";
            self.system.must(
                &format!("mounting SR {}", sr.uuid),
                "mount",
                &["-t", "ext4", "-o", options, &node.to_string_lossy(), &mount],
            )?;
        }
        self.folder(sr)?.clean()
    }

    fn detach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        let mount = mount_point(sr);
        if device::mounted(&*self.system, &mount)? {
            self.system.must(&format!("unmounting SR {}", sr.uuid), "umount", &[&mount])?;
        }
        let group = self.group(sr);
        if group.size()?.is_some() {
            group.lvm("vgchange", &["--activate", "n", &group.name])?;
        }
        let folder = self.system.path(&mount);
        match fs::remove_dir(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io(format!("removing {mount}"))(error))
            }
            _ => Ok(()),
        }
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
        // An SR that is not attached has no active VDI.
        if !device::mounted(&*self.system, &mount_point(sr))? {
            return Ok(());
        }
        let folder = self.folder(sr)?;
        match folder.info(vdi) {
            Ok(_) => loops::deactivate(&*self.system, &folder.file(vdi)),
            Err(StorageError::NoSuchVdi(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
