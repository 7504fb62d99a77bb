// SPDX-License-Identifier: MIT OR Apache-2.0
//! Telling the person what is going on: bars on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

/// Where progress goes. Standard output is never used: it is for data.
pub trait Reporter: Send + Sync {
    /// A job begins; `bytes` is how much it will move, where it moves bytes.
    fn begin(&self, job: &str, bytes: Option<u64>) -> Box<dyn Progress>;
    /// One line for the person.
    fn line(&self, text: &str);
}

/// One running job. Dropped without [`Progress::finish`] it just goes away.
pub trait Progress: Send + Sync {
    /// This many bytes more are done.
    fn advance(&self, bytes: u64);
    /// What it does now, in a few words.
    fn status(&self, what: &str);
    /// It is over; `how` in a few words.
    fn finish(&self, how: &str);
}

/// Bars where standard error is a terminal, else [`Plain`].
pub fn for_terminal() -> Box<dyn Reporter> {
    if std::io::stderr().is_terminal() { Box::new(Bars::default()) } else { Box::new(Plain) }
}

/// Bars and spinners.
#[derive(Debug, Default)]
pub struct Bars {
    all: MultiProgress,
}

impl Reporter for Bars {
    fn begin(&self, job: &str, bytes: Option<u64>) -> Box<dyn Progress> {
        let (bar, template) = match bytes {
            Some(total) => (
                ProgressBar::new(total),
                "  {prefix:18} {bar:30.cyan} {bytes:>10}/{total_bytes:10} {bytes_per_sec:>12} {msg}",
            ),
            None => (ProgressBar::new_spinner(), "  {prefix:18} {spinner} {elapsed:>5} {msg}"),
        };
        let style = ProgressStyle::with_template(template);
        let bar = self.all.add(bar.with_prefix(job.to_owned()));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Box::new(Bar { bar, all: self.all.clone(), job: job.to_owned() })
    }

    fn line(&self, text: &str) {
        self.all.suspend(|| eprintln!("{text}"));
    }
}

struct Bar {
    bar: ProgressBar,
    all: MultiProgress,
    job: String,
}

impl Progress for Bar {
    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn status(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    fn finish(&self, how: &str) {
        self.bar.finish_and_clear();
        let line = format!("  {:18} {how}", self.job);
        self.all.suspend(|| eprintln!("{line}"));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line when a job begins, changes what it does, and ends; for logs and pipes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Reporter for Plain {
    fn begin(&self, job: &str, bytes: Option<u64>) -> Box<dyn Progress> {
        Box::new(PlainJob::new(job, bytes, say))
    }

    fn line(&self, text: &str) {
        say(text);
    }
}

/// How long moving bytes says nothing more.
const QUIET: Duration = Duration::from_secs(10);

struct PlainJob<S> {
    say: S,
    job: String,
    total: Option<u64>,
    done: AtomicU64,
    said: Mutex<Instant>,
    begun: Instant,
}

impl<S: Fn(&str)> PlainJob<S> {
    fn new(job: &str, total: Option<u64>, say: S) -> Self {
        let (job, now) = (job.to_owned(), Instant::now());
        let (done, said) = (AtomicU64::new(0), Mutex::new(now));
        Self { say, job, total, done, said, begun: now }
    }

    fn advance_at(&self, bytes: u64, now: Instant) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let Ok(mut said) = self.said.lock() else { return };
        if now.duration_since(*said) >= QUIET {
            *said = now;
            let total = self.total.map(|t| format!(" of {}", HumanBytes(t))).unwrap_or_default();
            (self.say)(&format!("{}: {}{total}", self.job, HumanBytes(done)));
        }
    }

    fn finish_at(&self, how: &str, now: Instant) {
        let seconds = now.duration_since(self.begun).as_secs_f32();
        (self.say)(&format!("{}: {how} ({seconds:.1} s)", self.job));
    }
}

impl<S: Fn(&str) + Send + Sync> Progress for PlainJob<S> {
    fn advance(&self, bytes: u64) {
        self.advance_at(bytes, Instant::now());
    }

    fn status(&self, what: &str) {
        (self.say)(&format!("{}: {what}", self.job));
    }

    fn finish(&self, how: &str) {
        self.finish_at(how, Instant::now());
    }
}

fn say(text: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn begin(&self, _job: &str, _bytes: Option<u64>) -> Box<dyn Progress> {
        Box::new(Silent)
    }

    fn line(&self, _text: &str) {}
}

impl Progress for Silent {
    fn advance(&self, _bytes: u64) {}
    fn status(&self, _what: &str) {}
    fn finish(&self, _how: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_come_now_and_then() {
        let lines = Mutex::new(Vec::new());
        let say = |line: &str| lines.lock().unwrap().push(line.to_owned());
        let job = PlainJob::new("fetching", Some(30 << 20), say);
        let after = |seconds| job.begun + Duration::from_secs(seconds);
        job.status("12 files");
        for (seconds, mib) in [(1, 1), (9, 2), (11, 7), (20, 5), (21, 15)] {
            job.advance_at(mib << 20, after(seconds));
        }
        job.finish_at("12 files fetched", after(22));
        let endless = PlainJob::new("lock", None, say);
        endless.advance_at(512, endless.begun + QUIET);
        let expected = [
            "fetching: 12 files",
            "fetching: 10.00 MiB of 30.00 MiB",
            "fetching: 30.00 MiB of 30.00 MiB",
            "fetching: 12 files fetched (22.0 s)",
            "lock: 512 B",
        ];
        assert_eq!(*lines.lock().unwrap(), expected);
    }
}
