// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shows on this console what the installer does on another one.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// Hands every line of a growing file to `line`, from its beginning, until that returns false.
pub fn lines(path: &Path, mut line: impl FnMut(&str) -> bool) -> Result<()> {
    let doing = || format!("following {}", path.display());
    let watch = inotify::init(CreateFlags::CLOEXEC).with_context(doing)?;
    inotify::add_watch(&watch, path, WatchFlags::MODIFY).with_context(doing)?;
    let mut file = File::open(path).with_context(doing)?;
    let mut pending = Vec::new();
    loop {
        file.read_to_end(&mut pending).with_context(doing)?;
        while let Some(end) = pending.iter().position(|b| *b == b'\n') {
            let whole: Vec<u8> = pending.drain(..=end).collect();
            if !line(String::from_utf8_lossy(&whole).trim_end()) {
                return Ok(());
            }
        }
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut changes = inotify::Reader::new(&watch, &mut buffer);
        changes.next().with_context(doing)?;
        // A truncated file starts anew.
        let length = file.metadata().with_context(doing)?.len();
        if file.stream_position().with_context(doing)? > length {
            file.seek(SeekFrom::Start(0)).with_context(doing)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn lines_come_as_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "one\ntw").unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let followed = path.clone();
        let thread = std::thread::spawn(move || {
            lines(&followed, |line| {
                sender.send(line.to_owned()).unwrap();
                line != "end"
            })
        });
        assert_eq!(receiver.recv().unwrap(), "one");
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"o\nend\nmore\n").unwrap();
        assert_eq!(receiver.recv().unwrap(), "two");
        thread.join().unwrap().unwrap();
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["end"]);
    }
}
