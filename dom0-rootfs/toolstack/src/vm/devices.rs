// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers and names of a VM's devices.

use std::collections::{BTreeMap, BTreeSet};

use xapi_model::{ApiError, Value, errors};
use xenops::{Scheduling, Vdev};

use crate::store::{Object, Objects};

/// How a VM is virtualized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainType {
    /// Fully.
    Hvm,
    /// Paravirtualized.
    Pv,
    /// Paravirtualized drivers in a hardware container.
    Pvh,
}

impl DomainType {
    /// What a VM's settings ask for; none for what this host does not run.
    pub fn of(vm: &Object) -> Option<DomainType> {
        match vm.text("domain_type") {
            "hvm" => Some(DomainType::Hvm),
            "pv" => Some(DomainType::Pv),
            "pvh" => Some(DomainType::Pvh),
            "unspecified" if vm.text("HVM_boot_policy").is_empty() => Some(DomainType::Pv),
            "unspecified" => Some(DomainType::Hvm),
            _ => None,
        }
    }

    /// Its name in `domain_type`.
    pub fn name(self) -> &'static str {
        match self {
            DomainType::Hvm => "hvm",
            DomainType::Pv => "pv",
            DomainType::Pvh => "pvh",
        }
    }
}

/// The share of the CPUs that `VCPUs_params` asks for, or what is wrong with it.
pub fn scheduling(params: Option<&BTreeMap<String, Value>>) -> Result<Scheduling, ApiError> {
    let mut scheduling = Scheduling::default();
    for (key, value) in params.into_iter().flatten() {
        let text = value.text();
        let invalid = || errors::INVALID_VALUE.with([&format!("VCPUs_params:{key}"), &text]);
        match key.as_str() {
            "weight" => {
                let weight = text.parse().ok().filter(|weight| *weight > 0);
                scheduling.weight = Some(weight.ok_or_else(invalid)?);
            }
            "cap" => scheduling.cap = Some(text.parse().map_err(|_| invalid())?),
            "mask" => drop(masks(&text).ok_or_else(invalid)?),
            _ => {
                let reason = "only weight, cap and mask are known";
                return Err(errors::VALUE_NOT_SUPPORTED.with(["VCPUs_params", key, reason]));
            }
        }
    }
    Ok(scheduling)
}

/// Physical CPUs that a `mask` allows virtual CPUs: `0,1` all of them, `0,1;2` the first and the second, and
/// others as the first. An empty one is none.
fn masks(text: &str) -> Option<Vec<Vec<u32>>> {
    let number = |text: &str| text.trim().parse().ok().filter(|cpu| *cpu < CPUS);
    let mask = |text: &str| -> Option<Vec<u32>> {
        let cpus: Option<BTreeSet<u32>> = text.split(',').map(number).collect();
        Some(cpus?.into_iter().collect())
    };
    if text.trim().is_empty() { Some(Vec::new()) } else { text.split(';').map(mask).collect() }
}

/// Physical CPUs for the virtual ones of a VM with these `VCPUs_params`, of those that its host's allow. As on
/// XenServer, nothing is allowed beside what both name, or all if that is nothing.
pub fn affinity(
    params: Option<&BTreeMap<String, Value>>,
    of_host: Option<&BTreeMap<String, Value>>,
) -> Vec<Vec<u32>> {
    let named = |params: Option<&BTreeMap<String, Value>>| {
        params.and_then(|params| masks(&params.get("mask")?.text())).unwrap_or_default()
    };
    let (mut own, of_host) = (named(params), named(of_host));
    let Some(allowed) = of_host.into_iter().next() else { return own };
    if own.is_empty() {
        return vec![allowed];
    }
    for cpus in &mut own {
        cpus.retain(|cpu| allowed.contains(cpu));
    }
    if own.iter().any(Vec::is_empty) { vec![allowed] } else { own }
}

/// More physical CPUs than Xen has on x86.
const CPUS: u32 = 4096;
/// Most block devices of a VM, as on XenServer (`allowed_VBD_devices_PV` in `xapi_vm_helpers.ml`).
const DISKS: u32 = 255;
/// Most network interfaces of a VM, as on XenServer.
const NICS: u32 = 7;

/// The number that a `userdevice` stands for: itself, or that of a name like `xvdb` or `hdc`.
pub fn disk_number(userdevice: &str) -> Option<u32> {
    let number = match userdevice.parse::<u32>() {
        Ok(number) => number,
        Err(_) => {
            let vdev = Vdev::parse(userdevice)?;
            // A partition is no device number.
            (!userdevice.ends_with(|c: char| c.is_ascii_digit())).then(|| vdev.position())?
        }
    };
    (number < DISKS).then_some(number)
}

/// The number of a VIF.
pub fn nic_number(device: &str) -> Option<u32> {
    device.parse::<u32>().ok().filter(|number| *number < NICS)
}

/// The one bandwidth limit that interfaces have, as on XenServer.
pub const RATE_LIMIT: &str = "ratelimit";

/// Most that a VIF's guest may send, in bytes per second. XenServer's `kbps` is in KiB.
pub fn rate(vif: &Object) -> Option<u64> {
    let limited = vif.text("qos_algorithm_type") == RATE_LIMIT;
    let kib = vif.map("qos_algorithm_params").get("kbps").and_then(kib_per_second);
    kib.filter(|_| limited).map(|kib| kib.saturating_mul(1024))
}

/// A limit in KiB per second, as text.
pub fn kib_per_second(value: &Value) -> Option<u64> {
    value.text().parse().ok().filter(|kib| *kib > 0)
}

/// The name in the guest of the block device with a number. CD drives of HVM guests are on the
/// emulated IDE bus, where firmware finds them.
pub fn disk_name(kind: DomainType, number: u32, cd: bool) -> String {
    let emulated = Vdev::hd(number).filter(|_| kind == DomainType::Hvm && cd);
    emulated.or_else(|| Vdev::xvd(number)).map_or_else(String::new, |vdev| vdev.to_string())
}

/// Numbers that a new VBD can have.
pub fn free_disks(objects: &Objects, vm: &Object) -> Vec<u32> {
    let used: BTreeSet<u32> = vm
        .refs("VBDs")
        .iter()
        .filter_map(|vbd| objects.find(vbd))
        .filter_map(|vbd| disk_number(vbd.text("userdevice")))
        .collect();
    (0..DISKS).filter(|number| !used.contains(number)).collect()
}

/// Numbers that a new VIF can have.
pub fn free_nics(objects: &Objects, vm: &Object) -> Vec<u32> {
    let used: BTreeSet<u32> = vm
        .refs("VIFs")
        .iter()
        .filter_map(|vif| objects.find(vif))
        .filter_map(|vif| nic_number(vif.text("device")))
        .collect();
    (0..NICS).filter(|number| !used.contains(number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_name_physical_cpus() {
        let params = |mask: &str| BTreeMap::from([("mask".to_owned(), Value::from(mask))]);
        let found = |own: &str, host: &str| affinity(Some(&params(own)), Some(&params(host)));
        let none: [Vec<u32>; 0] = [];
        assert_eq!(found("", ""), none);
        assert_eq!(found("2, 0,2", ""), [vec![0, 2]]);
        assert_eq!(found("0,1;3", ""), [vec![0, 1], vec![3]]);
        assert_eq!(found("", "1,2"), [vec![1, 2]]);
        assert_eq!(found("0,1;2", "1,2"), [vec![1], vec![2]]);
        assert_eq!(found("0;1", "1"), [vec![1]], "nothing is left of the first");
        assert_eq!(affinity(None, None), none);
        for text in ["a", "0,", ",", "0;", "-1", "0-3", "4096"] {
            assert!(scheduling(Some(&params(text))).is_err(), "{text}");
        }
        assert_eq!(scheduling(Some(&params(""))), Ok(Scheduling::default()));
    }

    #[test]
    fn device_names_and_numbers() {
        for (text, number) in [
            ("0", Some(0)),
            ("15", Some(15)),
            ("254", Some(254)),
            ("255", None),
            ("-1", None),
            ("xvda", Some(0)),
            ("hdd", Some(3)),
            ("xvdiu", Some(254)),
            ("xvdiv", None),
            ("xvdb1", None),
            ("autodetect", None),
            ("", None),
        ] {
            assert_eq!(disk_number(text), number, "{text}");
        }
        assert_eq!(disk_name(DomainType::Pvh, 3, true), "xvdd");
        assert_eq!(disk_name(DomainType::Hvm, 3, true), "hdd");
        assert_eq!(disk_name(DomainType::Hvm, 4, true), "xvde");
        assert_eq!(disk_name(DomainType::Hvm, 0, false), "xvda");
        assert_eq!(disk_name(DomainType::Pvh, 26, false), "xvdaa");
        assert_eq!(disk_name(DomainType::Pv, 254, false), "xvdiu");
    }
}
