// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a FAT file system, as an EFI system partition is one, and fills it.
//!
//! Every entry is dated 1980-01-01, the first day that FAT knows, and the volume id is a parameter.
//! So the same files in the same order give the same bytes.

mod shared;

use std::io::{self, Read};

use fatfs::{
    Date, DateTime, FatType, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider,
};

use self::shared::Shared;
use crate::BlockIo;

const SECTOR: u64 = 512;
/// From this size on FAT32; it wants more clusters than a smaller volume has.
const FAT32_BYTES: u64 = 260 * 1024 * 1024;
const FAT32_CLUSTER: u32 = 4096;

/// Why a volume cannot be made or filled.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// A label has 1 to 11 bytes of ASCII capitals, digits, space, `-` or `_`.
    #[error("{label:?} is not a FAT volume label")]
    BadLabel {
        /// As it was given.
        label: String,
    },
    /// Less than 128 KiB or more than 2 TiB.
    #[error("a FAT volume cannot have {bytes} bytes")]
    BadSize {
        /// As it was given.
        bytes: u64,
    },
    /// Making the file system.
    #[error("making the FAT file system")]
    Format(#[source] io::Error),
    /// Opening one that is there.
    #[error("opening the FAT file system")]
    Open(#[source] io::Error),
    /// Making a folder.
    #[error("making folder {path:?} on the FAT file system")]
    Folder {
        /// The folder.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Writing a file; also when the volume is full.
    #[error("writing {path:?} to the FAT file system")]
    File {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Writing what was held back.
    #[error("closing the FAT file system")]
    Close(#[source] io::Error),
}

/// What a new volume is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatVolume<'a> {
    /// Size in bytes; rounded down to sectors of 512 bytes.
    pub bytes: u64,
    /// Up to 11 bytes.
    pub label: &'a str,
    /// The serial number, `UUID=` to Linux.
    pub id: u32,
}

/// A FAT file system that is being filled.
pub struct FatWriter<D: BlockIo> {
    volume: FileSystem<Shared<D>>,
    device: Shared<D>,
}

impl<D: BlockIo> FatWriter<D> {
    /// Makes a file system that starts at the first byte of `device`.
    ///
    /// # Errors
    /// See [`FatError`].
    pub fn format(device: D, volume: &FatVolume<'_>) -> Result<Self, FatError> {
        Self::format_with_sectors(device, volume, SECTOR)
    }

    /// [`FatWriter::format`] with sectors of `sector` bytes, which must be a disk's own: 512 or 4096.
    ///
    /// # Errors
    /// See [`FatError`].
    pub fn format_with_sectors(
        mut device: D,
        volume: &FatVolume<'_>,
        sector: u64,
    ) -> Result<Self, FatError> {
        let bytes_per_sector =
            u16::try_from(sector).map_err(|_| FatError::BadSize { bytes: volume.bytes })?;
        let sectors = u32::try_from(volume.bytes / sector)
            .ok()
            .filter(|sectors| *sectors >= 256)
            .ok_or(FatError::BadSize { bytes: volume.bytes })?;
        let options = FormatVolumeOptions::new()
            .total_sectors(sectors)
            .bytes_per_sector(bytes_per_sector)
            .volume_label(padded_label(volume.label)?)
            .volume_id(volume.id)
            .drive_num(0x80);
        let options = if volume.bytes >= FAT32_BYTES {
            options.fat_type(FatType::Fat32).bytes_per_cluster(FAT32_CLUSTER)
        } else {
            options
        };
        fatfs::format_volume(&mut device, options).map_err(FatError::Format)?;
        Self::open(device)
    }

    /// Opens the file system that `device` has, to add to it.
    ///
    /// # Errors
    /// [`FatError::Open`].
    pub fn open(device: D) -> Result<Self, FatError> {
        let options = FsOptions::new().time_provider(&FirstDay);
        let device = Shared::new(device);
        let volume = FileSystem::new(device.clone(), options).map_err(FatError::Open)?;
        Ok(Self { volume, device })
    }

    /// Makes a folder and those above it, as far as they are not there yet.
    ///
    /// # Errors
    /// [`FatError::Folder`].
    pub fn folder(&mut self, path: &str) -> Result<(), FatError> {
        let root = self.volume.root_dir();
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for part in ends.map(|end| &path[..end]) {
            let made = match root.open_dir(part) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => root
                    .create_dir(part)
                    .and_then(|_| self.device.correct_new_folder(!part.contains('/'))),
                there => there.map(drop),
            };
            made.map_err(|source| FatError::Folder { path: part.to_owned(), source })?;
        }
        Ok(())
    }

    /// Writes a file, in place of one of that name, and makes the folders above it.
    ///
    /// # Errors
    /// See [`FatError`].
    pub fn file(&mut self, path: &str, mut content: impl Read) -> Result<(), FatError> {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder)?;
        }
        let failed = |source| FatError::File { path: path.to_owned(), source };
        let mut file = self.volume.root_dir().create_file(path).map_err(failed)?;
        file.truncate().map_err(failed)?;
        io::copy(&mut content, &mut file).map_err(failed)?;
        io::Write::flush(&mut file).map_err(failed)
    }

    /// Writes what was held back. Flushing the device itself is the caller's.
    ///
    /// # Errors
    /// [`FatError::Close`].
    pub fn finish(self) -> Result<(), FatError> {
        self.volume.unmount().map_err(FatError::Close)
    }
}

fn padded_label(label: &str) -> Result<[u8; 11], FatError> {
    let mut padded = [b' '; 11];
    let allowed =
        |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" -_".contains(byte);
    let bytes = label.as_bytes();
    if bytes.is_empty() || bytes.len() > padded.len() || !bytes.iter().all(allowed) {
        return Err(FatError::BadLabel { label: label.to_owned() });
    }
    padded[..bytes.len()].copy_from_slice(bytes);
    Ok(padded)
}

#[derive(Debug)]
struct FirstDay;

impl TimeProvider for FirstDay {
    fn get_current_date(&self) -> Date {
        Date { year: 1980, month: 1, day: 1 }
    }
    fn get_current_date_time(&self) -> DateTime {
        let time = Time { hour: 0, min: 0, sec: 0, millis: 0 };
        DateTime { date: self.get_current_date(), time }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn image() -> Vec<u8> {
        let mut bytes = vec![0; 4 << 20];
        let volume = FatVolume { bytes: 4 << 20, label: "XENITH-ESP", id: 0x1234_5678 };
        let mut fat = FatWriter::format(Cursor::new(&mut bytes), &volume).unwrap();
        fat.file("EFI/BOOT/BOOTX64.EFI", &[7; 100_000][..]).unwrap();
        fat.file("boot/grub/grub.cfg", &b"long"[..]).unwrap();
        fat.file("boot/grub/grub.cfg", &b"new"[..]).unwrap();
        fat.finish().unwrap();
        bytes
    }

    #[test]
    fn what_was_written_is_there() {
        let volume = FileSystem::new(Cursor::new(image()), FsOptions::new()).unwrap();
        assert_eq!(volume.volume_id(), 0x1234_5678);
        assert_eq!(volume.volume_label(), "XENITH-ESP");
        let mut text = String::new();
        let root = volume.root_dir();
        root.open_file("boot/grub/grub.cfg").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "new");
        let entry = root.open_dir("EFI/BOOT").unwrap().iter().last().unwrap().unwrap();
        assert_eq!(entry.len(), 100_000);
        assert_eq!(entry.modified().date.year, 1980);
    }

    #[test]
    fn the_same_twice() {
        assert!(image() == image());
    }

    #[test]
    fn a_full_volume_is_an_error() {
        let mut bytes = vec![0; 1 << 20];
        let volume = FatVolume { bytes: 1 << 20, label: "SMALL", id: 1 };
        let mut fat = FatWriter::format(Cursor::new(&mut bytes), &volume).unwrap();
        let error = fat.file("big", io::repeat(1).take(2 << 20)).unwrap_err();
        assert_eq!(error.to_string(), "writing \"big\" to the FAT file system");
    }

    #[test]
    fn bad_labels_are_refused() {
        for label in ["", "TWELVE-BYTES", "lower", "A.B"] {
            assert!(matches!(padded_label(label), Err(FatError::BadLabel { .. })), "{label}");
        }
    }
}
