// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam to Xen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use uuid::Uuid;

use crate::error::XenopsError;
use crate::onlooker::Onlooker;
use crate::platform::Platform;
use crate::usage::Usage;

/// Number of a running domain, given by Xen; Dom0 is 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct DomId(pub u32);

/// What the toolstack needs of a hypervisor. All calls block: the toolstack runs them on its
/// blocking threads. Implemented by the libxl worker and by the simulator.
pub trait Hypervisor: Send + Sync {
    /// Facts of the host, fresh at each call.
    fn host(&self) -> Result<HostInfo, XenopsError>;

    /// Every domain that exists now, Dom0 among them.
    fn domains(&self) -> Result<Vec<DomainInfo>, XenopsError>;

    /// What the machine and every domain have used so far. Cheap: it is asked every few seconds.
    fn usage(&self) -> Result<Usage, XenopsError>;

    /// Builds a domain and leaves it paused, its block devices connected, its network interfaces
    /// present as links in Dom0 but in no bridge. On failure nothing is left behind.
    fn create(&self, spec: &DomainSpec) -> Result<Created, XenopsError>;

    /// Lets a paused domain run.
    fn unpause(&self, domain: DomId) -> Result<(), XenopsError>;

    /// Stops a domain's virtual CPUs.
    fn pause(&self, domain: DomId) -> Result<(), XenopsError>;

    /// Asks the guest to end; its answer is a later [`EventKind::Shutdown`]. An HVM guest without
    /// PV drivers gets the ACPI power or reset button.
    fn request_shutdown(&self, domain: DomId, how: ShutdownRequest) -> Result<(), XenopsError>;

    /// Removes a domain, its devices and its device model. Safe to repeat: a domain that is gone is no error.
    fn destroy(&self, domain: DomId) -> Result<(), XenopsError>;

    /// Gives a domain one more block device, connected. One that QEMU would have to emulate it
    /// never is: a fully virtualized guest sees it through its PV drivers.
    fn plug_disk(&self, domain: DomId, disk: &Disk) -> Result<(), XenopsError>;

    /// Takes the block device called `vdev` from a domain; one that is not there is no error.
    /// Without `force` the guest is asked to let go and waited for
    /// ([`XenopsError::DetachRejected`], [`XenopsError::DetachTimedOut`]).
    fn unplug_disk(&self, domain: DomId, vdev: &str, force: bool) -> Result<(), XenopsError>;

    /// Gives a domain one more network interface and returns its links in Dom0, which are in no bridge.
    fn plug_nic(&self, domain: DomId, nic: &Nic) -> Result<Vec<String>, XenopsError>;

    /// Takes a network interface from a domain, as [`Hypervisor::unplug_disk`] does a disk.
    fn unplug_nic(&self, domain: DomId, devid: u32, force: bool) -> Result<(), XenopsError>;

    /// Changes what lies in a CD drive of a fully virtualized guest; none empties it.
    fn change_medium(
        &self,
        domain: DomId,
        vdev: &str,
        source: Option<&Path>,
    ) -> Result<(), XenopsError>;

    /// Asks the guest to suspend and writes its memory and state to `image`, a file or block
    /// device of Dom0 that is large enough. The domain stays, shut down with
    /// [`ShutdownReason::Suspend`]; on failure, and when it is stopped, the guest runs on.
    fn suspend(
        &self,
        domain: DomId,
        image: &Path,
        onlooker: &dyn Onlooker,
    ) -> Result<(), XenopsError>;

    /// Lets a domain that [`Hypervisor::suspend`] left run on. Safe to repeat: one that is not
    /// suspended is left as it is.
    fn resume(&self, domain: DomId) -> Result<(), XenopsError>;

    /// Builds a domain as [`Hypervisor::create`] does, with memory and state out of `image`, and
    /// leaves it paused. `spec` must be what the suspended domain was.
    /// The image stays as it is, also when this is stopped.
    fn restore(
        &self,
        spec: &DomainSpec,
        image: &Path,
        onlooker: &dyn Onlooker,
    ) -> Result<Created, XenopsError>;

    /// Offers the guest this many of its virtual CPUs, from 1 to [`DomainSpec::vcpus_max`].
    fn set_vcpus(&self, domain: DomId, count: u32) -> Result<(), XenopsError>;

    /// Asks the guest to give back memory until it has `kib` KiB, or to take some until it has that
    /// many, and lets it have no more. It does so by and by, or never: [`Hypervisor::domains`] tells
    /// what it has.
    fn set_memory_target(&self, domain: DomId, kib: u64) -> Result<(), XenopsError>;

    /// Changes a domain's share of the physical CPUs; what is none stays as it is.
    fn set_scheduling(&self, domain: DomId, scheduling: Scheduling) -> Result<(), XenopsError>;

    /// Presses a button of the machine that the guest sees.
    fn press(&self, domain: DomId, button: Button) -> Result<(), XenopsError>;

    /// What an agent in the guest wrote to xenstore: values by path below the domain's folder, of
    /// [`GUEST_FOLDERS`] only.
    fn guest_data(&self, domain: DomId) -> Result<BTreeMap<String, String>, XenopsError>;

    /// What Xen has logged, as far as its console's ring holds it; `clear` empties the ring.
    fn console_ring(&self, clear: bool) -> Result<String, XenopsError>;

    /// Presses keys of Xen's debug console, in this order; what they print goes to that.
    fn send_debug_keys(&self, keys: &str) -> Result<(), XenopsError>;

    /// Writes the memory and the state of a domain whose guest has crashed to `file`, a file or block
    /// device of Dom0 that is large enough, as an ELF core (`docs/misc/dump-core-format.txt` of Xen).
    fn dump_core(&self, domain: DomId, file: &Path) -> Result<(), XenopsError>;

    /// What happens to domains from now on, whoever caused it.
    fn watch(&self) -> Result<Receiver<Event>, XenopsError>;
}

/// Folders of a domain in xenstore in which agents of guests report.
pub const GUEST_FOLDERS: [&str; 3] = ["attr", "data", "drivers"];

/// Facts of the host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostInfo {
    /// `4.20.3`.
    pub xen_version: String,
    /// As `xl info` prints it: `xen-3.0-x86_64 hvm-3.0-x86_64 …`.
    pub capabilities: Vec<String>,
    /// Logical CPUs online.
    pub cpus: u32,
    /// Sockets that they are in.
    pub sockets: u32,
    /// Logical CPUs of each core.
    pub threads_per_core: u32,
    /// NUMA nodes.
    pub nodes: u32,
    /// CPU model name.
    pub cpu_model: String,
    /// Clock rate in MHz.
    pub cpu_mhz: u32,
    /// Memory of the machine in KiB.
    pub memory_total_kib: u64,
    /// Memory that no domain has, in KiB.
    pub memory_free_kib: u64,
    /// Can run PVH and HVM guests (hardware virtualization present and on).
    pub hvm: bool,
}

/// A domain as Xen has it now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DomainInfo {
    /// Its number.
    pub id: DomId,
    /// Its uuid, which is the VM's.
    pub uuid: Uuid,
    /// Paused by the toolstack.
    pub paused: bool,
    /// Set once the guest has ended and the domain waits for [`Hypervisor::destroy`].
    pub shutdown: Option<ShutdownReason>,
    /// Memory that it has now, in KiB.
    pub memory_kib: u64,
    /// Virtual CPUs online.
    pub vcpus: u32,
    /// Time that its virtual CPUs ran, in nanoseconds.
    pub cpu_time_ns: u64,
}

/// Everything needed to build a domain.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DomainSpec {
    /// The VM's uuid.
    pub uuid: Uuid,
    /// Name shown by `xl list`; unique on the host (the uuid is used for it).
    pub name: String,
    /// How the guest is virtualized and what it boots.
    pub kind: GuestKind,
    /// Memory the domain starts with, in KiB.
    pub memory_kib: u64,
    /// Memory it may ever have, in KiB.
    pub memory_max_kib: u64,
    /// Virtual CPUs online at the start.
    pub vcpus: u32,
    /// Virtual CPUs it may ever have.
    pub vcpus_max: u32,
    /// Its share of the physical CPUs.
    pub scheduling: Scheduling,
    /// Physical CPUs that its virtual ones may run on, in ascending order, the first entry for the first virtual
    /// CPU; those without one have the first entry too. Empty: all.
    pub affinity: Vec<Vec<u32>>,
    /// Block devices, in order.
    pub disks: Vec<Disk>,
    /// Network interfaces, in order.
    pub nics: Vec<Nic>,
    /// Values for the guest, by path below its folder in xenstore: `vm-data/key`.
    pub xenstore: BTreeMap<String, String>,
}

/// A domain's share of the physical CPUs; none is Xen's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Scheduling {
    /// Share when CPUs are short, from 1 to 65535; 256 by default, and 512 gets twice as much.
    pub weight: Option<u16>,
    /// Most CPU time even when CPUs are free, in percent of one physical CPU; 0 is no limit.
    pub cap: Option<u32>,
}

/// How a guest is virtualized.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum GuestKind {
    /// Paravirtualized.
    Pv(DirectBoot),
    /// PV drivers in a hardware-virtualized container, no device model.
    Pvh(DirectBoot),
    /// Fully virtualized with QEMU as device model.
    Hvm {
        /// Boot devices in order: `c` disk, `d` CD, `n` network.
        boot_order: String,
        /// Firmware.
        firmware: Firmware,
        /// What its disks hang on until it has PV drivers.
        disk_controller: DiskController,
        /// What the firmware says of the machine (SMBIOS), by libxl's names: `system_manufacturer`.
        smbios: BTreeMap<String, String>,
        /// The rest of the machine.
        #[serde(default)]
        platform: Platform,
    },
}

/// What a PV or PVH domain starts: a kernel or boot loader in Dom0's file system.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DirectBoot {
    /// Kernel or pvgrub image.
    pub kernel: PathBuf,
    /// Initial RAM disk.
    pub ramdisk: Option<PathBuf>,
    /// Kernel command line.
    pub cmdline: String,
}

/// The emulated controller of an HVM guest's disks; CD drives are always on IDE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum DiskController {
    /// PIIX3 IDE: known to every system, four disks, and slow as its firmware reads word by word.
    Ide,
    /// AHCI: what systems of the last fifteen years know, six disks, reads by DMA.
    Ahci,
}

/// Firmware of an HVM guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF.
    Uefi,
}

/// A block device of a domain.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Disk {
    /// Name in the guest: `xvda`, `hdc`.
    pub vdev: String,
    /// Block device in Dom0 (`/dev/loop0`, `/dev/mapper/…`); none is an empty CD drive.
    pub source: Option<PathBuf>,
    /// The guest may not write.
    pub read_only: bool,
    /// CD drive.
    pub cdrom: bool,
    /// Values for the guest, by path below `sm-data` of its backend in xenstore.
    pub data: BTreeMap<String, String>,
}

/// A network interface of a domain.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Nic {
    /// Device number in the guest: 0, 1, ….
    pub devid: u32,
    /// MAC address, `aa:bb:cc:dd:ee:ff`.
    pub mac: String,
    /// MTU in bytes.
    pub mtu: u32,
    /// Most that the guest may send through its PV driver, in bytes per second; none is no limit.
    pub rate: Option<u64>,
}

/// A domain just built.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Created {
    /// Its number.
    pub domain: DomId,
    /// Links in Dom0 for each [`DomainSpec::nics`] entry, in order: `vif3.0`, and for HVM its `vif3.0-emu`.
    pub links: Vec<Vec<String>>,
    /// Text console: the pseudo-terminal in Dom0.
    pub console: Option<PathBuf>,
    /// VNC display of an HVM guest: a Unix socket in Dom0.
    pub vnc: Option<PathBuf>,
}

/// How a guest is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ShutdownRequest {
    /// Power off.
    PowerOff,
    /// Reboot.
    Reboot,
}

/// What a machine has to press.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Button {
    /// Linux's magic key with this letter, through the PV driver.
    SysRq(char),
    /// ACPI power button.
    Power,
    /// ACPI sleep button.
    Sleep,
    /// Non-maskable interrupt to the first virtual CPU.
    Nmi,
    /// INIT to the first virtual CPU.
    Init,
    /// Reset.
    Reset,
    /// Wakes a guest that sleeps in ACPI's S3.
    Wake,
}

impl Button {
    /// The name that xl-trigger(1) and XenAPI have for one that is no key.
    pub fn of_trigger(name: &str) -> Option<Button> {
        Some(match name {
            "power" => Button::Power,
            "sleep" => Button::Sleep,
            "nmi" => Button::Nmi,
            "init" => Button::Init,
            "reset" => Button::Reset,
            "s3resume" => Button::Wake,
            _ => return None,
        })
    }
}

/// Why a guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ShutdownReason {
    /// It powered off.
    PowerOff,
    /// It asked for a reboot.
    Reboot,
    /// It suspended itself.
    Suspend,
    /// It crashed.
    Crash,
    /// Its watchdog expired.
    Watchdog,
}

/// Something that happened to a domain.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Event {
    /// Which domain.
    pub domain: DomId,
    /// The VM's uuid, if it is still known.
    pub uuid: Option<Uuid>,
    /// What.
    pub kind: EventKind,
}

/// Kinds of [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum EventKind {
    /// The guest ended and waits to be destroyed.
    Shutdown(ShutdownReason),
    /// The domain is gone.
    Death,
    /// An agent in the guest reported something; see [`Hypervisor::guest_data`].
    GuestData,
}
