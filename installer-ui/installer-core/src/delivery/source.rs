// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where an answer file comes from.

use std::fmt;
use std::fs;
use std::path::Path;

use appliance_model::medium::{ANSWERS, ANSWERS_ON_VOLUME};

use super::place::{self, Place, PlaceError};
use crate::program::{Program, ProgramError};
use crate::web::{Url, Web};

/// A place with an answer file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerSource {
    /// A file.
    Place(Place),
    /// A volume with this label, of any file system that the kernel knows.
    Label(String),
    /// A server that makes answers of the machine's inventory, which is posted to it.
    Post(Url),
    /// What the network announces; see [`super::look`].
    Announced,
}

/// Why no answers came from there.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Not of a known form.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// No label.
    #[error("{0:?} is not the label of a volume, such as label:XENITH-ANS")]
    Label(String),
    /// No server to post to.
    #[error(
        "{0:?} is not the address of a server to which the inventory is posted: post:https://…"
    )]
    Post(String),
    /// That is not a place yet.
    #[error("what the network announces was not looked for")]
    NotLookedFor,
    /// Not text.
    #[error("{0} is not an answer file: not UTF-8 text")]
    NotText(String),
    /// No such volume.
    #[error("no volume with the label {0:?} was found")]
    NoVolume(String),
    /// The volume holds no answer file.
    #[error("the volume {label:?} holds none of {}", ANSWERS_ON_VOLUME.join(", "))]
    NothingOnVolume {
        /// The volume.
        label: String,
    },
    /// A program failed.
    #[error("looking at the volume {label:?}")]
    Volume {
        /// The volume.
        label: String,
        /// The cause.
        #[source]
        source: ProgramError,
    },
}

impl AnswerSource {
    /// Understands the value of `xenith.answers=`; `medium` is where the medium is mounted.
    ///
    /// # Errors
    /// [`SourceError::Place`] and [`SourceError::Label`].
    pub fn parse(text: &str, medium: Option<&Path>) -> Result<Self, SourceError> {
        if let Some(label) = text.strip_prefix("label:") {
            let plain = !label.is_empty() && !label.contains('/') && label != "." && label != "..";
            return match plain {
                true => Ok(Self::Label(label.to_owned())),
                false => Err(SourceError::Label(text.to_owned())),
            };
        }
        if let Some(url) = text.strip_prefix("post:") {
            let url = Place::parse(url, None).map_err(|_| SourceError::Post(text.to_owned()))?;
            return match url {
                Place::Url(url) => Ok(Self::Post(url)),
                Place::File(_) | Place::Nfs(_) => Err(SourceError::Post(text.to_owned())),
            };
        }
        match text {
            "auto" => Ok(Self::Announced),
            _ => Ok(Self::Place(Place::parse(text, medium)?)),
        }
    }

    /// A file, wherever it is.
    pub fn file(path: impl Into<std::path::PathBuf>) -> Self {
        Self::Place(Place::File(path.into()))
    }

    /// The answers on the medium mounted at `medium`, if there are any: each medium has the file, and
    /// it is empty until answers are put into it.
    #[must_use]
    pub fn on_medium(medium: &Path) -> Option<Self> {
        let file = medium.join(ANSWERS);
        is_filled(&file).then(|| Self::file(file))
    }

    /// Whether the network must be up.
    pub fn needs_network(&self) -> bool {
        match self {
            Self::Place(place) => place.needs_network(),
            Self::Post(_) | Self::Announced => true,
            Self::Label(_) => false,
        }
    }

    /// Whether [`Self::load`] wants to know what the machine has.
    pub fn needs_inventory(&self) -> bool {
        matches!(self, Self::Post(_))
    }

    /// Reads the text. `inventory` is that of the machine, or empty where none is needed.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn load(&self, web: &Web, inventory: &str) -> Result<String, SourceError> {
        let bytes = match self {
            Self::Place(place) => place.load(web)?,
            Self::Label(label) => from_volume(label)?,
            Self::Post(url) => web.post(url, inventory).map_err(PlaceError::Web)?,
            Self::Announced => return Err(SourceError::NotLookedFor),
        };
        String::from_utf8(bytes).map_err(|_| SourceError::NotText(self.to_string()))
    }
}

impl fmt::Display for AnswerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => place.fmt(f),
            Self::Label(label) => write!(f, "the volume {label:?}"),
            Self::Post(url) => write!(f, "{url}, to which the inventory is posted"),
            Self::Announced => f.write_str("what the network announces"),
        }
    }
}

fn is_filled(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0)
}

fn from_volume(label: &str) -> Result<Vec<u8>, SourceError> {
    let volume = |source| SourceError::Volume { label: label.to_owned(), source };
    let find = Program::new("blkid").args(["--label"]).arg(label);
    let (_, device, _) = find.ask().map_err(volume)?;
    let device = device.trim();
    if device.is_empty() {
        return Err(SourceError::NoVolume(label.to_owned()));
    }
    let folder = Path::new("/run/xenith/answers-volume");
    let error = |source| PlaceError::Read { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(error)?;
    let target = folder.display().to_string();
    Program::new("mount").args(["-o", "ro"]).arg(device).arg(&target).run().map_err(volume)?;
    let found = ANSWERS_ON_VOLUME.iter().map(|name| folder.join(name)).find(|path| is_filled(path));
    let text = found.map(|path| place::read(&path));
    Program::new("umount").arg(&target).run().map_err(volume)?;
    match text {
        Some(text) => Ok(text?),
        None => Err(SourceError::NothingOnVolume { label: label.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::testing::serve;
    use rustls::version::TLS13;

    #[test]
    fn an_empty_file_on_the_medium_holds_no_answers() {
        let medium = tempfile::tempdir().unwrap();
        assert_eq!(AnswerSource::on_medium(medium.path()), None);
        let file = medium.path().join(ANSWERS);
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        assert_eq!(AnswerSource::on_medium(medium.path()), None);
        fs::write(&file, "answers").unwrap();
        assert_eq!(AnswerSource::on_medium(medium.path()), Some(AnswerSource::file(&file)));
        assert_eq!(AnswerSource::file(&file).load(&Web::default(), "").unwrap(), "answers");
        fs::write(&file, b"\xff").unwrap();
        let error = AnswerSource::file(&file).load(&Web::default(), "").unwrap_err();
        assert!(matches!(error, SourceError::NotText(_)), "{error}");
    }

    #[test]
    fn labels_are_no_paths() {
        assert_eq!(AnswerSource::parse("label:X", None).unwrap(), AnswerSource::Label("X".into()));
        for bad in ["label:", "label:../x", "label:.."] {
            assert!(matches!(AnswerSource::parse(bad, None), Err(SourceError::Label(_))), "{bad}");
        }
    }

    #[test]
    fn an_inventory_is_posted_for_answers() {
        let server = serve("200 OK", "answers", Some(&TLS13));
        let text = format!("post:{}/answers", server.url);
        let source = AnswerSource::parse(&text, None).unwrap();
        assert!(source.needs_network() && source.needs_inventory());
        let web = Web { pin: server.fingerprint, proxy: None };
        assert_eq!(source.load(&web, "{\"xenith-inventory\": 1}").unwrap(), "answers");
        let request = server.requests.recv().unwrap();
        assert_eq!(request.line, "POST /answers");
        assert_eq!(request.content_type, "application/json");
        assert_eq!(request.body, "{\"xenith-inventory\": 1}");
        for bad in ["post:", "post:/answers", "post:nfs://a/b/c", "post:post:https://a/", "post:a"]
        {
            assert!(matches!(AnswerSource::parse(bad, None), Err(SourceError::Post(_))), "{bad}");
        }
    }
}
