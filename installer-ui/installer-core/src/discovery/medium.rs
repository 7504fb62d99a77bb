// SPDX-License-Identifier: MIT OR Apache-2.0
//! The installation medium: what is copied from it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use appliance_model::boot::BootOptions;
use appliance_model::medium::{self as paths, BuildId};

use serde::{Deserialize, Serialize};

use super::DiscoveryError;

/// The mounted medium; it exists only if everything that is needed is on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Medium {
    /// Where it is mounted.
    pub path: PathBuf,
    /// The build that is installed.
    pub build_id: BuildId,
    /// When it was made, in seconds since 1970, as far as its file system tells.
    pub made: Option<u64>,
    /// What the installed host boots with.
    pub boot_options: BootOptions,
    /// Size of the root image in bytes.
    pub root_image_size: u64,
    /// Size of all files for the EFI system partition together, in bytes.
    pub boot_size: u64,
}

impl Medium {
    pub(super) fn look(path: &Path) -> Result<Self, DiscoveryError> {
        let size = |name: &str| {
            let file = path.join(name);
            let size = fs::metadata(&file).map(|data| data.len());
            size.map_err(DiscoveryError::read(file))
        };
        let build_id = parse(path.join(paths::BUILD_ID), |text| text.trim().parse())?;
        let boot_options = parse(path.join(paths::BOOT_OPTIONS), BootOptions::from_toml)?;
        size(paths::BOOT_IMG)?;
        size(paths::CORE_IMG)?;
        let on_esp = [paths::XEN, paths::KERNEL, paths::INITRD, paths::GRUB_EFI];
        Ok(Self {
            path: path.to_owned(),
            build_id,
            made: made(&path.join(paths::BUILD_ID)),
            boot_options,
            root_image_size: size(paths::ROOT_IMAGE)?,
            boot_size: on_esp.iter().map(|name| size(name)).sum::<Result<u64, _>>()?,
        })
    }
}

/// Everything on a medium is dated alike; FAT has no times before 1980.
fn made(file: &Path) -> Option<u64> {
    let modified = fs::metadata(file).and_then(|data| data.modified()).ok()?;
    modified.duration_since(UNIX_EPOCH).ok().map(|age| age.as_secs())
}

fn parse<T, E: Error + Send + Sync + 'static>(
    file: PathBuf,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, DiscoveryError> {
    let text = fs::read_to_string(&file).map_err(DiscoveryError::read(&file))?;
    parse(&text).map_err(|error| DiscoveryError::Malformed { path: file, source: Box::new(error) })
}
