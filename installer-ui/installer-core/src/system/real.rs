// SPDX-License-Identifier: MIT OR Apache-2.0
//! This machine.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use appliance_model::records::Records;
use image_formats::gpt::DiskLayout;
use rustix::fs::{Advice, FlockOperation, OFlags};

use super::stage::{io, remove, stage};
use super::{Ext4, RecordsError, System, SystemError, kept, multipath};
use crate::copy::ALIGNMENT;
use crate::discovery::partition;
use crate::hooks::Stage;
use crate::layout::Entry;
use crate::program::Program;
use crate::steps::script_path;

/// Where content is staged before a file system is made of it: in memory, root's only.
const STAGING: &str = "/run/xenith/installer-staging";

/// This machine.
#[derive(Debug, Default)]
pub struct RealSystem {
    /// Open devices. While a whole disk is open here it is also locked, which keeps udev from
    /// looking at it between two writes.
    open: HashMap<PathBuf, File>,
    /// Of these, opened once more to be written past the cache; none where that is not possible.
    direct: HashMap<PathBuf, Option<File>>,
}

/// Whether the kernel would count what lies on or beside a device as its users: a partition, whose disk is
/// open too, or a multipath device, on which its partitions are devices of their own.
fn is_beside(device: &Path) -> bool {
    sys(device).join("partition").exists() || multipath::number(device).is_some()
}

/// The kernel's folder of a device.
fn sys(device: &Path) -> PathBuf {
    let name = fs::canonicalize(device).unwrap_or_else(|_| device.to_owned());
    Path::new("/sys/class/block").join(name.file_name().unwrap_or_default())
}

impl RealSystem {
    fn device(&mut self, path: &Path) -> Result<&File, SystemError> {
        if !self.open.contains_key(path) {
            // The kernel refuses whoever asks for a disk alone of which anything is mounted, so one
            // that came into use after the plan was made is not written to. Partitions are opened
            // beside the disk; those of a multipath device were taken down before it is written to.
            let alone = if is_beside(path) { 0 } else { OFlags::EXCL.bits() };
            let alone = i32::try_from(alone).unwrap_or_default();
            let file = OpenOptions::new().read(true).write(true).custom_flags(alone).open(path);
            let file = file.map_err(io("opening", path))?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive)
                .map_err(|error| io("locking", path)(error.into()))?;
            self.open.insert(path.to_owned(), file);
        }
        Ok(&self.open[path])
    }

    fn direct(&mut self, path: &Path) -> Result<Option<&File>, SystemError> {
        // Locked, and alone, as above.
        self.device(path)?;
        if !self.direct.contains_key(path) {
            let flags = i32::try_from(OFlags::DIRECT.bits()).unwrap_or_default();
            let file = match OpenOptions::new().write(true).custom_flags(flags).open(path) {
                Ok(file) => Some(file),
                // What open(2) says of files that cannot be.
                Err(error) if error.kind() == ErrorKind::InvalidInput => None,
                Err(error) => return Err(io("opening", path)(error)),
            };
            self.direct.insert(path.to_owned(), file);
        }
        Ok(self.direct[path].as_ref())
    }

    fn close(&mut self) {
        self.open.clear();
        self.direct.clear();
    }

    /// Waits until udev has handled what it knows of.
    fn settle(&mut self) -> Result<(), SystemError> {
        // Without udev (in a container) there is nothing to wait for.
        if !Path::new("/run/udev/control").exists() {
            return Ok(());
        }
        self.run(&Program::new("udevadm").args(["settle", "--timeout=60"])).map(drop)
    }
}

impl System for RealSystem {
    fn read_at(
        &mut self,
        device: &Path,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), SystemError> {
        self.device(device)?.read_exact_at(buffer, offset).map_err(io("reading", device))
    }

    fn write_at(&mut self, device: &Path, offset: u64, bytes: &[u8]) -> Result<(), SystemError> {
        self.device(device)?.write_all_at(bytes, offset).map_err(io("writing", device))
    }

    fn write_direct(
        &mut self,
        device: &Path,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), SystemError> {
        let (aligned, rest) = bytes.split_at(bytes.len() / ALIGNMENT * ALIGNMENT);
        match self.direct(device)? {
            Some(file) => file.write_all_at(aligned, offset).map_err(io("writing", device))?,
            None => self.write_at(device, offset, aligned)?,
        }
        match rest.is_empty() {
            true => Ok(()),
            false => self.write_at(device, offset + aligned.len() as u64, rest),
        }
    }

    fn sync(&mut self, device: &Path) -> Result<(), SystemError> {
        let file = self.device(device)?;
        file.sync_all().map_err(io("flushing", device))?;
        rustix::fs::fadvise(file, 0, None, Advice::DontNeed)
            .map_err(|error| io("dropping the cache of", device)(error.into()))
    }

    fn open(&mut self, path: &Path) -> Result<Box<dyn Read + Send>, SystemError> {
        Ok(Box::new(File::open(path).map_err(io("opening", path))?))
    }

    fn size(&mut self, path: &Path) -> Result<u64, SystemError> {
        Ok(fs::metadata(path).map_err(io("looking at", path))?.len())
    }

    fn forget(&mut self, path: &Path) -> Result<(), SystemError> {
        let file = File::open(path).map_err(io("opening", path))?;
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)
            .map_err(|error| io("dropping the cache of", path)(error.into()))
    }

    fn run(&mut self, program: &Program) -> Result<String, SystemError> {
        self.close();
        program.run().map_err(SystemError::Program)
    }

    fn run_script(
        &mut self,
        stage: Stage,
        script: &[u8],
        program: &Program,
        said: &mut dyn FnMut(&str),
    ) -> Result<(), SystemError> {
        let path = script_path(stage);
        write_script(Path::new(&path), script)?;
        let ran = program.follow(said);
        ran.map_err(|source| SystemError::Script { stage, source })
    }

    fn partition(&self, disk: &Path, number: u32) -> PathBuf {
        partition(disk, number)
    }

    fn reread_partitions(&mut self, disk: &Path, layout: &DiskLayout) -> Result<(), SystemError> {
        self.close();
        self.settle()?;
        let path = disk.display().to_string();
        if let Some(number) = multipath::number(disk) {
            self.run(&multipath::map_partitions(disk))?;
            self.settle()?;
            return layout.partitions().iter().try_for_each(|planned| {
                let partition = self.partition(disk, planned.role.number());
                let found = self.run(&multipath::table(&partition))?;
                multipath::check(partition, &found, &number, planned, layout)
            });
        }
        self.run(&Program::new("partx").args(["--update"]).arg(path))?;
        self.settle()?;
        for planned in layout.partitions() {
            let partition = self.partition(disk, planned.role.number());
            let name = partition.file_name().unwrap_or_default();
            let folder = Path::new("/sys/class/block").join(name);
            let per_sector = layout.sector_size().bytes() / 512;
            for (file, expected) in [("start", planned.first_sector), ("size", planned.sectors)] {
                // The kernel counts in 512-byte sectors whatever the disk's own are.
                let expected = (expected * per_sector).to_string();
                let file = folder.join(file);
                let found = fs::read_to_string(&file).map_err(io("reading", &file))?;
                if found.trim() != expected {
                    let what = file.file_name().unwrap_or_default().display().to_string();
                    let detail = format!("{what} {} instead of {expected}", found.trim());
                    return Err(SystemError::Partition { partition, detail });
                }
            }
        }
        Ok(())
    }

    fn forget_partitions(&mut self, disk: &Path) -> Result<(), SystemError> {
        self.close();
        self.settle()?;
        // Those of a multipath device were taken down, and do not come back without a table.
        if multipath::number(disk).is_some() {
            return Ok(());
        }
        let path = disk.display().to_string();
        self.run(&Program::new("blockdev").args(["--rereadpt"]).arg(path))?;
        self.settle()
    }

    fn records(&mut self, state: &Path) -> Result<Records, RecordsError> {
        self.close();
        kept::check_file_system(state)?;
        kept::mounted(state, "ro", |folder| kept::read(state, folder))
    }

    fn replace_state(
        &mut self,
        device: &Path,
        entries: &[Entry],
        folders: &[String],
    ) -> Result<(), SystemError> {
        self.close();
        kept::mounted(device, "rw", |folder| {
            kept::replace(folder, entries, folders, &mut || Ok(()))
        })
    }

    fn make_ext4(&mut self, device: &Path, content: &Ext4<'_>) -> Result<(), SystemError> {
        let staging = Path::new(STAGING);
        remove(staging)?;
        let staged = content.entries.iter().try_for_each(|entry| stage(staging, entry));
        let uuid = content.uuid.to_string();
        let program = Program::new("mkfs.ext4")
            .args(["-q", "-F", "-E", "root_owner=0:0", "-L", content.label, "-U", &uuid, "-d"])
            .arg(STAGING)
            .arg(device.display().to_string());
        let made = staged.and_then(|()| self.run(&program));
        // The staged files hold secrets: they go whatever happened.
        remove(staging)?;
        made?;
        self.sync(device)
    }
}

/// For root alone: it may have secrets in it.
fn write_script(path: &Path, script: &[u8]) -> Result<(), SystemError> {
    let folder = path.parent().unwrap_or(path);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).map_err(io("creating", folder))?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io("removing", path)(error));
        }
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o700).open(path);
    let file = file.map_err(io("creating", path))?;
    file.write_all_at(script, 0).map_err(io("writing", path))
}
