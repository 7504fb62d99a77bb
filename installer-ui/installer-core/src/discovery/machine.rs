// SPDX-License-Identifier: MIT OR Apache-2.0
//! Firmware, memory, processors.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

use super::{DiscoveryError, Roots};

/// The variable that says whether Secure Boot is on, below `/sys`.
const SECURE_BOOT: &str = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// QEMU where libxl looks for it, below the root.
const DEVICE_MODEL: &str = "usr/libexec/xen-qemu-system-i386";

/// The machine as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Machine {
    /// How this system was started; the installed host starts both ways.
    pub firmware: Firmware,
    /// Memory of the whole machine in bytes (under Xen: not only Dom0's), if it could be found out.
    pub memory: Option<u64>,
    /// Logical processors of the whole machine, if it could be found out.
    pub cpus: Option<u32>,
    /// Whether guests can be HVM or PVH.
    pub virtualization: Virtualization,
    /// Maker and model from the firmware's tables.
    pub product: Option<String>,
    /// Serial number of the machine, from there too.
    pub serial: Option<String>,
    /// Its UUID, from there too (SMBIOS 3.8, 7.2.1), in lower case.
    pub uuid: Option<String>,
    /// Whether Xen runs.
    pub xen: bool,
    /// What Xen can do, in the words of `xl info` (`hvm`, `hap`), if it told.
    pub virt_caps: Option<Vec<String>>,
    /// Memory that Xen has given to nobody, in bytes, if Xen runs and told.
    pub free_memory: Option<u64>,
    /// Whether the firmware starts only what is signed; none by BIOS, or if it does not tell.
    pub secure_boot: Option<bool>,
    /// Whether Dom0 has what emulates HVM guests' devices.
    pub device_model: bool,
    /// What the clock says, in seconds since 1970.
    pub clock: u64,
}

/// How this system was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// BIOS or its emulation.
    Bios,
    /// UEFI.
    Uefi,
}

/// Hardware virtualization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Virtualization {
    /// VT-x or AMD-V is there and switched on.
    Present,
    /// None: only PV guests will run.
    Absent,
    /// Could not be found out.
    Unknown,
}

impl Machine {
    pub(super) fn look(roots: &Roots) -> Result<Self, DiscoveryError> {
        // Xen passes the firmware's tables to a Dom0 whose Xen was started by UEFI, and Linux
        // then has the same folder as without Xen.
        let firmware = match roots.sys.join("firmware/efi").is_dir() {
            true => Firmware::Uefi,
            false => Firmware::Bios,
        };
        let dmi = |file: &str| roots.sys_text(format!("class/dmi/id/{file}"));
        let product: Vec<String> =
            [dmi("sys_vendor"), dmi("product_name")].into_iter().flatten().collect();
        let product = (!product.is_empty()).then(|| product.join(" "));
        let uuid = dmi("product_uuid").map(|uuid| uuid.to_ascii_lowercase());
        let mut machine = Self {
            firmware,
            memory: None,
            cpus: None,
            virtualization: Virtualization::Unknown,
            product,
            serial: dmi("product_serial"),
            uuid,
            xen: false,
            virt_caps: None,
            free_memory: None,
            secure_boot: secure_boot(roots),
            device_model: roots.root.join(DEVICE_MODEL).exists(),
            clock: (roots.clock)(roots),
        };
        match roots.sys_text("hypervisor/type").as_deref() {
            Some("xen") => {
                machine.xen = true;
                machine.ask_xen(roots);
            }
            _ => machine.ask_linux(roots)?,
        }
        Ok(machine)
    }

    /// These facts are shown, nothing depends on them: a failure leaves them unknown (and logged).
    fn ask_xen(&mut self, roots: &Roots) {
        match (roots.xl_info)(roots) {
            Ok(text) => self.take_xl_info(&text),
            Err(error) => tracing::warn!("asking Xen about the machine: {error}"),
        }
    }

    fn take_xl_info(&mut self, text: &str) {
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        let facts: BTreeMap<&str, &str> = pairs.map(|(k, v)| (k.trim(), v.trim())).collect();
        let number = |key| facts.get(key).and_then(|text| text.parse::<u64>().ok());
        self.memory = number("total_memory").map(|mib| mib.saturating_mul(1 << 20));
        self.free_memory = number("free_memory").map(|mib| mib.saturating_mul(1 << 20));
        self.cpus = number("nr_cpus").and_then(|n| u32::try_from(n).ok());
        if let Some(caps) = facts.get("virt_caps") {
            let caps: Vec<String> = caps.split_ascii_whitespace().map(str::to_owned).collect();
            let hvm = caps.iter().any(|cap| cap == "hvm");
            self.virt_caps = Some(caps);
            self.virtualization =
                if hvm { Virtualization::Present } else { Virtualization::Absent };
        }
    }

    fn ask_linux(&mut self, roots: &Roots) -> Result<(), DiscoveryError> {
        let path = roots.proc.join("meminfo");
        let text = fs::read_to_string(&path).map_err(DiscoveryError::read(path))?;
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = total.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
        self.memory = kib.map(|kib| kib.saturating_mul(1 << 10));
        let path = roots.proc.join("cpuinfo");
        let text = fs::read_to_string(&path).map_err(DiscoveryError::read(path))?;
        let cpus = text.lines().filter(|line| line.starts_with("processor")).count();
        self.cpus = u32::try_from(cpus).ok();
        let mut flags = text.lines().filter(|line| line.starts_with("flags"));
        let virt = |line: &str| line.split([' ', '\t']).any(|flag| flag == "vmx" || flag == "svm");
        self.virtualization = match flags.next() {
            Some(line) if virt(line) => Virtualization::Present,
            Some(_) => Virtualization::Absent,
            None => Virtualization::Unknown,
        };
        Ok(())
    }
}

/// What the UEFI specification (3.3, global variables) says: four bytes of attributes, which efivarfs
/// puts in front, and a byte that is 1 or 0.
fn secure_boot(roots: &Roots) -> Option<bool> {
    let bytes = fs::read(roots.sys.join(SECURE_BOOT)).ok()?;
    match bytes.as_slice() {
        [_, _, _, _, on] => Some(*on == 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xl_info_tells_the_whole_machine() {
        let mut machine = Machine {
            firmware: Firmware::Bios,
            memory: None,
            cpus: None,
            virtualization: Virtualization::Unknown,
            product: None,
            serial: None,
            uuid: None,
            xen: false,
            virt_caps: None,
            free_memory: None,
            secure_boot: None,
            device_model: true,
            clock: 0,
        };
        machine.take_xl_info(
            "host                   : x\nnr_cpus                : 4\n\
             virt_caps              : pv hvm hap shadow\ntotal_memory           : 1535\n\
             free_memory            : 512\n",
        );
        assert_eq!(machine.free_memory, Some(512 << 20));
        assert_eq!(machine.memory, Some(1535 << 20));
        assert_eq!(machine.cpus, Some(4));
        assert_eq!(machine.virtualization, Virtualization::Present);
        machine.take_xl_info("virt_caps              : pv\n");
        assert_eq!(machine.virtualization, Virtualization::Absent);
    }
}
