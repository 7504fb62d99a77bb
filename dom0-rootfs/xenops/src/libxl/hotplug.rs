// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connecting a new domain's devices without hotplug scripts.
//!
//! libxl has written the device nodes and the kernel's backends have taken them up; what a script
//! would do is left: say which block device is behind a disk, and that the device is connected.
//! All of it is one transaction.
//!
//! Only disks that QEMU emulates have to be connected earlier, while libxl builds the domain:
//! for those the worker program stands in for the script, see [`run_as_script`].

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::error::XenopsError;
use crate::hypervisor::DomId;
use crate::libxl::config::DiskService;
use crate::spec::CheckedSpec;
use crate::xenstore::{Xenstore, XenstoreError};

/// Dom0's part of xenstore, where the backends of all guests are.
const DOM0: &str = "/local/domain/0";
const CONNECTED: &str = "connected";

/// Major and minor number of a block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockNumber {
    major: u32,
    minor: u32,
}

impl BlockNumber {
    /// As the kernel's block backend reads it.
    fn text(self) -> String {
        format!("{:x}:{:x}", self.major, self.minor)
    }
}

/// The block devices behind the disks, in order; none for an empty drive.
pub(crate) fn block_numbers(
    checked: &CheckedSpec,
) -> Result<Vec<Option<BlockNumber>>, XenopsError> {
    let of_disk = |(index, disk): (usize, &crate::Disk)| match &disk.source {
        None => Ok(None),
        Some(source) => block_number(source)
            .map(Some)
            .map_err(|detail| XenopsError::bad_spec(format!("disks[{index}].source"), detail)),
    };
    checked.spec().disks.iter().enumerate().map(of_disk).collect()
}

fn block_number(path: &Path) -> Result<BlockNumber, String> {
    let facts = path.metadata().map_err(|error| format!("{}: {error}", path.display()))?;
    if !facts.file_type().is_block_device() {
        return Err(format!("{} is not a block device", path.display()));
    }
    let device = facts.rdev();
    Ok(BlockNumber { major: rustix::fs::major(device), minor: rustix::fs::minor(device) })
}

/// The nodes that connect the devices of `checked`, built as `domain`.
pub(crate) fn nodes(
    domain: DomId,
    checked: &CheckedSpec,
    numbers: &[Option<BlockNumber>],
) -> Vec<(String, String)> {
    let mut nodes = Vec::new();
    for ((disk, vdev), number) in checked.disks().zip(numbers) {
        let (Some(source), Some(number)) = (&disk.source, number) else { continue };
        if DiskService::of(disk, &checked.spec().kind) != DiskService::Kernel {
            continue;
        }
        let backend = format!("{DOM0}/backend/vbd/{}/{}", domain.0, vdev.number());
        nodes.extend(disk_nodes(&backend, source, *number));
    }
    for nic in &checked.spec().nics {
        let backend = format!("{DOM0}/backend/vif/{}/{}", domain.0, nic.devid);
        nodes.push((format!("{backend}/hotplug-status"), CONNECTED.to_owned()));
    }
    nodes
}

fn disk_nodes(backend: &str, source: &Path, number: BlockNumber) -> [(String, String); 3] {
    [
        (format!("{backend}/physical-device-path"), source.to_string_lossy().into_owned()),
        (format!("{backend}/physical-device"), number.text()),
        (format!("{backend}/hotplug-status"), CONNECTED.to_owned()),
    ]
}

/// Does what a disk's hotplug script does, when libxl runs this program as one: `action` is
/// `add` or `remove`, `backend` the environment's `XENBUS_PATH` (`backend/vbd/3/51712`).
pub fn run_as_script(store: &mut Xenstore, action: &str, backend: &str) -> Result<(), XenopsError> {
    let doing = || format!("connecting the disk {backend}");
    let in_store = |error| XenopsError::failed(doing(), describe(&error));
    if action != "add" || !backend.starts_with("backend/vbd/") {
        return Ok(());
    }
    let backend = format!("{DOM0}/{backend}");
    let source = store
        .read(&format!("{backend}/params"))
        .map_err(in_store)?
        .ok_or_else(|| XenopsError::failed(doing(), "it has no params in xenstore"))?;
    let source = Path::new(&source);
    let number = block_number(source).map_err(|detail| XenopsError::failed(doing(), detail))?;
    store.write_all(&disk_nodes(&backend, source, number)).map_err(in_store)
}

/// An error of xenstore with its cause, for where only text fits.
pub(crate) fn describe(error: &XenstoreError) -> String {
    let cause = std::error::Error::source(error).map_or(String::new(), |why| format!(": {why}"));
    format!("{error}{cause}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use crate::xenstore::tests::serving;

    fn paths(spec: &crate::DomainSpec) -> Vec<(String, String)> {
        let checked = CheckedSpec::check(spec, &testing::host()).unwrap();
        nodes(DomId(7), &checked, &[Some(BlockNumber { major: 253, minor: 10 }), None])
    }

    #[test]
    fn nodes_of_disks_and_nics() {
        let nodes = paths(&testing::pvh());
        let nodes: Vec<_> = nodes.iter().map(|(path, value)| (&path[..], &value[..])).collect();
        let vbd = "/local/domain/0/backend/vbd/7/51712";
        assert_eq!(
            nodes,
            [
                (&*format!("{vbd}/physical-device-path"), "/dev/loop0"),
                (&*format!("{vbd}/physical-device"), "fd:a"),
                (&*format!("{vbd}/hotplug-status"), "connected"),
                ("/local/domain/0/backend/vif/7/0/hotplug-status", "connected"),
            ]
        );
    }

    #[test]
    fn emulated_disks_are_left_to_the_script() {
        let nodes = paths(&testing::hvm());
        assert_eq!(nodes.len(), 1, "{nodes:?}");
        assert!(nodes[0].0.contains("/vif/"));
    }

    #[test]
    fn the_script_connects_block_devices_only() {
        let mut store = serving(&[("/local/domain/0/backend/vbd/7/51712/params", "/dev/null")], 0);
        let mut run = |action, backend| run_as_script(&mut store, action, backend);
        run("remove", "backend/vbd/7/51712").unwrap();
        run("add", "backend/vif/7/0").unwrap();
        let error = run("add", "backend/vbd/7/51712").unwrap_err().to_string();
        assert!(error.ends_with("51712: /dev/null is not a block device"), "{error}");
        let error = run("add", "backend/vbd/8/51712").unwrap_err().to_string();
        assert!(error.ends_with("it has no params in xenstore"), "{error}");
    }

    #[test]
    fn only_block_devices_are_sources() {
        let refused = |source: &str| {
            let mut spec = testing::pvh();
            spec.disks[0].source = Some(source.into());
            let checked = CheckedSpec::check(&spec, &testing::host()).unwrap();
            block_numbers(&checked).unwrap_err().to_string()
        };
        assert_eq!(
            refused("/dev/null"),
            "disks[0].source of the domain: /dev/null is not a block device"
        );
        assert!(refused("/nonexistent").contains("No such file"));
    }
}
