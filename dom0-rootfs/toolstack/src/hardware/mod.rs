// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the machine is made of, as Dom0's kernel shows it, and its objects.

mod crashes;
mod pci;
mod record;
mod usb;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use xapi_model::DateTime;

use crate::vm::bios_strings;

pub use crashes::Crash;
pub use pci::PciDevice;
pub use record::{record, record_usb};
pub use usb::UsbDevice;

/// The machine below a folder that looks like the root of Dom0's file system: `/`, or a made-up one.
#[derive(Debug, Clone)]
pub struct Machine {
    root: PathBuf,
}

/// Facts that all CPUs have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuKind {
    /// `GenuineIntel`.
    pub vendor: String,
    /// Family by CPUID.
    pub family: i64,
    /// Model by CPUID.
    pub model: i64,
    /// Stepping by CPUID.
    pub stepping: String,
    /// Flags, separated by spaces.
    pub flags: String,
}

impl Machine {
    /// The machine whose root folder this is.
    pub fn new(root: PathBuf) -> Machine {
        Machine { root }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The kind of its CPUs, from `/proc/cpuinfo`; what is not there is empty or 0.
    pub fn cpu_kind(&self) -> CpuKind {
        cpu_kind(&text(&self.path("/proc/cpuinfo")))
    }

    /// When its kernel started, from `/proc/stat`.
    pub fn boot_time(&self) -> Option<DateTime> {
        let text = text(&self.path("/proc/stat"));
        let seconds = text.lines().find_map(|line| line.strip_prefix("btime "))?;
        seconds.trim().parse().ok().map(DateTime)
    }
}

impl Machine {
    /// What the firmware says of the machine, by the keys of `bios_strings`.
    pub fn bios_strings(&self) -> BTreeMap<&'static str, String> {
        let folder = self.path("/sys/class/dmi/id");
        let said = bios_strings::KEYS.iter().filter(|(.., file)| !file.is_empty());
        let said = said.map(|(key, _, file)| (*key, text(&folder.join(file)).trim().to_owned()));
        said.filter(|(_, text)| !text.is_empty()).collect()
    }
}

/// The text of a file, empty if it cannot be read.
fn text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn cpu_kind(cpuinfo: &str) -> CpuKind {
    let mut kind = CpuKind::default();
    // An empty line ends what is said of the first one.
    for line in cpuinfo.lines().take_while(|line| !line.trim().is_empty()) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key.trim() {
            "vendor_id" => kind.vendor = value.to_owned(),
            "cpu family" => kind.family = value.parse().unwrap_or_default(),
            "model" => kind.model = value.parse().unwrap_or_default(),
            "stepping" => kind.stepping = value.to_owned(),
            "flags" => kind.flags = value.to_owned(),
            _ => {}
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cpu_is_like_all() {
        let text = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n\
                    model name\t: X\nstepping\t: 7\nflags\t\t: fpu vme\n\nprocessor\t: 1\nmodel\t: 1\n";
        let kind = CpuKind {
            vendor: "GenuineIntel".into(),
            family: 6,
            model: 85,
            stepping: "7".into(),
            flags: "fpu vme".into(),
        };
        assert_eq!(cpu_kind(text), kind);
        assert_eq!(cpu_kind("model : many\n: \nflags"), CpuKind::default());
        assert_eq!(Machine::new("/nowhere".into()).cpu_kind(), CpuKind::default());
        assert_eq!(Machine::new("/nowhere".into()).boot_time(), None);
    }
}
