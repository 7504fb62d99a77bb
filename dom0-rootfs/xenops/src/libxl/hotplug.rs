// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connecting a new domain's devices without hotplug scripts.
//!
//! libxl has written the device nodes and the kernel's backends have taken them up; what a script
//! would do is left: say which block device is behind a disk, and that the device is connected.
//! All of it is one transaction.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::error::XenopsError;
use crate::hypervisor::DomId;
use crate::libxl::config::by_qemu;
use crate::spec::CheckedSpec;

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
    let mut connect = |backend: String, values: Vec<(&str, String)>| {
        for (name, value) in values {
            nodes.push((format!("{backend}/{name}"), value));
        }
        nodes.push((format!("{backend}/hotplug-status"), "connected".to_owned()));
    };
    for ((disk, vdev), number) in checked.disks().zip(numbers) {
        let (Some(source), Some(number)) = (&disk.source, number) else { continue };
        if by_qemu(disk, &checked.spec().kind) {
            continue;
        }
        let path = source.to_string_lossy().into_owned();
        connect(
            format!("/local/domain/0/backend/vbd/{}/{}", domain.0, vdev.number()),
            vec![("physical-device-path", path), ("physical-device", number.text())],
        );
    }
    for nic in &checked.spec().nics {
        connect(format!("/local/domain/0/backend/vif/{}/{}", domain.0, nic.devid), vec![]);
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn nodes_of_disks_and_nics() {
        let checked = CheckedSpec::check(&testing::hvm(), &testing::host()).unwrap();
        let numbers = [Some(BlockNumber { major: 253, minor: 10 }), None];
        let nodes = nodes(DomId(7), &checked, &numbers);
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
