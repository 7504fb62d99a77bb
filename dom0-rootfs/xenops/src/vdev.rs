// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of block devices in a guest, and the numbers that Xen gives them.
//!
//! The rule is libxl's (`libxl__device_disk_dev_number`): the number is what the device is
//! called below `backend/vbd/<domid>/` in xenstore, so both sides must agree on it.

use std::fmt;

/// A block device's name in the guest, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vdev {
    family: Family,
    disk: u32,
    partition: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Family {
    Xvd,
    Hd,
    Sd,
}

impl Family {
    /// Highest disk and highest partition that the numbering has room for.
    fn limits(self) -> (u32, u32) {
        match self {
            Family::Xvd => ((1 << 20) - 1, 255),
            Family::Hd => (3, 63),
            Family::Sd => (15, 15),
        }
    }
}

impl Vdev {
    /// The whole disk of this number for PV drivers: 1 is `xvdb`; none if there is no room for it.
    pub fn xvd(disk: u32) -> Option<Vdev> {
        Vdev::whole(Family::Xvd, disk)
    }

    /// The whole disk of this number on emulated IDE: 2 is `hdc`; none behind the fourth.
    pub fn hd(disk: u32) -> Option<Vdev> {
        Vdev::whole(Family::Hd, disk)
    }

    fn whole(family: Family, disk: u32) -> Option<Vdev> {
        (disk <= family.limits().0).then_some(Vdev { family, disk, partition: 0 })
    }

    /// Reads `xvda`, `xvdb1`, `hdc`, `sda`; nothing else is accepted.
    pub fn parse(name: &str) -> Option<Vdev> {
        let (family, rest) = [("xvd", Family::Xvd), ("hd", Family::Hd), ("sd", Family::Sd)]
            .into_iter()
            .find_map(|(prefix, family)| Some((family, name.strip_prefix(prefix)?)))?;
        let (max_disk, max_partition) = family.limits();
        let digits = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
        let (letters, number) = rest.split_at(digits);
        if letters.is_empty() || letters.len() > 5 {
            return None;
        }
        let disk =
            letters.bytes().fold(0u32, |sum, letter| sum * 26 + u32::from(letter - b'a') + 1) - 1;
        let partition = match number {
            "" => 0,
            text if text.starts_with('0') || !text.bytes().all(|b| b.is_ascii_digit()) => {
                return None;
            }
            text => text.parse().ok()?,
        };
        (disk <= max_disk && partition <= max_partition).then_some(Vdev { family, disk, partition })
    }

    /// The device number in xenstore.
    pub fn number(self) -> u32 {
        match self.family {
            Family::Xvd if self.disk <= 15 && self.partition <= 15 => {
                (202 << 8) | (self.disk << 4) | self.partition
            }
            Family::Xvd => (1 << 28) | (self.disk << 8) | self.partition,
            Family::Hd => {
                let major = if self.disk < 2 { 3 } else { 22 };
                (major << 8) | ((self.disk & 1) << 6) | self.partition
            }
            Family::Sd => (8 << 8) | (self.disk << 4) | self.partition,
        }
    }

    /// The device with a number in xenstore.
    pub fn of_number(number: u32) -> Option<Vdev> {
        let (minor, disk) = (number & 0xff, (number >> 4) & 0xf);
        let (family, disk, partition) = match number >> 8 {
            202 => (Family::Xvd, disk, number & 0xf),
            8 => (Family::Sd, disk, number & 0xf),
            3 => (Family::Hd, minor >> 6, number & 0x3f),
            22 => (Family::Hd, 2 + (minor >> 6), number & 0x3f),
            extended if extended >> 20 == 1 => (Family::Xvd, extended & 0xf_ffff, minor),
            _ => return None,
        };
        let vdev = Vdev { family, disk, partition };
        (vdev.number() == number).then_some(vdev)
    }

    /// The place on the guest's bus: `xvdc` and `hdc` are both 2.
    pub fn position(self) -> u32 {
        self.disk
    }
}

impl fmt::Display for Vdev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Family::Xvd => "xvd",
            Family::Hd => "hd",
            Family::Sd => "sd",
        };
        let mut letters = Vec::new();
        let mut rest = self.disk + 1;
        while rest > 0 {
            letters.push((b'a' + ((rest - 1) % 26) as u8) as char);
            rest = (rest - 1) / 26;
        }
        let letters: String = letters.iter().rev().collect();
        match self.partition {
            0 => write!(f, "{family}{letters}"),
            partition => write!(f, "{family}{letters}{partition}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_libxl() {
        // Left column of xen's docs/man/xen-vbd-interface.7.pandoc, and `xl block-list`.
        for (name, number) in [
            ("xvda", 51712),
            ("xvda1", 51713),
            ("xvdb", 51728),
            ("xvdp15", 51967),
            ("xvdq", (1 << 28) | (16 << 8)),
            ("xvda16", (1 << 28) | 16),
            ("xvdaa", (1 << 28) | (26 << 8)),
            ("hda", 768),
            ("hdb", 832),
            ("hdc", 5632),
            ("hdd", 5696),
            ("sda", 2048),
            ("sdb1", 2065),
        ] {
            assert_eq!(Vdev::parse(name).map(Vdev::number), Some(number), "{name}");
            assert_eq!(Vdev::of_number(number).map(|vdev| vdev.to_string()).as_deref(), Some(name));
        }
        for number in [0, 7 << 8, 768 + 128, 1 << 28, 1 << 29, u32::MAX] {
            assert_eq!(Vdev::of_number(number), None, "{number}");
        }
        let last = Vdev::of_number((1 << 28) | (702 << 8)).map(|vdev| vdev.to_string());
        assert_eq!(last.as_deref(), Some("xvdaaa"));
    }

    #[test]
    fn nonsense_is_refused() {
        for name in [
            "",
            "xvd",
            "xvd1",
            "hde",
            "hda64",
            "sdq",
            "xvda01",
            "xvda256",
            "xvda-1",
            "xvdA",
            "xvda ",
            "vda",
            "xvdzzzzzz",
            "xvda1x",
            "/dev/xvda",
            "xvdé",
        ] {
            assert_eq!(Vdev::parse(name), None, "{name}");
        }
    }

    #[test]
    fn positions_count_from_zero() {
        assert_eq!(Vdev::parse("xvda").map(Vdev::position), Some(0));
        assert_eq!(Vdev::parse("hdd").map(Vdev::position), Some(3));
    }
}
