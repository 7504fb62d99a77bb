// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam to storage repositories.

use std::collections::BTreeMap;
use std::path::PathBuf;

use uuid::Uuid;

use crate::error::StorageError;
use crate::format::ImageFormat;

/// Identity and configuration of an SR on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrSpec {
    /// The SR's uuid.
    pub uuid: Uuid,
    /// `PBD.device_config`.
    pub device_config: DeviceConfig,
}

/// What a driver needs to reach an SR, as XAPI names it (`device`, `location`, …).
pub type DeviceConfig = BTreeMap<String, String>;

/// An SR that was found on a device or a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its uuid.
    pub uuid: Uuid,
    /// The devices that it lies on; none on a server.
    pub devices: Vec<String>,
    /// Its size in bytes, where that can be told without attaching it.
    pub size: Option<u64>,
}

/// One kind of SR (`SR.type`). All calls block and are safe to repeat after an interruption.
pub trait SrDriver: Send + Sync {
    /// `SR.type`: `ext`, `nfs`, `lvmthin`, ….
    fn kind(&self) -> &'static str;
    /// Facts for the `SM` class: name, description, device_config keys with their meaning.
    fn about(&self) -> About;
    /// Formats of VDIs that the driver can make on this host (`SM.supported_image_formats`).
    fn formats(&self) -> Vec<ImageFormat> {
        vec![ImageFormat::Raw]
    }
    /// Where an SR lies.
    fn place(&self, _sr: &SrSpec) -> Result<Place, StorageError> {
        Ok(Place::Here)
    }
    /// Fails where an attached SR lies on a server that does not answer for a while. A call that waits for such a
    /// server lasts until it is back; whoever is about to wait for that call asks here first.
    fn reach(&self, _sr: &SrSpec) -> Result<(), StorageError> {
        Ok(())
    }
    /// Makes the SR on its device (`SR.create`). Refuses a device that is in use.
    fn create(&self, sr: &SrSpec) -> Result<(), StorageError>;
    /// Removes the SR and everything in it (`SR.destroy`).
    fn destroy(&self, sr: &SrSpec) -> Result<(), StorageError>;
    /// SRs of this kind that are there (`SR.probe`), where `device_config` says to look; nothing is
    /// changed. None: the driver cannot look.
    fn probe(&self, _config: &DeviceConfig) -> Result<Option<Vec<Found>>, StorageError> {
        Ok(None)
    }
    /// Makes the SR usable on this host (`PBD.plug`).
    fn attach(&self, sr: &SrSpec) -> Result<(), StorageError>;
    /// The reverse (`PBD.unplug`).
    fn detach(&self, sr: &SrSpec) -> Result<(), StorageError>;
    /// Sizes of an attached SR.
    fn stat(&self, sr: &SrSpec) -> Result<SrStat, StorageError>;
    /// Every VDI that an attached SR holds (`SR.scan`).
    fn scan(&self, sr: &SrSpec) -> Result<Vec<VdiInfo>, StorageError>;
    /// A new VDI of zeros, at least `size` bytes, of a format if one is asked for.
    fn vdi_create(
        &self,
        sr: &SrSpec,
        vdi: Uuid,
        size: u64,
        format: Option<ImageFormat>,
    ) -> Result<VdiInfo, StorageError>;
    /// Removes a VDI and its data.
    fn vdi_destroy(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError>;
    /// A new VDI with the contents of another, copy on write where the driver can.
    fn vdi_clone(&self, sr: &SrSpec, from: Uuid, to: Uuid) -> Result<VdiInfo, StorageError>;
    /// Grows a VDI to at least `size` bytes.
    fn vdi_resize(&self, sr: &SrSpec, vdi: Uuid, size: u64) -> Result<VdiInfo, StorageError>;
    /// Makes a VDI usable as a block device in Dom0 and returns its path.
    fn vdi_activate(&self, sr: &SrSpec, vdi: Uuid, mode: Mode) -> Result<PathBuf, StorageError>;
    /// The reverse of [`SrDriver::vdi_activate`]; an inactive VDI is no error.
    fn vdi_deactivate(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError>;
    /// Goes on giving back room that nothing refers to any more, and says whether there is more to do
    /// soon. Takes moments: what lasts is done elsewhere, while VDIs are in use and all other calls work.
    fn tidy(&self, _sr: &SrSpec) -> Result<bool, StorageError> {
        Ok(false)
    }
}

/// Facts about a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// `SM.name_label`.
    pub name: &'static str,
    /// `SM.name_description`.
    pub description: &'static str,
    /// `SM.configuration`: keys of `device_config` with a sentence each.
    pub configuration: &'static [(&'static str, &'static str)],
    /// `SM.features`: `VDI_CREATE`, `VDI_DELETE`, ….
    pub features: &'static [&'static str],
}

/// Sizes of an SR in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SrStat {
    /// `SR.physical_size`.
    pub physical_size: u64,
    /// `SR.physical_utilisation`.
    pub physical_utilisation: u64,
}

/// A VDI as its SR has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VdiInfo {
    /// The VDI's uuid.
    pub uuid: Uuid,
    /// `VDI.virtual_size` in bytes.
    pub virtual_size: u64,
    /// `VDI.physical_utilisation` in bytes.
    pub physical_utilisation: u64,
    /// The name of the file it is, in an SR that others fill: there VDIs are only read.
    pub image: Option<String>,
    /// Its format, in an SR that can have several (`VDI.sm_config:image-format`).
    pub format: Option<ImageFormat>,
}

/// Where an SR lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On this host.
    Here,
    /// On a server, which may not be reached yet, and may take as long as it likes to answer.
    Elsewhere {
        /// Whether it is attached to this host, as far as that can be told without asking the server.
        attached: bool,
    },
}

/// How a VDI is activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only read.
    ReadOnly,
    /// Read and written.
    ReadWrite,
}
