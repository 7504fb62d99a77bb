// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disks and network interfaces that the kernel's backends serve, as nodes in xenstore
//! (`xen/include/public/io/blkif.h` and `netif.h`).
//!
//! libxl would write each node by a request of its own, wait for each device and run a script for it. What
//! makes a device is written here in one transaction, connected at once; its copy below `/libxl` is what
//! libxl and `xl` know devices by, as libxl itself writes it. The backend's part has what Linux' drivers read
//! and no more: the kernel asks for each node there whether it belongs to a new device.

use std::time::Duration;

use super::config::{NO_SCRIPT, RATE_INTERVAL, per_interval};
use super::hotplug::BlockNumber;
use crate::hypervisor::{Disk, DomId, Nic};
use crate::vdev::Vdev;
use crate::xenstore::{Change, Xenstore, XenstoreError};

/// States of a device (`enum xenbus_state` of `xen/include/public/io/xenbus.h`).
pub(crate) const INITIALISING: &str = "1";
pub(crate) const CLOSING: &str = "5";
pub(crate) const CLOSED: &str = "6";

/// What a hotplug script would say of a device that it connected.
pub(crate) const CONNECTED: &str = "connected";

/// A device of a domain, as xenstore knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    domain: DomId,
    class: Class,
    number: u32,
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Disk,
    Nic,
}

impl Class {
    const ALL: [Class; 2] = [Class::Disk, Class::Nic];

    fn word(self) -> &'static str {
        match self {
            Class::Disk => "vbd",
            Class::Nic => "vif",
        }
    }
}

impl Device {
    /// The disk that a domain knows by this name.
    pub(crate) fn disk(domain: DomId, vdev: Vdev) -> Self {
        Self { domain, class: Class::Disk, number: vdev.number() }
    }

    /// The network interface with this number.
    pub(crate) fn nic(domain: DomId, devid: u32) -> Self {
        Self { domain, class: Class::Nic, number: devid }
    }

    /// The device of a class (a folder's name below `/libxl`) and with a number, as libxl writes them; none if
    /// no kernel's backend serves such.
    pub(crate) fn named(domain: DomId, class: &str, number: &str) -> Option<Self> {
        let class = Class::ALL.into_iter().find(|known| known.word() == class)?;
        Some(Self { domain, class, number: number.parse().ok()? })
    }

    /// Where its backend is, if it is there.
    pub(crate) fn served_at(&self, store: &mut Xenstore) -> Result<Option<String>, XenstoreError> {
        store.read(&format!("{}/backend", self.tool()))
    }

    /// Whether the kernel's backend serves it.
    pub(crate) fn exists(&self, store: &mut Xenstore) -> Result<bool, XenstoreError> {
        Ok(self.served_at(store)?.is_some_and(|at| at == self.backend()))
    }

    /// The guest's part.
    pub(crate) fn frontend(&self) -> String {
        format!("/local/domain/{}/device/{}/{}", self.domain.0, self.class.word(), self.number)
    }

    /// The part of Dom0's kernel.
    pub(crate) fn backend(&self) -> String {
        format!("/local/domain/0/backend/{}/{}/{}", self.class.word(), self.domain.0, self.number)
    }

    /// The part of libxl.
    pub(crate) fn tool(&self) -> String {
        format!("/libxl/{}/device/{}/{}", self.domain.0, self.class.word(), self.number)
    }

    /// Where the guest's driver says what is wrong.
    pub(crate) fn error(&self) -> String {
        let (domain, class) = (self.domain.0, self.class.word());
        format!("/local/domain/{domain}/error/device/{class}/{}/error", self.number)
    }

    fn plug(&self, frontend: &[Node<'_>], backend: &[Node<'_>], tool: &[Node<'_>]) -> Vec<Change> {
        let (guest, owner) = (self.domain.0, format!("n{}", self.domain.0));
        let parts = [self.frontend(), self.backend(), self.tool()];
        let link = |at: &str, to: &str| Change::Write(format!("{}/{at}", parts[2]), to.to_owned());
        let mut changes = vec![
            Change::Write(parts[0].clone(), String::new()),
            Change::Permit(parts[0].clone(), [owner, "r0".to_owned()]),
            Change::Write(parts[1].clone(), String::new()),
            Change::Permit(parts[1].clone(), ["n0".to_owned(), format!("r{guest}")]),
            link("frontend", &parts[0]),
            link("backend", &parts[1]),
        ];
        let ends = [
            [("backend", parts[1].as_str()), ("backend-id", "0")],
            [("frontend", parts[0].as_str()), ("frontend-id", &guest.to_string())],
        ]
        .map(|end| end.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for (part, nodes) in parts.iter().zip([frontend, backend, tool]) {
            let write =
                |(name, value): &Node<'_>| Change::Write(format!("{part}/{name}"), value.clone());
            changes.extend(nodes.iter().map(write));
        }
        for (part, end) in parts.iter().zip(ends) {
            let write =
                |(name, value): (String, String)| Change::Write(format!("{part}/{name}"), value);
            changes.extend(end.map(write));
        }
        changes
    }

    /// Removes all that is known of it.
    fn forget(&self) -> [Change; 3] {
        [self.frontend(), self.backend(), self.tool()].map(Change::Remove)
    }
}

/// A name below a device's part, and its value.
type Node<'a> = (&'a str, String);

/// What gives a domain a disk; `number` is the block device behind it, none if its drive is empty.
pub(crate) fn disk(
    domain: DomId,
    vdev: Vdev,
    disk: &Disk,
    number: Option<BlockNumber>,
) -> Vec<Change> {
    let device = Device::disk(domain, vdev);
    let kind = if disk.cdrom { "cdrom" } else { "disk" }.to_owned();
    let mode = if disk.read_only { "r" } else { "w" }.to_owned();
    let source = disk.source.as_ref().map(|source| source.to_string_lossy().into_owned());
    let frontend = [
        ("state", INITIALISING.to_owned()),
        ("virtual-device", vdev.number().to_string()),
        ("device-type", kind.clone()),
        // The guest need not mistrust its backend (`xen,trusted`, XSA-403).
        ("trusted", "1".to_owned()),
    ];
    let mut backend = vec![
        ("online", "1".to_owned()),
        ("state", INITIALISING.to_owned()),
        ("mode", mode.clone()),
        // For the name of its thread, without which it does nothing.
        ("dev", disk.vdev.clone()),
        // What `xl destroy` runs.
        ("script", NO_SCRIPT.to_owned()),
    ];
    if let Some(number) = number {
        backend.push(("physical-device", number.text()));
    }
    let tool = [
        ("params", source.unwrap_or_default()),
        ("script", NO_SCRIPT.to_owned()),
        ("removable", u8::from(disk.cdrom).to_string()),
        ("dev", disk.vdev.clone()),
        ("type", "phy".to_owned()),
        ("mode", mode),
        ("device-type", kind),
        ("specification", "xen".to_owned()),
    ];
    let mut changes = device.plug(&frontend, &backend, &tool);
    changes.extend(data(&device, disk));
    changes
}

/// What the guest is told of a disk.
pub(crate) fn data(device: &Device, disk: &Disk) -> impl Iterator<Item = Change> {
    let backend = device.backend();
    disk.data
        .iter()
        .map(move |(path, value)| Change::Write(format!("{backend}/sm-data/{path}"), value.clone()))
}

/// What gives a domain a network interface.
pub(crate) fn nic(domain: DomId, nic: &Nic) -> Vec<Change> {
    let device = Device::nic(domain, nic.devid);
    let both = || [("handle", nic.devid.to_string()), ("mac", nic.mac.clone())].into_iter();
    let mut frontend: Vec<Node<'_>> = both().collect();
    frontend.extend([
        ("state", INITIALISING.to_owned()),
        ("mtu", nic.mtu.to_string()),
        ("trusted", "1".to_owned()),
    ]);
    let mut tool: Vec<Node<'_>> = both().collect();
    tool.extend([("script", NO_SCRIPT.to_owned()), ("type", "vif".to_owned())]);
    let mut backend: Vec<Node<'_>> = both().collect();
    backend.extend([
        ("online", "1".to_owned()),
        ("state", INITIALISING.to_owned()),
        ("script", NO_SCRIPT.to_owned()),
        ("hotplug-status", CONNECTED.to_owned()),
    ]);
    if let Some(rate) = nic.rate {
        backend.push(("rate", format!("{},{RATE_INTERVAL}", per_interval(rate))));
    }
    device.plug(&frontend, &backend, &tool)
}

/// Takes devices from a domain whatever its guest says: the kernel lets go of what is behind them, for as
/// long as `patience` waited for, then all that is known of them goes.
pub(crate) fn remove(
    store: &mut Xenstore,
    devices: &[Device],
    patience: Duration,
) -> Result<(), XenstoreError> {
    if devices.is_empty() {
        return Ok(());
    }
    store.change_each(&leave(devices))?;
    await_closed(store, devices, patience)?;
    store.change_each(&devices.iter().flat_map(Device::forget).collect::<Vec<_>>())
}

/// What makes the kernel let go of devices.
pub(crate) fn leave(devices: &[Device]) -> Vec<Change> {
    let leave = |device: &Device| {
        let backend = device.backend();
        [
            Change::Write(format!("{backend}/online"), "0".to_owned()),
            Change::Write(format!("{backend}/state"), CLOSING.to_owned()),
            // The backend does not wait for a guest that is not there.
            Change::Remove(device.frontend()),
        ]
    };
    devices.iter().flat_map(leave).collect()
}

/// Waits until the kernel has let go of devices, and warns if it does not.
pub(crate) fn await_closed(
    store: &mut Xenstore,
    devices: &[Device],
    patience: Duration,
) -> Result<(), XenstoreError> {
    let states: Vec<_> =
        devices.iter().map(|device| format!("{}/state", device.backend())).collect();
    let paths: Vec<_> = states.iter().map(String::as_str).collect();
    let closed = store.wait_until(&paths, patience, |store| {
        let states = store.read_all(&paths)?;
        Ok(states.iter().flatten().all(|state| state == CLOSED).then_some(()))
    });
    match closed {
        Err(XenstoreError::TimedOut { path, within }) => {
            tracing::warn!(path, ?within, "the kernel does not let go of a device");
            Ok(())
        }
        closed => closed,
    }
}

/// Removes what Dom0 knows of a domain's devices that the kernel serves.
pub(crate) fn folders(domain: DomId) -> Vec<Change> {
    let folder = |class: Class| {
        Change::Remove(format!("/local/domain/0/backend/{}/{}", class.word(), domain.0))
    };
    Class::ALL.map(folder).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libxl::ending::Remains;
    use crate::testing;
    use crate::xenstore::tests::serving;

    fn all(store: &mut Xenstore, domain: u32) -> Vec<Device> {
        Remains::of(store, DomId(domain)).unwrap().devices
    }

    fn written(store: &mut Xenstore, path: &str) -> Option<String> {
        store.read(path).unwrap()
    }

    #[test]
    fn a_disk_is_what_libxl_makes_of_one() {
        let spec = testing::pvh();
        let vdev = Vdev::parse("xvda").unwrap();
        let mut store = serving(&[], 0);
        let number = BlockNumber::new(253, 10);
        store.change(&disk(DomId(7), vdev, &spec.disks[0], Some(number))).unwrap();
        let (front, back) =
            ("/local/domain/7/device/vbd/51712", "/local/domain/0/backend/vbd/7/51712");
        for (path, value) in [
            (format!("{front}#"), "n7 r0"),
            (format!("{front}/backend"), back),
            (format!("{front}/backend-id"), "0"),
            (format!("{front}/state"), "1"),
            (format!("{front}/virtual-device"), "51712"),
            (format!("{front}/device-type"), "disk"),
            (format!("{back}#"), "n0 r7"),
            (format!("{back}/frontend"), front),
            (format!("{back}/frontend-id"), "7"),
            (format!("{back}/online"), "1"),
            (format!("{back}/state"), "1"),
            (format!("{back}/mode"), "w"),
            (format!("{back}/dev"), "xvda"),
            (format!("{back}/physical-device"), "fd:a"),
            ("/libxl/7/device/vbd/51712/backend".to_owned(), back),
            ("/libxl/7/device/vbd/51712/frontend".to_owned(), front),
            ("/libxl/7/device/vbd/51712/dev".to_owned(), "xvda"),
            ("/libxl/7/device/vbd/51712/type".to_owned(), "phy"),
        ] {
            assert_eq!(written(&mut store, &path).as_deref(), Some(value), "{path}");
        }
        let devices = all(&mut store, 7);
        assert_eq!(devices, [Device::disk(DomId(7), vdev)]);
        assert_eq!(all(&mut store, 8), []);
        let there = [7, 8].map(|id| Device::disk(DomId(id), vdev).exists(&mut store).unwrap());
        assert_eq!(there, [true, false]);
        assert_eq!(devices[0].error(), "/local/domain/7/error/device/vbd/51712/error");
    }

    #[test]
    fn an_empty_drive_waits_for_its_medium() {
        let drive = testing::hvm().disks.remove(1);
        let mut store = serving(&[], 0);
        let vdev = Vdev::parse("xvdd").unwrap();
        store.change(&disk(DomId(7), vdev, &drive, None)).unwrap();
        let back = "/local/domain/0/backend/vbd/7/51760";
        for (name, value) in [("mode", Some("r")), ("state", Some("1")), ("physical-device", None)]
        {
            assert_eq!(written(&mut store, &format!("{back}/{name}")).as_deref(), value, "{name}");
        }
        let front = "/local/domain/7/device/vbd/51760/device-type";
        assert_eq!(written(&mut store, front).as_deref(), Some("cdrom"));
    }

    #[test]
    fn a_network_interface_is_what_libxl_makes_of_one() {
        let mut spec = testing::pvh();
        spec.nics[0].rate = Some(1_000_000);
        let mut store = serving(&[], 0);
        store.change(&nic(DomId(7), &spec.nics[0])).unwrap();
        let (front, back) = ("/local/domain/7/device/vif/0", "/local/domain/0/backend/vif/7/0");
        for (path, value) in [
            (format!("{front}#"), "n7 r0"),
            (format!("{front}/handle"), "0"),
            (format!("{front}/mac"), "00:16:3e:01:02:03"),
            (format!("{front}/mtu"), "1500"),
            (format!("{back}#"), "n0 r7"),
            (format!("{back}/mac"), "00:16:3e:01:02:03"),
            (format!("{back}/handle"), "0"),
            (format!("{back}/rate"), "50000,50000"),
            (format!("{back}/hotplug-status"), "connected"),
            ("/libxl/7/device/vif/0/backend".to_owned(), back),
        ] {
            assert_eq!(written(&mut store, &path).as_deref(), Some(value), "{path}");
        }
    }

    #[test]
    fn a_removed_device_leaves_nothing() {
        let spec = testing::pvh();
        let mut store = serving(&[], 0);
        let vdev = Vdev::parse("xvda").unwrap();
        store.change(&disk(DomId(7), vdev, &spec.disks[0], None)).unwrap();
        store.change(&nic(DomId(7), &spec.nics[0])).unwrap();
        let devices = all(&mut store, 7);
        assert_eq!(devices.len(), 2);
        // No kernel closes them here.
        remove(&mut store, &devices, Duration::from_millis(50)).unwrap();
        assert_eq!(all(&mut store, 7), []);
        for device in &devices {
            for part in [device.frontend(), device.backend(), device.tool()] {
                assert_eq!(written(&mut store, &part), None);
                assert_eq!(store.children(&part).unwrap(), [""; 0]);
            }
        }
        remove(&mut store, &devices, Duration::from_millis(50)).unwrap();
    }
}
