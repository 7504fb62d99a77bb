// SPDX-License-Identifier: MIT OR Apache-2.0
//! A made-up host, for tests and for trying the API on any machine.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use appliance_model::handover::{Handover, LocalSr, LocalSrKind};
use network::{FakeNetwork, IpStatus, PhysicalNic};
use storage::{FakeDriver, SrDriver, SrSpec};
use xapi_model::DateTime;
use xenops::{SimulatedHost, Simulator};

use crate::auth::MadeUp;
use crate::dom0::{Dom0, FakePrograms};
use crate::hardware::Machine;
use crate::prompt::Prompt;
use crate::toolstack::{BootFiles, Files, Outside, Power, SAMPLING, TRIAL};

/// Bytes of a made-up SR.
const CAPACITY: u64 = 1 << 40;
/// The made-up local SR.
const LOCAL_SR: &str = "5f5e6b1c-30a5-4f6b-8c57-0d8a3f1b2c4d";

/// The parts of a made-up host.
pub struct Simulation {
    /// Its hypervisor.
    pub hypervisor: Arc<Simulator>,
    /// Its storage.
    pub storage: Arc<FakeDriver>,
    /// Its network.
    pub network: Arc<FakeNetwork>,
    /// What the installer would have left.
    pub handover: Handover,
    /// Its systemd, and what else services are driven by.
    pub programs: Arc<FakePrograms>,
    outside: Outside,
}

impl Simulation {
    /// A host with two network cards and a local SR, its files below `folder`. `consoles`: its guests have
    /// consoles, HVM guests a screen too.
    pub fn new(folder: &Path, password: &str, consoles: bool) -> Result<Simulation> {
        let screens = consoles.then(|| folder.join("vnc"));
        let host = SimulatedHost { consoles, screens, ..SimulatedHost::default() };
        let hypervisor = Arc::new(Simulator::new(host));
        let srs = folder.join("sr");
        fs::create_dir_all(&srs).with_context(|| format!("creating {}", srs.display()))?;
        let storage = Arc::new(FakeDriver::new("ext", srs.clone(), CAPACITY));
        let others: [Arc<dyn SrDriver>; 2] = [
            Arc::new(FakeDriver::new("file", srs.clone(), CAPACITY)),
            Arc::new(FakeDriver::new("lvmthin", srs, CAPACITY)),
        ];
        let lease = IpStatus {
            address: "192.0.2.10".into(),
            prefix: 24,
            gateway: Some("192.0.2.1".into()),
        };
        let lease6 = IpStatus {
            address: "2001:db8::5054:ff:fe00:0".into(),
            prefix: 64,
            gateway: Some("fe80::1".into()),
        };
        let network = Arc::new(FakeNetwork::new(vec![card(0), card(1)], vec![lease, lease6]));
        let local = LocalSr { uuid: LOCAL_SR.into(), kind: LocalSrKind::Ext };
        // What the installer does.
        let uuid = uuid::Uuid::parse_str(LOCAL_SR).context("reading the SR's uuid")?;
        let spec = SrSpec { uuid, device_config: Default::default() };
        storage.create(&spec).context("making the local SR")?;
        let programs = Arc::new(FakePrograms::with_units(&["chrony.service", "ssh.service"]));
        let outside = Outside {
            hypervisor: hypervisor.clone(),
            drivers: others.into_iter().chain([storage.clone() as Arc<dyn SrDriver>]).collect(),
            network: network.clone(),
            accounts: Arc::new(MadeUp::new(password)),
            power: Arc::new(NoPower),
            machine: machine(&folder.join("machine"))?,
            dom0: Dom0::new(folder.join("machine"), programs.clone()),
            boot: boot_files(&folder.join("boot"))?,
            prompt: Prompt::nowhere(),
            files: Files {
                blobs: folder.join("blobs"),
                logs: folder.join("log"),
                figures: folder.join("figures"),
                plugins: folder.join("plugins"),
                extensions: folder.join("extensions"),
                authorities: folder.join("authorities"),
            },
            sampling: Some(SAMPLING),
            trial: TRIAL,
        };
        let handover = Handover {
            pool_name: "Simulated pool".into(),
            management: None,
            local_sr: Some(local),
            reinstallation: None,
        };
        Ok(Simulation { hypervisor, storage, network, handover, programs, outside })
    }

    /// What the daemon works with.
    pub fn into_outside(self) -> Outside {
        self.outside
    }
}

fn card(number: u8) -> PhysicalNic {
    PhysicalNic {
        device: format!("eth{number}"),
        mac: format!("52:54:00:00:00:{number:02x}"),
        mtu: 1500,
        carrier: true,
        speed_mbit: Some(1000),
        driver: "simulated".into(),
        pci: Some(format!("0000:00:0{}.0", number + 3)),
    }
}

/// Files as Dom0 has them, of a machine with a graphics card and two network cards.
fn machine(root: &Path) -> Result<Machine> {
    let write = |path: String, text: &str| -> Result<()> {
        let path = root.join(path);
        let folder = path.parent().context("a file without a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    let cpu = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nstepping\t: 7\n\
               flags\t\t: fpu vme pse\n";
    write("proc/cpuinfo".into(), cpu)?;
    // It starts with its daemon.
    write("proc/stat".into(), &format!("cpu  0 0\nbtime {}\n", DateTime::now().0))?;
    for (name, text) in [("sys_vendor", "Made-up Inc."), ("product_name", "Simulator")] {
        write(format!("sys/class/dmi/id/{name}"), &format!("{text}\n"))?;
    }
    let devices = [
        ("0000:00:02.0", "0x030000", "0x1234", "0x1111"),
        ("0000:00:03.0", "0x020000", "0x8086", "0x100e"),
        ("0000:00:04.0", "0x020000", "0x8086", "0x100e"),
    ];
    for (address, class, vendor, device) in devices {
        for (name, text) in [("class", class), ("vendor", vendor), ("device", device)] {
            write(format!("sys/bus/pci/devices/{address}/{name}"), text)?;
        }
    }
    write("sys/bus/pci/devices/0000:00:02.0/boot_vga".into(), "1")?;
    let stick = [
        ("bDeviceClass", "00"),
        ("idVendor", "1209"),
        ("idProduct", "0001"),
        ("manufacturer", "Made-up"),
        ("product", "Stick"),
        ("version", " 2.00"),
        ("speed", "480"),
    ];
    for (name, text) in stick {
        write(format!("sys/bus/usb/devices/1-1/{name}"), text)?;
    }
    let names = "1234  Made-up\n\t1111  Screen\n8086  Intel Corporation\n\t100e  82540EM\n";
    write("usr/share/misc/pci.ids".into(), names)?;
    for (zone, rule) in [("UTC", "UTC0"), ("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3")] {
        write(format!("usr/share/zoneinfo/{zone}"), &compiled_zone(rule))?;
    }
    let pool = "pool ntp.example iburst\n";
    write("usr/share/xenith/ntp-factory.sources".into(), pool)?;
    write("etc/chrony/sources.d/default.sources".into(), pool)?;
    Ok(Machine::new(root.to_owned()))
}

/// A compiled zone that always went by its rule (RFC 9636, section 3): both blocks have one kind of
/// time, UTC, and no changes.
fn compiled_zone(rule: &str) -> String {
    let counts = "\0\0\0\0".repeat(4) + "\0\0\0\u{1}" + "\0\0\0\u{4}";
    let block = format!("TZif2{}{counts}{}UTC\0", "\0".repeat(15), "\0".repeat(6));
    format!("{block}{block}\n{rule}\n")
}

fn boot_files(folder: &Path) -> Result<BootFiles> {
    let kernels = folder.join("guest");
    fs::create_dir_all(&kernels).with_context(|| format!("creating {}", kernels.display()))?;
    let file = |name: &str| -> Result<_> {
        let path = folder.join(name);
        fs::write(&path, "").with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    };
    Ok(BootFiles { pv: file("pv.bin")?, pvh: file("pvh.bin")?, kernels: vec![kernels] })
}

/// A made-up machine stays on.
struct NoPower;

impl Power for NoPower {
    fn off(&self) -> Result<()> {
        anyhow::bail!("a simulated host cannot be powered off")
    }

    fn reboot(&self) -> Result<()> {
        anyhow::bail!("a simulated host cannot be rebooted")
    }

    fn is_ending(&self) -> Result<bool> {
        Ok(false)
    }

    fn restart_daemon(&self) -> Result<()> {
        anyhow::bail!("the daemon of a simulated host is started by hand")
    }

    fn stop_daemon(&self) -> Result<()> {
        anyhow::bail!("the daemon of a simulated host is ended by hand")
    }

    fn set_hostname(&self, _: &str) -> Result<()> {
        // The objects know its name, and nobody else asks for it.
        Ok(())
    }

    fn log(&self) -> Result<String> {
        anyhow::bail!("the daemon of a simulated host logs to standard error")
    }
}
