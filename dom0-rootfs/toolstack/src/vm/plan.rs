// SPDX-License-Identifier: MIT OR Apache-2.0
//! What starting a VM needs, worked out of its objects without touching anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use network::{Bridge, GuestPort};
use storage::Mode;
use uuid::Uuid;
use xapi_model::{ApiError, Ref, Value, errors};
use xenops::{DirectBoot, DiskController, DomainSpec, Firmware, GuestKind, Nic};

use super::bios_strings;
use super::devices::{self, DomainType};
use super::platform;
use super::port;
use crate::host_network;
use crate::store::{Object, Objects};
use crate::toolstack::BootFiles;

/// A block device to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedDisk {
    /// The VBD.
    pub vbd: Ref,
    /// What is in it; none for an empty drive.
    pub vdi: Option<(Ref, Mode)>,
    /// Name in the guest.
    pub vdev: String,
    /// The guest may not write.
    pub read_only: bool,
    /// CD drive.
    pub cdrom: bool,
    /// What the guest is told of its contents, by path.
    pub data: BTreeMap<String, String>,
}

/// A network interface to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedNic {
    /// The VIF.
    pub vif: Ref,
    /// The bridge it goes into.
    pub bridge: String,
    /// That bridge and those that it needs, those below it first.
    pub bridges: Vec<Bridge>,
    /// Its port there.
    pub port: GuestPort,
    /// The interface.
    pub nic: Nic,
}

/// What starting a VM needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How it is virtualized.
    pub kind: DomainType,
    /// The domain, its disks not filled in.
    pub spec: DomainSpec,
    /// Its block devices in order.
    pub disks: Vec<PlannedDisk>,
    /// Its network interfaces in order.
    pub nics: Vec<PlannedNic>,
}

/// Works it out, or says why the VM cannot start with its settings.
pub fn plan(objects: &Objects, vm: &Ref, boot: &BootFiles) -> Result<Plan, ApiError> {
    let vm = objects.get("VM", vm)?;
    let kind = DomainType::of(vm).ok_or_else(|| {
        let reason = "only hvm, pv and pvh are run here";
        errors::VALUE_NOT_SUPPORTED.with(["domain_type", vm.text("domain_type"), reason])
    })?;
    let disks = disks(objects, vm, kind)?;
    let nics = nics(objects, vm)?;
    let positive = |field: &'static str| {
        let value = vm.int(field);
        u64::try_from(value)
            .ok()
            .filter(|value| *value > 0)
            .ok_or_else(|| errors::INVALID_VALUE.with([field.to_owned(), value.to_string()]))
    };
    let count = |field| positive(field).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    // A start that finds less free takes less ([`crate::memory::make_room`]).
    let memory_kib = positive("memory_dynamic_max")? / 1024;
    let vcpus_max = count("VCPUs_max")?;
    let mut scheduling = devices::scheduling(vm.get("VCPUs_params").as_map())?;
    let host = objects.all("host").next().map(|host| host.get("guest_VCPUs_params"));
    let host = host.and_then(Value::as_map);
    let usual = devices::scheduling(host)?;
    let affinity = devices::affinity(vm.get("VCPUs_params").as_map(), host);
    scheduling.weight = scheduling.weight.or(usual.weight);
    scheduling.cap = scheduling.cap.or(usual.cap);
    // More than all of its CPUs is all of them.
    scheduling.cap = scheduling.cap.map(|cap| cap.min(vcpus_max.saturating_mul(100)));
    let spec = DomainSpec {
        uuid: Uuid::parse_str(vm.uuid())
            .map_err(|e| errors::INTERNAL_ERROR.with([e.to_string()]))?,
        name: vm.uuid().to_owned(),
        kind: guest_kind(vm, kind, boot)?,
        memory_kib,
        memory_max_kib: memory_kib.max(positive("memory_static_max")? / 1024),
        vcpus: count("VCPUs_at_startup")?,
        vcpus_max,
        scheduling,
        affinity,
        disks: Vec::new(),
        nics: nics.iter().map(|planned| planned.nic.clone()).collect(),
        xenstore: xenstore(vm),
    };
    Ok(Plan { kind, spec, disks, nics })
}

/// What is written for the guest: only below `vm-data`, where nobody else reads.
fn xenstore(vm: &Object) -> BTreeMap<String, String> {
    let data = vm.map("xenstore_data").iter();
    let shown = data.filter(|(key, _)| key.starts_with("vm-data/"));
    shown.map(|(key, value)| (key.clone(), value.text())).collect()
}

fn guest_kind(vm: &Object, kind: DomainType, boot: &BootFiles) -> Result<GuestKind, ApiError> {
    Ok(match kind {
        DomainType::Hvm => GuestKind::Hvm {
            boot_order: vm.entry("HVM_boot_params", "order").unwrap_or("cd").to_owned(),
            firmware: match vm.entry("HVM_boot_params", "firmware") {
                Some("uefi") => Firmware::Uefi,
                _ => Firmware::Bios,
            },
            disk_controller: match vm.entry("platform", "hdtype") {
                Some("ahci") => DiskController::Ahci,
                _ => DiskController::Ide,
            },
            smbios: bios_strings::smbios(vm),
            platform: platform::of(vm),
        },
        DomainType::Pv => GuestKind::Pv(direct(vm, &boot.pv, &boot.kernels)?),
        DomainType::Pvh => GuestKind::Pvh(direct(vm, &boot.pvh, &boot.kernels)?),
    })
}

fn direct(vm: &Object, loader: &Path, folders: &[PathBuf]) -> Result<DirectBoot, ApiError> {
    let failed =
        |reason: String| errors::BOOTLOADER_FAILED.with([vm.reference().as_str(), &reason]);
    let kernel = vm.text("PV_kernel");
    if kernel.is_empty() {
        if !loader.is_file() {
            return Err(failed(format!("{} is not there", loader.display())));
        }
        return Ok(DirectBoot { kernel: loader.to_owned(), ramdisk: None, cmdline: String::new() });
    }
    // Only files that were put there for guests: not every file of Dom0 is for them to read.
    let allowed = |path: &str| {
        let real = std::fs::canonicalize(path).map_err(|e| failed(format!("{path}: {e}")))?;
        let inside = |folder: &PathBuf| {
            std::fs::canonicalize(folder).is_ok_and(|folder| real.starts_with(folder))
        };
        if folders.iter().any(inside) && real.is_file() {
            return Ok(real);
        }
        let folders: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
        Err(failed(format!("{path} is no file below {}", folders.join(" or "))))
    };
    let ramdisk = vm.text("PV_ramdisk");
    Ok(DirectBoot {
        kernel: allowed(kernel)?,
        ramdisk: (!ramdisk.is_empty()).then(|| allowed(ramdisk)).transpose()?,
        cmdline: vm.text("PV_args").to_owned(),
    })
}

fn disks(objects: &Objects, vm: &Object, kind: DomainType) -> Result<Vec<PlannedDisk>, ApiError> {
    let mut planned = Vec::new();
    for vbd in vm.refs("VBDs") {
        planned.extend(disk(objects, kind, &vbd)?);
    }
    planned.sort_by_key(|(number, _)| *number);
    Ok(planned.into_iter().map(|(_, disk)| disk).collect())
}

/// The block device of a VBD with its number; none for a drive that cannot stand empty.
pub fn disk(
    objects: &Objects,
    kind: DomainType,
    reference: &Ref,
) -> Result<Option<(u32, PlannedDisk)>, ApiError> {
    let vbd = objects.get("VBD", reference)?;
    let userdevice = vbd.text("userdevice");
    let number = devices::disk_number(userdevice)
        .ok_or_else(|| errors::INVALID_DEVICE.with([userdevice]))?;
    let cd = vbd.text("type") == "CD";
    let vdi = vbd.to("VDI");
    // Without a device model there is no drive that could stand empty.
    if vdi.is_null() && kind != DomainType::Hvm {
        return Ok(None);
    }
    let read_only = cd || vbd.text("mode") == "RO";
    let mut data = BTreeMap::new();
    let source = if vdi.is_null() {
        None
    } else {
        let object = objects.get("VDI", &vdi)?;
        if object.bool("read_only") && !read_only {
            return Err(errors::VDI_READONLY.with([vdi.as_str()]));
        }
        let told = object.map("xenstore_data").iter();
        data.extend(told.map(|(path, value)| (path.clone(), value.text())));
        Some((vdi, if read_only { Mode::ReadOnly } else { Mode::ReadWrite }))
    };
    let disk = PlannedDisk {
        vbd: reference.clone(),
        vdi: source,
        vdev: devices::disk_name(kind, number, cd),
        read_only,
        cdrom: cd && kind == DomainType::Hvm,
        data,
    };
    Ok(Some((number, disk)))
}

fn nics(objects: &Objects, vm: &Object) -> Result<Vec<PlannedNic>, ApiError> {
    let planned: Result<Vec<_>, _> = vm.refs("VIFs").iter().map(|vif| nic(objects, vif)).collect();
    let mut planned = planned?;
    planned.sort_by_key(|planned| planned.nic.devid);
    Ok(planned)
}

/// The network interface of a VIF.
pub fn nic(objects: &Objects, reference: &Ref) -> Result<PlannedNic, ApiError> {
    let vif = objects.get("VIF", reference)?;
    let device = vif.text("device");
    let devid = devices::nic_number(device).ok_or_else(|| errors::INVALID_DEVICE.with([device]))?;
    let network = objects.get("network", &vif.to("network"))?;
    let bytes = |n: i64| u32::try_from(n).ok().filter(|n| *n > 0);
    let bridge_mtu = bytes(network.int("MTU")).unwrap_or(1500);
    Ok(PlannedNic {
        vif: reference.clone(),
        port: port::of_vif(objects, vif),
        bridge: network.text("bridge").to_owned(),
        bridges: host_network::bridges_of(objects, network)?,
        nic: Nic {
            devid,
            mac: vif.text("MAC").to_owned(),
            mtu: bytes(vif.int("MTU")).unwrap_or(bridge_mtu),
            rate: devices::rate(vif),
        },
    })
}
