// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the firmware kept of crashes of Dom0: files of the kernel's pstore, and those that systemd-pstore
//! moved to the disk.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::Machine;

/// Folders with such files, and how deep they lie.
const FOLDERS: [(&str, usize); 2] = [("/sys/fs/pstore", 0), ("/var/lib/systemd/pstore", 2)];
/// How the names of those files begin that the kernel writes when it crashes.
const START: &str = "dmesg";

/// A crash of Dom0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// When it was, in seconds since 1970-01-01. Parts of one crash have one time.
    pub time: i64,
    /// Bytes of all parts.
    pub size: u64,
    files: Vec<PathBuf>,
}

impl Machine {
    /// Every crash that something is left of.
    pub fn crashes(&self) -> Vec<Crash> {
        let mut crashes: BTreeMap<i64, Crash> = BTreeMap::new();
        for (folder, depth) in FOLDERS {
            for (path, time, size) in files(&self.path(folder), depth) {
                let none = Crash { time, size: 0, files: Vec::new() };
                let crash = crashes.entry(time).or_insert(none);
                crash.size += size;
                crash.files.push(path);
            }
        }
        crashes.into_values().collect()
    }
}

impl Crash {
    /// Opens all its parts, to be read one after the other.
    pub fn read(&self) -> io::Result<impl io::Read> {
        let mut all: Box<dyn io::Read> = Box::new(io::empty());
        for file in &self.files {
            all = Box::new(all.chain(fs::File::open(file)?));
        }
        Ok(all)
    }

    /// Removes what is left of it; the firmware gets its room back.
    pub fn remove(&self) -> io::Result<()> {
        for file in &self.files {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn files(folder: &Path, depth: usize) -> Vec<(PathBuf, i64, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(about) = entry.metadata() else { continue };
        if about.is_dir() && depth > 0 {
            found.extend(files(&entry.path(), depth - 1));
        } else if about.is_file() && entry.file_name().to_string_lossy().starts_with(START) {
            let since = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let time = since.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or_default());
            found.push((entry.path(), time, about.len()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_one_time_are_one_crash() {
        let root = tempfile::tempdir().unwrap();
        let machine = Machine::new(root.path().into());
        assert_eq!(machine.crashes(), []);
        let folder = root.path().join("sys/fs/pstore");
        let moved = root.path().join("var/lib/systemd/pstore/1700000000/001");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(&moved).unwrap();
        let write = |path: PathBuf, text: &str, time: u64| {
            let file = fs::File::create(&path).unwrap();
            fs::write(&path, text).unwrap();
            file.set_modified(UNIX_EPOCH + std::time::Duration::from_secs(time)).unwrap();
        };
        write(folder.join("dmesg-efi-1"), "one", 1_700_000_500);
        write(folder.join("dmesg-efi-2"), "more", 1_700_000_500);
        write(folder.join("console-ramoops-0"), "no crash", 1_700_000_500);
        write(moved.join("dmesg.txt"), "old", 1_700_000_000);
        let crashes = machine.crashes();
        let facts: Vec<_> = crashes.iter().map(|crash| (crash.time, crash.size)).collect();
        assert_eq!(facts, [(1_700_000_000, 3), (1_700_000_500, 7)]);
        crashes[1].remove().unwrap();
        crashes[1].remove().unwrap();
        assert_eq!(machine.crashes(), crashes[..1]);
    }
}
