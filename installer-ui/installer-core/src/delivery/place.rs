// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a file is that is needed for an installation.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::NfsFile;
use crate::program::ProgramError;
use crate::web::{BadAddress, LONGEST, Url, Web, WebError};

/// A place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file that can be read as it is.
    File(PathBuf),
    /// `http://` or `https://`.
    Url(Url),
    /// `nfs://`.
    Nfs(NfsFile),
}

/// Why a place is none, or nothing came from there.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Not of a known form.
    #[error(
        "{0:?} is neither an address (https://…, http://…, nfs://SERVER/FOLDER/FILE) nor a path on the medium"
    )]
    Form(String),
    /// Nearly an address.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// A path on the medium, and no medium.
    #[error("{0:?} is a path on the installation medium, which was not found")]
    NoMedium(String),
    /// Reading the file.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// More than 1 MiB.
    #[error("{0} has more than 1 MiB: that is not the right file")]
    TooLong(String),
    /// The NFS server.
    #[error("reading {file} over NFS")]
    Nfs {
        /// The file.
        file: String,
        /// The cause.
        #[source]
        source: ProgramError,
    },
    /// The HTTP server.
    #[error(transparent)]
    Web(#[from] WebError),
}

impl Place {
    /// Understands an address, or a path on the medium that is mounted at `medium`.
    ///
    /// # Errors
    /// [`PlaceError::Form`], [`PlaceError::Address`], [`PlaceError::NoMedium`].
    pub fn parse(text: &str, medium: Option<&Path>) -> Result<Self, PlaceError> {
        if Url::is_meant(text) {
            return Ok(Self::Url(text.parse()?));
        }
        let form = || PlaceError::Form(text.to_owned());
        if text.starts_with("nfs://") {
            return Ok(Self::Nfs(text.parse().map_err(|()| form())?));
        }
        let path = text.strip_prefix("file://").unwrap_or(text);
        if path.trim_matches('/').is_empty()
            || path.contains("://")
            || path.split('/').any(|part| part == "..")
            || path.contains(char::is_control)
        {
            return Err(form());
        }
        match medium {
            Some(medium) => Ok(Self::File(medium.join(path.trim_start_matches('/')))),
            None => Err(PlaceError::NoMedium(text.to_owned())),
        }
    }

    /// Whether the network must be up.
    pub fn needs_network(&self) -> bool {
        !matches!(self, Self::File(_))
    }

    /// The server that a certificate can be of.
    pub fn url(&self) -> Option<&Url> {
        match self {
            Self::Url(url) => Some(url),
            Self::File(_) | Self::Nfs(_) => None,
        }
    }

    /// Reads what is there, at most 1 MiB.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn load(&self, web: &Web) -> Result<Vec<u8>, PlaceError> {
        match self {
            Self::File(path) => read(path),
            Self::Url(url) => Ok(web.get(url)?),
            Self::Nfs(file) => file.read(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
            Self::Nfs(file) => file.fmt(f),
        }
    }
}

/// A whole file, unless it is too long.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, PlaceError> {
    let error = |source| PlaceError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(error)?.len() > LONGEST {
        return Err(PlaceError::TooLong(path.display().to_string()));
    }
    fs::read(path).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let medium = Some(Path::new("/run/xenith/medium"));
        let parse = |text| Place::parse(text, medium);
        let file = Place::File("/run/xenith/medium/xenith/a..b.toml".into());
        assert_eq!(parse("/xenith/a..b.toml").unwrap(), file);
        assert_eq!(parse("file:///xenith/a..b.toml").unwrap(), file);
        assert!(!file.needs_network());
        for text in ["http://192.0.2.1/a", "https://192.0.2.1/a", "nfs://192.0.2.1/a/b"] {
            let place = parse(text).unwrap();
            assert!(place.needs_network());
            assert_eq!(place.to_string(), text);
        }
        for bad in ["", "/", "ftp://x/y", "/../etc/shadow", "nfs://a", "a\nb"] {
            assert!(matches!(parse(bad), Err(PlaceError::Form(_))), "{bad}");
        }
        assert!(matches!(parse("http://me@x/"), Err(PlaceError::Address(BadAddress::User(_)))));
        assert!(matches!(Place::parse("/a", None), Err(PlaceError::NoMedium(_))));
    }

    #[test]
    fn files_that_are_too_long_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::File::create(&path).unwrap().set_len(LONGEST).unwrap();
        let place = Place::File(path.clone());
        assert_eq!(place.load(&Web::default()).unwrap().len() as u64, LONGEST);
        fs::File::create(&path).unwrap().set_len(LONGEST + 1).unwrap();
        assert!(matches!(place.load(&Web::default()), Err(PlaceError::TooLong(_))));
    }
}
