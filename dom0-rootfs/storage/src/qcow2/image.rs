// SPDX-License-Identifier: MIT OR Apache-2.0
//! Image files, as `qemu-img` makes and reads them. Formats are always named: the first bytes of a raw
//! disk are its guest's.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::FlockOperation;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::files::{self, Files};
use super::tree::Image;
use crate::error::StorageError;
use crate::folder::{Folder, GRAIN};
use crate::program::{Change, Ran, System, failed, io};

/// Subclusters of 4 KiB: a guest that trims whole blocks of that size is followed, and small writes copy
/// nothing from a base. With plain clusters a trim of less than one would fail, and the kernel's loop
/// device tries no further ones after that.
const OPTIONS: &str = "compat=1.1,cluster_size=128k,extended_l2=on";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    format: String,
    virtual_size: u64,
    actual_size: u64,
    backing_filename: Option<String>,
    backing_filename_format: Option<String>,
    format_specific: Specific,
}

#[derive(Deserialize)]
struct Specific {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Data {
    data_file: Option<String>,
    corrupt: Option<bool>,
}

/// What an image says of itself; nothing of it is opened but the file.
pub(super) fn info(system: &dyn System, path: &Path) -> Result<Image, StorageError> {
    let doing = || format!("reading {}", path.display());
    let wrong = |detail: String| StorageError::Failed { doing: doing(), detail };
    let args = ["info", "--output=json", "--force-share", "-f", "qcow2", &path.to_string_lossy()];
    let out = system.must(&doing(), "qemu-img", &args)?;
    let info: Info = serde_json::from_str(&out).map_err(|error| wrong(error.to_string()))?;
    let Data { data_file, corrupt } = info.format_specific.data;
    if info.format != "qcow2" || data_file.is_some() {
        return Err(wrong("its contents lie in another file".to_owned()));
    }
    if corrupt == Some(true) {
        return Err(wrong("QEMU found it damaged and marked it so".to_owned()));
    }
    let backing = match (&info.backing_filename, &info.backing_filename_format) {
        (None, _) => None,
        (Some(name), Some(format)) if format == "qcow2" => {
            let base = files::parse_base(name);
            Some(base.ok_or_else(|| wrong(format!("it is built on {name}, no base of an SR")))?)
        }
        (Some(name), _) => return Err(wrong(format!("{name}, which it is built on, is no qcow2"))),
    };
    Ok(Image { backing, size: info.virtual_size, used: info.actual_size })
}

/// Makes an image that is empty, or as its base, and gives it its name when it is on the disk.
pub(super) fn create(
    files: &Files<'_>,
    image: Uuid,
    backing: Option<Uuid>,
    size: u64,
) -> Result<(), StorageError> {
    let partial = files.partial(image);
    let doing = || format!("making {}", partial.display());
    let folder = Folder::new(files.folder.to_owned());
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .map_err(|error| folder.unwritten(doing(), GRAIN, error))?;
    // Who looks for leftovers sees that this is none.
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|error| io(doing())(error.into()))?;
    let (path, size, base) =
        (partial.to_string_lossy(), size.to_string(), backing.map(files::base_name));
    let mut args = vec!["create", "-q", "-f", "qcow2", "-o", OPTIONS];
    if let Some(base) = &base {
        args.extend(["-u", "-F", "qcow2", "-b", base]);
    }
    args.extend([&*path, &size]);
    let ran = files.system.run("qemu-img", &args)?;
    if ran.code != 0 {
        // Best effort: the next scan removes it too.
        let _ = files.system.alter(Change::Remove(&partial));
        return Err(unwritten(&folder, &doing(), &ran));
    }
    file.sync_all().map_err(|error| folder.unwritten(doing(), GRAIN, error))?;
    files.system.alter(Change::Rename { from: &partial, to: &files.image(image) })
}

/// Grows an image that no program has open.
pub(super) fn grow(system: &dyn System, path: &Path, size: u64) -> Result<(), StorageError> {
    let args = ["resize", "-q", "-f", "qcow2", &path.to_string_lossy(), &size.to_string()];
    let ran = system.run("qemu-img", &args)?;
    if ran.code == 0 {
        return Ok(());
    }
    let folder = Folder::new(path.parent().unwrap_or(path).to_owned());
    Err(unwritten(&folder, &format!("growing {}", path.display()), &ran))
}

/// What the kernel calls no room on the disk, and none within a quota.
const FULL: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

/// The error for qemu-img that could not write.
fn unwritten(folder: &Folder, doing: &str, ran: &Ran) -> StorageError {
    if !FULL.iter().any(|words| ran.stderr.contains(words)) {
        return failed(doing, "qemu-img", ran);
    }
    match folder.free() {
        Ok(free) => StorageError::NoSpace { free, needed: GRAIN },
        Err(error) => error,
    }
}

/// An image up to this size is looked into whether it has anything.
const SMALL: u64 = 4 << 20;

/// Whether an image that no program has open has nothing that its base has not, as far as that is soon
/// told.
pub(super) fn is_empty(
    system: &dyn System,
    path: &Path,
    info: &Image,
) -> Result<bool, StorageError> {
    #[derive(Deserialize)]
    struct Extent {
        depth: u64,
        present: bool,
    }
    if info.used > SMALL {
        return Ok(false);
    }
    let doing = format!("looking into {}", path.display());
    // Without its base, which a merge may have for itself.
    let alone = json!({
        "driver": "qcow2",
        "file": { "driver": "file", "filename": path.to_string_lossy() },
        "backing": null,
    });
    let args = ["map", "--output=json", "--force-share", &format!("json:{alone}")];
    let out = system.must(&doing, "qemu-img", &args)?;
    let extents: Vec<Extent> = serde_json::from_str(&out)
        .map_err(|error| StorageError::Failed { doing, detail: error.to_string() })?;
    Ok(!extents.iter().any(|extent| extent.depth == 0 && extent.present))
}
