// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cuts the power during an installation over an older host, at many moments, and looks at what is left:
//! of all that was not durable yet, any sector may be on the disk or not.

use std::collections::BTreeMap;
use std::path::Path;

use appliance_model::medium as paths;
use appliance_model::records::Records;
use fastrand::Rng;

use super::tests::{fake, mirrored, plan};
use super::*;
use crate::plan::ARRAY_START;
use crate::system::fake::{Entered, Fake};

const SECTOR: usize = 512;
/// Cuts among all writes, and how many of the last ones are cut each.
const CUTS: usize = 60;
const LAST: usize = 30;

/// What a machine starts from a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    boot_code: Vec<u8>,
    core: Vec<u8>,
    /// Without the line that says that the installation is whole.
    files: BTreeMap<String, Vec<u8>>,
    root_image: Vec<u8>,
}

impl Host {
    fn of(fake: &Fake, plan: &Plan, disk: usize) -> Self {
        let files = fake.esp_files(disk).into_iter().filter(|(name, _)| !name.contains("/from-"));
        let size = usize::try_from(plan.medium.root_image_size).unwrap();
        let start = if plan.mirror.is_some() { ARRAY_START as usize } else { 0 };
        Self {
            boot_code: fake.disk_bytes(disk, 440),
            core: fake.partition_bytes(disk, 1, 2048),
            files: files.collect(),
            root_image: fake.partition_bytes(disk, 3, start + size).split_off(start),
        }
    }

    fn uefi_starts(&self) -> bool {
        self.files.contains_key("/EFI/BOOT/BOOTX64.EFI")
    }

    /// All but what a BIOS starts; a torn entry of the file that says that the installation is whole
    /// does not count.
    fn same_system(&self, other: &Self) -> bool {
        let mut files = other.files.iter();
        files.all(|(name, bytes)| self.files.get(name) == Some(bytes))
            && self.root_image == other.root_image
    }
}

/// The host that was on the disk before: another build.
fn older(plan: &Plan) -> Fake {
    let mut fake = fake(plan);
    for name in [paths::XEN, paths::KERNEL, paths::INITRD, paths::GRUB_EFI, paths::ROOT_IMAGE] {
        fake.files.get_mut(&plan.source(name)).unwrap().iter_mut().for_each(|b| *b ^= 0x80);
    }
    fake.files.get_mut(&plan.source(paths::BOOT_IMG)).unwrap()[0] ^= 0x80;
    fake.list_medium(&plan.medium.path);
    install(plan, &Hooks::default(), &mut fake, &mut |_| {}).unwrap();
    fake
}

/// The disks after a power cut behind the first `cut` entries of the journal.
fn after_cut(before: &Fake, journal: &[Entered], cut: usize, rng: &mut Rng) -> Fake {
    let journal = &journal[..cut];
    let mut synced: BTreeMap<&Path, usize> = BTreeMap::new();
    for (index, entry) in journal.iter().enumerate() {
        if let Entered::Synced { device } = entry {
            synced.insert(device, index);
        }
    }
    let mut left = before.same_disks();
    let odds = [0.05, 0.5, 0.95][rng.usize(..3)];
    for (index, entry) in journal.iter().enumerate() {
        let Entered::Written { device, disk, at, bytes } = entry else { continue };
        if synced.get(&**device).is_some_and(|sync| *sync > index) {
            left.put(*disk, *at, bytes);
            continue;
        }
        for (number, sector) in bytes.chunks(SECTOR).enumerate() {
            if rng.f64() < odds {
                left.put(*disk, at + (number * SECTOR) as u64, sector);
            }
        }
    }
    left
}

#[test]
fn no_power_cut_leaves_half_a_host() {
    cut_power(&plan(), &plan());
}

#[test]
fn no_power_cut_leaves_half_a_host_on_either_disk_of_a_mirror() {
    cut_power(&mirrored(), &mirrored());
}

#[test]
fn no_power_cut_leaves_half_a_host_where_guests_are_kept() {
    for mirrored in [false, true] {
        let (fresh, kept) = kept::tests::plans(mirrored);
        cut_power(&fresh, &kept);
    }
}

/// The host of the plan `before` is on the disk.
fn cut_power(before: &Plan, plan: &Plan) {
    let seed = std::env::var("XENITH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("XENITH_SEED={seed} repeats this");
    let mut rng = Rng::with_seed(seed);
    let before = older(before);
    let medium = fake(plan).files;
    let mut fake = before.same_disks();
    fake.files = medium;
    fake.records = Some(Records::default());
    fake.journal = Some(Vec::new());
    install(plan, &Hooks::default(), &mut fake, &mut |_| {}).unwrap();
    let journal = fake.journal.take().unwrap();
    let disks = plan.disks().count();
    let hosts = |of: &Fake| (0..disks).map(|disk| Host::of(of, plan, disk)).collect::<Vec<_>>();
    let (old, new) = (hosts(&before), hosts(&fake));
    for (old, new) in old.iter().zip(&new) {
        assert!(!old.same_system(new) && old.boot_code != new.boot_code);
        assert!(old.uefi_starts() && new.uefi_starts());
    }

    let total = journal.len();
    let mut cuts: Vec<usize> = (0..CUTS).map(|_| rng.usize(..=total)).collect();
    cuts.extend(0..LAST.min(total));
    cuts.extend(total - LAST.min(total)..=total);
    let mut started = [0; 3];
    for cut in cuts {
        let left = hosts(&after_cut(&before, &journal, cut, &mut rng));
        for (disk, host) in left.iter().enumerate() {
            let place = format!("disk {disk}, cut at {cut}/{total}");
            let (old, new) = (&old[disk], &new[disk]);
            let which = if host.boot_code == new.boot_code {
                assert!(host.same_system(new) && host.core == new.core, "BIOS, {place}");
                2
            } else if host.uefi_starts() {
                assert!(host.same_system(old) || host.same_system(new), "UEFI, {place}");
                1
            } else {
                // Without its files GRUB stops at its own prompt, whatever else is left of it.
                let menu = host.files.contains_key("/boot/grub/grub.cfg");
                assert!(!menu || host.boot_code != old.boot_code, "BIOS, {place}");
                0
            };
            if which > 0 {
                // An array of the two would be half of each.
                let same = left.iter().all(|other| other.root_image == host.root_image);
                assert!(same, "the halves differ, {place}");
            }
            started[which] += 1;
        }
    }
    assert!(started.iter().all(|count| *count > 0), "{started:?}");
}
