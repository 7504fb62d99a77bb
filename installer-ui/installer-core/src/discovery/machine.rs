// SPDX-License-Identifier: MIT OR Apache-2.0
//! Firmware, memory, processors.

use std::collections::BTreeMap;
use std::fs;

use super::{DiscoveryError, Roots};
use crate::program::Program;

/// The machine as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// How this system was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// BIOS or its emulation.
    Bios,
    /// UEFI.
    Uefi,
}

/// Hardware virtualization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        let mut machine = Self {
            firmware,
            memory: None,
            cpus: None,
            virtualization: Virtualization::Unknown,
            product,
        };
        match roots.sys_text("hypervisor/type").as_deref() {
            Some("xen") => machine.ask_xen(),
            _ => machine.ask_linux(roots)?,
        }
        Ok(machine)
    }

    /// These facts are shown, nothing depends on them: a failure leaves them unknown (and logged).
    fn ask_xen(&mut self) {
        match Program::new("xl").args(["info"]).run() {
            Ok(text) => self.take_xl_info(&text),
            Err(error) => tracing::warn!("asking Xen about the machine: {error}"),
        }
    }

    fn take_xl_info(&mut self, text: &str) {
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        let facts: BTreeMap<&str, &str> = pairs.map(|(k, v)| (k.trim(), v.trim())).collect();
        let number = |key| facts.get(key).and_then(|text| text.parse::<u64>().ok());
        self.memory = number("total_memory").map(|mib| mib << 20);
        self.cpus = number("nr_cpus").and_then(|n| u32::try_from(n).ok());
        if let Some(caps) = facts.get("virt_caps") {
            let hvm = caps.split_ascii_whitespace().any(|cap| cap == "hvm");
            self.virtualization =
                if hvm { Virtualization::Present } else { Virtualization::Absent };
        }
    }

    fn ask_linux(&mut self, roots: &Roots) -> Result<(), DiscoveryError> {
        let path = roots.proc.join("meminfo");
        let text = fs::read_to_string(&path).map_err(DiscoveryError::read(path))?;
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = total.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
        self.memory = kib.map(|kib| kib << 10);
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
        };
        machine.take_xl_info(
            "host                   : x\nnr_cpus                : 4\n\
             virt_caps              : pv hvm hap shadow\ntotal_memory           : 1535\n",
        );
        assert_eq!(machine.memory, Some(1535 << 20));
        assert_eq!(machine.cpus, Some(4));
        assert_eq!(machine.virtualization, Virtualization::Present);
        machine.take_xl_info("virt_caps              : pv\n");
        assert_eq!(machine.virtualization, Virtualization::Absent);
    }
}
