// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that a disk was told to write, in order, and what a power cut may leave of it.
//!
//! The format is that of Linux' device mapper target `log-writes`
//! (Documentation/admin-guide/device-mapper/log-writes.rst), as QEMU's `blklogwrites` writes it: a sector
//! with a header, then for each request a sector that describes it and the bytes that were written.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use rustix::fs::FallocateFlags;

/// Bytes of a sector, the unit in which a disk keeps or loses what it was told.
const SECTOR: u64 = 512;
/// Of the header, little-endian.
const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Where on the disk, in bytes.
    at: u64,
    /// In bytes.
    length: u64,
    flags: u64,
    /// Where its own sector and its bytes are in the log.
    entry_at: u64,
    data_at: u64,
}

/// The log of one disk.
pub struct WriteLog {
    file: File,
    entries: Vec<Entry>,
}

impl WriteLog {
    /// Reads a log that nobody writes any more.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let size = file.metadata().context("sizing the log of writes")?.len();
        let word = |at: u64| -> Result<u64> {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, at).context("reading the log of writes")?;
            Ok(u64::from_le_bytes(bytes))
        };
        ensure!(word(0)? == MAGIC, "{} is not a log of writes", path.display());
        let mut entries = Vec::new();
        let mut at = SECTOR;
        while at + SECTOR <= size {
            let (sector, sectors, flags) = (word(at)?, word(at + 8)?, word(at + 16)?);
            let (length, data_at) = (sectors * SECTOR, at + SECTOR);
            entries.push(Entry { at: sector * SECTOR, length, flags, entry_at: at, data_at });
            at = data_at + if flags & DISCARD == 0 { length } else { 0 };
        }
        Ok(Self { file, entries })
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many requests had been entered when the log had `bytes` bytes.
    pub fn entered(&self, bytes: u64) -> usize {
        self.entries.partition_point(|entry| entry.entry_at < bytes)
    }

    /// Makes of a disk as it was at the beginning one whose power was cut behind the first `cut` requests:
    /// all that was flushed is there, and of the rest any sector or none.
    pub fn replay(&self, disk: &File, cut: usize, rng: &mut Rng) -> Result<()> {
        let entries = &self.entries[..cut];
        let flushed = entries.iter().rposition(|entry| entry.flags & FLUSH != 0).unwrap_or(0);
        let odds = [0.02, 0.5, 0.98][rng.usize(..3)];
        for (index, entry) in entries.iter().enumerate() {
            let odds = if index < flushed { 1.0 } else { odds };
            self.apply(disk, entry, &mut || rng.f64() < odds)
                .with_context(|| format!("repeating write {index} of {cut}"))?;
        }
        Ok(())
    }

    fn apply(&self, disk: &File, entry: &Entry, keep: &mut dyn FnMut() -> bool) -> Result<()> {
        if entry.flags & DISCARD != 0 {
            if keep() && entry.length > 0 {
                let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                rustix::fs::fallocate(disk, how, entry.at, entry.length)?;
            }
            return Ok(());
        }
        let mut buffer = vec![0; 1 << 20];
        let mut done = 0;
        while done < entry.length {
            let length = buffer.len().min(usize::try_from(entry.length - done)?);
            let piece = &mut buffer[..length];
            self.file.read_exact_at(piece, entry.data_at + done)?;
            for (number, sector) in piece.chunks(SECTOR as usize).enumerate() {
                if keep() {
                    disk.write_all_at(sector, entry.at + done + number as u64 * SECTOR)?;
                }
            }
            done += length as u64;
        }
        Ok(())
    }
}

/// The seed of a case's random choices: `XENITH_SEED`, or a new one.
pub fn seed() -> Result<u64> {
    match std::env::var("XENITH_SEED") {
        Ok(seed) => seed.parse().with_context(|| format!("XENITH_SEED is {seed:?}, not a number")),
        Err(_) => {
            let mut bytes = [0; 4];
            let random =
                File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
            random.context("drawing a seed")?;
            Ok(u32::from_le_bytes(bytes).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log with these requests: first sector, flags, and a letter for each sector.
    fn log(requests: &[(u64, u64, &str)]) -> (WriteLog, tempfile::TempDir) {
        let mut bytes = vec![0; SECTOR as usize];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        for (sector, flags, letters) in requests {
            let mut head = vec![0; SECTOR as usize];
            let words = [*sector, letters.len() as u64, *flags];
            for (at, word) in words.into_iter().enumerate() {
                head[at * 8..][..8].copy_from_slice(&word.to_le_bytes());
            }
            bytes.extend(head);
            if flags & DISCARD == 0 {
                letters.bytes().for_each(|b| bytes.extend([b; SECTOR as usize]));
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, bytes).unwrap();
        (WriteLog::open(&path).unwrap(), dir)
    }

    /// First letters of the sectors of a disk after a cut.
    fn cut(log: &WriteLog, cut: usize, seed: u64) -> String {
        let disk = tempfile::tempfile().unwrap();
        disk.write_all_at(&[b'.'; 6 * SECTOR as usize], 0).unwrap();
        log.replay(&disk, cut, &mut Rng::with_seed(seed)).unwrap();
        let letter = |sector: u64| {
            let mut byte = [0];
            disk.read_exact_at(&mut byte, sector * SECTOR).unwrap();
            if byte[0] == 0 { '0' } else { char::from(byte[0]) }
        };
        (0..6).map(letter).collect()
    }

    #[test]
    fn what_was_flushed_is_always_there_and_the_rest_in_any_part() {
        let (log, _dir) =
            log(&[(0, 0, "ab"), (4, DISCARD, "xx"), (0, FLUSH, ""), (1, 0, "cd"), (3, 0, "e")]);
        assert_eq!(log.len(), 5);
        assert_eq!(log.entered(SECTOR), 0);
        assert_eq!(log.entered(SECTOR + 1), 1);
        for seed in 0..20 {
            assert_eq!(cut(&log, 3, seed), "ab..00");
            assert_eq!(cut(&log, 0, seed), "......");
        }
        let seen: std::collections::BTreeSet<_> = (0..200).map(|seed| cut(&log, 5, seed)).collect();
        assert_eq!(seen.len(), 8, "{seen:?}");
        assert!(seen.contains("ab..00") && seen.contains("acde00"), "{seen:?}");
    }

    #[test]
    fn another_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, [1; 600]).unwrap();
        let error = WriteLog::open(&path).err().unwrap().to_string();
        assert!(error.ends_with("is not a log of writes"), "{error}");
    }
}
