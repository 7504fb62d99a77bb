// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of qcow2 VDIs in a folder.
//!
//! | name | what it is |
//! |---|---|
//! | `<image>.image` | an image, whose name never changes, as programs that have it open may open it again |
//! | `<vdi>.qcow2` | a symbolic link to the image of a VDI |
//! | `<base>.base` | a symbolic link to the image of a base; images on it name this link as their backing file |
//! | `<image>.partial` | an image that is being made, locked by its maker |
//! | `<any>.swap` | a link that is about to take another's place |
//!
//! Links lead to a name without a folder, so all of it can be copied or mounted elsewhere. A link is
//! read and what it says is checked; no link is followed that somebody else put there.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::tree::Name;
use crate::error::StorageError;
use crate::program::{Change, System, io};

/// Endings of all names but that of what is being made, which [`crate::folder::Folder`] looks after.
pub(crate) const ENDINGS: [&str; 4] = ["qcow2", "base", "image", "swap"];

/// A folder.
pub(super) struct Files<'a> {
    pub(super) system: &'a dyn System,
    pub(super) folder: &'a Path,
}

/// The name of a base as images refer to it.
pub(super) fn base_name(base: Uuid) -> String {
    format!("{base}.base")
}

/// The reverse.
pub(super) fn parse_base(name: &str) -> Option<Uuid> {
    parse(name, "base")
}

fn parse(name: &str, ending: &str) -> Option<Uuid> {
    let uuid: Uuid = name.strip_suffix(ending)?.strip_suffix('.')?.parse().ok()?;
    // Other spellings of the same uuid are other files.
    (name == format!("{uuid}.{ending}")).then_some(uuid)
}

impl Files<'_> {
    pub(super) fn image(&self, image: Uuid) -> PathBuf {
        self.folder.join(format!("{image}.image"))
    }

    pub(super) fn partial(&self, image: Uuid) -> PathBuf {
        self.folder.join(format!("{image}.partial"))
    }

    fn link(&self, name: Name) -> PathBuf {
        match name {
            Name::Vdi(vdi) => self.folder.join(format!("{vdi}.qcow2")),
            Name::Base(base) => self.folder.join(base_name(base)),
        }
    }

    /// The image that a name leads to; none if nothing is called so.
    pub(super) fn target(&self, name: Name) -> Result<Option<Uuid>, StorageError> {
        let path = self.link(name);
        let doing = || format!("reading the link {}", path.display());
        match fs::read_link(&path) {
            Ok(target) => {
                let image = target.to_str().and_then(|target| parse(target, "image"));
                image.map(Some).ok_or_else(|| StorageError::Failed {
                    doing: doing(),
                    detail: format!("it leads to {}, no image of this folder", target.display()),
                })
            }
            // A file: none of ours.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
                Ok(None)
            }
            Err(error) => Err(io(doing())(error)),
        }
    }

    /// Lets a name lead to an image, whatever it led to before.
    pub(super) fn point(&self, name: Name, image: Uuid) -> Result<(), StorageError> {
        let swap = self.folder.join(format!("{}.swap", Uuid::new_v4()));
        self.system.alter(Change::Link { target: &format!("{image}.image"), at: &swap })?;
        self.system.alter(Change::Rename { from: &swap, to: &self.link(name) })
    }

    pub(super) fn drop_name(&self, name: Name) -> Result<(), StorageError> {
        self.system.alter(Change::Remove(&self.link(name)))
    }

    pub(super) fn drop_image(&self, image: Uuid) -> Result<(), StorageError> {
        self.system.alter(Change::Remove(&self.image(image)))
    }

    /// All names with their images, and all images.
    pub(super) fn list(&self) -> Result<(BTreeMap<Name, Uuid>, Vec<Uuid>), StorageError> {
        let (mut names, mut images) = (BTreeMap::new(), Vec::new());
        for file in self.files()? {
            if let Some(image) = parse(&file, "image") {
                images.push(image);
            }
            let vdi = parse(&file, "qcow2").map(Name::Vdi);
            if let Some(name) = vdi.or(parse_base(&file).map(Name::Base))
                && let Some(image) = self.target(name)?
            {
                names.insert(name, image);
            }
        }
        Ok((names, images))
    }

    /// Removes links that were about to take a place.
    pub(super) fn clean(&self) -> Result<(), StorageError> {
        let files = self.files()?;
        let left = files.iter().filter(|file| parse(file, "swap").is_some());
        left.map(|file| self.folder.join(file))
            .try_for_each(|path| self.system.alter(Change::Remove(&path)))
    }

    fn files(&self) -> Result<Vec<String>, StorageError> {
        let doing = || format!("listing {}", self.folder.display());
        let entries = fs::read_dir(self.folder).map_err(io(doing()))?;
        let mut files = Vec::new();
        for entry in entries {
            files.extend(entry.map_err(io(doing()))?.file_name().into_string());
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Host;

    #[test]
    fn names_lead_to_images_of_the_folder_only() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files { system: &Host, folder: folder.path() };
        let (vdi, one, two) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        assert_eq!(files.target(Name::Vdi(vdi)).unwrap(), None);
        files.point(Name::Vdi(vdi), one).unwrap();
        files.point(Name::Vdi(vdi), two).unwrap();
        files.point(Name::Base(one), one).unwrap();
        fs::write(files.image(two), "").unwrap();
        fs::write(folder.path().join("notes.qcow2"), "").unwrap();
        fs::write(folder.path().join(format!("{two}.qcow2")), "a file").unwrap();
        fs::write(folder.path().join(format!("{two}.swap")), "left").unwrap();
        files.clean().unwrap();
        let names = BTreeMap::from([(Name::Vdi(vdi), two), (Name::Base(one), one)]);
        assert_eq!(files.list().unwrap(), (names, vec![two]));
        assert_eq!(folder.path().read_dir().unwrap().count(), 5);
        files.drop_name(Name::Vdi(vdi)).unwrap();
        files.drop_name(Name::Vdi(vdi)).unwrap();
        for elsewhere in ["/etc/shadow", "../x", &format!("../{two}.image"), "x.image"] {
            let link = folder.path().join(format!("{vdi}.qcow2"));
            std::os::unix::fs::symlink(elsewhere, &link).unwrap();
            let error = files.list().unwrap_err().to_string();
            assert!(error.contains(&format!("leads to {elsewhere}, no image")), "{error}");
            fs::remove_file(link).unwrap();
        }
    }

    #[test]
    fn a_base_is_read_as_it_is_written() {
        let base = Uuid::from_u128(0xabc);
        assert_eq!(parse_base(&base_name(base)), Some(base));
        for other in ["", "x.base", "00000000-0000-0000-0000-000000000ABC.base", "/etc/x.base"] {
            assert_eq!(parse_base(other), None, "{other}");
        }
    }
}
