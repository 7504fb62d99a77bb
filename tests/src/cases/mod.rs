// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cases, longest first so that two of them side by side end early.

mod announced;
mod bench;
mod boot;
mod clients;
mod disks;
mod faults;
mod host_screen;
mod installed;
mod ipv6_only;
mod kills;
mod life;
mod multipath;
mod netboot;
mod network;
mod nfs;
mod power_cuts;
mod raid;
mod reboot;
mod reinstall;
mod screens;
mod serial_install;
mod users;
mod ways;
mod zero_touch;

pub use boot::{LIMIT, READY};

use crate::runner::Case;

/// How the names of cases begin that are run on demand only, and whether a full run has them too: what
/// measures or makes pictures judges nothing.
const ON_DEMAND: &[(&str, bool)] = &[
    ("bench-", false),
    ("disks-", true),
    ("fault-", true),
    ("install-serial", true),
    ("life-", true),
    ("multipath-", true),
    ("net-", true),
    ("netboot-", true),
    ("picture-", false),
    ("raid-", true),
    ("reinstall-", true),
    ("users-", true),
    ("way-", true),
];

/// How the names of cases begin that need no virtual machine.
const WITHOUT_MACHINES: &str = "clients-";

/// Whether the case called `name` needs a virtual machine, and so all that is built.
pub fn needs_machines(name: &str) -> bool {
    !name.starts_with(WITHOUT_MACHINES)
}

/// Whether the case called `name` is meant by `filters`: without any, all but those on demand, and
/// with `full` the long ones of these too; else those whose name contains one, a case on demand only
/// by a filter that begins like its name.
pub fn is_chosen(name: &str, full: bool, filters: &[String]) -> bool {
    let on_demand = ON_DEMAND.iter().find(|(word, _)| name.starts_with(word));
    match (filters.is_empty(), on_demand) {
        (true, None) => true,
        (true, Some((_, long))) => full && *long,
        (false, None) => filters.iter().any(|filter| name.contains(&**filter)),
        (false, Some(_)) => {
            filters.iter().any(|filter| !filter.is_empty() && name.starts_with(&**filter))
        }
    }
}

/// Every case.
pub fn all() -> Vec<Case> {
    let mut cases = installed::cases();
    cases.extend(clients::cases());
    cases.extend(boot::cases());
    cases.extend(bench::cases());
    cases.extend(screens::cases());
    cases.extend(netboot::cases());
    cases.extend(zero_touch::cases());
    cases.extend(announced::cases());
    cases.extend(life::cases());
    cases.extend(kills::cases());
    cases.extend(reboot::cases());
    cases.extend(host_screen::cases());
    cases.extend(nfs::cases());
    cases.extend(disks::cases());
    cases.extend(raid::cases());
    cases.extend(multipath::cases());
    cases.extend(reinstall::cases());
    cases.extend(faults::cases());
    cases.extend(power_cuts::cases());
    cases.extend(serial_install::cases());
    cases.extend(ways::cases());
    cases.extend(users::cases());
    cases.extend(network::cases());
    cases.extend(ipv6_only::cases());
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
            names.filter(|name| is_chosen(name, false, &filters)).collect::<Vec<_>>()
        };
        assert_eq!(chosen("install"), ["install-bios", "install-uefi", "install-serial"]);
        assert_eq!(chosen("pxe"), [""; 0]);
        assert_eq!(chosen("net-"), ["net-lacp-vlan", "net-changes", "net-ipv6-only"]);
        assert_eq!(chosen("netboot-bios"), ["netboot-bios-pxe"]);
        assert_eq!(chosen("picture"), ["picture-installer", "picture-ssh"]);
        let life = "pvh checkpoint guard balloon qcow2 disks cycles clients provision archives services full hvm uefi kills reboot screen nfs"
            .split_whitespace();
        let life: Vec<_> = life.map(|name| format!("life-{name}")).collect();
        assert_eq!(chosen("life-"), life);
        assert_eq!(chosen("multipath-"), ["multipath-bios", "multipath-uefi"]);
        assert_eq!(chosen("reinstall-"), ["reinstall-keep"]);
        assert_eq!(chosen("bench- uefi-cd"), ["boot-uefi-cd", "bench-live", "bench-host"]);
        assert_eq!(chosen("clients-"), ["clients-simulator", "clients-tutorial"]);
        assert_eq!(chosen("").len(), 9);
    }

    #[test]
    fn a_full_run_has_the_long_cases_too() {
        let chosen = |full| {
            let all = all();
            let names = all.iter().map(|case| case.name);
            names.filter(|name| is_chosen(name, full, &[])).collect::<Vec<_>>()
        };
        let (usual, full) = (chosen(false), chosen(true));
        assert!(usual.iter().all(|name| full.contains(name)), "{full:?}");
        assert!(full.contains(&"netboot-ipxe") && !usual.contains(&"netboot-ipxe"), "{full:?}");
        for judges_nothing in ["bench-", "picture-"] {
            assert!(!full.iter().any(|name| name.starts_with(judges_nothing)), "{full:?}");
        }
    }
}
