// SPDX-License-Identifier: MIT OR Apache-2.0
//! A domain's configuration as the JSON that `libxl_domain_config_from_json` reads.
//!
//! The names are those of `tools/libs/light/libxl_types.idl`. libxl gives every field that is
//! not there its default, so only what differs from it is written; it also passes over names
//! that it does not know, which is why the worker can print a configuration as libxl understood
//! it (`xenops-worker config`).

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Serialize, Serializer};

use crate::hypervisor::{
    DirectBoot, Disk, DiskController, DomainSpec, Firmware, GuestKind, Nic, Scheduling,
};
use crate::platform::Video;
use crate::spec::CheckedSpec;

/// What libxl runs in place of its hotplug scripts. It has to run something: devices are
/// connected without it, see [`super::hotplug`]. Without an interpreter or libraries this one costs
/// little more than its fork.
pub(crate) const NO_SCRIPT: &str = "/etc/xen/scripts/xenith-noop";

/// Files of the host that a configuration names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    /// Socket on which an HVM guest's display is served.
    pub(crate) vnc: &'a Path,
    /// The worker program, which serves as hotplug script too.
    pub(crate) worker: &'a Path,
}

/// libxl's three-valued boolean; the default is a field that is not there.
#[derive(Debug, Clone, Copy)]
struct DefBool(bool);

impl Serialize for DefBool {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0 { "True" } else { "False" })
    }
}

/// `libxl_domain_config`.
#[derive(Debug, Serialize)]
pub(crate) struct DomainConfig<'a> {
    c_info: CreateInfo<'a>,
    b_info: BuildInfo<'a>,
    disks: Vec<DeviceDisk<'a>>,
    nics: Vec<DeviceNic<'a>>,
}

#[derive(Debug, Serialize)]
struct CreateInfo<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    uuid: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xsdata: &'a BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct BuildInfo<'a> {
    max_vcpus: u32,
    avail_vcpus: Vec<u32>,
    /// One node, or it is not ours to place: the automatic placement costs a walk over all CPUs.
    numa_placement: DefBool,
    max_memkb: u64,
    target_memkb: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    video_memkb: Option<u32>,
    /// Seconds modulo 2^32: libxl's field has no sign, what it is handed to has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtc_timeoffset: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sched_params: Option<SchedParams>,
    /// CPUs by their number, for each virtual one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vcpu_hard_affinity: Vec<&'a [u32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_model_version: Option<&'static str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    direct: Option<Direct<'a>>,
    #[serde(rename = "type.pv", skip_serializing_if = "Option::is_none")]
    pv: Option<Nothing>,
    #[serde(rename = "type.pvh", skip_serializing_if = "Option::is_none")]
    pvh: Option<Nothing>,
    #[serde(rename = "type.hvm", skip_serializing_if = "Option::is_none")]
    hvm: Option<Hvm<'a>>,
}

/// Without a scheduler's name they are for whichever runs.
#[derive(Debug, Serialize)]
struct SchedParams {
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<u32>,
}

/// An arm of the union that is chosen and left at its defaults.
#[derive(Debug, Serialize)]
struct Nothing {}

#[derive(Debug, Serialize)]
struct Direct<'a> {
    kernel: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    ramdisk: Option<&'a Path>,
    cmdline: &'a str,
}

#[derive(Debug, Serialize)]
struct Hvm<'a> {
    bios: &'static str,
    boot: &'a str,
    hdtype: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    viridian_enable: Vec<u32>,
    hpet: DefBool,
    vga: Vga,
    #[serde(skip_serializing_if = "Option::is_none")]
    usbdevice: Option<&'static str>,
    vnc: Vnc,
    xen_platform_pci: DefBool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    smbios: Vec<Smbios<'a>>,
}

/// `libxl_smbios`.
#[derive(Debug, Serialize)]
struct Smbios<'a> {
    key: &'a str,
    value: &'a str,
}

#[derive(Debug, Serialize)]
struct Vga {
    kind: &'static str,
}

#[derive(Debug, Serialize)]
struct Vnc {
    enable: DefBool,
    findunused: DefBool,
    /// With a colon in it, libxl passes it to QEMU's `-vnc` as it is.
    listen: String,
}

/// `libxl_device_disk`.
#[derive(Debug, Serialize)]
pub(crate) struct DeviceDisk<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pdev_path: Option<&'a Path>,
    vdev: &'a str,
    backend: &'static str,
    format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<&'a Path>,
    removable: u8,
    readwrite: u8,
    is_cdrom: u8,
}

/// `libxl_device_nic`.
#[derive(Debug, Serialize)]
pub(crate) struct DeviceNic<'a> {
    devid: u32,
    mac: &'a str,
    mtu: u32,
    model: &'static str,
    script: &'static str,
    nictype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_bytes_per_interval: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_interval_usecs: Option<u32>,
}

impl<'a> DomainConfig<'a> {
    /// `places` are named in it, whether they exist or not.
    pub(crate) fn new(checked: &'a CheckedSpec, places: Places<'a>) -> DomainConfig<'a> {
        let spec = checked.spec();
        let hvm = matches!(spec.kind, GuestKind::Hvm { .. });
        DomainConfig {
            c_info: CreateInfo {
                kind: match spec.kind {
                    GuestKind::Pv(_) => "pv",
                    GuestKind::Pvh(_) => "pvh",
                    GuestKind::Hvm { .. } => "hvm",
                },
                name: &spec.name,
                uuid: spec.uuid.to_string(),
                xsdata: &spec.xenstore,
            },
            b_info: build_info(spec, places.vnc),
            // Other guests' devices are not libxl's, see [`super::devices`].
            disks: match hvm {
                true => spec.disks.iter().map(|disk| device_disk(disk, places.worker)).collect(),
                false => Vec::new(),
            },
            nics: match hvm {
                true => spec.nics.iter().map(device_nic).collect(),
                false => Vec::new(),
            },
        }
    }
}

/// Whether a domain is built with all its virtual CPUs, of which the guest is offered fewer afterwards.
/// `avail_vcpus` are the enabled ones of the ACPI table MADT; since Linux 6.9 a PVH guest starts no other,
/// unless ACPI's own hotplug brings it, which PVH guests do not have.
pub(crate) fn offered_later(spec: &DomainSpec) -> bool {
    matches!(spec.kind, GuestKind::Pvh(_)) && spec.vcpus < spec.vcpus_max
}

fn build_info<'a>(spec: &'a DomainSpec, vnc: &Path) -> BuildInfo<'a> {
    let mut info = BuildInfo {
        max_vcpus: spec.vcpus_max,
        avail_vcpus: (0..if offered_later(spec) { spec.vcpus_max } else { spec.vcpus }).collect(),
        numa_placement: DefBool(false),
        max_memkb: spec.memory_max_kib,
        target_memkb: spec.memory_kib,
        video_memkb: None,
        rtc_timeoffset: None,
        sched_params: sched_params(spec.scheduling),
        vcpu_hard_affinity: affinity(spec),
        device_model_version: None,
        direct: None,
        pv: None,
        pvh: None,
        hvm: None,
    };
    let direct = |boot: &'a DirectBoot| Direct {
        kernel: &boot.kernel,
        ramdisk: boot.ramdisk.as_deref(),
        cmdline: &boot.cmdline,
    };
    match &spec.kind {
        GuestKind::Pv(boot) => {
            info.direct = Some(direct(boot));
            info.pv = Some(Nothing {});
        }
        GuestKind::Pvh(boot) => {
            info.direct = Some(direct(boot));
            info.pvh = Some(Nothing {});
        }
        GuestKind::Hvm { boot_order, firmware, disk_controller, smbios, platform } => {
            info.video_memkb = Some(platform.video_mib * 1024);
            info.rtc_timeoffset =
                (platform.clock_offset != 0).then_some(platform.clock_offset.cast_unsigned());
            info.device_model_version = Some("qemu_xen");
            info.hvm = Some(Hvm {
                bios: match firmware {
                    Firmware::Bios => "seabios",
                    Firmware::Uefi => "ovmf",
                },
                boot: boot_order,
                hdtype: match disk_controller {
                    DiskController::Ide => "ide",
                    DiskController::Ahci => "ahci",
                },
                viridian_enable: platform.viridian.iter().map(|v| v.number()).collect(),
                hpet: DefBool(platform.hpet),
                vga: Vga {
                    kind: match platform.video {
                        Video::Standard => "std",
                        Video::Cirrus => "cirrus",
                        Video::None => "none",
                    },
                },
                usbdevice: platform.tablet.then_some("tablet"),
                vnc: Vnc {
                    enable: DefBool(true),
                    findunused: DefBool(false),
                    listen: format!("unix:{}", vnc.display()),
                },
                xen_platform_pci: DefBool(true),
                smbios: smbios.iter().map(|(key, value)| Smbios { key, value }).collect(),
            });
        }
    }
    info
}

/// For all virtual CPUs, or for none.
fn affinity(spec: &DomainSpec) -> Vec<&[u32]> {
    let Some(first) = spec.affinity.first() else { return Vec::new() };
    let own = spec.affinity.iter().map(Vec::as_slice).chain(std::iter::repeat(first.as_slice()));
    own.take(spec.vcpus_max as usize).collect()
}

fn sched_params(Scheduling { weight, cap }: Scheduling) -> Option<SchedParams> {
    (weight.is_some() || cap.is_some()).then_some(SchedParams { weight, cap })
}

/// What is in an emulated CD drive from now on.
pub(crate) fn medium<'a>(vdev: &'a str, source: Option<&'a Path>) -> DeviceDisk<'a> {
    DeviceDisk {
        pdev_path: source,
        vdev,
        backend: "qdisk",
        format: if source.is_some() { "raw" } else { "empty" },
        script: None,
        removable: 1,
        readwrite: 0,
        is_cdrom: 1,
    }
}

/// How often Linux's backend lets a guest with a limit send again, in microseconds (`rate` of
/// xl-network-configuration(5)).
pub(crate) const RATE_INTERVAL: u32 = 50_000;

pub(crate) fn per_interval(rate: u64) -> u64 {
    (rate.saturating_mul(u64::from(RATE_INTERVAL)) / 1_000_000).max(1)
}

/// A disk of an HVM guest: the kernel's block backend beside QEMU's emulation. libxl tells QEMU only of a disk
/// that is connected, or that has no script; so the worker is the script. CD drives are QEMU's alone, so that
/// media can come and go.
fn device_disk<'a>(disk: &'a Disk, worker: &'a Path) -> DeviceDisk<'a> {
    DeviceDisk {
        pdev_path: disk.source.as_deref(),
        vdev: &disk.vdev,
        backend: if disk.cdrom { "qdisk" } else { "phy" },
        format: if disk.source.is_some() { "raw" } else { "empty" },
        script: (!disk.cdrom).then_some(worker),
        removable: u8::from(disk.cdrom),
        readwrite: u8::from(!disk.read_only),
        is_cdrom: u8::from(disk.cdrom),
    }
}

fn device_nic(nic: &Nic) -> DeviceNic<'_> {
    DeviceNic {
        devid: nic.devid,
        mac: &nic.mac,
        mtu: nic.mtu,
        model: "e1000",
        script: NO_SCRIPT,
        nictype: "vif_ioemu",
        rate_bytes_per_interval: nic.rate.map(per_interval),
        rate_interval_usecs: nic.rate.map(|_| RATE_INTERVAL),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::platform::{Platform, Viridian};
    use crate::testing;

    fn config(spec: &DomainSpec) -> Value {
        let checked = CheckedSpec::check(spec, &testing::host()).unwrap();
        let places = Places { vnc: Path::new("/run/vnc/1"), worker: Path::new("/usr/worker") };
        serde_json::to_value(DomainConfig::new(&checked, places)).unwrap()
    }

    #[test]
    fn pvh() {
        let spec = testing::pvh();
        let uuid = spec.uuid.to_string();
        assert_eq!(
            config(&spec),
            json!({
                "c_info": {"type": "pvh", "name": uuid, "uuid": uuid},
                "b_info": {
                    "max_vcpus": 2, "avail_vcpus": [0, 1], "numa_placement": "False",
                    "max_memkb": 65536, "target_memkb": 65536,
                    "kernel": "/boot/guest/vmlinux", "cmdline": "console=hvc0", "type.pvh": {},
                },
                "disks": [], "nics": [],
            })
        );
    }

    #[test]
    fn shares_of_the_cpus() {
        let params = |weight, cap| {
            let scheduling = Scheduling { weight, cap };
            config(&DomainSpec { scheduling, ..testing::pvh() })["b_info"]["sched_params"].clone()
        };
        assert_eq!(params(Some(512), Some(50)), json!({"weight": 512, "cap": 50}));
        assert_eq!(params(Some(512), None), json!({"weight": 512}));
        assert_eq!(params(None, None), Value::Null);
    }

    #[test]
    fn cpus_of_each_virtual_cpu() {
        let hard = |affinity: &[&[u32]]| {
            let affinity = affinity.iter().map(|cpus| cpus.to_vec()).collect();
            let spec = DomainSpec { affinity, vcpus_max: 3, ..testing::pvh() };
            config(&spec)["b_info"]["vcpu_hard_affinity"].clone()
        };
        assert_eq!(hard(&[]), Value::Null);
        assert_eq!(hard(&[&[0, 2]]), json!([[0, 2], [0, 2], [0, 2]]));
        assert_eq!(hard(&[&[0], &[1]]), json!([[0], [1], [0]]));
        assert_eq!(hard(&[&[0], &[1], &[2], &[3]]), json!([[0], [1], [2]]));
    }

    #[test]
    fn media_of_a_domain_that_runs() {
        fn json(value: impl Serialize) -> Value {
            serde_json::to_value(value).unwrap()
        }
        assert_eq!(
            json(medium("hdd", Some(Path::new("/dev/loop1")))),
            json!({
                "pdev_path": "/dev/loop1", "vdev": "hdd", "backend": "qdisk", "format": "raw",
                "removable": 1, "readwrite": 0, "is_cdrom": 1,
            })
        );
        assert_eq!(json(medium("hdd", None))["format"], "empty");
    }

    #[test]
    fn values_for_the_guest() {
        let mut spec = testing::pvh();
        spec.xenstore.insert("vm-data/role".into(), "web".into());
        assert_eq!(config(&spec)["c_info"]["xsdata"], json!({"vm-data/role": "web"}));
    }

    #[test]
    fn hvm() {
        let config = config(&testing::hvm());
        assert_eq!(config["c_info"]["type"], "hvm");
        assert_eq!(config["b_info"]["device_model_version"], "qemu_xen");
        assert_eq!(
            config["b_info"]["type.hvm"],
            json!({
                "bios": "seabios", "boot": "dc", "hdtype": "ahci", "hpet": "True",
                "smbios": [{"key": "system_manufacturer", "value": "Us"}], "vga": {"kind": "std"},
                "vnc": {"enable": "True", "findunused": "False", "listen": "unix:/run/vnc/1"},
                "xen_platform_pci": "True",
            })
        );
        assert_eq!(config["b_info"]["video_memkb"], 16 << 10);
        assert_eq!(config["b_info"].get("rtc_timeoffset"), None);
        assert_eq!(config["b_info"].get("kernel"), None);
        assert_eq!(
            config["disks"][0],
            json!({
                "pdev_path": "/dev/loop0", "vdev": "xvda", "backend": "phy", "format": "raw",
                "script": "/usr/worker", "removable": 0, "readwrite": 1, "is_cdrom": 0,
            })
        );
        assert_eq!(
            config["disks"][1],
            json!({
                "vdev": "xvdd", "backend": "qdisk", "format": "empty",
                "removable": 1, "readwrite": 0, "is_cdrom": 1,
            })
        );
        assert_eq!(
            config["nics"][0],
            json!({
                "devid": 0, "mac": "00:16:3e:01:02:03", "mtu": 1500, "model": "e1000",
                "script": "/etc/xen/scripts/xenith-noop", "nictype": "vif_ioemu",
            })
        );
    }

    #[test]
    fn the_machine_of_a_windows_guest() {
        let mut spec = testing::hvm();
        let GuestKind::Hvm { platform, .. } = &mut spec.kind else { panic!("no HVM guest") };
        *platform = Platform {
            viridian: [Viridian::Base, Viridian::ReferenceTsc, Viridian::ApicAssist].into(),
            hpet: false,
            tablet: true,
            video: Video::Cirrus,
            video_mib: 8,
            clock_offset: -3600,
        };
        let info = config(&spec)["b_info"].clone();
        assert_eq!(info["video_memkb"], 8 << 10);
        assert_eq!(info["rtc_timeoffset"], u32::MAX - 3599);
        let hvm = &info["type.hvm"];
        assert_eq!(hvm["viridian_enable"], json!([0, 3, 5]));
        assert_eq!(hvm["hpet"], "False");
        assert_eq!(hvm["usbdevice"], "tablet");
        assert_eq!(hvm["vga"], json!({"kind": "cirrus"}));
    }

    #[test]
    fn a_machine_without_a_screen() {
        let mut spec = testing::hvm();
        let GuestKind::Hvm { platform, .. } = &mut spec.kind else { panic!("no HVM guest") };
        (platform.video, platform.video_mib) = (Video::None, 0);
        let info = config(&spec)["b_info"].clone();
        assert_eq!(info["video_memkb"], 0);
        assert_eq!(info["type.hvm"]["vga"], json!({"kind": "none"}));
    }

    #[test]
    fn exactly_one_arm_of_the_union_is_chosen() {
        for (spec, arm) in
            [(testing::pv(), "type.pv"), (testing::pvh(), "type.pvh"), (testing::hvm(), "type.hvm")]
        {
            let config = config(&spec);
            let info = config["b_info"].as_object().unwrap();
            let arms: Vec<_> = info.keys().filter(|key| key.starts_with("type.")).collect();
            assert_eq!(arms, [arm]);
        }
    }
}
