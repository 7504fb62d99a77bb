// SPDX-License-Identifier: MIT OR Apache-2.0
//! Block devices that are there now, as the kernel's `/sys/block` shows them. Asking it costs
//! microseconds, where each program of LVM costs a look at every disk.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::StorageError;
use crate::program::{System, io};

/// A loop or device-mapper device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Active {
    /// `/dev/loop3`, `/dev/dm-3`.
    pub(crate) node: PathBuf,
    pub(crate) read_only: bool,
    /// Detached already, and gone with its last user.
    pub(crate) going: bool,
}

/// Loop devices over a file.
pub(crate) fn loops(system: &dyn System, file: &Path) -> Result<Vec<Active>, StorageError> {
    let path = match file.canonicalize() {
        Ok(path) => path,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(format!("looking at {}", file.display()))(error)),
    };
    loops_over(system, &path.to_string_lossy())
}

/// Loop devices over what is called so, without looking at it: it may have stopped to answer.
pub(crate) fn loops_over(system: &dyn System, path: &str) -> Result<Vec<Active>, StorageError> {
    let found = find(system, "loop", |folder| backing(folder).filter(|backing| backing == path))?;
    Ok(found.into_iter().map(|(_, found)| found).collect())
}

/// Loop devices over files of a folder, with the names of these, without looking at them.
pub(crate) fn loops_in(
    system: &dyn System,
    folder: &Path,
) -> Result<Vec<(String, Active)>, StorageError> {
    let start = format!("{}/", folder.display());
    find(system, "loop", |folder| backing(folder)?.strip_prefix(&start).map(str::to_owned))
}

fn backing(folder: &Path) -> Option<String> {
    read(&folder.join("loop/backing_file"))
}

/// The device of an active logical volume.
pub(crate) fn volume(
    system: &dyn System,
    group: &str,
    volume: &str,
) -> Result<Option<Active>, StorageError> {
    // Device mapper doubles the dashes inside names, as one stands between group and volume.
    let name = format!("{}-{}", group.replace('-', "--"), volume.replace('-', "--"));
    let all =
        find(system, "dm-", |folder| read(&folder.join("dm/name")).filter(|known| *known == name))?;
    Ok(all.into_iter().next().map(|(_, found)| found))
}

/// Devices whose names begin so, with what `look` says of their folders; without those of which it says nothing.
fn find(
    system: &dyn System,
    prefix: &str,
    look: impl Fn(&Path) -> Option<String>,
) -> Result<Vec<(String, Active)>, StorageError> {
    let doing = "listing block devices";
    let mut found = Vec::new();
    for entry in fs::read_dir(system.path("/sys/block")).map_err(io(doing))? {
        let entry = entry.map_err(io(doing))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let folder = entry.path();
        let Some(said) = name.starts_with(prefix).then(|| look(&folder)).flatten() else {
            continue;
        };
        let active = Active {
            node: PathBuf::from(format!("/dev/{name}")),
            read_only: read(&folder.join("ro")).is_some_and(|ro| ro == "1"),
            going: read(&folder.join("loop/autoclear")).is_some_and(|flag| flag == "1"),
        };
        found.push((said, active));
    }
    found.sort_by(|(_, left), (_, right)| left.node.cmp(&right.node));
    Ok(found)
}

/// A device that goes away meanwhile has no attributes any more.
fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}
