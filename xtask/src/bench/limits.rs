// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the figures are held against: all of it, in one place. Nothing fails for missing a limit.

/// A figure that should not be above something.
struct Limit {
    bench: &'static str,
    name: &'static str,
    unit: &'static str,
    most: f64,
}

const fn limit(bench: &'static str, name: &'static str, unit: &'static str, most: f64) -> Limit {
    Limit { bench, name, unit, most }
}

const LIMITS: &[Limit] = &[
    limit("iso-size", "size", "MB", 200.0),
    limit("iso-size", "size of minimal", "MB", 120.0),
    limit("iso-noop", "wall", "s", 1.0),
    limit("iso-write", "from parts / copy", "x", 2.0),
    limit("install-copy", "copy / direct write", "x", 1.2),
    limit("iso-one-line", "wall", "s", 60.0),
    limit("iso-cold", "all but programs", "CPU min", 10.0),
    // Names are those of the toolstack's bench. 5,000 reads in a second.
    limit("simulator", "a read of 8 clients", "µs", 200.0),
    limit("simulator", "a read beside 200 that wait / alone", "x", 1.2),
    limit("simulator", "idle beside 200 that wait", "% of a processor", 1.0),
    limit("simulator", "VM.get_all_records of 1,000 VMs", "ms", 50.0),
    limit("simulator", "VM.start beside 80 that poll / alone", "x", 2.0),
    limit("simulator", "start-up with 10,000 VMs", "s", 2.0),
    limit("simulator", "resident with 100 VMs", "MiB", 64.0),
    limit("simulator", "resident with 10,000 VMs", "MiB", 200.0),
    limit("simulator", "memory grown by 1,500 starts", "%", 5.0),
    limit("simulator", "descriptors left by 1,500 starts", "", 0.0),
    // Names are those of the end-to-end cases.
    limit("host", "toolstack ready", "CPU s", 110.0),
    limit("host", "Dom0 memory used", "MiB", 300.0),
    limit("host", "toolstack resident", "MiB", 40.0),
    limit("host", "VM.start / xl create PVH", "x", 0.2),
    limit("host", "VM.hard_shutdown / xl destroy PVH", "x", 0.2),
    limit("host", "VM.start / xl create HVM", "x", 0.5),
    limit("host", "VM.hard_shutdown / xl destroy HVM", "x", 0.5),
];

/// The limit of a figure, if it has one.
pub fn of(bench: &str, name: &str, unit: &str) -> Option<f64> {
    let same = |limit: &&Limit| (limit.bench, limit.name, limit.unit) == (bench, name, unit);
    LIMITS.iter().find(same).map(|limit| limit.most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_of_a_bench_that_there_is() {
        for limit in LIMITS {
            let known = super::super::BENCHES.iter().any(|bench| bench.name == limit.bench);
            assert!(known, "{}", limit.bench);
        }
    }
}
