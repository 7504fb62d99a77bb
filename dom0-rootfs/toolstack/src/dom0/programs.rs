// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs that services are driven by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

use crate::program;

/// Runs programs of Dom0.
pub trait Programs: Send + Sync {
    /// Runs a program to its end and returns what it printed; its failure is an error.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String>;
}

/// Those of the host.
#[derive(Debug)]
pub struct HostPrograms;

impl Programs for HostPrograms {
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        Ok(String::from_utf8_lossy(&program::run(program, arguments)?).into_owned())
    }
}

/// A systemd in memory, which notes every program, and answers that tests give to the others.
#[derive(Debug, Default)]
pub struct FakePrograms {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    log: Vec<String>,
    active: BTreeSet<String>,
    enabled: BTreeSet<String>,
    answers: BTreeMap<String, String>,
    fails: Option<String>,
}

impl FakePrograms {
    /// One in which these units are enabled and run.
    pub fn with_units(units: &[&str]) -> FakePrograms {
        let units: BTreeSet<String> = units.iter().map(|unit| (*unit).to_owned()).collect();
        let state = State { active: units.clone(), enabled: units, ..State::default() };
        FakePrograms { state: Mutex::new(state) }
    }

    /// What programs print whose command line is this.
    pub fn answer(&self, line: &str, text: &str) {
        self.lock().answers.insert(line.to_owned(), text.to_owned());
    }

    /// The next program whose command line begins so fails.
    pub fn fail_once(&self, line: &str) {
        self.lock().fails = Some(line.to_owned());
    }

    /// The command lines since the last look; questions to systemd are not among them.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().log)
    }

    /// Whether a unit runs, and whether it starts with the host.
    pub fn unit(&self, unit: &str) -> (bool, bool) {
        let state = self.lock();
        (state.active.contains(unit), state.enabled.contains(unit))
    }

    /// A unit begins to run by itself.
    pub fn begin(&self, unit: &str) {
        self.lock().active.insert(unit.to_owned());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Programs for FakePrograms {
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let line = [&[program], arguments].concat().join(" ");
        let mut state = self.lock();
        if state.fails.as_ref().is_some_and(|beginning| line.starts_with(beginning)) {
            state.fails = None;
            bail!("running {line}: it was told to fail");
        }
        if program == "systemctl" {
            let words: Vec<&str> =
                arguments.iter().copied().filter(|word| !word.starts_with("--")).collect();
            let [verb, units @ ..] = words.as_slice() else { bail!("systemctl without a verb") };
            if *verb == "show" {
                let is = |set: &BTreeSet<String>, yes, no| match set.contains(units[0]) {
                    true => yes,
                    false => no,
                };
                let active = is(&state.active, "active", "inactive");
                let enabled = is(&state.enabled, "enabled", "disabled");
                return Ok(format!("ActiveState={active}\nUnitFileState={enabled}\n"));
            }
            let now = arguments.contains(&"--now");
            for unit in units {
                let unit = (*unit).to_owned();
                match *verb {
                    "start" | "restart" => drop(state.active.insert(unit)),
                    "stop" => drop(state.active.remove(&unit)),
                    "enable" => {
                        if now {
                            state.active.insert(unit.clone());
                        }
                        state.enabled.insert(unit);
                    }
                    "disable" => {
                        if now {
                            state.active.remove(&unit);
                        }
                        state.enabled.remove(&unit);
                    }
                    other => bail!("systemctl {other} is not known here"),
                }
            }
        }
        let said = state.answers.get(&line).cloned().unwrap_or_default();
        state.log.push(line);
        Ok(said)
    }
}
