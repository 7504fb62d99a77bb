// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes a medium that boots as a CD and as a disk, by BIOS and by UEFI.
//!
//! `hadris-iso` writes ISO 9660 with Rock Ridge and Joliet, the El Torito catalog, the appended EFI
//! system partition and a GPT over both. Sector 0 is ours: its own modes either have no boot code
//! there or mirror the GPT, which real machines refuse (see [`crate::mbr`]).
//!
//! One file or another can be filled after the medium was written ([`IsoWriter::reserve`]).
//!
//! Owners are root, permissions 0644 and 0755, and every time is the one that was given.

mod device;
mod reserved;
mod tree;

use std::collections::BTreeSet;
use std::io::{self, SeekFrom};
use std::path::PathBuf;

use hadris_fs::{Content, DateTime, Node, PathError, Tree};
use hadris_iso::{
    AppendedPartition, BootEntry, BootInfo, ElTorito, Hybrid, IsoId, IsoLevel, IsoOptions,
    Preserve, Relocation,
};

use crate::grub::{self, GrubError};
use crate::{BlockIo, mbr};

pub use reserved::{ReservedError, ReservedFile};

/// Bytes of a block of the medium.
pub const BLOCK: u64 = 2048;
/// ISO 9660 allows no more, and what reaches deeper is moved elsewhere by Rock Ridge.
const MAX_DEPTH: usize = 8;
/// Firmware loads this much of GRUB's El Torito image, in 512-byte sectors; the image loads the rest.
const BIOS_LOAD_SECTORS: u16 = 4;

/// Why a medium cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum IsoError {
    /// A path that is absolute, empty, has a part `.` or `..`, or goes deeper than 8 levels.
    #[error("{path:?} cannot be a path on the medium")]
    BadPath {
        /// As it was given.
        path: String,
    },
    /// Two files of one name, or a file where a folder is.
    #[error("{path:?} is on the medium twice")]
    Twice {
        /// The second.
        path: String,
    },
    /// A file that is to go on the medium cannot be opened.
    #[error("opening {} for the medium", path.display())]
    Open {
        /// On the host.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<PathError>,
    },
    /// A time before 1970 or far in the future.
    #[error("{seconds} is not a time that the medium can carry")]
    BadTime {
        /// Seconds since 1970.
        seconds: u64,
    },
    /// The image cannot be laid out, or a file changed meanwhile, or the writing failed.
    #[error("writing the ISO image")]
    Write(#[source] Box<PathError>),
    /// The writer left something out; the text says what.
    #[error("the ISO image would not be whole: {what}")]
    NotWhole {
        /// Its warnings.
        what: String,
    },
    /// The room for a file could not be reserved.
    #[error("reserving room for {path:?}")]
    Reserve {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: ReservedError,
    },
    /// The boot sector is not GRUB's.
    #[error("preparing sector 0 of the medium")]
    Grub(#[source] GrubError),
    /// Sector 0 could not be written.
    #[error("writing sector 0 of the medium")]
    SectorZero(#[source] io::Error),
}

/// What a file on the medium holds.
#[derive(Debug, Clone)]
pub enum Source {
    /// The bytes of a file on the host, read while the medium is written.
    Path(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// How a medium boots.
#[derive(Debug, Clone)]
pub struct IsoBoot {
    /// Path on the medium of GRUB's El Torito image (`cdboot.img` + `core.img`).
    pub bios_image: String,
    /// GRUB's `boot_hybrid.img`.
    pub boot_hybrid: Vec<u8>,
    /// The EFI system partition, a FAT image; it lies behind the files.
    pub esp: Source,
}

/// A medium to be written.
pub struct IsoWriter {
    tree: Tree,
    paths: BTreeSet<String>,
    reserved: Vec<String>,
    options: IsoOptions,
    signature: u32,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsoReport {
    /// Of the image.
    pub bytes: u64,
}

impl IsoWriter {
    /// Starts a medium with this volume name (up to 32 capitals, digits and `_`), on which everything
    /// is dated `time` (seconds since 1970). The ids of disk and partitions follow from `seed`.
    ///
    /// # Errors
    /// [`IsoError::BadTime`].
    pub fn new(volume: &str, time: u64, seed: u64) -> Result<Self, IsoError> {
        let bad_time = || IsoError::BadTime { seconds: time };
        let seconds = i64::try_from(time).map_err(|_| bad_time())?;
        let date = DateTime::from_unix_seconds(seconds).map_err(|_| bad_time())?;
        let options = IsoOptions::new()
            .with_id(IsoId::Volume, volume)
            .with_id(IsoId::Application, "XENITH")
            .with_level(IsoLevel::L3)
            .with_rock_ridge()
            .with_joliet()
            .with_relocation(Relocation::Refuse)
            .with_preserve(Preserve::empty())
            .with_time(date)
            .with_seed(seed);
        let signature = (seed ^ (seed >> 32)) as u32;
        let (tree, paths, reserved) = (Tree::new(), BTreeSet::new(), Vec::new());
        Ok(Self { tree, paths, reserved, options, signature })
    }

    /// Puts a file on the medium, with the folders above it.
    ///
    /// # Errors
    /// See [`IsoError`].
    pub fn file(&mut self, path: &str, source: Source) -> Result<(), IsoError> {
        let plain = |part: &str| !matches!(part, "" | "." | "..");
        if !path.split('/').all(plain) || path.split('/').count() > MAX_DEPTH {
            return Err(IsoError::BadPath { path: path.to_owned() });
        }
        let below = format!("{path}/");
        let mut above = path.match_indices('/').map(|(end, _)| &path[..end]);
        let taken = self.paths.contains(path)
            || above.any(|folder| self.paths.contains(folder))
            || self
                .paths
                .range(below.clone()..)
                .next()
                .is_some_and(|next| next.starts_with(&below));
        if taken {
            return Err(IsoError::Twice { path: path.to_owned() });
        }
        let node = Node::file(content(source)?);
        self.tree.insert(path, node).map_err(write_error)?;
        self.paths.insert(path.to_owned());
        Ok(())
    }

    /// Puts an empty file on the medium that can be filled later with up to `room` bytes, by
    /// [`ReservedFile`].
    ///
    /// # Errors
    /// See [`IsoError`].
    pub fn reserve(&mut self, path: &str, room: u16) -> Result<(), IsoError> {
        self.file(path, Source::Bytes(reserved::stand_in(room)))?;
        self.reserved.push(path.to_owned());
        Ok(())
    }

    /// Writes the medium from byte 0 of `out` on.
    ///
    /// # Errors
    /// See [`IsoError`].
    pub fn write<D: BlockIo>(self, out: &mut D, boot: IsoBoot) -> Result<IsoReport, IsoError> {
        let bios = BootEntry::bios(&boot.bios_image)
            .with_load_size(BIOS_LOAD_SECTORS)
            .with_boot_info(BootInfo::Grub2);
        let catalog = ElTorito::new().with_entry(bios).with_entry(BootEntry::uefi_appended(0));
        let esp = AppendedPartition::esp(content(boot.esp)?);
        let options =
            self.options.with_el_torito(catalog).with_hybrid(Hybrid::gpt().with_appended(esp));

        let report = hadris_iso::sync::write(device::Blocks::new(&mut *out), &self.tree, &options)
            .map_err(write_error)?;
        let warnings: Vec<String> = report.warnings().iter().map(ToString::to_string).collect();
        if !warnings.is_empty() {
            return Err(IsoError::NotWhole { what: warnings.join("; ") });
        }
        for path in self.reserved {
            reserved::hide_stand_in(out, &path)
                .map_err(|source| IsoError::Reserve { path, source })?;
        }
        let first = report.extents(&boot.bios_image).and_then(<[_]>::first);
        let first = first.ok_or(IsoError::NotWhole { what: "no El Torito image".to_owned() })?;
        let boot_code =
            grub::for_medium(&boot.boot_hybrid, first.offset() / BLOCK).map_err(IsoError::Grub)?;
        let sectors = report.size() / mbr::SECTOR_SIZE as u64;
        let sector = mbr::protective(&boot_code, self.signature, sectors);
        out.seek(SeekFrom::Start(0))
            .and_then(|_| out.write_all(&sector))
            .and_then(|()| out.flush())
            .map_err(IsoError::SectorZero)?;
        Ok(IsoReport { bytes: report.size() })
    }
}

fn write_error(source: PathError) -> IsoError {
    IsoError::Write(Box::new(source))
}

fn content(source: Source) -> Result<Content, IsoError> {
    match source {
        Source::Bytes(bytes) => Ok(Content::bytes(bytes)),
        Source::Path(path) => hadris_fs::host::file(&path)
            .map_err(|source| IsoError::Open { path, source: Box::new(source) }),
    }
}

#[cfg(test)]
mod tests;
