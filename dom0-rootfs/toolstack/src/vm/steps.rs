// SPDX-License-Identifier: MIT OR Apache-2.0
//! Long work as a list of named steps, each with what takes it back.

use std::fmt;
use std::time::{Duration, Instant};

use xapi_model::ApiError;

/// A step on some state.
pub struct Step<S> {
    /// A lower-case gerund with its object: "building the domain".
    pub name: &'static str,
    /// Does it.
    pub act: fn(&mut S) -> Result<(), ApiError>,
    /// Takes it back. Also called when `act` itself failed half-way, so it is safe to call when
    /// nothing was done.
    pub undo: fn(&mut S) -> Result<(), ApiError>,
}

/// Does the steps in order. When one fails, takes back it and all before it, last first, and
/// returns its error; else how long each took. `after` hears of each finished step, from 0 to 1, and may say
/// that the work is not to go on.
pub fn run<S>(
    steps: &[Step<S>],
    state: &mut S,
    after: impl Fn(&S, f64) -> Result<(), ApiError>,
) -> Result<Took, ApiError> {
    let mut took = Took::default();
    for (done, step) in steps.iter().enumerate() {
        tracing::debug!(step = step.name, "doing");
        let result = took.time(step.name, || (step.act)(state));
        let share = (done + 1) as f64 / steps.len() as f64;
        let Err(error) = result.and_then(|()| after(state, share)) else { continue };
        tracing::info!(step = step.name, %error, "failed, taking back");
        for step in steps[..=done].iter().rev() {
            if let Err(error) = (step.undo)(state) {
                tracing::error!(step = step.name, %error, "could not be taken back");
            }
        }
        return Err(error);
    }
    Ok(took)
}

/// How long each step took: `building the domain 120, plugging network interfaces 31`, in milliseconds.
#[derive(Debug, Default)]
pub struct Took(Vec<(&'static str, Duration)>);

impl Took {
    /// Does one step more, and keeps how long it took.
    pub fn time<T>(&mut self, name: &'static str, step: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = step();
        self.0.push((name, began.elapsed()));
        result
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, time)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {}", time.as_millis())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use xapi_model::errors;

    use super::*;

    #[derive(Default)]
    struct Log {
        fail: &'static str,
        lines: Vec<&'static str>,
    }

    impl Log {
        fn add(&mut self, line: &'static str) -> Result<(), ApiError> {
            self.lines.push(line);
            if self.fail == line { Err(errors::TOO_BUSY.bare()) } else { Ok(()) }
        }
    }

    const STEPS: &[Step<Log>] = &[
        Step { name: "a", act: |l| l.add("a"), undo: |l| l.add("-a") },
        Step { name: "b", act: |l| l.add("b"), undo: |l| l.add("-b") },
        Step { name: "c", act: |l| l.add("c"), undo: |l| l.add("-c") },
    ];

    #[test]
    fn failures_unwind_in_reverse() {
        for (fail, lines) in [
            ("", vec!["a", "b", "c"]),
            ("a", vec!["a", "-a"]),
            ("b", vec!["a", "b", "-b", "-a"]),
            ("c", vec!["a", "b", "c", "-c", "-b", "-a"]),
        ] {
            let mut log = Log { fail, ..Log::default() };
            assert_eq!(run(STEPS, &mut log, |_, _| Ok(())).is_ok(), fail.is_empty());
            assert_eq!(log.lines, lines);
        }
    }

    #[test]
    fn times_are_told_by_step() {
        let took = run(STEPS, &mut Log::default(), |_, _| Ok(())).unwrap().to_string();
        let names: Vec<_> = took.split(", ").filter_map(|step| step.split_once(' ')).collect();
        assert_eq!(names.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(names.iter().all(|(_, ms)| ms.parse::<u64>().is_ok()), "{took}");
    }

    #[test]
    fn a_failing_undo_does_not_stop_the_others() {
        let mut log = Log { fail: "-b", lines: vec![] };
        let steps = [
            Step { name: "a", act: |l: &mut Log| l.add("a"), undo: |l| l.add("-a") },
            Step { name: "b", act: |l| l.add("b"), undo: |l| l.add("-b") },
            Step { name: "c", act: |_| Err(errors::TOO_BUSY.bare()), undo: |l| l.add("-c") },
        ];
        assert!(run(&steps, &mut log, |_, _| Ok(())).is_err());
        assert_eq!(log.lines, ["a", "b", "-c", "-b", "-a"]);
    }

    #[test]
    fn work_that_is_stopped_takes_back_what_is_done() {
        let mut log = Log::default();
        let stop = |_: &Log, done: f64| match done {
            done if done > 0.5 => Err(errors::TASK_CANCELLED.with(["task"])),
            _ => Ok(()),
        };
        assert!(run(STEPS, &mut log, stop).unwrap_err().is(&errors::TASK_CANCELLED));
        assert_eq!(log.lines, ["a", "b", "-b", "-a"]);
    }
}
