// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connecting a new domain's devices without hotplug scripts.
//!
//! Those of PV and PVH guests are made here, see [`super::devices`]. HVM guests have theirs from libxl, which
//! tells QEMU of them; what a script would do is left: say that a network interface is connected.
//! Their disks have to be connected earlier, while libxl builds the domain: for those the worker program
//! stands in for the script, see [`run_as_script`].

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use crate::error::XenopsError;
use crate::hypervisor::{DomId, GuestKind};
use crate::libxl::devices::{self, CLOSED, CLOSING, CONNECTED, Device};
use crate::spec::CheckedSpec;
use crate::xenstore::{Change, Xenstore, XenstoreError};

/// Dom0's part of xenstore, where the backends of all guests are.
const DOM0: &str = "/local/domain/0";

/// Major and minor number of a block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockNumber {
    major: u32,
    minor: u32,
}

impl BlockNumber {
    #[cfg(test)]
    pub(crate) fn new(major: u32, minor: u32) -> BlockNumber {
        BlockNumber { major, minor }
    }

    /// As the kernel's block backend reads it.
    pub(crate) fn text(self) -> String {
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

/// The block device at `path`, or why there is none.
pub(crate) fn block_number(path: &Path) -> Result<BlockNumber, String> {
    let facts = path.metadata().map_err(|error| format!("{}: {error}", path.display()))?;
    if !facts.file_type().is_block_device() {
        return Err(format!("{} is not a block device", path.display()));
    }
    let device = facts.rdev();
    Ok(BlockNumber { major: rustix::fs::major(device), minor: rustix::fs::minor(device) })
}

/// What connects the devices of `checked`, built as `domain`. Those of an HVM guest are there already, as
/// libxl tells QEMU of them.
pub(crate) fn changes(
    domain: DomId,
    checked: &CheckedSpec,
    numbers: &[Option<BlockNumber>],
) -> Vec<Change> {
    let spec = checked.spec();
    let hvm = matches!(spec.kind, GuestKind::Hvm { .. });
    let mut changes = Vec::new();
    // The kernel looks at them in this order: a start waits for the links, not for the disks.
    for nic in &spec.nics {
        match hvm {
            true => {
                let status = format!("{}/hotplug-status", Device::nic(domain, nic.devid).backend());
                changes.push(Change::Write(status, CONNECTED.to_owned()));
            }
            false => changes.extend(devices::nic(domain, nic)),
        }
    }
    for ((disk, vdev), number) in checked.disks().zip(numbers) {
        match hvm {
            true if number.is_none() => {}
            true => changes.extend(devices::data(&Device::disk(domain, vdev), disk)),
            false => changes.extend(devices::disk(domain, vdev, disk, *number)),
        }
    }
    changes
}

/// Asks a guest to let go of a device and waits until it has. `backend` is the device's folder in
/// xenstore, `error` where its driver in the guest writes why it does not.
pub(crate) fn close(
    store: &mut Xenstore,
    device: &str,
    backend: &str,
    error: &str,
    patience: Duration,
) -> Result<(), XenopsError> {
    let in_store = |why| XenopsError::failed(format!("unplugging {device}"), describe(&why));
    let state = format!("{backend}/state");
    // What it said at an earlier try says nothing about this one.
    store.remove(error).map_err(in_store)?;
    match store.read(&state).map_err(in_store)?.as_deref() {
        None | Some(CLOSED) => return Ok(()),
        Some(_) => {
            let nodes = [
                (format!("{backend}/online"), "0".to_owned()),
                (state.clone(), CLOSING.to_owned()),
            ];
            store.write_all(&nodes).map_err(in_store)?;
        }
    }
    let waited = store.wait_until(&[&state, error], patience, |store| {
        if let Some(why) = store.read(error)?.filter(|why| !why.is_empty()) {
            return Ok(Some(Err(why)));
        }
        let closed = store.read(&state)?.is_none_or(|state| state == CLOSED);
        Ok(closed.then_some(Ok(())))
    });
    let device = device.to_owned();
    match waited {
        Ok(Ok(())) => Ok(()),
        Ok(Err(detail)) => Err(XenopsError::DetachRejected { device, detail }),
        Err(XenstoreError::TimedOut { within, .. }) => {
            Err(XenopsError::DetachTimedOut { device, seconds: within.as_secs() })
        }
        Err(why) => Err(in_store(why)),
    }
}

/// Values below a domain's folders in which agents of guests report, by path. What is unreasonably
/// much of it is left out: the guest writes there as it likes.
pub(crate) fn guest_data(
    store: &mut Xenstore,
    domain: DomId,
) -> Result<std::collections::BTreeMap<String, String>, XenstoreError> {
    let mut found = std::collections::BTreeMap::new();
    let home = format!("/local/domain/{}", domain.0);
    let mut open: Vec<String> =
        crate::GUEST_FOLDERS.iter().map(|name| (*name).to_owned()).collect();
    while let Some(path) = open.pop() {
        if found.len() >= MOST_VALUES || path.split('/').count() > DEEPEST {
            continue;
        }
        let full = format!("{home}/{path}");
        for name in store.children(&full)? {
            open.push(format!("{path}/{name}"));
        }
        if let Some(value) = store.read(&full)?.filter(|value| !value.is_empty()) {
            found.insert(path, value);
        }
    }
    Ok(found)
}

/// Most values of a guest that are looked at.
const MOST_VALUES: usize = 512;
/// Most names in a path of such a value.
const DEEPEST: usize = 8;

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
    let connect = [
        ("physical-device-path", source.to_string_lossy().into_owned()),
        ("physical-device", number.text()),
        ("hotplug-status", CONNECTED.to_owned()),
    ];
    let connect = connect.map(|(name, value)| (format!("{backend}/{name}"), value));
    store.write_all(&connect).map_err(in_store)
}

/// An error of xenstore with its cause, for where only text fits.
pub(crate) fn describe(error: &XenstoreError) -> String {
    let cause = std::error::Error::source(error).map_or(String::new(), |why| format!(": {why}"));
    format!("{error}{cause}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libxl::ending::Remains;
    use crate::testing;
    use crate::xenstore::tests::serving;

    fn changed(spec: &crate::DomainSpec) -> Vec<Change> {
        let checked = CheckedSpec::check(spec, &testing::host()).unwrap();
        changes(DomId(7), &checked, &[Some(BlockNumber::new(253, 10)), None])
    }

    #[test]
    fn pvh_guests_get_all_their_devices() {
        let mut store = serving(&[], 0);
        store.change(&changed(&testing::pvh())).unwrap();
        let devices = Remains::of(&mut store, DomId(7)).unwrap().devices;
        assert_eq!(devices.len(), 2, "{devices:?}");
    }

    #[test]
    fn devices_of_hvm_guests_are_libxls() {
        let mut spec = testing::hvm();
        spec.disks[0].data.insert("scsi/0x12/0x80".into(), "x".into());
        let (vbd, vif) = ("/local/domain/0/backend/vbd/7/51712", "/local/domain/0/backend/vif/7/0");
        assert_eq!(
            changed(&spec),
            [
                Change::Write(format!("{vif}/hotplug-status"), "connected".into()),
                Change::Write(format!("{vbd}/sm-data/scsi/0x12/0x80"), "x".into()),
            ]
        );
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
    fn guests_let_go_refuse_or_say_nothing() {
        let quick = Duration::from_millis(50);
        let close = |folder: &str, state: &str, patience| {
            let (node, error) = (format!("{folder}/state"), format!("{folder}/error"));
            let mut store = serving(&[(&node, state), (&error, "old")], 0);
            super::close(&mut store, "xvdb of domain 3", folder, &error, patience)
        };
        close("/obeys", "4", Duration::from_secs(20)).unwrap();
        close("/silent", "6", quick).unwrap();
        let refused = close("/refuses", "4", Duration::from_secs(20)).unwrap_err();
        let (device, detail) = ("xvdb of domain 3".to_owned(), "16 in use".to_owned());
        assert_eq!(refused, XenopsError::DetachRejected { device: device.clone(), detail });
        let silent = close("/silent", "4", quick).unwrap_err();
        assert_eq!(silent, XenopsError::DetachTimedOut { device, seconds: 0 });
        let mut store = serving(&[], 0);
        super::close(&mut store, "x", "/gone", "/gone/error", quick).unwrap();
    }

    #[test]
    fn what_agents_say_is_found() {
        let home = "/local/domain/7";
        let nodes =
            [("data/os_name", "Linux"), ("attr/vif/0/ipv4/0", "192.0.2.7"), ("device/x", "y")];
        let nodes = nodes.map(|(path, value)| (format!("{home}/{path}"), value));
        let nodes: Vec<_> = nodes.iter().map(|(path, value)| (&path[..], *value)).collect();
        let found = guest_data(&mut serving(&nodes, 0), DomId(7)).unwrap();
        let found: Vec<_> = found.iter().map(|(path, value)| (&path[..], &value[..])).collect();
        assert_eq!(found, [("attr/vif/0/ipv4/0", "192.0.2.7"), ("data/os_name", "Linux")]);
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
