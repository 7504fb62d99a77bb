// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks of a [`DomainSpec`] before anything is built, the same for Xen and for the simulator.

use std::collections::BTreeSet;

use crate::error::XenopsError;
use crate::hypervisor::{Disk, DomainSpec, GuestKind, HostInfo, Nic};
use crate::platform::{Platform, Video, Viridian};
use crate::vdev::Vdev;

/// Virtual CPUs that any guest may have at most.
pub const MAX_VCPUS: u32 = 128;
/// The least memory a guest can start with, in KiB.
pub const MIN_MEMORY_KIB: u64 = 4 * 1024;
/// The most memory of an emulated graphics card, in MiB.
pub const MAX_VIDEO_MIB: u32 = 256;

/// A specification without contradictions that this host can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedSpec {
    spec: DomainSpec,
    vdevs: Vec<Vdev>,
}

impl CheckedSpec {
    /// Checks `spec` against itself and against the host's abilities (not its free memory, see
    /// [`crate::Admission`]).
    pub fn check(spec: &DomainSpec, host: &HostInfo) -> Result<CheckedSpec, XenopsError> {
        let bad = |field: &str, detail: &str| XenopsError::bad_spec(field, detail);
        if spec.uuid.is_nil() {
            return Err(bad("uuid", "is nil"));
        }
        check_text("name", &spec.name)?;
        if spec.name.is_empty() {
            return Err(bad("name", "is empty"));
        }
        if spec.name == "Domain-0" {
            return Err(bad("name", "belongs to Dom0"));
        }
        if spec.memory_kib < MIN_MEMORY_KIB {
            let detail = format!("{} is below {MIN_MEMORY_KIB}", spec.memory_kib);
            return Err(bad("memory_kib", &detail));
        }
        if spec.memory_max_kib < spec.memory_kib {
            let detail = format!("{} is below memory_kib", spec.memory_max_kib);
            return Err(bad("memory_max_kib", &detail));
        }
        if spec.memory_max_kib > host.memory_total_kib {
            let detail = format!(
                "{} is more than the machine has ({} KiB)",
                spec.memory_max_kib, host.memory_total_kib
            );
            return Err(bad("memory_max_kib", &detail));
        }
        if spec.vcpus == 0 {
            return Err(bad("vcpus", "is 0"));
        }
        if !(spec.vcpus..=MAX_VCPUS).contains(&spec.vcpus_max) {
            let detail =
                format!("{} is not between vcpus ({}) and {MAX_VCPUS}", spec.vcpus_max, spec.vcpus);
            return Err(bad("vcpus_max", &detail));
        }
        check_scheduling(spec)?;
        check_kind(&spec.kind)?;
        if !host.hvm && !matches!(spec.kind, GuestKind::Pv(_)) {
            return Err(XenopsError::NoHardwareVirtualization { kind: spec.kind.word().into() });
        }
        let vdevs = check_disks(&spec.disks, &spec.kind)?;
        check_nics(&spec.nics)?;
        Ok(CheckedSpec { spec: spec.clone(), vdevs })
    }

    /// The specification.
    pub fn spec(&self) -> &DomainSpec {
        &self.spec
    }

    /// The disks with their taken-apart names, in order.
    pub fn disks(&self) -> impl Iterator<Item = (&Disk, Vdev)> {
        self.spec.disks.iter().zip(self.vdevs.iter().copied())
    }

    /// The links that Dom0 gets for each network interface once the domain has number `domid`.
    pub fn links(&self, domid: crate::DomId) -> Vec<Vec<String>> {
        let emulated = matches!(self.spec.kind, GuestKind::Hvm { .. });
        let links_of = |nic: &Nic| {
            let link = format!("vif{}.{}", domid.0, nic.devid);
            let emu = emulated.then(|| format!("{link}-emu"));
            std::iter::once(link).chain(emu).collect()
        };
        self.spec.nics.iter().map(links_of).collect()
    }
}

impl GuestKind {
    /// `PV`, `PVH` or `HVM`.
    pub fn word(&self) -> &'static str {
        match self {
            GuestKind::Pv(_) => "PV",
            GuestKind::Pvh(_) => "PVH",
            GuestKind::Hvm { .. } => "HVM",
        }
    }
}

/// Refuses what would end a C string or a line of a configuration early.
fn check_text(field: &str, text: &str) -> Result<(), XenopsError> {
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(XenopsError::bad_spec(field, format!("contains the character {c:?}"))),
        None => Ok(()),
    }
}

fn check_path(field: &str, path: &std::path::Path) -> Result<(), XenopsError> {
    let text = path.to_str().ok_or_else(|| XenopsError::bad_spec(field, "is not UTF-8"))?;
    check_text(field, text)?;
    if !path.is_absolute() {
        return Err(XenopsError::bad_spec(field, format!("{text} is not an absolute path")));
    }
    Ok(())
}

fn check_scheduling(spec: &DomainSpec) -> Result<(), XenopsError> {
    if spec.scheduling.weight == Some(0) {
        return Err(XenopsError::bad_spec("scheduling.weight", "is 0"));
    }
    // libxl reads how many there are from the last one, and Xen refuses a domain that can run nowhere.
    if spec.affinity.iter().any(|cpus| cpus.is_empty() || !cpus.is_sorted()) {
        return Err(XenopsError::bad_spec("affinity", "has an empty or unsorted entry"));
    }
    let most = spec.vcpus_max * 100;
    match spec.scheduling.cap {
        Some(cap) if cap > most => {
            let detail = format!("{cap} is above {most}, all of its virtual CPUs");
            Err(XenopsError::bad_spec("scheduling.cap", detail))
        }
        _ => Ok(()),
    }
}

fn check_kind(kind: &GuestKind) -> Result<(), XenopsError> {
    match kind {
        GuestKind::Pv(boot) | GuestKind::Pvh(boot) => {
            check_path("kernel", &boot.kernel)?;
            if let Some(ramdisk) = &boot.ramdisk {
                check_path("ramdisk", ramdisk)?;
            }
            check_text("cmdline", &boot.cmdline)
        }
        GuestKind::Hvm { boot_order, smbios, platform, .. } => {
            check_platform(platform)?;
            for (key, value) in smbios {
                check_text(key, value)?;
            }
            let known = boot_order.chars().all(|c| "cdn".contains(c));
            let distinct = boot_order.chars().collect::<BTreeSet<_>>().len() == boot_order.len();
            if boot_order.is_empty() || !known || !distinct {
                let detail = format!("{boot_order:?} is not made of c, d and n, each once");
                return Err(XenopsError::bad_spec("boot_order", detail));
            }
            Ok(())
        }
    }
}

fn check_platform(platform: &Platform) -> Result<(), XenopsError> {
    if !platform.viridian.is_empty() && !platform.viridian.contains(&Viridian::Base) {
        return Err(XenopsError::bad_spec("platform.viridian", "has no base"));
    }
    // Sizes of the card's memory are powers of two; QEMU takes no others.
    let least = platform.video.least_mib();
    if platform.video_mib < least || platform.video_mib > MAX_VIDEO_MIB {
        let detail = format!("{} is not between {least} and {MAX_VIDEO_MIB}", platform.video_mib);
        return Err(XenopsError::bad_spec("platform.video_mib", detail));
    }
    if platform.video != Video::None && !platform.video_mib.is_power_of_two() {
        let detail = format!("{} is no power of two", platform.video_mib);
        return Err(XenopsError::bad_spec("platform.video_mib", detail));
    }
    Ok(())
}

fn check_disks(disks: &[Disk], kind: &GuestKind) -> Result<Vec<Vdev>, XenopsError> {
    let hvm = matches!(kind, GuestKind::Hvm { .. });
    let mut numbers = BTreeSet::new();
    let mut positions = BTreeSet::new();
    let mut vdevs = Vec::with_capacity(disks.len());
    for (index, disk) in disks.iter().enumerate() {
        let field = |part: &str| format!("disks[{index}].{part}");
        let vdev = Vdev::parse(&disk.vdev).ok_or_else(|| {
            XenopsError::bad_spec(field("vdev"), format!("{:?} is no device name", disk.vdev))
        })?;
        if !numbers.insert(vdev.number()) {
            let detail = format!("{} is used twice", disk.vdev);
            return Err(XenopsError::bad_spec(field("vdev"), detail));
        }
        // QEMU puts xvda and hda in the same place of its IDE bus.
        if hvm && !positions.insert(vdev.position()) {
            let detail = format!("{} shares its place with another disk", disk.vdev);
            return Err(XenopsError::bad_spec(field("vdev"), detail));
        }
        match &disk.source {
            Some(source) => check_path(&field("source"), source)?,
            None if disk.cdrom && hvm => {}
            None => {
                let detail = "is missing: only a CD drive of an HVM guest may be empty";
                return Err(XenopsError::bad_spec(field("source"), detail));
            }
        }
        if disk.cdrom && !disk.read_only {
            return Err(XenopsError::bad_spec(field("read_only"), "a CD drive is read-only"));
        }
        vdevs.push(vdev);
    }
    Ok(vdevs)
}

fn check_nics(nics: &[Nic]) -> Result<(), XenopsError> {
    let mut devids = BTreeSet::new();
    for (index, nic) in nics.iter().enumerate() {
        let field = |part: &str| format!("nics[{index}].{part}");
        if !devids.insert(nic.devid) {
            let detail = format!("{} is used twice", nic.devid);
            return Err(XenopsError::bad_spec(field("devid"), detail));
        }
        // `vif<domid>.<devid>-emu` must fit into a link name of 15 bytes.
        if nic.devid > 63 {
            let detail = format!("{} is above 63", nic.devid);
            return Err(XenopsError::bad_spec(field("devid"), detail));
        }
        let Some(mac) = parse_mac(&nic.mac) else {
            let detail = format!("{:?} is no MAC address", nic.mac);
            return Err(XenopsError::bad_spec(field("mac"), detail));
        };
        if mac[0] & 1 == 1 || mac == [0; 6] {
            let detail = format!("{} is no address of one card", nic.mac);
            return Err(XenopsError::bad_spec(field("mac"), detail));
        }
        if !(68..=65_521).contains(&nic.mtu) {
            let detail = format!("{} is not between 68 and 65521", nic.mtu);
            return Err(XenopsError::bad_spec(field("mtu"), detail));
        }
    }
    Ok(())
}

/// `aa:bb:cc:dd:ee:ff` as bytes.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        if !part.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, host};

    fn refused(change: impl FnOnce(&mut DomainSpec)) -> String {
        let mut spec = testing::hvm();
        change(&mut spec);
        match CheckedSpec::check(&spec, &host()) {
            Err(XenopsError::BadSpec { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_examples_are_accepted() {
        for spec in [testing::pvh(), testing::hvm(), testing::pv()] {
            let checked = CheckedSpec::check(&spec, &host()).unwrap();
            assert_eq!(checked.spec(), &spec);
            assert_eq!(checked.disks().count(), spec.disks.len());
        }
    }

    #[test]
    fn each_contradiction_names_its_field() {
        assert_eq!(refused(|s| s.uuid = uuid::Uuid::nil()), "uuid");
        assert_eq!(refused(|s| s.name.clear()), "name");
        assert_eq!(refused(|s| s.name = "Domain-0".into()), "name");
        assert_eq!(refused(|s| s.name.push('\0')), "name");
        assert_eq!(refused(|s| s.memory_kib = 1), "memory_kib");
        assert_eq!(refused(|s| s.memory_max_kib = s.memory_kib - 1), "memory_max_kib");
        assert_eq!(refused(|s| s.memory_max_kib = u64::MAX), "memory_max_kib");
        assert_eq!(refused(|s| s.vcpus = 0), "vcpus");
        assert_eq!(refused(|s| s.vcpus_max = 0), "vcpus_max");
        assert_eq!(refused(|s| s.vcpus_max = MAX_VCPUS + 1), "vcpus_max");
        assert_eq!(refused(|s| s.scheduling.weight = Some(0)), "scheduling.weight");
        assert_eq!(refused(|s| s.affinity = vec![vec![]]), "affinity");
        assert_eq!(refused(|s| s.affinity = vec![vec![1, 0]]), "affinity");
        assert_eq!(refused(|s| s.scheduling.cap = Some(100 * s.vcpus_max + 1)), "scheduling.cap");
        assert_eq!(refused(|s| s.disks[0].vdev = "vda".into()), "disks[0].vdev");
        assert_eq!(refused(|s| s.disks[1].vdev = s.disks[0].vdev.clone()), "disks[1].vdev");
        assert_eq!(refused(|s| s.disks[1].vdev = "hda".into()), "disks[1].vdev");
        assert_eq!(refused(|s| s.disks[0].source = None), "disks[0].source");
        assert_eq!(refused(|s| s.disks[0].source = Some("loop0".into())), "disks[0].source");
        assert_eq!(refused(|s| s.disks[1].read_only = false), "disks[1].read_only");
        assert_eq!(refused(|s| s.nics.push(s.nics[0].clone())), "nics[1].devid");
        assert_eq!(refused(|s| s.nics[0].devid = 64), "nics[0].devid");
        assert_eq!(refused(|s| s.nics[0].mac = "01:00:5e:00:00:01".into()), "nics[0].mac");
        assert_eq!(refused(|s| s.nics[0].mac = "+1:00:5e:00:00:01".into()), "nics[0].mac");
        assert_eq!(refused(|s| s.nics[0].mac = "00:16:3e:00:00".into()), "nics[0].mac");
        assert_eq!(refused(|s| s.nics[0].mtu = 10), "nics[0].mtu");
        let boot = |order: &str| {
            let order = order.to_owned();
            refused(move |s| {
                if let GuestKind::Hvm { boot_order, .. } = &mut s.kind {
                    *boot_order = order;
                }
            })
        };
        assert_eq!([boot(""), boot("cc"), boot("x")], ["boot_order"; 3]);
        let machine = |platform: Platform| {
            refused(move |s| {
                if let GuestKind::Hvm { platform: of, .. } = &mut s.kind {
                    *of = platform;
                }
            })
        };
        for video_mib in [0, 15, 17, 512] {
            let platform = Platform { video_mib, ..Platform::default() };
            assert_eq!(machine(platform), "platform.video_mib");
        }
        let viridian = [Viridian::Timers].into();
        let platform = Platform { viridian, ..Platform::default() };
        assert_eq!(machine(platform), "platform.viridian");
    }

    #[test]
    fn without_hardware_virtualization_only_pv_runs() {
        let poor = HostInfo { hvm: false, ..host() };
        for (spec, word) in [(testing::pvh(), "PVH"), (testing::hvm(), "HVM")] {
            assert_eq!(
                CheckedSpec::check(&spec, &poor),
                Err(XenopsError::NoHardwareVirtualization { kind: word.into() })
            );
        }
        assert!(CheckedSpec::check(&testing::pv(), &poor).is_ok());
    }

    #[test]
    fn hvm_guests_have_a_second_link() {
        let links = |spec| CheckedSpec::check(&spec, &host()).unwrap().links(crate::DomId(3));
        assert_eq!(links(testing::pvh()), [["vif3.0"]]);
        assert_eq!(links(testing::hvm()), [["vif3.0", "vif3.0-emu"]]);
    }
}
