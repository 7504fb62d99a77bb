// SPDX-License-Identifier: MIT OR Apache-2.0
//! Installs without asking: the same engine, with its events as lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _, Write as _, stdin, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use installer_core::answers::{AnswerFile, Answers, OnSuccess};
use installer_core::delivery::{self, AnswerSource, Asked};
use installer_core::discovery::Discovery;
use installer_core::events::{DiskState, Event, Step};
use installer_core::hardware;
use installer_core::hooks::{Hooks, Origin, Stage};
use installer_core::lock::{LockError, Owner};
use installer_core::pace::Pace;
use installer_core::plan::{Ids, Plan};
use installer_core::program::Program;
use installer_core::regional::{Regional, apply_keymap};
use installer_core::report::{self, Outcome, Report, Webhook};
use installer_core::steps::{self, InstallError, chain};
use installer_core::system::RealSystem;
use installer_core::web;

use crate::worker::Machine;
use crate::{follow, log, online, program, remote, terminal, worker};

/// The last line on a console says how it ended.
const COMPLETE: &str = "xenith-installer: installation complete";
const FAILED: &str = "xenith-installer: installation failed";
/// What a person can do who finds the machine like that.
const SAVE_LOGS: &str = "To save the logs, at a shell: xenith-installer save-logs DESTINATION \
                         (/dev/sdb1, user@host: or a URL); the screens offer it too.";
/// There once an unattended installation was begun since the machine started.
const TRIED: &str = "/run/xenith/unattended-tried";

/// On the console and in the log. A console that went away must not end the installation.
fn say(text: &str) {
    for line in text.lines() {
        let _ = writeln!(stdout(), "{line}\r");
        tracing::info!("{line}");
    }
    let _ = stdout().flush();
}

/// Installs as the answers say; ends the machine's run as they say.
pub fn run(machine: Machine, log: &log::Log, asked: &Asked) -> Result<ExitCode> {
    remote::announce_in_lines(&crate::kernel_line()?);
    let owner = match worker::own() {
        Ok(owner) => owner,
        Err(LockError::Taken(console)) => {
            return match other_console(&console)? {
                true => Ok(ExitCode::SUCCESS),
                false => screens(machine, log, None),
            };
        }
        Err(error) => return Err(error.into()),
    };
    if !first_try(TRIED.as_ref())? {
        say("xenith-installer: an unattended installation was begun before and did not end well");
        return screens(machine, log, Some(owner));
    }
    say(&format!("xenith-installer: unattended installation, answers from {}", asked.source));
    match install(&machine, asked) {
        Ok(on_success) => {
            say(COMPLETE);
            match on_success {
                OnSuccess::Reboot => worker::reboot()?,
                OnSuccess::Poweroff => worker::poweroff()?,
                OnSuccess::Shell => {
                    program::shell()?;
                    return screens(machine, log, Some(owner));
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            say(SAVE_LOGS);
            say(&format!("{FAILED}: {}", chain(error.as_ref())));
            screens(machine, log, Some(owner))
        }
    }
}

/// Says on this console why answers that are asked for cannot be had, and waits for a person.
pub fn refuse(machine: Machine, log: &log::Log, error: &anyhow::Error) -> Result<ExitCode> {
    say(&format!("{FAILED}: {}", chain(error.as_ref())));
    screens(machine, log, None)
}

/// Whether this is the first try since the machine started; from then on it is not. A service
/// manager starts a program that failed again, and that must not wipe disks again.
fn first_try(marker: &Path) -> Result<bool> {
    match File::create_new(marker) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("creating {}", marker.display())),
    }
}

/// Nobody may be there, and trying again by itself would wipe disks in a loop: waits for a person,
/// who gets the screens.
fn screens(machine: Machine, log: &log::Log, owner: Option<Owner>) -> Result<ExitCode> {
    if !stdin().is_terminal() {
        return Ok(ExitCode::FAILURE);
    }
    say("Press Enter for the installer's screens, which save logs, give a shell, or restart.");
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    drop(owner);
    terminal::run(machine, log, terminal::Begin::Look)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what would be done.
pub fn dry_run(machine: &Machine, asked: &Asked) -> Result<()> {
    let (AnswerFile { answers, notes }, _) = answers(machine, &mut asked.clone())?;
    for note in notes {
        println!("{note}");
    }
    println!("{}", plan(&machine.look()?, &answers)?);
    Ok(())
}

/// Fetches the answers; `asked` becomes where they were found, if the network had to tell. Gives the
/// digest of the inventory too, if one was posted.
pub fn answers(machine: &Machine, asked: &mut Asked) -> Result<(AnswerFile, Option<String>)> {
    if asked.source.needs_network() {
        online::bring_up(&mut say)?;
    }
    if asked.source == AnswerSource::Announced {
        *asked = delivery::look(&asked.web, &mut say)?;
    }
    let inventory = match asked.source.needs_inventory() {
        true => Some(machine.look()?.to_json()?),
        false => None,
    };
    if asked.source.needs_network() {
        let limit = web::PATIENCE.as_secs();
        say(&format!("asking for answers: {}, at most {limit} s", asked.source));
    }
    let text = asked.source.load(&asked.web, inventory.as_deref().unwrap_or_default())?;
    let wrong = |error| anyhow!("the answers are not right:\n{error}");
    let file = AnswerFile::read(&text).map_err(wrong)?;
    let there = Regional::look(Path::new("/")).context("looking for keymaps and time zones")?;
    there.check(&file.answers.regional).map_err(wrong)?;
    Ok((file, inventory.as_deref().map(report::inventory_digest)))
}

fn plan(found: &Discovery, answers: &Answers) -> Result<Plan> {
    let findings = hardware::check(found);
    findings.iter().for_each(|finding| say(&finding.to_string()));
    if let Some(refusal) = hardware::refusal(&findings) {
        bail!("nothing can be installed on this machine: {refusal}");
    }
    Ok(Plan::make(answers, found, Ids::random())?)
}

fn install(machine: &Machine, asked: &Asked) -> Result<OnSuccess> {
    let mut asked = asked.clone();
    let (AnswerFile { answers, notes }, inventory) = answers(machine, &mut asked)?;
    for note in notes {
        say(&note.to_string());
    }
    // For the person who comes if it fails.
    if let Some(Err(error)) = answers.regional.keymap.as_ref().map(apply_keymap) {
        tracing::warn!("the keyboard stays as it is: {}", chain(&error));
    }
    let mut origin = Origin::of(&asked, machine.medium());
    origin.web.proxy = answers.proxy.clone().or(origin.web.proxy);
    let mut known = Known::default();
    let result = carry_out(machine, &origin, &answers, &mut known);
    if let Some(webhook) = &answers.webhook {
        let outcome = match &result {
            Ok(completed_error) => Outcome::Installed { completed_error: completed_error.clone() },
            Err(error) => Outcome::Failed {
                error: chain(error.as_ref()),
                disk: error.downcast_ref().map_or(DiskState::Untouched, |e: &InstallError| e.disk),
            },
        };
        let report = Report {
            hostname: answers.hostname.as_str(),
            answers: asked.source.to_string(),
            found: known.found.as_ref(),
            inventory,
            plan: known.plan.as_ref(),
            addresses: BTreeMap::new(),
            outcome,
        };
        // The result stands, whether somebody hears of it or not.
        match tell(webhook, &origin, report) {
            Ok(()) => say(&format!("reported to {}", webhook.url)),
            Err(error) => say(&format!("the report was not delivered: {}", chain(error.as_ref()))),
        }
    }
    result.map(|_| answers.on_success)
}

/// What was found out before an installation ended.
#[derive(Debug, Default)]
struct Known {
    found: Option<Discovery>,
    plan: Option<Plan>,
}

/// Installs; gives what the script after the end reported.
fn carry_out(
    machine: &Machine,
    origin: &Origin,
    answers: &Answers,
    known: &mut Known,
) -> Result<Option<String>> {
    // Before anything is written: a network that does not come is noticed while the disk is whole.
    if answers.hooks.need_network() || answers.webhook.is_some() {
        online::bring_up(&mut say)?;
    }
    let found = known.found.insert(machine.look()?);
    let plan = known.plan.insert(plan(found, answers)?);
    say(&plan.to_string());
    let mut hooks = answers.hooks.load(origin, &mut say)?;
    if let Some(proxy) = &origin.web.proxy {
        hooks.env = proxy.env();
    }
    let mut lines = Lines::new(Step::of(plan, &hooks));
    let begin = Instant::now();
    worker::run(plan, &hooks, &mut |event| {
        if let Some(line) = lines.on(begin.elapsed(), &event) {
            say(&line);
        }
    })
    .inspect_err(|error| say(&error.disk.to_string()))?;
    // The host is complete: what goes wrong from here on is said, and nothing else.
    let error = completed(plan, &hooks).err().map(|error| chain(error.as_ref()));
    if let Some(error) = &error {
        say(&format!("the host is installed, but {error}"));
    }
    Ok(error)
}

/// Posts the report.
fn tell(webhook: &Webhook, origin: &Origin, report: Report<'_>) -> Result<()> {
    let addresses = report::addresses(&Program::new("ip").args(["-json", "address"]).run()?)?;
    let json = Report { addresses, ..report }.to_json()?;
    let limit = web::PATIENCE.as_secs();
    say(&format!("reporting to {}, at most {limit} s", webhook.url));
    origin.web(Some(&webhook.url), webhook.pin).post(&webhook.url, &json)?;
    Ok(())
}

fn completed(plan: &Plan, hooks: &Hooks) -> Result<()> {
    if hooks.script(Stage::Completed).is_some() {
        say("running the script after the installation");
    }
    steps::completed(plan, hooks, &mut RealSystem::default(), &mut |line| say(&script_line(line)))?;
    Ok(())
}

/// A line of a script, told apart from the installer's.
fn script_line(line: &str) -> String {
    format!("      | {line}")
}

/// Follows the installation that runs elsewhere, to its end; true if that was a good one.
fn other_console(console: &str) -> Result<bool> {
    let _ = writeln!(stdout(), "xenith-installer: installing on {console}; its log follows\r");
    let mut complete = false;
    follow::lines(&log::path(console), |line| {
        let _ = writeln!(stdout(), "{line}\r");
        complete = line.contains(COMPLETE);
        !complete && !line.contains(FAILED)
    })?;
    Ok(complete)
}

/// Events as lines; progress only at every tenth.
#[derive(Debug)]
struct Lines {
    steps: Vec<Step>,
    tenth: u64,
    title: &'static str,
    /// When the running step began.
    began: Duration,
}

impl Lines {
    fn new(steps: Vec<Step>) -> Self {
        Self { steps, tenth: 0, title: "", began: Duration::ZERO }
    }

    /// The event came so long after the beginning.
    fn on(&mut self, at: Duration, event: &Event) -> Option<String> {
        match event {
            Event::Started(step) => {
                self.tenth = 0;
                self.title = step.title();
                self.began = at;
                let number = self.steps.iter().position(|s| s == step).unwrap_or(0) + 1;
                Some(format!("[{number}/{}] {step}", self.steps.len()))
            }
            Event::Progress { done, total } => {
                let tenth = (done * 10).checked_div(*total)?;
                if tenth <= self.tenth || tenth >= 10 {
                    return None;
                }
                self.tenth = tenth;
                let elapsed = at.saturating_sub(self.began);
                let pace = Pace { done: *done, total: *total, elapsed };
                Some(format!("      {} {tenth}0%: {pace}", self.title))
            }
            Event::Said(line) => Some(script_line(line)),
            // The failure is the last line, said by the caller.
            Event::Done(_) | Event::Complete | Event::Failed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_try_is_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("tried");
        assert!(first_try(&marker).unwrap());
        assert!(!first_try(&marker).unwrap());
        let nowhere = first_try(&folder.path().join("no/folder")).unwrap_err();
        assert!(nowhere.to_string().starts_with("creating "), "{nowhere}");
    }

    #[test]
    fn progress_is_told_at_tenths_only() {
        let mut lines = Lines::new(Step::ALL.to_vec());
        let second = Duration::from_secs(1);
        let begin = lines.on(second, &Event::Started(Step::RootImage));
        assert_eq!(begin.as_deref(), Some("[5/10] copying the system"));
        let mut told = Vec::new();
        for done in 0..=1000 {
            told.extend(lines.on(2 * second, &Event::Progress { done, total: 1000 }));
        }
        assert_eq!(told.len(), 9);
        assert_eq!(told[0], "      copying the system 10%: 100 B of 1.0 kB, 100 B/s, 9 s left");
        assert_eq!(lines.on(second, &Event::Progress { done: 0, total: 0 }), None);
    }
}
