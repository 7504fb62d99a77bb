// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine in memory, which can be made to fail at any operation.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use appliance_model::Digest;
use appliance_model::medium::SUMS;
use appliance_model::records::Records;
use appliance_model::sums::Sums;
use image_formats::gpt::{DiskLayout, SectorSize};
use image_formats::mbr::STARTS_NOTHING;
use sha2::{Digest as _, Sha256};

use super::{Ext4, RecordsError, System, SystemError};
use crate::copy::ALIGNMENT;
use crate::discovery::partition;
use crate::hooks::Stage;
use crate::layout::Entry;
use crate::program::{Program, ProgramError};

const PAGE: u64 = 4096;

/// What a power cut leaves of it depends on the order.
#[derive(Debug, Clone)]
pub(crate) enum Entered {
    /// Bytes at an offset of a disk, by its number, by way of a device.
    Written { device: PathBuf, disk: usize, at: u64, bytes: Vec<u8> },
    /// All that was written before by way of this device is durable. The kernel caches each partition,
    /// each array and the whole disk apart.
    Synced { device: PathBuf },
}

/// A disk of which only what is written takes memory.
#[derive(Clone)]
pub(crate) struct FakeDisk {
    path: PathBuf,
    size: u64,
    pages: BTreeMap<u64, Vec<u8>>,
    /// Byte ranges of partitions as the kernel last read them.
    partitions: Vec<(u64, u64)>,
}

/// Disks, a medium, and a record of everything done.
pub(crate) struct Fake {
    disks: Vec<FakeDisk>,
    /// Running arrays with their partitions.
    arrays: BTreeMap<PathBuf, Vec<PathBuf>>,
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    /// Files whose cached content was dropped.
    pub(crate) forgotten: Vec<PathBuf>,
    pub(crate) programs: Vec<String>,
    /// Scripts that were run, with their variables.
    pub(crate) scripts: Vec<String>,
    pub(crate) state: Option<(PathBuf, Vec<Entry>)>,
    /// What the host that was there knows of its guests; none: nothing that can be read.
    pub(crate) records: Option<Records>,
    /// Folders that stayed when the state was replaced.
    pub(crate) folders: Option<Vec<String>>,
    /// An array that lacks a disk.
    pub(crate) degraded: Option<PathBuf>,
    /// Operations so far.
    pub(crate) operations: usize,
    /// The operation that fails.
    pub(crate) fail_at: Option<usize>,
    /// Whether anything was written to the disk.
    pub(crate) written: bool,
    /// A file that is good as often as this when it is opened, and damaged from then on.
    pub(crate) fades: Option<(PathBuf, usize)>,
    /// What was written and when it was made durable, in order, since this was set.
    pub(crate) journal: Option<Vec<Entered>>,
    /// Reads of partition 3 of this disk return something else than was written.
    pub(crate) rotten: Option<usize>,
}

/// Where on which disk.
type Place = (usize, u64, u64);

impl Fake {
    pub(crate) fn new(disk: &Path, size: u64) -> Self {
        Self {
            disks: vec![FakeDisk::new(disk, size)],
            arrays: BTreeMap::new(),
            files: BTreeMap::new(),
            forgotten: Vec::new(),
            programs: Vec::new(),
            scripts: Vec::new(),
            state: None,
            records: None,
            folders: None,
            degraded: None,
            operations: 0,
            fail_at: None,
            written: false,
            fades: None,
            journal: None,
            rotten: None,
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

    /// Attaches one more disk.
    pub(crate) fn attach(&mut self, disk: &Path, size: u64) {
        self.disks.push(FakeDisk::new(disk, size));
    }

    /// Where a device lies: a disk, a partition, or an array, which lies in several places.
    fn locate(&self, device: &Path) -> Vec<Place> {
        if let Some(members) = self.arrays.get(device) {
            let places = members.iter().flat_map(|member| self.locate(member));
            let start = crate::plan::ARRAY_START;
            return places.map(|(disk, at, size)| (disk, at + start, size - start)).collect();
        }
        let name = device.to_str().unwrap();
        for (index, disk) in self.disks.iter().enumerate() {
            match name.strip_prefix(disk.path.to_str().unwrap()) {
                Some("") => return vec![(index, 0, disk.size)],
                Some(number) => {
                    let number = number.trim_start_matches("-part");
                    let (start, size) = disk.partitions[number.parse::<usize>().unwrap() - 1];
                    return vec![(index, start, size)];
                }
                None => {}
            }
        }
        panic!("there is no {name}");
    }

    /// What the kernel does with a command line of mdadm.
    fn mdadm(&mut self, program: &Program) {
        let args = &program.args;
        match args[0].as_str() {
            "--create" => {
                let members = args.iter().skip(2).filter(|arg| !arg.starts_with("--"));
                let members = members.map(PathBuf::from).collect();
                assert!(self.arrays.insert(PathBuf::from(&args[1]), members).is_none());
            }
            "--assemble" => {
                let members = args.iter().skip(2).filter(|arg| !arg.starts_with("--"));
                let members = members.map(PathBuf::from).collect();
                assert!(self.arrays.insert(PathBuf::from(&args[1]), members).is_none());
            }
            "--detail" => assert!(self.arrays.contains_key(Path::new(&args[2]))),
            "--stop" => drop(self.arrays.remove(Path::new(&args[1]))),
            other => panic!("mdadm {other}"),
        }
    }

    /// A machine with the same disks and nothing else.
    pub(crate) fn same_disks(&self) -> Self {
        let first = &self.disks[0];
        Self { disks: self.disks.clone(), ..Self::new(&first.path, first.size) }
    }

    /// Puts bytes on a disk, by its number.
    pub(crate) fn put(&mut self, disk: usize, at: u64, bytes: &[u8]) {
        self.disks[disk].put(at, bytes);
    }

    /// Bytes at the start of the first disk.
    pub(crate) fn get(&self, at: u64, length: usize) -> Vec<u8> {
        self.disks[0].get(at, length)
    }

    /// Bytes at the start of a disk, by its number.
    pub(crate) fn disk_bytes(&self, disk: usize, length: usize) -> Vec<u8> {
        self.disks[disk].get(0, length)
    }

    /// Bytes of a disk's partition, by its number.
    pub(crate) fn partition_bytes(&self, disk: usize, number: usize, length: usize) -> Vec<u8> {
        let disk = &self.disks[disk];
        disk.get(disk.partitions[number - 1].0, length)
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

    /// Fills the start of each disk with something that a BIOS would start.
    pub(crate) fn put_old_system(&mut self) {
        self.disks.iter_mut().for_each(|disk| disk.put(0, &[0xee; 8192]));
    }

    /// Whether a BIOS or UEFI firmware would start something from any disk.
    pub(crate) fn starts(&self) -> bool {
        self.disks.iter().any(FakeDisk::starts)
    }

    /// Every file of a disk's EFI system partition, none without one.
    pub(crate) fn esp_files(&self, disk: usize) -> Vec<(String, Vec<u8>)> {
        self.disks[disk].esp_files()
    }
}

impl FakeDisk {
    fn new(path: &Path, size: u64) -> Self {
        Self { path: path.to_owned(), size, pages: BTreeMap::new(), partitions: Vec::new() }
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

    fn get(&self, at: u64, length: usize) -> Vec<u8> {
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

    fn starts(&self) -> bool {
        let code = self.get(0, 440);
        let bios = code != STARTS_NOTHING && code.iter().any(|b| *b != 0);
        bios || self.esp_files().iter().any(|(name, _)| name.ends_with(".EFI"))
    }

    fn esp_files(&self) -> Vec<(String, Vec<u8>)> {
        let mut disk = Reader { disk: self, start: 0, size: self.size, at: 0 };
        let Ok(Some(table)) = image_formats::gpt::read(&mut disk, SectorSize::B512) else {
            return Vec::new();
        };
        let esp = &table.partitions[1];
        let size = (esp.last_sector + 1 - esp.first_sector) * 512;
        let volume = Reader { disk: self, start: esp.first_sector * 512, size, at: 0 };
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
    disk: &'a FakeDisk,
    start: u64,
    size: u64,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let take = usize::try_from(self.size.saturating_sub(self.at)).unwrap().min(buffer.len());
        buffer[..take].copy_from_slice(&self.disk.get(self.start + self.at, take));
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
        let (disk, start, size) = self.locate(device)[0];
        assert!(offset + buffer.len() as u64 <= size, "read beyond {}", device.display());
        let found = &self.disks[disk];
        buffer.copy_from_slice(&found.get(start + offset, buffer.len()));
        let slot = found.partitions.get(2).is_some_and(|slot| slot.0 == start);
        buffer[0] ^= u8::from(slot && self.rotten == Some(disk));
        Ok(())
    }

    fn write_at(&mut self, device: &Path, offset: u64, bytes: &[u8]) -> Result<(), SystemError> {
        // Whoever opens a disk alone is refused while an array has a part of it.
        let whole = self.disks.iter().any(|disk| disk.path == device);
        assert!(!whole || self.arrays.is_empty(), "the kernel keeps {}", device.display());
        self.written = true;
        let fails = self.fails();
        // A power cut leaves half of it.
        let length = if fails { bytes.len() / 2 } else { bytes.len() };
        for (disk, start, size) in self.locate(device) {
            assert!(offset + bytes.len() as u64 <= size, "write beyond {}", device.display());
            self.disks[disk].put(start + offset, &bytes[..length]);
            if let Some(journal) = self.journal.as_mut().filter(|_| !fails) {
                let (device, bytes) = (device.to_owned(), bytes.to_owned());
                journal.push(Entered::Written { device, disk, at: start + offset, bytes });
            }
        }
        if fails { Err(Self::error("writing", device)) } else { Ok(()) }
    }

    fn write_direct(
        &mut self,
        device: &Path,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), SystemError> {
        assert_eq!(offset % ALIGNMENT as u64, 0);
        assert_eq!(bytes.as_ptr().align_offset(ALIGNMENT), 0);
        self.write_at(device, offset, bytes)
    }

    fn sync(&mut self, device: &Path) -> Result<(), SystemError> {
        if self.fails() {
            return Err(Self::error("flushing", device));
        }
        if let Some(journal) = &mut self.journal {
            journal.push(Entered::Synced { device: device.to_owned() });
        }
        Ok(())
    }

    fn open(&mut self, path: &Path) -> Result<Box<dyn Read + Send>, SystemError> {
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
        if program.name == "mdadm" {
            self.mdadm(program);
            let lacks = self.degraded.as_ref().map(|array| array.display().to_string());
            if program.args[0] == "--detail" && lacks.as_ref() == program.args.last() {
                return Err(SystemError::Program(ProgramError::Failed {
                    command: program.to_string(),
                    status: "exit status: 1".into(),
                    stderr: "it wrote nothing to standard error".into(),
                }));
            }
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
        partition(disk, number)
    }

    fn reread_partitions(&mut self, disk: &Path, layout: &DiskLayout) -> Result<(), SystemError> {
        if self.fails() {
            return Err(Self::error("rereading the partition table of", disk));
        }
        let per_sector = layout.sector_size().bytes();
        let ranges = layout.partitions().iter();
        let ranges = ranges.map(|p| (p.first_sector * per_sector, p.sectors * per_sector));
        let found = self.disks.iter_mut().find(|found| found.path == disk).unwrap();
        found.partitions = ranges.collect();
        Ok(())
    }

    fn forget_partitions(&mut self, disk: &Path) -> Result<(), SystemError> {
        if self.fails() {
            return Err(Self::error("rereading the partition table of", disk));
        }
        let found = self.disks.iter_mut().find(|found| found.path == disk).unwrap();
        assert_eq!(found.get(0, 4096), [0; 4096], "the kernel would see partitions again");
        found.partitions.clear();
        Ok(())
    }

    fn records(&mut self, state: &Path) -> Result<Records, RecordsError> {
        if self.fails() {
            return Err(Self::error("reading", state).into());
        }
        let missing = || RecordsError::Missing {
            device: state.to_owned(),
            folder: "var/lib/xenith".to_owned(),
        };
        self.records.clone().ok_or_else(missing)
    }

    fn replace_state(
        &mut self,
        device: &Path,
        entries: &[Entry],
        folders: &[String],
    ) -> Result<(), SystemError> {
        if self.fails() {
            return Err(Self::error("replacing the state on", device));
        }
        self.state = Some((device.to_owned(), entries.to_vec()));
        self.folders = Some(folders.to_vec());
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
