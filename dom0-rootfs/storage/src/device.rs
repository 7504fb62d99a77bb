// SPDX-License-Identifier: MIT OR Apache-2.0
//! What speaks against making an SR on a device.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::driver::SrSpec;
use crate::error::StorageError;
use crate::program::{Device, System, io};

/// `device_config:device` of an SR, which has to be a block device.
pub(crate) fn of(system: &dyn System, sr: &SrSpec) -> Result<Device, StorageError> {
    let wrong = |problem: String| StorageError::Config { key: "device".to_owned(), problem };
    let path = sr
        .device_config
        .get("device")
        .ok_or_else(|| wrong("is missing: a block device, for example /dev/sdb".to_owned()))?;
    system.device(Path::new(path)).ok_or_else(|| wrong(format!("is {path}, no block device")))
}

/// Whether `device_config:force` says that data on the device may be overwritten.
pub(crate) fn forced(sr: &SrSpec) -> Result<bool, StorageError> {
    match sr.device_config.get("force").map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(StorageError::Config {
            key: "force".to_owned(),
            problem: format!("is {other}, not true or false"),
        }),
    }
}

/// Refuses a device that anything uses now: a mount, swap, another device on top of it or of one of
/// its partitions. Not even force goes past this.
pub(crate) fn refuse_used(system: &dyn System, device: &Device) -> Result<(), StorageError> {
    let used = |by: String| StorageError::DeviceInUse { device: device.path.clone(), by };
    let numbers = format!("{}:{}", device.major, device.minor);
    let sys = system.path(&format!("/sys/dev/block/{numbers}"));
    let mut all = vec![numbers];
    let mut folders = vec![sys.clone()];
    for entry in entries(&sys)? {
        if entry.join("partition").exists() {
            let file = entry.join("dev");
            let dev =
                fs::read_to_string(&file).map_err(io(format!("reading {}", file.display())))?;
            all.push(dev.trim().to_owned());
            folders.push(entry);
        }
    }
    for folder in folders {
        if let Some(holder) = entries(&folder.join("holders"))?.first() {
            return Err(used(format!("held by {}", name(holder))));
        }
    }
    let mounts = read(system, "/proc/self/mountinfo")?;
    for line in mounts.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let [_, _, numbers, _, target, ..] = words[..]
            && all.iter().any(|ours| ours == numbers)
        {
            return Err(used(format!("mounted at {target}")));
        }
    }
    for line in read(system, "/proc/swaps")?.lines().skip(1) {
        let swap = line.split_whitespace().next().and_then(|p| system.device(Path::new(p)));
        if swap.is_some_and(|swap| all.contains(&format!("{}:{}", swap.major, swap.minor))) {
            return Err(used("swap".to_owned()));
        }
    }
    Ok(())
}

/// Something recognisable on a device: a filesystem, a partition table, a RAID member, ….
#[derive(Debug, Deserialize)]
pub(crate) struct Signature {
    /// `ext4`, `gpt`, `LVM2_member`, ….
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// What can be recognised on a device.
pub(crate) fn signatures(system: &dyn System, path: &Path) -> Result<Vec<Signature>, StorageError> {
    #[derive(Deserialize)]
    struct Listing {
        signatures: Vec<Signature>,
    }
    let doing = format!("looking for data on {}", path.display());
    let out = system.must(&doing, "wipefs", &["--no-act", "--json", &path.to_string_lossy()])?;
    if out.trim().is_empty() {
        return Ok(Vec::new());
    }
    let listing: Listing = serde_json::from_str(&out)
        .map_err(|error| StorageError::Failed { doing, detail: error.to_string() })?;
    Ok(listing.signatures)
}

/// Whether a folder is a mount point now.
pub(crate) fn mounted(system: &dyn System, folder: &str) -> Result<bool, StorageError> {
    let mounts = read(system, "/proc/self/mountinfo")?;
    Ok(mounts.lines().any(|line| line.split(' ').nth(4) == Some(folder)))
}

fn read(system: &dyn System, path: &str) -> Result<String, StorageError> {
    fs::read_to_string(system.path(path)).map_err(io(format!("reading {path}")))
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>, StorageError> {
    let doing = || format!("listing {}", folder.display());
    let list = match fs::read_dir(folder) {
        Ok(list) => list,
        // Not every block device has holders.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(doing())(error)),
    };
    list.map(|entry| Ok(entry.map_err(io(doing()))?.path())).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
