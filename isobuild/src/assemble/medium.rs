// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes the medium from its parts.

use std::fs::{self, File};
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use appliance_model::Digest;
use appliance_model::medium::{self as paths, BuildId};
use appliance_model::sums::Sums;
use image_formats::fat::{FatError, FatVolume, FatWriter};
use image_formats::iso::{IsoBoot, IsoError, IsoReport, IsoWriter, Source};

use super::menu;
use super::parts::Parts;
use crate::digest;

const MIB: usize = 1024 * 1024;
const ESP_LABEL: &str = "XENITH-BOOT";

/// A medium that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// A part of it.
    #[error("reading {}, which goes on the medium", path.display())]
    Part {
        /// The part.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The boot options of the hosts that are installed from it.
    #[error("writing down the boot options")]
    Options(#[source] toml::ser::Error),
    /// Its EFI system partition.
    #[error("making the medium's EFI system partition")]
    Esp(#[source] FatError),
    /// The image file.
    #[error("creating {}", path.display())]
    Create {
        /// The image.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The image itself.
    #[error("writing {}", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// The cause.
        #[source]
        source: IsoError,
    },
}

/// A medium.
#[derive(Debug, Clone)]
pub struct Medium<'a> {
    /// Volume name, up to 32 capitals, digits and `_`.
    pub volume: &'a str,
    /// Seconds since 1970 that everything on it is dated.
    pub time: u64,
    /// What is on it.
    pub parts: Parts<'a>,
}

/// Writes the medium to the file `out`.
///
/// # Errors
/// See [`MediumError`].
pub fn write_medium(out: &Path, medium: &Medium<'_>) -> Result<IsoReport, MediumError> {
    let parts = &medium.parts;
    let build = parts.build;
    let boot = |name: &str| parts.boot.join(name);
    let image = |source| MediumError::Image { path: out.to_owned(), source };

    let mut sums = Sums::default();
    let mut iso = IsoWriter::new(medium.volume, medium.time, build.number()).map_err(image)?;
    let own = [
        (paths::ELTORITO, boot("eltorito.img")),
        // Where tools that copy a medium's files to a stick look for it.
        ("EFI/BOOT/BOOTX64.EFI", boot("grubx64.efi")),
    ];
    for (path, host) in own.into_iter().chain(parts.files()) {
        if path != paths::ELTORITO {
            sums.put(path, digest_of(&host)?);
        }
        iso.file(path, Source::Path(host)).map_err(image)?;
    }
    let own = [
        ("boot/grub/grub.cfg", parts.menu.grub_cfg(build).into_bytes()),
        (&build.marker(), format!("{build}\n").into_bytes()),
    ];
    for (path, bytes) in parts.texts().map_err(MediumError::Options)?.into_iter().chain(own) {
        sums.put(path, digest::of_bytes(&bytes));
        iso.file(path, Source::Bytes(bytes)).map_err(image)?;
    }
    iso.file(paths::SUMS, Source::Bytes(sums.to_string().into_bytes())).map_err(image)?;
    iso.reserve(paths::ANSWERS, paths::ANSWERS_ROOM).map_err(image)?;
    let boot = IsoBoot {
        bios_image: paths::ELTORITO.to_owned(),
        boot_hybrid: read(&boot("boot_hybrid.img"))?,
        esp: Source::Bytes(esp(&read(&boot("grubx64.efi"))?, build)?),
    };
    let create = |source| MediumError::Create { path: out.to_owned(), source };
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(out)
        .map_err(create)?;
    iso.write(&mut file, boot).map_err(image)
}

fn esp(grub: &[u8], build: &BuildId) -> Result<Vec<u8>, MediumError> {
    let size = (grub.len() + MIB).next_multiple_of(MIB).max(4 * MIB);
    let mut bytes = vec![0; size];
    let id = build.number() as u32;
    let volume = FatVolume { bytes: size as u64, label: ESP_LABEL, id };
    let fill = |bytes| {
        let mut fat = FatWriter::format(Cursor::new(bytes), &volume)?;
        fat.file("EFI/BOOT/BOOTX64.EFI", grub)?;
        fat.file("boot/grub/grub.cfg", menu::esp_cfg(build).as_bytes())?;
        fat.finish()
    };
    fill(&mut bytes).map_err(MediumError::Esp)?;
    Ok(bytes)
}

fn digest_of(path: &Path) -> Result<Digest, MediumError> {
    let digest = digest::of_file(path);
    let part = |source| MediumError::Part { path: path.to_owned(), source };
    digest.map(|(digest, _)| digest).map_err(part)
}

fn read(path: &Path) -> Result<Vec<u8>, MediumError> {
    fs::read(path).map_err(|source| MediumError::Part { path: path.to_owned(), source })
}
