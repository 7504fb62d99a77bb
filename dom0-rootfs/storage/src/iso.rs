// SPDX-License-Identifier: MIT OR Apache-2.0
//! `iso`: a library of images that others put into a folder of this host or of an NFS server. Its VDIs
//! are read-only and are called as their files are.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::block;
use crate::driver::{About, Mode, Place, SrDriver, SrSpec, SrStat, VdiInfo};
use crate::error::StorageError;
use crate::export::Export;
use crate::folder::Folder;
use crate::format::ImageFormat;
use crate::loops;
use crate::mount::Mount;
use crate::program::{System, io};

/// How names of images end.
const EXTENSIONS: &[&str] = &["iso", "img"];

/// Bytes of a sector of a loop device.
const SECTOR: u64 = 512;

/// Images in a folder.
pub struct IsoDriver {
    system: Arc<dyn System>,
}

/// Where the images are.
enum Location {
    /// A folder of this host.
    Here(PathBuf),
    /// A folder of a server.
    There(Export),
}

impl IsoDriver {
    /// The driver on a host.
    pub fn new(system: Arc<dyn System>) -> Self {
        Self { system }
    }

    fn location(&self, sr: &SrSpec) -> Result<Location, StorageError> {
        let wrong = |problem: String| StorageError::Config { key: "location".to_owned(), problem };
        let location = sr.device_config.get("location").ok_or_else(|| {
            wrong("is missing: a folder of this host, or server:/folder".to_owned())
        })?;
        if location.starts_with('/') {
            return Ok(Location::Here(self.system.path(location)));
        }
        let export = Export::of_location(sr, location)?;
        let neither =
            || wrong(format!("is {location:?}, neither an absolute path nor server:/folder"));
        export.map(Location::There).ok_or_else(neither)
    }

    fn mount(&self, sr: &SrSpec) -> Mount<'_> {
        Mount::of(&*self.system, sr.uuid)
    }

    /// The folder of an attached SR.
    fn folder(&self, sr: &SrSpec) -> Result<Option<PathBuf>, StorageError> {
        match self.location(sr)? {
            Location::Here(path) => Ok(path.is_dir().then_some(path)),
            Location::There(_) => {
                let mount = self.mount(sr);
                mount.reach()?;
                Ok(mount.mounted()?.then(|| mount.path()))
            }
        }
    }

    /// The file of an active image whose server does not answer. One that was found by a link on the server is not
    /// known by its own name.
    fn unseen(&self, sr: &SrSpec, vdi: Uuid) -> Result<Option<PathBuf>, StorageError> {
        let folder = self.mount(sr).path();
        let all = block::loops_in(&*self.system, &folder)?;
        let named = |name: &str| Uuid::new_v5(&sr.uuid, name.as_bytes()) == vdi;
        let ours = all.into_iter().find(|(name, found)| !found.going && named(name));
        Ok(ours.map(|(name, _)| folder.join(name)))
    }

    /// Whether any image of a server is active.
    fn any_active(&self, sr: &SrSpec) -> Result<bool, StorageError> {
        let all = block::loops_in(&*self.system, &self.mount(sr).path())?;
        Ok(all.iter().any(|(_, found)| !found.going))
    }

    /// Every image with its file.
    fn images(&self, sr: &SrSpec) -> Result<Vec<(VdiInfo, PathBuf)>, StorageError> {
        let folder = self.folder(sr)?.ok_or(StorageError::NotAttached(sr.uuid))?;
        // A server's symbolic links must not lead to files of this host.
        let within = match self.location(sr)? {
            Location::Here(_) => Path::new("/"),
            Location::There(_) => &folder,
        };
        let doing = || format!("listing {}", folder.display());
        let mut images = Vec::new();
        for entry in fs::read_dir(&folder).map_err(io(doing()))? {
            let path = entry.map_err(io(doing()))?.path();
            let Some(name) = image_name(&path) else { continue };
            let found = fs::canonicalize(&path).and_then(|file| Ok((fs::metadata(&file)?, file)));
            match found {
                Ok((metadata, file)) if metadata.is_file() && file.starts_with(within) => {
                    images.push((describe(sr.uuid, name, &metadata), file));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(io(format!("looking at {}", path.display()))(error)),
            }
        }
        images.sort_by(|(a, _), (b, _)| a.image.cmp(&b.image));
        Ok(images)
    }

    fn file(&self, sr: &SrSpec, vdi: Uuid) -> Result<PathBuf, StorageError> {
        let images = self.images(sr)?;
        let found = images.into_iter().find(|(info, _)| info.uuid == vdi);
        found.map(|(_, path)| path).ok_or(StorageError::NoSuchVdi(vdi))
    }

    fn unsupported<T>(&self, doing: &'static str) -> Result<T, StorageError> {
        Err(StorageError::Unsupported { kind: self.kind(), doing })
    }
}

/// The name of a file that may be an image.
fn image_name(path: &Path) -> Option<&str> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    let name = path.file_name()?.to_str()?;
    (EXTENSIONS.contains(&extension.as_str()) && !name.starts_with('.')).then_some(name)
}

/// The same file keeps its uuid, on every host: it is made of the SR's and the name (RFC 9562,
/// section 5.5). Its device has whole sectors only.
fn describe(sr: Uuid, name: &str, metadata: &Metadata) -> VdiInfo {
    VdiInfo {
        uuid: Uuid::new_v5(&sr, name.as_bytes()),
        virtual_size: metadata.len() / SECTOR * SECTOR,
        physical_utilisation: metadata.blocks() * 512,
        image: Some(name.to_owned()),
        format: None,
    }
}

impl SrDriver for IsoDriver {
    fn kind(&self) -> &'static str {
        "iso"
    }

    fn about(&self) -> About {
        About {
            name: "ISO library",
            description: "Images (.iso, .img) in a folder, for guests' CD drives",
            configuration: &[
                ("location", "a folder of this host, or server:/folder of an NFS server"),
                ("nfsversion", "3, 4, 4.0, 4.1 or 4.2; by default what both sides know, up to 4.1"),
                ("options", "further options of nfs(5), with commas between them"),
            ],
            features: &["VDI_ATTACH", "VDI_DETACH", "SR_UPDATE"],
        }
    }

    fn place(&self, sr: &SrSpec) -> Result<Place, StorageError> {
        Ok(match self.location(sr)? {
            Location::Here(_) => Place::Here,
            Location::There(_) => Place::Elsewhere { attached: self.mount(sr).mounted()? },
        })
    }

    fn reach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.folder(sr).map(drop)
    }

    /// Nothing is made: the folder has to be there.
    fn create(&self, sr: &SrSpec) -> Result<(), StorageError> {
        match self.location(sr)? {
            Location::Here(path) if !path.is_dir() => Err(StorageError::Config {
                key: "location".to_owned(),
                problem: format!("is {}, no folder of this host", path.display()),
            }),
            _ => Ok(()),
        }
    }

    /// The images belong to whoever put them there: they stay.
    fn destroy(&self, sr: &SrSpec) -> Result<(), StorageError> {
        self.detach(sr)
    }

    fn attach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        match self.location(sr)? {
            Location::Here(_) => self.create(sr),
            Location::There(_) if self.mount(sr).mounted()? => Ok(()),
            Location::There(export) => {
                let options = format!("{},ro", export.options());
                self.mount(sr).mount_nfs(&options, &export.source())
            }
        }
    }

    fn detach(&self, sr: &SrSpec) -> Result<(), StorageError> {
        match self.location(sr)? {
            Location::Here(_) => Ok(()),
            Location::There(_) => self.mount(sr).unmount_nfs(),
        }
    }

    fn stat(&self, sr: &SrSpec) -> Result<SrStat, StorageError> {
        let folder = self.folder(sr)?.ok_or(StorageError::NotAttached(sr.uuid))?;
        Folder::new(folder).stat()
    }

    fn scan(&self, sr: &SrSpec) -> Result<Vec<VdiInfo>, StorageError> {
        Ok(self.images(sr)?.into_iter().map(|(info, _)| info).collect())
    }

    fn vdi_create(
        &self,
        _: &SrSpec,
        _: Uuid,
        _: u64,
        _: Option<ImageFormat>,
    ) -> Result<VdiInfo, StorageError> {
        self.unsupported("create a VDI")
    }

    fn vdi_destroy(&self, _: &SrSpec, _: Uuid) -> Result<(), StorageError> {
        self.unsupported("destroy a VDI")
    }

    fn vdi_clone(&self, _: &SrSpec, _: Uuid, _: Uuid) -> Result<VdiInfo, StorageError> {
        self.unsupported("clone a VDI")
    }

    fn vdi_resize(&self, _: &SrSpec, _: Uuid, _: u64) -> Result<VdiInfo, StorageError> {
        self.unsupported("resize a VDI")
    }

    fn vdi_activate(&self, sr: &SrSpec, vdi: Uuid, mode: Mode) -> Result<PathBuf, StorageError> {
        match mode {
            Mode::ReadOnly => match self.file(sr, vdi) {
                // A guest that runs has it since before the toolstack was started.
                Err(error @ StorageError::NoAnswer(_)) => match self.unseen(sr, vdi)? {
                    Some(file) => loops::active(&*self.system, vdi, &file, mode)?.ok_or(error),
                    None => Err(error),
                },
                file => loops::activate(&*self.system, vdi, &file?, mode),
            },
            Mode::ReadWrite => self.unsupported("write to a VDI"),
        }
    }

    fn vdi_deactivate(&self, sr: &SrSpec, vdi: Uuid) -> Result<(), StorageError> {
        match self.file(sr, vdi) {
            Ok(file) => loops::deactivate(&*self.system, &file),
            Err(StorageError::NoSuchVdi(_) | StorageError::NotAttached(_)) => Ok(()),
            Err(error @ StorageError::NoAnswer(_)) => match self.unseen(sr, vdi)? {
                Some(file) => loops::detach_unseen(&*self.system, &file),
                None if self.any_active(sr)? => Err(error),
                None => Ok(()),
            },
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;

    /// A sector, and a bit.
    const DISC: &str = match str::from_utf8(&[b'x'; 600]) {
        Ok(text) => text,
        Err(_) => "",
    };

    fn library(location: &str) -> (Arc<FakeHost>, IsoDriver, SrSpec) {
        let host = Arc::new(FakeHost::new());
        for (name, text) in [
            ("debian.iso", DISC),
            ("floppy.IMG", "boot"),
            ("notes.txt", "not one"),
            (".hidden.iso", "not one"),
            ("folder.iso/inside.iso", "not one"),
        ] {
            host.write(
                &format!("{}/{name}", location.trim_start_matches('/').replace(":/", "/")),
                text,
            );
        }
        let driver = IsoDriver::new(host.clone());
        let device_config = [("location".to_owned(), location.to_owned())].into();
        (host, driver, SrSpec { uuid: Uuid::from_u128(9), device_config })
    }

    #[test]
    fn images_of_a_folder_and_of_a_server() {
        for (location, mounts) in [("/srv/iso", 0), ("nas:/vms", 1)] {
            let (host, driver, sr) = library(location);
            driver.create(&sr).unwrap();
            driver.attach(&sr).unwrap();
            driver.attach(&sr).unwrap();
            assert_eq!(host.model().mounts.len(), mounts, "{location}");
            let found = driver.scan(&sr).unwrap();
            let names: Vec<_> = found.iter().map(|i| i.image.as_deref().unwrap()).collect();
            assert_eq!(names, ["debian.iso", "floppy.IMG"], "{location}");
            assert_eq!(found[0].virtual_size, 512);
            assert_eq!(found, driver.scan(&sr).unwrap(), "uuids stay");
            let disc = found[0].uuid;
            let node = driver.vdi_activate(&sr, disc, Mode::ReadOnly).unwrap();
            assert_eq!(driver.vdi_activate(&sr, disc, Mode::ReadOnly).unwrap(), node);
            assert_eq!(host.model().loops.len(), 1);
            driver.vdi_deactivate(&sr, disc).unwrap();
            assert_eq!(host.model().loops.len(), 0);
            assert!(matches!(
                driver.vdi_activate(&sr, Uuid::nil(), Mode::ReadOnly),
                Err(StorageError::NoSuchVdi(_))
            ));
            driver.detach(&sr).unwrap();
            driver.destroy(&sr).unwrap();
            driver.vdi_deactivate(&sr, disc).unwrap();
            assert_eq!(host.model().mounts.len(), 0);
        }
    }

    #[test]
    fn an_image_is_known_and_let_go_of_without_its_server() {
        let (host, driver, sr) = library("nas:/vms");
        driver.attach(&sr).unwrap();
        let found = driver.scan(&sr).unwrap();
        let (disc, other) = (found[0].uuid, found[1].uuid);
        let node = driver.vdi_activate(&sr, disc, Mode::ReadOnly).unwrap();
        host.lose_servers(true);
        let silent = |answer| matches!(answer, Err(StorageError::NoAnswer(_)));
        assert!(silent(driver.reach(&sr)) && silent(driver.scan(&sr).map(drop)));
        assert!(silent(driver.vdi_activate(&sr, other, Mode::ReadOnly).map(drop)));
        assert_eq!(driver.vdi_activate(&sr, disc, Mode::ReadOnly).unwrap(), node);
        // It may be what is active, under another name.
        assert!(silent(driver.vdi_deactivate(&sr, other)));
        for vdi in [disc, other] {
            driver.vdi_deactivate(&sr, vdi).unwrap();
        }
        assert_eq!(host.model().loops.len(), 0);
        driver.detach(&sr).unwrap();
        assert_eq!(host.model().mounts.len(), 0);
        assert!(silent(driver.attach(&sr)));
        host.lose_servers(false);
        driver.attach(&sr).unwrap();
    }

    #[test]
    fn nothing_in_a_library_is_changed() {
        let (_host, driver, sr) = library("/srv/iso");
        let disc = driver.scan(&sr).unwrap()[0].uuid;
        for refused in [
            driver.vdi_create(&sr, Uuid::nil(), 1, None).map(drop),
            driver.vdi_destroy(&sr, disc),
            driver.vdi_clone(&sr, disc, Uuid::nil()).map(drop),
            driver.vdi_resize(&sr, disc, 1).map(drop),
            driver.vdi_activate(&sr, disc, Mode::ReadWrite).map(drop),
        ] {
            let error = refused.unwrap_err().to_string();
            assert!(error.starts_with("an SR of kind iso cannot "), "{error}");
        }
        assert_eq!(driver.scan(&sr).unwrap().len(), 2);
    }

    #[test]
    fn a_servers_links_stay_on_the_server() {
        let (host, driver, sr) = library("nas:/vms");
        driver.attach(&sr).unwrap();
        let folder = driver.folder(&sr).unwrap().unwrap();
        let secret = host.root().join("secret");
        fs::write(&secret, "of this host").unwrap();
        std::os::unix::fs::symlink(&secret, folder.join("out.iso")).unwrap();
        std::os::unix::fs::symlink("debian.iso", folder.join("latest.iso")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.join("broken.iso")).unwrap();
        let found = driver.scan(&sr).unwrap();
        let names: Vec<_> = found.iter().map(|info| info.image.as_deref().unwrap()).collect();
        assert_eq!(names, ["debian.iso", "floppy.IMG", "latest.iso"]);
    }

    #[test]
    fn a_place_that_is_none_is_named() {
        for (location, message) in [
            ("/nowhere", "no folder of this host"),
            ("relative", "neither an absolute path nor server:/folder"),
        ] {
            let (_host, driver, mut sr) = library("/srv/iso");
            sr.device_config.insert("location".to_owned(), location.to_owned());
            for failed in [driver.create(&sr), driver.attach(&sr)] {
                let error = failed.unwrap_err().to_string();
                assert!(
                    error.starts_with("device_config:location") && error.contains(message),
                    "{error}"
                );
            }
        }
        let (_host, driver, _) = library("/srv/iso");
        let sr = SrSpec { uuid: Uuid::nil(), device_config: Default::default() };
        assert!(driver.create(&sr).unwrap_err().to_string().contains("is missing"));
    }
}
