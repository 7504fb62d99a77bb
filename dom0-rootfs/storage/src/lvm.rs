// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volume groups: each LVM-based SR has one of its own, named `xsr-<uuid of the SR>`.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::block::{self, Active};
use crate::device;
use crate::driver::{DeviceConfig, Found, SrSpec};
use crate::error::StorageError;
use crate::program::{Device, System};

/// A logical volume as `lvs` shows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Volume {
    #[serde(rename = "lv_name")]
    pub(crate) name: String,
    #[serde(rename = "lv_size")]
    size: String,
    #[serde(rename = "lv_active")]
    active: String,
    #[serde(rename = "data_percent")]
    data_percent: String,
    #[serde(rename = "lv_when_full")]
    when_full: String,
}

impl Volume {
    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size.parse().unwrap_or_default()
    }

    /// Bytes of a thin volume or pool that hold data.
    pub(crate) fn used(&self) -> u64 {
        // Four digits at most, so whole hundredths of a percent lose nothing.
        let hundredths =
            self.data_percent.parse::<f64>().map_or(0, |percent| (percent * 100.0) as u128);
        u64::try_from(u128::from(self.size()) * hundredths / 10_000).unwrap_or(u64::MAX)
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active == "active"
    }

    /// A pool whose writes fail when it is full, at once.
    pub(crate) fn fails_when_full(&self) -> bool {
        self.when_full == "error"
    }
}

#[derive(Debug, Deserialize)]
struct PhysicalVolume {
    pv_name: String,
    vg_name: String,
    pv_major: String,
    pv_minor: String,
}

#[derive(Debug, Deserialize)]
struct Group {
    vg_name: String,
    vg_size: String,
}

/// Groups of SRs with a volume of this name, on the device that `config` names or on any.
pub(crate) fn probe(
    system: &dyn System,
    config: &DeviceConfig,
    volume: &str,
) -> Result<Vec<Found>, StorageError> {
    #[derive(Debug, Deserialize)]
    struct InGroup {
        vg_name: String,
    }
    let spec = SrSpec { uuid: Uuid::nil(), device_config: config.clone() };
    let asked = config.get("device").map(|_| device::of(system, &spec)).transpose()?;
    // Its name is that of messages only.
    let group = VolumeGroup { system, name: "any group".to_owned() };
    let select = format!("lv_name={volume}");
    let with: Vec<InGroup> = group.report_where("lvs", "lv", "vg_name", &["--select", &select])?;
    let groups: Vec<Group> = group.report("vgs", "vg", "vg_name,vg_size")?;
    let labels = group.physical_volumes()?;
    let found = groups.into_iter().filter_map(|Group { vg_name, vg_size }| {
        let uuid = vg_name.strip_prefix(PREFIX)?.parse().ok()?;
        let own: Vec<&PhysicalVolume> = labels.iter().filter(|pv| pv.vg_name == vg_name).collect();
        let there = asked.as_ref().is_none_or(|device| own.iter().any(|pv| pv.is(device)));
        let of_kind = with.iter().any(|volume| volume.vg_name == vg_name);
        (there && of_kind).then(|| Found {
            uuid,
            devices: own.iter().map(|pv| pv.pv_name.clone()).collect(),
            size: vg_size.parse().ok(),
        })
    });
    Ok(found.collect())
}

impl PhysicalVolume {
    fn is(&self, device: &Device) -> bool {
        self.pv_major == device.major.to_string() && self.pv_minor == device.minor.to_string()
    }
}

/// How names of groups begin.
const PREFIX: &str = "xsr-";

/// The volume group of an SR.
pub(crate) struct VolumeGroup<'a> {
    system: &'a dyn System,
    pub(crate) name: String,
}

impl<'a> VolumeGroup<'a> {
    pub(crate) fn of(system: &'a dyn System, sr: Uuid) -> Self {
        Self { system, name: format!("{PREFIX}{sr}") }
    }

    /// Bytes, if the group exists.
    pub(crate) fn size(&self) -> Result<Option<u64>, StorageError> {
        let groups: Vec<Group> = self.report("vgs", "vg", "vg_name,vg_size")?;
        let ours = groups.into_iter().find(|group| group.vg_name == self.name);
        Ok(ours.map(|group| group.vg_size.parse().unwrap_or_default()))
    }

    /// Makes the group on the SR's device, unless an earlier call did. Refuses a device that is in use.
    pub(crate) fn create(&self, sr: &SrSpec) -> Result<(), StorageError> {
        let force = device::forced(sr)?;
        let target = device::of(self.system, sr)?;
        let used = |by: String| StorageError::DeviceInUse { device: target.path.clone(), by };
        let group_on_device = self.group_on(&target)?;
        if self.size()?.is_some() {
            return match group_on_device {
                Some(name) if name == self.name => Ok(()),
                _ => Err(used(format!("volume group {} is on another device", self.name))),
            };
        }
        device::refuse_used(self.system, &target)?;
        match group_on_device {
            // A physical volume of no group holds nothing: an interrupted call may have left it.
            Some(name) if name.is_empty() => {}
            Some(name) => return Err(used(format!("belongs to volume group {name}"))),
            None => {
                let found = device::signatures(self.system, &target.path)?;
                if !found.is_empty() && !force {
                    let kinds: Vec<_> = found.iter().map(|s| s.kind.as_str()).collect();
                    return Err(used(format!(
                        "it holds {} (device_config:force=true overwrites it)",
                        kinds.join(", ")
                    )));
                }
                if !found.is_empty() {
                    let doing = format!("wiping {}", target.path.display());
                    let path = target.path.to_string_lossy();
                    self.system.must(&doing, "wipefs", &["--all", "--quiet", &path])?;
                }
            }
        }
        let path = target.path.to_string_lossy();
        self.lvm("vgcreate", &["--yes", &self.name, &path]).map(drop)
    }

    /// Removes the group with everything in it, and LVM's label from its device. Without
    /// `device_config:device` (an SR that the installer made) the group itself tells where it lies.
    pub(crate) fn destroy(&self, sr: &SrSpec) -> Result<(), StorageError> {
        let mut labels = Vec::new();
        if sr.device_config.contains_key("device") {
            let target = device::of(self.system, sr)?;
            match self.group_on(&target)? {
                None => {}
                Some(name) if name == self.name || name.is_empty() => {
                    labels.push(target.path.to_string_lossy().into_owned());
                }
                Some(name) => {
                    return Err(StorageError::DeviceInUse {
                        device: target.path,
                        by: format!("belongs to volume group {name}, not to this SR"),
                    });
                }
            }
        } else {
            let all = self.physical_volumes()?;
            labels
                .extend(all.into_iter().filter(|pv| pv.vg_name == self.name).map(|pv| pv.pv_name));
        }
        if self.size()?.is_some() {
            self.lvm("vgchange", &["--activate", "n", &self.name])?;
            self.lvm("vgremove", &["--force", "--yes", &self.name])?;
        }
        labels.iter().try_for_each(|label| self.lvm("pvremove", &["--yes", label]).map(drop))
    }

    /// Every volume of the group that has a name of ours.
    pub(crate) fn volumes(&self) -> Result<Vec<Volume>, StorageError> {
        let select = format!("vg_name={}", self.name);
        let fields = "lv_name,lv_size,lv_active,data_percent,lv_when_full";
        self.report_where("lvs", "lv", fields, &["--select", &select])
    }

    pub(crate) fn volume(&self, name: &str) -> Result<Option<Volume>, StorageError> {
        Ok(self.volumes()?.into_iter().find(|volume| volume.name == name))
    }

    /// The device of a volume that is active now.
    pub(crate) fn active(&self, volume: &str) -> Result<Option<Active>, StorageError> {
        block::volume(self.system, &self.name, volume)
    }

    /// `group/volume`.
    pub(crate) fn full(&self, volume: &str) -> String {
        format!("{}/{volume}", self.name)
    }

    /// The device node of an active volume.
    pub(crate) fn node(&self, volume: &str) -> PathBuf {
        PathBuf::from(format!("/dev/{}/{volume}", self.name))
    }

    /// Runs a command of LVM.
    pub(crate) fn lvm(&self, command: &str, args: &[&str]) -> Result<String, StorageError> {
        self.system.must(&format!("running {command} for {}", self.name), command, args)
    }

    fn group_on(&self, target: &Device) -> Result<Option<String>, StorageError> {
        let mut all = self.physical_volumes()?.into_iter();
        let ours = all.find(|pv| pv.is(target));
        Ok(ours.map(|pv| pv.vg_name))
    }

    fn physical_volumes(&self) -> Result<Vec<PhysicalVolume>, StorageError> {
        self.report("pvs", "pv", "pv_name,vg_name,pv_major,pv_minor")
    }

    fn report<T: DeserializeOwned>(
        &self,
        command: &str,
        what: &str,
        fields: &str,
    ) -> Result<Vec<T>, StorageError> {
        self.report_where(command, what, fields, &[])
    }

    fn report_where<T: DeserializeOwned>(
        &self,
        command: &str,
        what: &str,
        fields: &str,
        selection: &[&str],
    ) -> Result<Vec<T>, StorageError> {
        let mut args =
            vec!["--reportformat", "json", "--units", "b", "--nosuffix", "--options", fields];
        args.extend(selection);
        let out = self.lvm(command, &args)?;
        let wrong = |detail: String| StorageError::Failed {
            doing: format!("reading the answer of {command}"),
            detail,
        };
        let mut answer: serde_json::Value =
            serde_json::from_str(&out).map_err(|error| wrong(error.to_string()))?;
        let rows = answer
            .pointer_mut(&format!("/report/0/{what}"))
            .map(serde_json::Value::take)
            .ok_or_else(|| wrong(format!("no {what} in {out}")))?;
        serde_json::from_value(rows).map_err(|error| wrong(error.to_string()))
    }
}
