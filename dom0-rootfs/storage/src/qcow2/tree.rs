// SPDX-License-Identifier: MIT OR Apache-2.0
//! What belongs to what in a folder of qcow2 VDIs, and what of it is not needed any more. Pure.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

/// A name that leads to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// A VDI, whose image is written to while it is active.
    Vdi(Uuid),
    /// What images refer to that have the differences to it only. Nobody writes to it.
    Base(Uuid),
}

/// An image file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Image {
    /// The base that it has the differences to.
    pub(super) backing: Option<Uuid>,
    /// Size of the disk in bytes.
    pub(super) size: u64,
    /// Bytes that the file takes.
    pub(super) used: u64,
}

/// Everything in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) names: BTreeMap<Name, Uuid>,
    pub(super) images: BTreeMap<Uuid, Image>,
}

/// What nothing refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Garbage {
    Name(Name),
    Image(Uuid),
}

/// Something that gives room back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// What a VDI's image has becomes a base, so that it can be merged while the VDI is written to.
    Freeze(Uuid),
    /// What a base has goes into the one below it.
    Merge {
        /// A VDI above both.
        through: Uuid,
        top: Uuid,
        into: Uuid,
    },
}

/// A VDI's image is worth merging from this size on, and from [`WORTH_PART`] of what it goes into: what
/// is written meanwhile would otherwise have to be merged again, without end.
const WORTH: u64 = 16 << 20;
const WORTH_PART: u64 = 8;

/// And one that nobody writes to from this on, which is more than an empty one takes: what its guest
/// trimmed takes room below it until it is merged.
const CLOSED_WORTH: u64 = 1 << 20;

impl Tree {
    /// The images of a VDI, its own first; the error is the name that leads nowhere.
    pub(super) fn chain(&self, vdi: Uuid) -> Result<Vec<Uuid>, Name> {
        let mut chain = Vec::new();
        let mut name = Name::Vdi(vdi);
        loop {
            let image = self.names.get(&name).filter(|image| !chain.contains(*image));
            let image = *image.ok_or(name)?;
            let found = self.images.get(&image).ok_or(name)?;
            chain.push(image);
            match found.backing {
                Some(base) => name = Name::Base(base),
                None => return Ok(chain),
            }
        }
    }

    /// Bases that a VDI is built on.
    pub(super) fn bases(&self, vdi: Uuid) -> Vec<Uuid> {
        let chain = self.chain(vdi).unwrap_or_default();
        chain.iter().filter_map(|image| self.images.get(image)?.backing).collect()
    }

    /// Bases without anything on them, then images without a name; what becomes so by that, too.
    pub(super) fn garbage(&self) -> Vec<Garbage> {
        let mut names = self.names.clone();
        let mut garbage = Vec::new();
        loop {
            let live: BTreeSet<Uuid> = names.values().copied().collect();
            let needed: BTreeSet<Uuid> =
                live.iter().filter_map(|image| self.images.get(image)?.backing).collect();
            let unneeded = |name: &Name| matches!(name, Name::Base(base) if !needed.contains(base));
            let gone: Vec<Name> = names.keys().copied().filter(unneeded).collect();
            if gone.is_empty() {
                let nameless = self.images.keys().filter(|image| !live.contains(image));
                garbage.extend(nameless.map(|image| Garbage::Image(*image)));
                return garbage;
            }
            for name in gone {
                names.remove(&name);
                garbage.push(Garbage::Name(name));
            }
        }
    }

    /// VDIs that are built on a base.
    fn above(&self, base: Uuid) -> Vec<Uuid> {
        let vdis = self.names.keys().filter_map(|name| match name {
            Name::Vdi(vdi) => Some(*vdi),
            Name::Base(_) => None,
        });
        vdis.filter(|vdi| self.bases(*vdi).contains(&base)).collect()
    }

    /// What to do next, where there is no garbage, with these VDIs open. A base that two open VDIs read
    /// is left alone until one of them is closed, as each has its own program.
    pub(super) fn next(&self, open: &BTreeSet<Uuid>) -> Option<Work> {
        let bases = self.names.iter().filter_map(|(name, image)| match name {
            Name::Base(base) => Some((*base, *image)),
            Name::Vdi(_) => None,
        });
        let all = bases.filter_map(|(base, image)| self.work_on(base, image, open));
        let all: Vec<Work> = all.collect();
        // What is frozen first would be merged through every base below it.
        let merge = all.iter().find(|work| matches!(work, Work::Merge { .. }));
        merge.or(all.first()).copied()
    }

    /// Images whose size matters to [`Tree::next`]: VDIs' that are alone on their bases, and those.
    pub(super) fn weighed(&self) -> Vec<Uuid> {
        let mut images = Vec::new();
        for (name, image) in &self.names {
            if let Name::Base(base) = name
                && let Some((Name::Vdi(_), child)) = self.only_child(*base)
            {
                images.extend([*image, child]);
            }
        }
        images
    }

    /// The name and image of what is built on a base, if it is one.
    fn only_child(&self, base: Uuid) -> Option<(Name, Uuid)> {
        let mut on_it = self.names.iter().filter(|(_, image)| self.backing(**image) == Some(base));
        match (on_it.next(), on_it.next()) {
            (Some((name, image)), None) => Some((*name, *image)),
            _ => None,
        }
    }

    fn work_on(&self, base: Uuid, image: Uuid, open: &BTreeSet<Uuid>) -> Option<Work> {
        let users = self.above(base);
        let through = match users.iter().filter(|vdi| open.contains(vdi)).collect::<Vec<_>>()[..] {
            [] => *users.first()?,
            [one] => *one,
            _ => return None,
        };
        let (name, child) = self.only_child(base)?;
        let vdi = match name {
            Name::Base(top) => return Some(Work::Merge { through, top, into: base }),
            Name::Vdi(vdi) => vdi,
        };
        let worth = match open.contains(&vdi) {
            true => WORTH.max(self.images.get(&image)?.used / WORTH_PART),
            false => CLOSED_WORTH,
        };
        (self.images.get(&child)?.used >= worth).then_some(Work::Freeze(vdi))
    }

    fn backing(&self, image: Uuid) -> Option<Uuid> {
        self.images.get(&image)?.backing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// `v1 -> 10`: a VDI's name; `b2 -> 20`: a base's; `10 on b2 with 5`: an image of 5 MiB.
    fn tree(text: &[&str]) -> Tree {
        let mut tree = Tree::default();
        let name = |word: &str| {
            let (kind, number) = word.split_at(1);
            let number = id(number.parse().unwrap());
            if kind == "v" { Name::Vdi(number) } else { Name::Base(number) }
        };
        for line in text {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                [from, "->", image] => {
                    tree.names.insert(name(from), id(image.parse().unwrap()));
                }
                [image, "on", below, "with", mib] => {
                    let backing = match below {
                        "nothing" => None,
                        base => Some(id(base[1..].parse().unwrap())),
                    };
                    let used = mib.parse::<u64>().unwrap() * MIB;
                    let found = Image { backing, size: 1 << 30, used };
                    tree.images.insert(id(image.parse().unwrap()), found);
                }
                _ => panic!("{line}"),
            }
        }
        tree
    }

    fn open(numbers: &[u128]) -> BTreeSet<Uuid> {
        numbers.iter().map(|number| id(*number)).collect()
    }

    #[test]
    fn a_chain_goes_down_to_the_last_base() {
        let three = tree(&[
            "v1 -> 10",
            "b2 -> 20",
            "b3 -> 30",
            "10 on b2 with 1",
            "20 on b3 with 1",
            "30 on nothing with 1",
        ]);
        assert_eq!(three.chain(id(1)), Ok(vec![id(10), id(20), id(30)]));
        assert_eq!(three.bases(id(1)), [id(2), id(3)]);
        assert_eq!(three.chain(id(9)), Err(Name::Vdi(id(9))));
        let lost = tree(&["v1 -> 10", "10 on b2 with 1"]);
        assert_eq!(lost.chain(id(1)), Err(Name::Base(id(2))));
        let ring = tree(&["v1 -> 10", "b2 -> 20", "10 on b2 with 1", "20 on b2 with 1"]);
        assert_eq!(ring.chain(id(1)), Err(Name::Base(id(2))), "a chain has an end");
    }

    #[test]
    fn garbage_is_what_no_vdi_leads_to() {
        let used = tree(&["v1 -> 10", "b2 -> 20", "10 on b2 with 1", "20 on nothing with 1"]);
        assert_eq!(used.garbage(), []);
        // The VDI is gone, its image not yet.
        let mut gone = used.clone();
        gone.names.remove(&Name::Vdi(id(1)));
        assert_eq!(
            gone.garbage(),
            [Garbage::Name(Name::Base(id(2))), Garbage::Image(id(10)), Garbage::Image(id(20))]
        );
        // A snapshot that went no further than the base's name, and an image that has none yet.
        let begun = tree(&["v1 -> 10", "b2 -> 10", "10 on nothing with 1", "11 on b2 with 0"]);
        assert_eq!(begun.garbage(), [Garbage::Name(Name::Base(id(2))), Garbage::Image(id(11))]);
        // A merge that is over: both bases' names lead to what is left.
        let merged = tree(&[
            "v1 -> 10",
            "b2 -> 30",
            "b3 -> 30",
            "10 on b2 with 1",
            "20 on b3 with 1",
            "30 on nothing with 2",
        ]);
        assert_eq!(merged.garbage(), [Garbage::Name(Name::Base(id(3))), Garbage::Image(id(20))]);
    }

    #[test]
    fn a_base_with_one_child_is_merged_and_one_with_two_is_not() {
        // 1 was snapshotted as 2, then as 3, and 2 is gone.
        let snapshots = [
            "v1 -> 10",
            "v3 -> 11",
            "b7 -> 20",
            "b8 -> 30",
            "10 on b7 with 900",
            "11 on b7 with 0",
            "20 on b8 with 5",
            "30 on nothing with 500",
        ];
        let merge = |through| Work::Merge { through: id(through), top: id(7), into: id(8) };
        let found = tree(&snapshots);
        assert!(found.weighed().is_empty(), "bases are merged whatever they have");
        assert_eq!(found.next(&open(&[])), Some(merge(1)));
        assert_eq!(found.next(&open(&[3])), Some(merge(3)), "by who has it open");
        assert_eq!(found.next(&open(&[1, 3])), None, "not under two programs");
        let mut with_both = snapshots.to_vec();
        with_both.extend(["v2 -> 12", "12 on b8 with 0"]);
        assert_eq!(tree(&with_both).next(&open(&[1])), None, "every image is needed");
    }

    #[test]
    fn a_vdi_alone_on_its_base_is_merged_when_that_is_worth_it() {
        let found = |own: u64, below: u64| {
            let lines = [format!("10 on b2 with {own}"), format!("20 on nothing with {below}")];
            tree(&["v1 -> 10", "b2 -> 20", &lines[0], &lines[1]])
        };
        let alone = |own: u64, below: u64| found(own, below).next(&open(&[1]));
        let freeze = Some(Work::Freeze(id(1)));
        assert_eq!(alone(15, 0), None);
        assert_eq!(alone(16, 0), freeze);
        assert_eq!(alone(124, 1000), None);
        assert_eq!(alone(125, 1000), freeze);
        assert_eq!(alone(900, 20), freeze);
        assert_eq!(found(1, 2).weighed(), [id(20), id(10)]);
        assert_eq!(found(0, 1000).next(&open(&[])), None);
        assert_eq!(found(1, 1000).next(&open(&[])), freeze, "nobody writes more meanwhile");
    }

    #[test]
    fn work_comes_to_an_end() {
        // What each step makes of a folder, to the last one.
        let mut now = tree(&[
            "v1 -> 10",
            "b2 -> 20",
            "b3 -> 30",
            "10 on b2 with 200",
            "20 on b3 with 100",
            "30 on nothing with 300",
        ]);
        let mut done = Vec::new();
        while let Some(work) = now.next(&open(&[1])) {
            done.push(work);
            match work {
                Work::Freeze(vdi) => {
                    let image = now.names[&Name::Vdi(vdi)];
                    now.names.insert(Name::Base(id(50)), image);
                    now.names.insert(Name::Vdi(vdi), id(51));
                    let made = Image { backing: Some(id(50)), size: 1 << 30, used: 0 };
                    now.images.insert(id(51), made);
                }
                Work::Merge { top, into, .. } => {
                    let (above, below) =
                        (now.names[&Name::Base(top)], now.names[&Name::Base(into)]);
                    now.images.get_mut(&below).unwrap().used += now.images[&above].used;
                    now.names.insert(Name::Base(top), below);
                }
            }
            for gone in now.garbage() {
                match gone {
                    Garbage::Name(name) => drop(now.names.remove(&name)),
                    Garbage::Image(image) => drop(now.images.remove(&image)),
                }
            }
            assert!(done.len() < 5, "{done:?}");
        }
        let merge = |top, into| Work::Merge { through: id(1), top: id(top), into: id(into) };
        assert_eq!(done, [merge(2, 3), Work::Freeze(id(1)), merge(50, 2)]);
        assert_eq!((now.names.len(), now.images.len()), (2, 2));
    }
}
