// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers inside an image of the medium, or a stick that one was written to: put in and taken out in
//! place, without building the image again.
//!
//! [`image_formats::iso::ReservedFile`] says why an interruption leaves no half answers.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use appliance_model::medium::ANSWERS;
use image_formats::iso::{ReservedError, ReservedFile};

use crate::answers::{Answers, AnswersError};

/// Why answers were not put in, read or taken out.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The answers are not right in themselves. Nothing was written.
    #[error("the answers are refused")]
    Answers(#[source] AnswersError),
    /// The image cannot be opened.
    #[error("opening {}", path.display())]
    Open {
        /// The image.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The image is none of ours, or cannot be read or written.
    #[error("{} cannot be used", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// The cause.
        #[source]
        source: ReservedError,
    },
    /// The copy is to be where something else than a file is.
    #[error("{} is there and is not a file; a copy would replace it", .0.display())]
    NotAFile(PathBuf),
    /// The copy is to be where the image itself is.
    #[error("{} is the image itself; without a place for a copy it is changed in place", .0.display())]
    Itself(PathBuf),
    /// The copy cannot be written.
    #[error("writing {}", path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Puts the text of an answer file into the image at `image`, instead of what is there.
///
/// # Errors
/// See [`MediaError`]. Answers with a fault are refused, and images of somebody else.
pub fn embed(image: &Path, answers: &str) -> Result<(), MediaError> {
    Answers::from_toml(answers).map_err(MediaError::Answers)?;
    let mut image = Image::open(image, Access::Change)?;
    let file = image.answers()?;
    image.done(|image| file.fill(image, answers.as_bytes()))
}

/// Puts the text of an answer file into a copy of the image, the file `copy`, which appears when it
/// is whole and replaces the file that is there.
///
/// # Errors
/// See [`MediaError`].
pub fn embed_copy(image: &Path, copy: &Path, answers: &str) -> Result<(), MediaError> {
    Answers::from_toml(answers).map_err(MediaError::Answers)?;
    // What is no image of ours is not copied first.
    let _ = Image::open(image, Access::Read)?.answers()?;
    let error = |source| MediaError::Copy { path: copy.to_owned(), source };
    let target = match fs::canonicalize(copy) {
        Ok(there) if !there.is_file() => return Err(MediaError::NotAFile(copy.to_owned())),
        Ok(there) if fs::canonicalize(image).is_ok_and(|image| image == there) => {
            return Err(MediaError::Itself(copy.to_owned()));
        }
        Ok(there) => there,
        Err(_) => copy.to_owned(),
    };
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = target.with_file_name(name);
    let made = copy_writable(image, &part).map_err(error);
    let made = made.and_then(|()| embed(&part, answers));
    made.and_then(|()| fs::rename(&part, &target).map_err(error)).inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })
}

/// Copies a file; the copy can be written to by its owner.
fn copy_writable(from: &Path, to: &Path) -> io::Result<()> {
    // One that is left over may be a second name of something else.
    if to.is_symlink() || to.exists() {
        fs::remove_file(to)?;
    }
    fs::copy(from, to)?;
    let mode = fs::metadata(to)?.permissions().mode();
    fs::set_permissions(to, Permissions::from_mode(mode | 0o200))
}

/// The answers that are in the image.
///
/// # Errors
/// See [`MediaError`].
pub fn extract(image: &Path) -> Result<Option<Vec<u8>>, MediaError> {
    let mut image = Image::open(image, Access::Read)?;
    let file = image.answers()?;
    if file.is_empty() {
        return Ok(None);
    }
    image.done(|image| file.read(image)).map(Some)
}

/// Takes the answers out of the image and writes zeros over them; tells whether there were any.
///
/// # Errors
/// See [`MediaError`].
pub fn remove(image: &Path) -> Result<bool, MediaError> {
    let mut image = Image::open(image, Access::Change)?;
    let file = image.answers()?;
    let were_there = !file.is_empty();
    image.done(|image| file.clear(image))?;
    Ok(were_there)
}

enum Access {
    Read,
    Change,
}

/// An open image, of which no other process of ours changes the answers meanwhile.
struct Image<'a> {
    path: &'a Path,
    file: Flushed,
}

impl<'a> Image<'a> {
    fn open(path: &'a Path, access: Access) -> Result<Self, MediaError> {
        let error = |source| MediaError::Open { path: path.to_owned(), source };
        let change = matches!(access, Access::Change);
        let file = File::options().read(true).write(change).open(path).map_err(error)?;
        let locked = match access {
            Access::Read => file.lock_shared(),
            Access::Change => file.lock(),
        };
        match locked {
            // A file system without locks: as safe as its users are careful.
            Err(source) if source.kind() == io::ErrorKind::Unsupported => {}
            locked => locked.map_err(error)?,
        }
        Ok(Self { path, file: Flushed(file) })
    }

    fn answers(&mut self) -> Result<ReservedFile, MediaError> {
        self.done(|image| ReservedFile::find(image, ANSWERS))
    }

    fn done<T>(
        &mut self,
        work: impl FnOnce(&mut Flushed) -> Result<T, ReservedError>,
    ) -> Result<T, MediaError> {
        work(&mut self.file)
            .map_err(|source| MediaError::Image { path: self.path.to_owned(), source })
    }
}

/// A file whose `flush` waits for the disk, as the editor asks for.
struct Flushed(File);

impl Read for Flushed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Seek for Flushed {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl Write for Flushed {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests;
