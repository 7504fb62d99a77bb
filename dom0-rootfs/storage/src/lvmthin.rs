// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lvmthin`: a thin volume for each VDI, thin snapshots for clones.

use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use crate::driver::{About, DeviceConfig, Found, Mode, SrDriver, SrSpec, SrStat, VdiInfo};
use crate::error::StorageError;
use crate::format::{self, ImageFormat};
use crate::lvm::{self, Volume, VolumeGroup};
use crate::program::System;

const POOL: &str = "pool";

/// Thin volumes `vdi-<uuid>` in the thin pool `pool` of the SR's group.
pub struct LvmThinDriver {
    system: Arc<dyn System>,
}

impl LvmThinDriver {
    /// The driver on a host.
    pub fn new(system: Arc<dyn System>) -> Self {
        Self { system }
    }

    fn group(&self, sr: &SrSpec) -> VolumeGroup<'_> {
        VolumeGroup::of(&*self.system, sr.uuid)
    }

    fn pool(&self, sr: &SrSpec) -> Result<Volume, StorageError> {
        let group = self.group(sr);
        group.volume(POOL)?.ok_or_else(|| StorageError::Failed {
            doing: format!("looking for SR {}", sr.uuid),
            detail: format!("no disk of this host holds volume {}", group.full(POOL)),
        })
    }

    fn find(&self, sr: &SrSpec, vdi: Uuid) -> Result<Option<Volume>, StorageError> {
        self.group(sr).volume(&volume_of(vdi))
    }

    fn must_find(&self, sr: &SrSpec, vdi: Uuid) -> Result<Volume, StorageError> {
        self.find(sr, vdi)?.ok_or(StorageError::NoSuchVdi(vdi))
    }

    fn info(&self, sr: &SrSpec, vdi: Uuid) -> Result<VdiInfo, StorageError> {
        Ok(describe(vdi, &self.must_find(sr, vdi)?))
    }

    /// What came of a command for a volume of `needed` bytes: whether it failed for want of room in the pool.
    fn with_room(
        &self,
        sr: &SrSpec,
        needed: u64,
        result: Result<String, StorageError>,
    ) -> Result<(), StorageError> {
        let error = match result {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let detail = error.to_string();
        if !NO_ROOM.iter().any(|words| detail.contains(words)) {
            return Err(error);
        }
        let pool = self.pool(sr)?;
        Err(StorageError::NoSpace { free: pool.size().saturating_sub(pool.used()), needed })
    }
}

/// What LVM says when a pool is full, or its metadata (`lib/metadata/lv_manip.c`, `thin_manip.c`).
const NO_ROOM: [&str; 2] = ["free space in thin pool", "nsufficient free space"];

fn volume_of(vdi: Uuid) -> String {
    format!("vdi-{vdi}")
}

fn describe(uuid: Uuid, volume: &Volume) -> VdiInfo {
    VdiInfo {
        uuid,
        virtual_size: volume.size(),
        physical_utilisation: volume.used(),
        image: None,
        format: None,
    }
}

impl SrDriver for LvmThinDriver {
    fn kind(&self) -> &'static str {
        "lvmthin"
    }

    fn about(&self) -> About {
        About {
            name: "Local thin LVM",
            description: "Thin logical volumes on a disk of the host; clones share their data",
            configuration: &[
                ("device", "the disk or partition, for example /dev/sdb"),
                ("force", "true: overwrite a filesystem or partition table on the device"),
            ],
            features: crate::folder_driver::FEATURES,
        }
    }

    fn create(&self, sr: &SrSpec) -> Result<(), StorageError> {
        let group = self.group(sr);
        group.create(sr)?;
        if group.volume(POOL)?.is_none() {
            // What is kept free lets the pool's metadata grow and be repaired.
            let args = ["--yes", "--type", "thin-pool", "--extents", "98%FREE"];
            group.lvm("lvcreate", &[&args[..], &["--name", POOL, &group.name]].concat())?;
        }
        // A full pool has to fail writes at once: a guest whose writes hang for a minute looks dead.
        if !self.pool(sr)?.fails_when_full() {
            group.lvm("lvchange", &["--errorwhenfull", "y", &group.full(POOL)])?;
        }
        Ok(())
    }

    fn probe(&self, config: &DeviceConfig) -> Result<Option<Vec<Found>>, StorageError> {
        lvm::probe(&*self.system, config, POOL).map(Some)
    }

    fn destroy(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.group(sr).destroy(sr)
    }

    fn attach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.pool(sr)?;
        let group = self.group(sr);
        group.lvm("lvchange", &["--activate", "y", &group.full(POOL)]).map(drop)
    }

    fn detach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        let group = self.group(sr);
        if group.size()?.is_some() {
            group.lvm("vgchange", &["--activate", "n", &group.name])?;
        }
        Ok(())
    }

    fn stat(&self, sr: &SrSpec) -> Result<SrStat, StorageError> {
        let pool = self.pool(sr)?;
        Ok(SrStat { physical_size: pool.size(), physical_utilisation: pool.used() })
    }

    fn scan(&self, sr: &SrSpec) -> Result<Vec<VdiInfo>, StorageError> {
        self.pool(sr)?;
        let mut found: Vec<_> = self
            .group(sr)
            .volumes()?
            .iter()
            .filter_map(|volume| {
                let uuid = volume.name.strip_prefix("vdi-")?.parse().ok()?;
                Some(describe(uuid, volume))
            })
            .collect();
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
        format::choose(sr, &self.formats(), format)?;
        let group = self.group(sr);
        match self.find(sr, vdi)? {
            // Sizes are whole extents, so an earlier call with this size made it at least as large.
            Some(volume) if volume.size() >= size => {}
            Some(volume) => {
                return Err(StorageError::Failed {
                    doing: format!("creating VDI {vdi} of {size} bytes"),
                    detail: format!("it exists with {} bytes", volume.size()),
                });
            }
            None => {
                let (bytes, size) = (size, format!("{size}b"));
                let args = ["--yes", "--activate", "n", "--setactivationskip", "n"];
                let name = volume_of(vdi);
                let rest = ["--virtualsize", &size, "--name", &name, "--thinpool", POOL];
                let made = group.lvm("lvcreate", &[&args[..], &rest, &[&group.name]].concat());
                self.with_room(sr, bytes, made)?;
            }
        }
        self.info(sr, vdi)
    }

    fn vdi_destroy(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError> {
        match self.find(sr, vdi)? {
            None => Ok(()),
            Some(volume) if volume.is_active() => Err(StorageError::VdiInUse(vdi)),
            Some(volume) => {
                let group = self.group(sr);
                group.lvm("lvremove", &["--yes", &group.full(&volume.name)]).map(drop)
            }
        }
    }

    fn vdi_clone(&self, sr: &SrSpec, from: Uuid, to: Uuid) -> Result<VdiInfo, StorageError> {
        let origin = self.must_find(sr, from)?;
        let group = self.group(sr);
        if self.find(sr, to)?.is_none() {
            let args =
                ["--yes", "--type", "thin", "--setactivationskip", "n", "--permission", "rw"];
            let rest = ["--name", &volume_of(to), &group.full(&origin.name)];
            let made = group.lvm("lvcreate", &[&args[..], &rest].concat());
            self.with_room(sr, origin.size(), made)?;
        }
        // A snapshot of an active volume comes up active.
        if self.must_find(sr, to)?.is_active() {
            group.lvm("lvchange", &["--activate", "n", &group.full(&volume_of(to))])?;
        }
        self.info(sr, to)
    }

    fn vdi_resize(&self, sr: &SrSpec, vdi: Uuid, size: u64) -> Result<VdiInfo, StorageError> {
        let volume = self.must_find(sr, vdi)?;
        if volume.size() < size {
            let group = self.group(sr);
            let size = format!("{size}b");
            group.lvm("lvextend", &["--size", &size, &group.full(&volume.name)])?;
        }
        self.info(sr, vdi)
    }

    fn vdi_activate(&self, sr: &SrSpec, vdi: Uuid, mode: Mode) -> Result<PathBuf, StorageError> {
        let group = self.group(sr);
        let name = volume_of(vdi);
        let full = group.full(&name);
        let read_only = mode == Mode::ReadOnly;
        let switch = |to: &str| group.lvm("lvchange", &["--activate", to, &full]).map(drop);
        // Most volumes have the permission that is asked for, so it is looked at afterwards.
        if group.active(&name)?.is_none()
            && let Err(error) = switch("y")
        {
            self.must_find(sr, vdi)?;
            return Err(error);
        }
        if group.active(&name)?.is_none_or(|active| active.read_only != read_only) {
            // The kernel refuses while anybody has it open.
            switch("n").map_err(|error| {
                tracing::info!(%error, %vdi, "it stays as it is");
                StorageError::VdiInUse(vdi)
            })?;
            let permission = if read_only { "r" } else { "rw" };
            group.lvm("lvchange", &["--permission", permission, &full])?;
            switch("y")?;
        }
        Ok(group.node(&name))
    }

    fn vdi_deactivate(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError> {
        let group = self.group(sr);
        let name = volume_of(vdi);
        if group.active(&name)?.is_some() {
            group.lvm("lvchange", &["--activate", "n", &group.full(&name)])?;
        }
        Ok(())
    }
}
