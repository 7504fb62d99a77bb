// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine in memory, which can be made to fail at any operation.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use appliance_model::Digest;
use appliance_model::medium::SUMS;
use appliance_model::sums::Sums;
use image_formats::gpt::{DiskLayout, SectorSize};
use sha2::{Digest as _, Sha256};

use super::{Ext4, System, SystemError};
use crate::hooks::Stage;
use crate::layout::Entry;
use crate::program::{Program, ProgramError};

const PAGE: u64 = 4096;

/// One disk, a medium, and a record of everything done.
pub(crate) struct Fake {
    pub(crate) disk: PathBuf,
    pub(crate) size: u64,
    pages: BTreeMap<u64, Vec<u8>>,
    /// Byte ranges of partitions as the kernel last read them.
    partitions: Vec<(u64, u64)>,
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    /// Files whose cached content was dropped.
    pub(crate) forgotten: Vec<PathBuf>,
    pub(crate) programs: Vec<String>,
    /// Scripts that were run, with their variables.
    pub(crate) scripts: Vec<String>,
    pub(crate) state: Option<(PathBuf, Vec<Entry>)>,
    /// Operations so far.
    pub(crate) operations: usize,
    /// The operation that fails.
    pub(crate) fail_at: Option<usize>,
    /// Whether anything was written to the disk.
    pub(crate) written: bool,
    /// A file that is good as often as this when it is opened, and damaged from then on.
    pub(crate) fades: Option<(PathBuf, usize)>,
    /// Reads of partition 3 return something else than was written.
    pub(crate) rotten: bool,
}

impl Fake {
    pub(crate) fn new(disk: &Path, size: u64) -> Self {
        Self {
            disk: disk.to_owned(),
            size,
            pages: BTreeMap::new(),
            partitions: Vec::new(),
            files: BTreeMap::new(),
            forgotten: Vec::new(),
            programs: Vec::new(),
            scripts: Vec::new(),
            state: None,
            operations: 0,
            fail_at: None,
            written: false,
            fades: None,
            rotten: false,
        }
    }

    fn fails(&mut self) -> bool {
        self.operations += 1;
        self.fail_at == Some(self.operations)
    }

    fn error(doing: &'static str, path: &Path) -> SystemError {
        let source = io::Error::other("injected failure");
        SystemError::Io { doing, path: path.to_owned(), source }
    }

    /// Where a device lies on the disk.
    fn locate(&self, device: &Path) -> (u64, u64) {
        if device == self.disk {
            return (0, self.size);
        }
        let name = device.to_str().unwrap();
        let number = name.strip_prefix(self.disk.to_str().unwrap()).unwrap();
        self.partitions[number.parse::<usize>().unwrap() - 1]
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        let mut at = at;
        let mut bytes = bytes;
        while !bytes.is_empty() {
            let (page, offset) = (at / PAGE, (at % PAGE) as usize);
            let take = bytes.len().min(PAGE as usize - offset);
            let zero = bytes[..take].iter().all(|b| *b == 0);
            if zero && take == PAGE as usize {
                self.pages.remove(&page);
            } else if !zero || self.pages.contains_key(&page) {
                let content = self.pages.entry(page).or_insert_with(|| vec![0; PAGE as usize]);
                content[offset..offset + take].copy_from_slice(&bytes[..take]);
            }
            at += take as u64;
            bytes = &bytes[take..];
        }
    }

    pub(crate) fn get(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let here = at + bytes.len() as u64;
            let (page, offset) = (here / PAGE, (here % PAGE) as usize);
            let take = (length - bytes.len()).min(PAGE as usize - offset);
            match self.pages.get(&page) {
                Some(content) => bytes.extend_from_slice(&content[offset..offset + take]),
                None => bytes.resize(bytes.len() + take, 0),
            }
        }
        bytes
    }

    /// Bytes of a partition, by its number.
    pub(crate) fn partition_bytes(&self, number: usize, length: usize) -> Vec<u8> {
        self.get(self.partitions[number - 1].0, length)
    }

    /// Writes the list of the medium at `root`, as its files are now.
    pub(crate) fn list_medium(&mut self, root: &Path) {
        let mut sums = Sums::default();
        for (path, bytes) in &self.files {
            if let Ok(name) = path.strip_prefix(root) {
                sums.put(name.to_str().unwrap(), Digest::new(Sha256::digest(bytes).into()));
            }
        }
        self.files.insert(root.join(SUMS), sums.to_string().into_bytes());
    }

    /// Fills the start of the disk with something that a BIOS would start.
    pub(crate) fn put_old_system(&mut self) {
        self.put(0, &[0xee; 8192]);
    }

    /// Whether a BIOS or UEFI firmware would start something from the disk.
    pub(crate) fn starts(&self) -> bool {
        let bios = self.get(0, 440).iter().any(|b| *b != 0);
        bios || self.esp_files().iter().any(|(name, _)| name.ends_with(".EFI"))
    }

    /// Every file of the EFI system partition, none without one.
    pub(crate) fn esp_files(&self) -> Vec<(String, Vec<u8>)> {
        let mut disk = Reader { fake: self, start: 0, size: self.size, at: 0 };
        let Ok(Some(table)) = image_formats::gpt::read(&mut disk, SectorSize::B512) else {
            return Vec::new();
        };
        let esp = &table.partitions[1];
        let size = (esp.last_sector + 1 - esp.first_sector) * 512;
        let volume = Reader { fake: self, start: esp.first_sector * 512, size, at: 0 };
        let Ok(fat) = fatfs::FileSystem::new(volume, fatfs::FsOptions::new()) else {
            return Vec::new();
        };
        let mut files = Vec::new();
        collect(&fat.root_dir(), "", &mut files);
        files
    }
}

fn collect(folder: &fatfs::Dir<'_, Reader<'_>>, path: &str, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in folder.iter() {
        // A write that was cut leaves a file system that is not whole; then nothing is started.
        let Ok(entry) = entry else { return };
        let name = format!("{path}/{}", entry.file_name());
        match entry.is_dir() {
            true if entry.file_name().starts_with('.') => {}
            true => collect(&entry.to_dir(), &name, files),
            false => {
                let mut bytes = Vec::new();
                if entry.to_file().read_to_end(&mut bytes).is_ok() {
                    files.push((name, bytes));
                }
            }
        }
    }
}

/// Reads a part of the disk; writes are dropped.
struct Reader<'a> {
    fake: &'a Fake,
    start: u64,
    size: u64,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let take = usize::try_from(self.size.saturating_sub(self.at)).unwrap().min(buffer.len());
        buffer[..take].copy_from_slice(&self.fake.get(self.start + self.at, take));
        self.at += take as u64;
        Ok(take)
    }
}

impl io::Write for Reader<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for Reader<'_> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let at = match to {
            io::SeekFrom::Start(at) => Some(at),
            io::SeekFrom::Current(by) => self.at.checked_add_signed(by),
            io::SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl System for Fake {
    fn read_at(
        &mut self,
        device: &Path,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), SystemError> {
        if self.fails() {
            return Err(Self::error("reading", device));
        }
        let (start, size) = self.locate(device);
        assert!(offset + buffer.len() as u64 <= size, "read beyond {}", device.display());
        buffer.copy_from_slice(&self.get(start + offset, buffer.len()));
        if self.rotten && self.partitions.get(2).is_some_and(|slot| slot.0 == start) {
            buffer[0] ^= 1;
        }
        Ok(())
    }

    fn write_at(&mut self, device: &Path, offset: u64, bytes: &[u8]) -> Result<(), SystemError> {
        let (start, size) = self.locate(device);
        assert!(offset + bytes.len() as u64 <= size, "write beyond {}", device.display());
        self.written = true;
        if self.fails() {
            // A power cut leaves half of it.
            self.put(start + offset, &bytes[..bytes.len() / 2]);
            return Err(Self::error("writing", device));
        }
        self.put(start + offset, bytes);
        Ok(())
    }

    fn sync(&mut self, device: &Path) -> Result<(), SystemError> {
        if self.fails() { Err(Self::error("flushing", device)) } else { Ok(()) }
    }

    fn open(&mut self, path: &Path) -> Result<Box<dyn Read>, SystemError> {
        if self.fails() {
            return Err(Self::error("opening", path));
        }
        let faded = match &mut self.fades {
            Some((file, 0)) => file == path,
            Some((file, left)) => {
                *left -= usize::from(file == path);
                false
            }
            None => false,
        };
        match self.files.get(path).cloned() {
            Some(mut bytes) => {
                let last = bytes.len() - 1;
                bytes[last] ^= u8::from(faded);
                Ok(Box::new(Cursor::new(bytes)))
            }
            None => Err(Self::error("opening", path)),
        }
    }

    fn size(&mut self, path: &Path) -> Result<u64, SystemError> {
        match self.files.get(path) {
            Some(bytes) => Ok(bytes.len() as u64),
            None => Err(Self::error("looking at", path)),
        }
    }

    fn forget(&mut self, path: &Path) -> Result<(), SystemError> {
        self.forgotten.push(path.to_owned());
        Ok(())
    }

    fn run(&mut self, program: &Program) -> Result<String, SystemError> {
        self.programs.push(program.to_string());
        if self.fails() {
            return Err(SystemError::Program(ProgramError::Failed {
                command: program.to_string(),
                status: "exit status: 5".into(),
                stderr: "injected failure".into(),
            }));
        }
        Ok(String::new())
    }

    fn run_script(
        &mut self,
        stage: Stage,
        script: &[u8],
        program: &Program,
        said: &mut dyn FnMut(&str),
    ) -> Result<(), SystemError> {
        said(&format!("{stage}: {}", String::from_utf8_lossy(script)));
        let env: Vec<String> =
            program.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.scripts.push(format!("{} {program}", env.join(" ")));
        if self.fails() {
            return Err(SystemError::Script {
                stage,
                source: ProgramError::Failed {
                    command: program.to_string(),
                    status: "exit status: 3".into(),
                    stderr: "injected failure".into(),
                },
            });
        }
        Ok(())
    }

    fn partition(&self, disk: &Path, number: u32) -> PathBuf {
        format!("{}{number}", disk.display()).into()
    }

    fn reread_partitions(&mut self, disk: &Path, layout: &DiskLayout) -> Result<(), SystemError> {
        if self.fails() {
            return Err(Self::error("rereading the partition table of", disk));
        }
        let per_sector = layout.sector_size().bytes();
        let ranges = layout.partitions().iter();
        let ranges = ranges.map(|p| (p.first_sector * per_sector, p.sectors * per_sector));
        self.partitions = ranges.collect();
        Ok(())
    }

    fn make_ext4(&mut self, device: &Path, content: &Ext4<'_>) -> Result<(), SystemError> {
        if self.fails() {
            return Err(Self::error("making a file system on", device));
        }
        self.state = Some((device.to_owned(), content.entries.to_vec()));
        Ok(())
    }
}
