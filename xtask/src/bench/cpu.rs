// SPDX-License-Identifier: MIT OR Apache-2.0
//! CPU time of this process and of everything that it started.

use std::fs;

use anyhow::{Context, Result};

/// CPU seconds, user and system, that this process and its ended children have used so far. Sandboxes
/// are among them: each process on the way down waits for what it started.
pub fn seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("reading /proc/self/stat")?;
    let ticks = ticks(&stat).context("understanding /proc/self/stat")?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// utime, stime, cutime and cstime of proc_pid_stat(5), added up.
fn ticks(stat: &str) -> Option<u64> {
    // The program's name may have spaces and parentheses in it.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_fields_count_whatever_the_program_is_called() {
        let stat = "7 (a) b (c) R 1 7 7 0 -1 4194304 95 0 0 0 1 20 300 4000 20 0 1 0";
        assert_eq!(ticks(stat), Some(4321));
        assert_eq!(ticks("7 (a) R 1 7"), None);
    }

    #[test]
    fn work_shows() {
        let before = seconds().unwrap();
        let mut number = 1_u64;
        while seconds().unwrap() < before + 0.02 {
            for _ in 0..100_000 {
                number = std::hint::black_box(number.wrapping_mul(3));
            }
        }
    }
}
