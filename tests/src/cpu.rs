// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processor time of a process and everything below it (proc_pid_stat(5)).

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

/// Seconds of user and system time of `root` and its living descendants.
pub fn of_tree(root: u32) -> Result<f64> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut ticks = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("listing /proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end between listing and reading.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some((parent, used)) = parse(&stat) {
            children.entry(parent).or_default().push(pid);
            ticks.insert(pid, used);
        }
    }
    let mut total = 0;
    let mut queue = vec![root];
    while let Some(pid) = queue.pop() {
        total += ticks.get(&pid).copied().unwrap_or(0);
        queue.extend(children.get(&pid).into_iter().flatten());
    }
    Ok(total as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Parent and processor ticks out of a stat line; the name in it may hold spaces and parentheses.
fn parse(stat: &str) -> Option<(u32, u64)> {
    let fields: Vec<_> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let user: u64 = fields.get(11)?.parse().ok()?;
    let system: u64 = fields.get(12)?.parse().ok()?;
    Some((fields.get(1)?.parse().ok()?, user + system))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_with_parentheses_is_skipped() {
        let stat = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 0 0 0 12 30 0 0 20 0 1 0 5";
        assert_eq!(super::parse(stat), Some((3, 42)));
    }
}
