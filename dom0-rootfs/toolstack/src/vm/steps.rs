// SPDX-License-Identifier: MIT OR Apache-2.0
//! Long work as a list of named steps, each with what takes it back.

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
/// returns its error. `progress` hears of each finished step, from 0 to 1.
pub fn run<S>(
    steps: &[Step<S>],
    state: &mut S,
    progress: impl Fn(&S, f64),
) -> Result<(), ApiError> {
    for (done, step) in steps.iter().enumerate() {
        tracing::debug!(step = step.name, "doing");
        let Err(error) = (step.act)(state) else {
            progress(state, (done + 1) as f64 / steps.len() as f64);
            continue;
        };
        tracing::info!(step = step.name, %error, "failed, taking back");
        for step in steps[..=done].iter().rev() {
            if let Err(error) = (step.undo)(state) {
                tracing::error!(step = step.name, %error, "could not be taken back");
            }
        }
        return Err(error);
    }
    Ok(())
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
            assert_eq!(run(STEPS, &mut log, |_, _| {}).is_ok(), fail.is_empty());
            assert_eq!(log.lines, lines);
        }
    }

    #[test]
    fn a_failing_undo_does_not_stop_the_others() {
        let mut log = Log { fail: "-b", lines: vec![] };
        let steps = [
            Step { name: "a", act: |l: &mut Log| l.add("a"), undo: |l| l.add("-a") },
            Step { name: "b", act: |l| l.add("b"), undo: |l| l.add("-b") },
            Step { name: "c", act: |_| Err(errors::TOO_BUSY.bare()), undo: |l| l.add("-c") },
        ];
        assert!(run(&steps, &mut log, |_, _| {}).is_err());
        assert_eq!(log.lines, ["a", "b", "-c", "-b", "-a"]);
    }
}
