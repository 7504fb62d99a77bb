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

use super::menu::{self, Menu};
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

/// The parts of a medium, as paths of the host.
#[derive(Debug, Clone)]
pub struct Medium<'a> {
    /// Whose medium it is.
    pub build: &'a BuildId,
    /// Volume name, up to 32 capitals, digits and `_`.
    pub volume: &'a str,
    /// Seconds since 1970 that everything on it is dated.
    pub time: u64,
    /// The menu.
    pub menu: &'a Menu,
    /// The hypervisor.
    pub xen: &'a Path,
    /// The Dom0 kernel.
    pub kernel: &'a Path,
    /// Its initial file system.
    pub initrd: &'a Path,
    /// The root image.
    pub root_image: &'a Path,
    /// Folder with the artifact of the recipe [`super::Boot`].
    pub boot: &'a Path,
}

/// Writes the medium to the file `out`.
///
/// # Errors
/// See [`MediumError`].
pub fn write_medium(out: &Path, medium: &Medium<'_>) -> Result<IsoReport, MediumError> {
    let boot = |name: &str| medium.boot.join(name);
    let parts = [
        (paths::XEN, medium.xen.to_owned()),
        (paths::KERNEL, medium.kernel.to_owned()),
        (paths::INITRD, medium.initrd.to_owned()),
        (paths::ELTORITO, boot("eltorito.img")),
        // Where tools that copy a medium's files to a stick look for it.
        ("EFI/BOOT/BOOTX64.EFI", boot("grubx64.efi")),
        (paths::BOOT_IMG, boot("boot.img")),
        (paths::CORE_IMG, boot("core.img")),
        (paths::GRUB_EFI, boot("grubx64.efi")),
        (paths::ROOT_IMAGE, medium.root_image.to_owned()),
    ];
    let build = medium.build;
    let image = |source| MediumError::Image { path: out.to_owned(), source };

    let mut sums = Sums::default();
    let mut iso = IsoWriter::new(medium.volume, medium.time, build.number()).map_err(image)?;
    for (path, host) in parts {
        if path != paths::ELTORITO {
            sums.put(path, digest_of(&host)?);
        }
        iso.file(path, Source::Path(host)).map_err(image)?;
    }
    let options = medium.menu.options().to_toml().map_err(MediumError::Options)?;
    let id_line = format!("{build}\n").into_bytes();
    let texts = [
        ("boot/grub/grub.cfg", medium.menu.grub_cfg(build).into_bytes()),
        (paths::BUILD_ID, id_line.clone()),
        (paths::BOOT_OPTIONS, options.into_bytes()),
        (&build.marker(), id_line),
    ];
    for (path, bytes) in texts {
        sums.put(path, digest::of_bytes(&bytes));
        iso.file(path, Source::Bytes(bytes)).map_err(image)?;
    }
    iso.file(paths::SUMS, Source::Bytes(sums.to_string().into_bytes())).map_err(image)?;
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
