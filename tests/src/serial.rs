// SPDX-License-Identifier: MIT OR Apache-2.0
//! A serial line of a virtual machine: everything it prints is kept, and can be waited for.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Words that end a run at once, whatever is waited for.
const FATAL: &[&str] = &[
    "Manual reset required",
    "Dom0 crashed",
    "Kernel panic - not syncing",
    "domain_crash called",
    "Out of memory and no killable",
];

#[derive(Default)]
struct Heard {
    text: String,
    ended: bool,
}

/// The host's side of a serial line.
pub struct Serial {
    writer: UnixStream,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    /// Where the next wait starts to read, in bytes of the text heard.
    position: usize,
}

impl Serial {
    /// Listens on `stream` and writes everything heard to `log` as well.
    pub fn new(stream: UnixStream, mut log: File) -> Result<Self> {
        let mut reader = stream.try_clone().context("duplicating the serial line")?;
        let heard = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let shared = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = reader.read(&mut buffer).unwrap_or(0);
                let mut state = shared.0.lock().expect("serial reader");
                state.text.push_str(&String::from_utf8_lossy(&buffer[..count]));
                state.ended = count == 0;
                shared.1.notify_all();
                if count == 0 || log.write_all(&buffer[..count]).is_err() {
                    state.ended = true;
                    return;
                }
            }
        });
        Ok(Self { writer: stream, heard, position: 0 })
    }

    /// Types text.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.writer.write_all(text.as_bytes()).context("typing on the serial line")
    }

    /// Waits until one of `patterns` was printed since the last wait; returns its index.
    ///
    /// # Errors
    /// The time ran out, the line ended, or the machine printed one of the words of a crash.
    pub fn wait_any(&mut self, patterns: &[&str], limit: Duration) -> Result<usize> {
        let end = Instant::now() + limit;
        let (lock, bell) = &*self.heard;
        let mut state = lock.lock().expect("serial reader");
        loop {
            let new = &state.text[self.position..];
            let first = patterns
                .iter()
                .enumerate()
                .filter_map(|(index, pattern)| new.find(pattern).map(|at| (at, index)))
                .min();
            if let Some((at, index)) = first {
                self.position += at + patterns[index].len();
                return Ok(index);
            }
            if let Some(word) = FATAL.iter().find(|word| new.contains(**word)) {
                bail!("the machine crashed ({word:?}) while waiting for {patterns:?}");
            }
            if state.ended {
                bail!("the machine ended while waiting for {patterns:?}");
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{patterns:?} was not printed within {} s", limit.as_secs());
            }
            state = bell.wait_timeout(state, left).expect("serial reader").0;
        }
    }

    /// Waits for one pattern; see [`Serial::wait_any`].
    pub fn wait(&mut self, pattern: &str, limit: Duration) -> Result<()> {
        self.wait_any(&[pattern], limit).map(|_| ())
    }

    /// Hands everything printed since the last wait to `heard`, and what comes then, until that returns
    /// true. `what` is what is waited for.
    ///
    /// # Errors
    /// The time ran out or the line ended.
    pub fn follow(
        &mut self,
        what: &str,
        limit: Duration,
        mut heard: impl FnMut(&str) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + limit;
        let (lock, bell) = &*self.heard;
        let mut state = lock.lock().expect("serial reader");
        loop {
            let new = &state.text[self.position..];
            self.position = state.text.len();
            if heard(new) {
                return Ok(());
            }
            if state.ended {
                bail!("the machine ended while waiting for {what}");
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{what} did not come within {} s", limit.as_secs());
            }
            state = bell.wait_timeout(state, left).expect("serial reader").0;
        }
    }

    /// How far waits have read, in bytes.
    pub fn heard(&self) -> usize {
        self.position
    }

    /// What was printed between `from` and the end of the last wait, which ended with `end`.
    pub fn between(&self, from: usize, end: &str) -> String {
        let state = self.heard.0.lock().expect("serial reader");
        let text = &state.text[from..self.position - end.len()];
        text.replace('\r', "").trim().to_owned()
    }

    /// The last `lines` lines heard.
    pub fn tail(&self, lines: usize) -> String {
        let state = self.heard.0.lock().expect("serial reader");
        let all: Vec<_> = state.text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> (Serial, UnixStream, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let serial = Serial::new(ours, File::create(dir.path().join("log")).unwrap()).unwrap();
        (serial, theirs, dir)
    }

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn waits_go_on_where_the_last_one_ended() {
        let (mut serial, mut machine, dir) = line();
        machine.write_all(b"one two one").unwrap();
        serial.wait("one", LIMIT).unwrap();
        assert_eq!(serial.wait_any(&["one", "two"], LIMIT).unwrap(), 1);
        serial.wait("one", LIMIT).unwrap();
        let error = serial.wait("one", Duration::from_millis(1)).unwrap_err();
        assert!(error.to_string().contains("was not printed"), "{error}");
        assert_eq!(std::fs::read(dir.path().join("log")).unwrap(), b"one two one");
    }

    #[test]
    fn a_crash_or_the_end_of_the_line_ends_the_wait() {
        let (mut serial, mut machine, _dir) = line();
        machine.write_all(b"(XEN) Manual reset required ('noreboot' specified)").unwrap();
        assert!(serial.wait("ready", LIMIT).unwrap_err().to_string().contains("crashed"));
        let (mut serial, machine, _dir) = line();
        drop(machine);
        assert!(serial.wait("ready", LIMIT).unwrap_err().to_string().contains("ended"));
    }
}
