// SPDX-License-Identifier: MIT OR Apache-2.0
//! One target's run in the sandbox.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use isobuild::sandbox::{Sandbox, SandboxError, Streams};
use isobuild::store::remove_tree;

use super::figures::Figures;
use super::target::Target;
use crate::pipeline::Pipeline;

/// Most inputs in a kept corpus before it is made smaller.
const CORPUS: usize = 2000;
/// Seconds that one input may take, far more than any does on a machine that does other things too, and
/// memory in MiB that a target may use.
const LIMITS: [&str; 2] = ["-timeout=30", "-rss_limit_mb=2048"];
/// The first words of how libFuzzer and Rust say what went wrong.
const REASONS: [&str; 2] = ["thread '", "ERROR: libFuzzer: "];

/// Runs targets.
pub struct Runner<'a> {
    /// Where inputs are kept.
    pub pipeline: &'a Pipeline,
    /// The tools tree.
    pub tools: PathBuf,
    /// The program.
    pub program: PathBuf,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// Its time was over.
    Nothing(Figures),
    /// An input does what no input may do.
    Finding(Finding),
}

/// An input that makes a target panic, hang or use too much memory.
#[derive(Debug)]
pub struct Finding {
    /// The target's name.
    pub target: String,
    /// The input.
    pub file: PathBuf,
    /// What happened, in the first lines of what was said.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, file, reason } = self;
        let file = file.display();
        writeln!(f, "FOUND {file}")?;
        reason.lines().try_for_each(|line| writeln!(f, "    {line}"))?;
        write!(f, "    again: cargo xtask fuzz {target} --input {file}")
    }
}

impl Runner<'_> {
    /// Looks for inputs that a target does not stand, for so long.
    pub fn run(&self, target: &Target, seconds: u32) -> Result<Outcome> {
        let name = format!("fuzz-{}", target.name);
        let progress = self.pipeline.reporter.begin(&target.name, None);
        let waiting = || progress.status("waiting for another run");
        let _claim = self.pipeline.store.claim(&name, waiting)?;
        let corpus = self.pipeline.store.kept(&name)?;
        let findings = self.pipeline.output.join("fuzz").join(&target.name);
        for folder in [&findings, &self.pipeline.output.join("logs")] {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let log = self.log(target);
        fs::write(&log, "").with_context(|| format!("emptying {}", log.display()))?;
        progress.status("running");
        self.bound(target, &corpus)?;

        let before = names(&findings)?;
        let mut sandbox = self
            .sandbox(target)
            .log(&log)
            .bind_rw(&corpus, "/corpus")
            .bind_rw(&findings, "/findings");
        for (number, seed) in target.seeds.iter().enumerate() {
            let name = seed.file_name().context("a seed without a name")?.display();
            let seed = self.pipeline.repository.join(seed);
            sandbox = sandbox.bind_ro(seed, format!("/seeds/{number}/{name}"));
        }
        let mut args = vec![
            format!("-max_total_time={seconds}"),
            format!("-max_len={}", target.max_len),
            "-artifact_prefix=/findings/".to_owned(),
            "/corpus".to_owned(),
        ];
        if !target.seeds.is_empty() {
            args.push("/seeds".to_owned());
        }
        let ended = sandbox.run("/fuzz", LIMITS.map(str::to_owned).into_iter().chain(args));
        let said = fs::read(&log).with_context(|| format!("reading {}", log.display()))?;
        let said = String::from_utf8_lossy(&said);
        match ended {
            Ok(()) => Ok(Outcome::Nothing(Figures::of(&said))),
            Err(error @ SandboxError::Program { .. }) => {
                let new = names(&findings)?.into_iter().find(|name| !before.contains(name));
                // Without an input it is not the target that failed.
                let Some(file) = new else { return Err(error.into()) };
                let (target, reason) = (target.name.clone(), reason(&said));
                Ok(Outcome::Finding(Finding { target, file, reason }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Hands one file to a target; what is said goes to the terminal.
    pub fn hand(&self, target: &Target, file: &Path) -> Result<()> {
        let file = fs::canonicalize(file).with_context(|| format!("opening {}", file.display()))?;
        let sandbox = self.sandbox(target).bind_ro(&file, "/input");
        let mut child = sandbox.spawn(
            "/fuzz",
            LIMITS.into_iter().chain(["/input"]),
            Streams { stdin: std::process::Stdio::null(), ..Streams::inherited() },
        )?;
        match child.wait() {
            Err(SandboxError::Program { status, .. }) => {
                bail!("{} does not stand {}: {status}", target.name, file.display())
            }
            ended => Ok(ended?),
        }
    }

    /// Where the output of a target's run is.
    pub fn log(&self, target: &Target) -> PathBuf {
        self.pipeline.output.join("logs").join(format!("fuzz-{}.log", target.name))
    }

    fn sandbox(&self, target: &Target) -> Sandbox {
        Sandbox::over(&self.tools)
            .interrupt(&self.pipeline.interrupt)
            .bind_ro(&self.program, "/fuzz")
            .env("FUZZ_TARGET", &target.name)
            .env("RUST_BACKTRACE", "1")
    }

    /// Keeps of a corpus that has become large only what reaches all that it reaches.
    fn bound(&self, target: &Target, corpus: &Path) -> Result<()> {
        if names(corpus)?.len() <= CORPUS {
            return Ok(());
        }
        let smaller = self.pipeline.store.kept(&format!("fuzz-{}.smaller", target.name))?;
        remove_tree(&smaller)?;
        fs::create_dir(&smaller).with_context(|| format!("making {}", smaller.display()))?;
        let sandbox = self.sandbox(target).log(self.log(target));
        let sandbox = sandbox.bind_ro(corpus, "/corpus").bind_rw(&smaller, "/smaller");
        sandbox.run("/fuzz", LIMITS.into_iter().chain(["-merge=1", "/smaller", "/corpus"]))?;
        remove_tree(corpus)?;
        fs::rename(&smaller, corpus).with_context(|| format!("replacing {}", corpus.display()))
    }
}

/// The files of a folder.
fn names(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let read = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let names: std::io::Result<_> = read();
    names.with_context(|| format!("reading {}", folder.display()))
}

/// The lines of an output that say what went wrong: a panic with its text, or libFuzzer's own words.
fn reason(said: &str) -> String {
    let first = |words: &str| said.lines().position(|line| line.contains(words));
    let Some(at) = REASONS.iter().find_map(|words| first(words)) else { return String::new() };
    said.lines().skip(at).take(2).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_its_reason_its_file_and_how_to_see_it_again() {
        let said = "#2\tINITED cov: 9\n\
            thread '<unnamed>' (1) panicked at dom0-rootfs/rrd/src/file.rs:7:1:\nof no use\nstack:\n\
            ==2== ERROR: libFuzzer: deadly signal\n";
        let panicked =
            "thread '<unnamed>' (1) panicked at dom0-rootfs/rrd/src/file.rs:7:1:\nof no use";
        assert_eq!(reason(said), panicked);
        let hung =
            "ALARM: working on the last Unit for 11 seconds\n==2== ERROR: libFuzzer: timeout\n";
        assert_eq!(reason(hung), "==2== ERROR: libFuzzer: timeout");
        assert_eq!(reason("nothing"), "");
        let finding =
            Finding { target: "a".into(), file: "b/crash-1".into(), reason: reason(said) };
        let text = finding.to_string();
        assert!(text.contains("FOUND b/crash-1") && text.contains("of no use"), "{text}");
        assert!(text.ends_with("cargo xtask fuzz a --input b/crash-1"), "{text}");
    }
}
