// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Dom0's kernel counts, in `/proc` and `/sys`.
//!
//! Network interfaces come out of `/proc/net/dev`, one file for all. Disks are those of the block
//! backend, whose counters are the guest's requests. It counts nothing as long as a fully virtualized
//! guest reaches a disk through QEMU alone; then the block device's own counters are taken, which
//! have what Dom0 and other guests do with the same device too. What cannot be read is left out: devices come
//! and go at any time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::usage::{DiskUsage, LinkUsage, NicUsage, Traffic};
use crate::vdev::Vdev;

/// Bytes of a sector, whatever the device's is.
const SECTOR: u64 = 512;

/// The kernel's files below a root folder.
#[derive(Debug)]
pub(crate) struct Sysfs {
    root: PathBuf,
}

/// What belongs to one domain.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Devices {
    pub(crate) disks: Vec<DiskUsage>,
    pub(crate) nics: Vec<NicUsage>,
}

impl Sysfs {
    pub(crate) fn new(root: PathBuf) -> Sysfs {
        Sysfs { root }
    }

    /// Dom0's load of the last minute, in hundredths.
    pub(crate) fn load_hundredths(&self) -> Option<u32> {
        let text = fs::read_to_string(self.root.join("proc/loadavg")).ok()?;
        let (whole, part) = text.split_whitespace().next()?.split_once('.')?;
        let part = (part.len() == 2).then_some(part)?.parse::<u32>().ok()?;
        whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(part)
    }

    /// Memory that programs in Dom0 could still get, in KiB.
    pub(crate) fn available_kib(&self) -> Option<u64> {
        let text = fs::read_to_string(self.root.join("proc/meminfo")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    }

    /// For how long a process has been there. The kernel counts hundredths of a second (`USER_HZ`).
    pub(crate) fn age(&self, process: u32) -> Option<Duration> {
        let read = |file: &str| fs::read_to_string(self.root.join("proc").join(file)).ok();
        let stat = read(&format!("{process}/stat"))?;
        // Any letters may be in its name, which is in parentheses; `starttime` is number 22 (proc(5)).
        let began: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
        let uptime = read("uptime")?;
        let (seconds, hundredths) = uptime.split_whitespace().next()?.split_once('.')?;
        let hundredths = (hundredths.len() == 2).then_some(hundredths)?.parse::<u64>().ok()?;
        let now = seconds.parse::<u64>().ok()?.checked_mul(100)?.checked_add(hundredths)?;
        Some(Duration::from_millis(now.saturating_sub(began).saturating_mul(10)))
    }

    /// Network cards of the host, and the devices of domains by their numbers.
    pub(crate) fn devices(&self) -> (Vec<LinkUsage>, BTreeMap<u32, Devices>) {
        let mut cards = Vec::new();
        let mut domains: BTreeMap<u32, Devices> = BTreeMap::new();
        let text = fs::read_to_string(self.root.join("proc/net/dev")).unwrap_or_default();
        for (name, traffic) in text.lines().filter_map(link) {
            match guest_link(name) {
                Some((domain, devid)) => {
                    // What Dom0 receives the guest has sent.
                    let traffic = Traffic {
                        received_bytes: traffic.sent_bytes,
                        sent_bytes: traffic.received_bytes,
                        receive_errors: traffic.send_errors,
                        send_errors: traffic.receive_errors,
                    };
                    let nics = &mut domains.entry(domain).or_default().nics;
                    match nics.iter_mut().find(|nic| nic.devid == devid) {
                        Some(nic) => nic.traffic = sum(nic.traffic, traffic),
                        None => nics.push(NicUsage { devid, traffic }),
                    }
                }
                None if self.is_card(name) => {
                    cards.push(LinkUsage { name: name.to_owned(), traffic });
                }
                None => {}
            }
        }
        let backends = fs::read_dir(self.root.join("sys/bus/xen-backend/devices"));
        for entry in backends.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some((domain, number)) = name.to_str().and_then(guest_disk) else { continue };
            let vdev = Vdev::of_number(number);
            if let Some(disk) = vdev.and_then(|vdev| self.disk(vdev, &entry.path())) {
                domains.entry(domain).or_default().disks.push(disk);
            }
        }
        for devices in domains.values_mut() {
            devices.disks.sort_by(|one, other| one.vdev.cmp(&other.vdev));
            devices.nics.sort_by_key(|nic| nic.devid);
        }
        (cards, domains)
    }

    /// Hardware, and no bridge, bond or back end of a guest.
    fn is_card(&self, name: &str) -> bool {
        let device = self.root.join("sys/class/net").join(name).join("device");
        let bus = fs::read_link(device.join("subsystem"));
        device.exists() && !bus.is_ok_and(|bus| bus.ends_with("xen-backend"))
    }

    fn disk(&self, vdev: Vdev, backend: &Path) -> Option<DiskUsage> {
        let counter = |name: &str| number(&backend.join("statistics").join(name));
        let (reads, writes) = (counter("rd_req"), counter("wr_req"));
        if let (Some(reads), Some(writes)) = (reads, writes)
            && reads + writes > 0
        {
            return Some(DiskUsage {
                vdev: vdev.to_string(),
                read_bytes: counter("rd_sect")?.saturating_mul(SECTOR),
                written_bytes: counter("wr_sect")?.saturating_mul(SECTOR),
                reads,
                writes,
            });
        }
        let device = fs::read_to_string(backend.join("physical_device")).ok()?;
        let (major, minor) = device.trim().split_once(':')?;
        let part = |text| u32::from_str_radix(text, 16).ok();
        let (major, minor) = (part(major)?, part(minor)?);
        let stat = self.root.join(format!("sys/dev/block/{major}:{minor}/stat"));
        // Reads, merged, sectors, milliseconds; the same of writes (the kernel's block/stat.rst).
        let stat = fs::read_to_string(stat).ok()?;
        let stat: Vec<u64> = stat.split_whitespace().map_while(|word| word.parse().ok()).collect();
        Some(DiskUsage {
            vdev: vdev.to_string(),
            read_bytes: stat.get(2)?.saturating_mul(SECTOR),
            written_bytes: stat.get(6)?.saturating_mul(SECTOR),
            reads: *stat.first()?,
            writes: *stat.get(4)?,
        })
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn sum(one: Traffic, other: Traffic) -> Traffic {
    Traffic {
        received_bytes: one.received_bytes.saturating_add(other.received_bytes),
        sent_bytes: one.sent_bytes.saturating_add(other.sent_bytes),
        receive_errors: one.receive_errors.saturating_add(other.receive_errors),
        send_errors: one.send_errors.saturating_add(other.send_errors),
    }
}

/// A line of `/proc/net/dev`: name, then bytes, packets, errors and five more received, and the same sent.
fn link(line: &str) -> Option<(&str, Traffic)> {
    let (name, counters) = line.split_once(':')?;
    let counters: Vec<u64> =
        counters.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let traffic = Traffic {
        received_bytes: *counters.first()?,
        receive_errors: *counters.get(2)?,
        sent_bytes: *counters.get(8)?,
        send_errors: *counters.get(10)?,
    };
    Some((name.trim(), traffic))
}

/// Domain and device number of a guest's back end: `vif3.0`, and `vif3.0-emu` of its emulated card.
fn guest_link(name: &str) -> Option<(u32, u32)> {
    let (domain, devid) = name.strip_prefix("vif")?.split_once('.')?;
    let devid = devid.strip_suffix("-emu").unwrap_or(devid);
    Some((domain.parse().ok()?, devid.parse().ok()?))
}

/// Domain and device number of a guest's disk: `vbd-3-51712`.
fn guest_disk(name: &str) -> Option<(u32, u32)> {
    let (domain, number) = name.strip_prefix("vbd-")?.split_once('-')?;
    Some((domain.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0: 5000      50    1    0    0     0          0         0     7000      70    2    0    0     0       0          0
xenbr0:    1       1    0    0    0     0          0         0        1       1    0    0    0     0       0          0
vif3.0:  300       3    4    0    0     0          0         0      900       9    5    0    0     0       0          0
vif3.0-emu: 10     3    0    0    0     0          0         0       20       9    0    0    0     0       0          0
vif12.1:    8 
vifodd:  300       3    4    0    0     0          0         0      900       9    5    0    0     0       0          0
";

    #[test]
    fn a_process_has_an_age() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = root.path().join("proc").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let sysfs = Sysfs::new(root.path().into());
        write("uptime", "321.07 600.00\n");
        let fields = "S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 32005 10 20 30\n";
        write("7/stat", &format!("7 (a ) name) {fields}"));
        assert_eq!(sysfs.age(7), Some(Duration::from_millis(1020)));
        assert_eq!(sysfs.age(8), None);
        for bad in ["", "7 (x) S 1", "7 x", "7 (x) S 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9 x 2"] {
            write("7/stat", bad);
            assert_eq!(sysfs.age(7), None, "{bad}");
        }
    }

    #[test]
    fn the_kernel_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let sysfs = Sysfs::new(root.to_owned());
        assert_eq!(sysfs.devices(), (vec![], BTreeMap::new()));
        assert_eq!((sysfs.load_hundredths(), sysfs.available_kib()), (None, None));
        write("proc/net/dev", DEV);
        write("proc/loadavg", "1.05 0.50 0.25 1/123 4567\n");
        write("proc/meminfo", "MemTotal:  1000 kB\nMemFree:  10 kB\nMemAvailable:     543 kB\n");
        write("sys/class/net/eth0/device/vendor", "0x8086");
        symlink("/sys/bus/pci", root.join("sys/class/net/eth0/device/subsystem")).unwrap();
        write("sys/class/net/vifodd/device/devtype", "vif");
        symlink("/sys/bus/xen-backend", root.join("sys/class/net/vifodd/device/subsystem"))
            .unwrap();
        let backends = "sys/bus/xen-backend/devices";
        for (name, value) in [("rd_req", 2), ("wr_req", 3), ("rd_sect", 8), ("wr_sect", 16)] {
            write(&format!("{backends}/vbd-3-51712/statistics/{name}"), &format!("{value}\n"));
            write(&format!("{backends}/vbd-3-51760/statistics/{name}"), "0\n");
        }
        write(&format!("{backends}/vbd-3-51760/physical_device"), "fd:a\n");
        write("sys/dev/block/253:10/stat", "  7  0  32  1  9  0  64  1  0  0  0\n");
        write(&format!("{backends}/vbd-4-51712/physical_device"), "nonsense");
        write(&format!("{backends}/vbd-4-1/physical_device"), "fd:a\n");
        write(&format!("{backends}/vif-3-0/nothing"), "");

        assert_eq!((sysfs.load_hundredths(), sysfs.available_kib()), (Some(105), Some(543)));
        let (cards, domains) = sysfs.devices();
        let traffic = |received_bytes, sent_bytes, receive_errors, send_errors| Traffic {
            received_bytes,
            sent_bytes,
            receive_errors,
            send_errors,
        };
        let eth0 = LinkUsage { name: "eth0".into(), traffic: traffic(5000, 7000, 1, 2) };
        assert_eq!(cards, [eth0]);
        assert_eq!(domains.keys().copied().collect::<Vec<_>>(), [3]);
        assert_eq!(domains[&3].nics, [NicUsage { devid: 0, traffic: traffic(920, 310, 5, 4) }]);
        let disk = |vdev: &str, read_bytes, written_bytes, reads, writes| DiskUsage {
            vdev: vdev.into(),
            read_bytes,
            written_bytes,
            reads,
            writes,
        };
        let expected = [disk("xvda", 4096, 8192, 2, 3), disk("xvdd", 32 * 512, 64 * 512, 7, 9)];
        assert_eq!(domains[&3].disks, expected);
    }
}
