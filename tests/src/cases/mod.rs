// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cases, longest first so that two of them side by side end early.

mod bench;
mod boot;
mod disks;
mod installed;
mod life;
mod netboot;
mod raid;
mod screens;
mod zero_touch;

pub use boot::{LIMIT, READY};

use crate::runner::Case;

/// How the names of cases begin that measure, try other disks, boot over the network, pull disks, make
/// pictures or look at all of a guest's life.
const ON_DEMAND: &[&str] = &["bench-", "disks-", "life-", "netboot-", "picture-", "raid-"];

/// Whether the case called `name` is meant by `filters`: all but those on demand if there are none,
/// else those whose name contains one; a case on demand only by a filter that begins like its name.
pub fn is_chosen(name: &str, filters: &[String]) -> bool {
    match ON_DEMAND.iter().any(|word| name.starts_with(word)) {
        true => filters.iter().any(|filter| !filter.is_empty() && name.starts_with(&**filter)),
        false => filters.is_empty() || filters.iter().any(|filter| name.contains(&**filter)),
    }
}

/// Every case.
pub fn all() -> Vec<Case> {
    let mut cases = installed::cases();
    cases.extend(boot::cases());
    cases.extend(bench::cases());
    cases.extend(screens::cases());
    cases.extend(netboot::cases());
    cases.extend(zero_touch::cases());
    cases.extend(life::cases());
    cases.extend(disks::cases());
    cases.extend(raid::cases());
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_on_demand_are_named_from_their_beginning() {
        let chosen = |filter: &str| {
            let filters: Vec<String> = filter.split_whitespace().map(str::to_owned).collect();
            let all = all();
            let names = all.iter().map(|case| case.name);
            names.filter(|name| is_chosen(name, &filters)).collect::<Vec<_>>()
        };
        assert_eq!(chosen("install"), ["install-bios", "install-uefi"]);
        assert_eq!(chosen("pxe"), [""; 0]);
        assert_eq!(chosen("netboot-bios"), ["netboot-bios-pxe"]);
        assert_eq!(chosen("picture"), ["picture-installer", "picture-ssh"]);
        assert_eq!(chosen("life-"), ["life-pvh", "life-checkpoint"]);
        assert_eq!(chosen("bench- uefi-cd"), ["boot-uefi-cd", "bench-live", "bench-host"]);
        assert_eq!(chosen("").len(), all().len() - 15);
    }
}
