// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where an answer file comes from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use appliance_model::medium::{ANSWERS, ANSWERS_ON_VOLUME};

use crate::program::{Program, ProgramError};

/// A longer file is none of ours, in bytes.
const LONGEST: u64 = 1 << 20;

/// A place with an answer file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerSource {
    /// A file that can be read as it is.
    File(PathBuf),
    /// A volume with this label, of any file system that the kernel knows.
    Label(String),
    /// `http://` or `https://`.
    Url(String),
}

/// Why no answers came from there.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Not of a known form.
    #[error("xenith.answers={0:?}: neither a URL, nor label:LABEL, nor a path on the medium")]
    Form(String),
    /// A path on the medium, and no medium.
    #[error("xenith.answers={0:?} is a path on the installation medium, which was not found")]
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
    /// Too long or not text.
    #[error("{0} is not an answer file: not UTF-8 text of at most 1 MiB")]
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
    /// The transfer.
    #[error("fetching {url}")]
    Fetch {
        /// From where.
        url: String,
        /// The cause.
        #[source]
        source: Box<ureq::Error>,
    },
}

impl AnswerSource {
    /// Understands the value of `xenith.answers=`; `medium` is where the medium is mounted.
    ///
    /// # Errors
    /// [`SourceError::Form`] and [`SourceError::NoMedium`].
    pub fn parse(text: &str, medium: Option<&Path>) -> Result<Self, SourceError> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Url(text.to_owned()));
        }
        if let Some(label) = text.strip_prefix("label:") {
            let plain = !label.is_empty() && !label.contains('/') && label != "." && label != "..";
            return match plain {
                true => Ok(Self::Label(label.to_owned())),
                false => Err(SourceError::Form(text.to_owned())),
            };
        }
        let path = text.strip_prefix("file://").unwrap_or(text);
        if path.trim_matches('/').is_empty() || path.contains("://") || path.contains("..") {
            return Err(SourceError::Form(text.to_owned()));
        }
        match medium {
            Some(medium) => Ok(Self::File(medium.join(path.trim_start_matches('/')))),
            None => Err(SourceError::NoMedium(text.to_owned())),
        }
    }

    /// The answers on the medium mounted at `medium`, if there are any: each medium has the file, and
    /// it is empty until answers are put into it.
    #[must_use]
    pub fn on_medium(medium: &Path) -> Option<Self> {
        let file = medium.join(ANSWERS);
        is_filled(&file).then_some(Self::File(file))
    }

    /// Whether the network must be up.
    pub fn needs_network(&self) -> bool {
        matches!(self, Self::Url(_))
    }

    /// Reads the text.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn load(&self) -> Result<String, SourceError> {
        match self {
            Self::File(path) => read(path),
            Self::Label(label) => from_volume(label),
            Self::Url(url) => fetch(url),
        }
    }
}

impl std::fmt::Display for AnswerSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Label(label) => write!(f, "the volume {label:?}"),
            Self::Url(url) => f.write_str(url),
        }
    }
}

fn is_filled(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0)
}

fn read(path: &Path) -> Result<String, SourceError> {
    let error = |source| SourceError::Read { path: path.to_owned(), source };
    let not_text = || SourceError::NotText(path.display().to_string());
    if fs::metadata(path).map_err(error)?.len() > LONGEST {
        return Err(not_text());
    }
    String::from_utf8(fs::read(path).map_err(error)?).map_err(|_| not_text())
}

fn from_volume(label: &str) -> Result<String, SourceError> {
    let volume = |source| SourceError::Volume { label: label.to_owned(), source };
    let find = Program::new("blkid").args(["--label"]).arg(label);
    let (_, device, _) = find.ask().map_err(volume)?;
    let device = device.trim();
    if device.is_empty() {
        return Err(SourceError::NoVolume(label.to_owned()));
    }
    let folder = Path::new("/run/xenith/answers-volume");
    let error = |source| SourceError::Read { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(error)?;
    let target = folder.display().to_string();
    Program::new("mount").args(["-o", "ro"]).arg(device).arg(&target).run().map_err(volume)?;
    let found = ANSWERS_ON_VOLUME.iter().map(|name| folder.join(name)).find(|path| is_filled(path));
    let text = found.map(|path| read(&path));
    Program::new("umount").arg(&target).run().map_err(volume)?;
    text.unwrap_or_else(|| Err(SourceError::NothingOnVolume { label: label.to_owned() }))
}

fn fetch(url: &str) -> Result<String, SourceError> {
    let error = |source| SourceError::Fetch { url: url.to_owned(), source: Box::new(source) };
    let agent = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_global(Some(Duration::from_secs(120)))
        .build()
        .new_agent();
    let mut response = agent.get(url).call().map_err(error)?;
    let body = response.body_mut().with_config().limit(LONGEST).read_to_vec().map_err(error)?;
    String::from_utf8(body).map_err(|_| SourceError::NotText(url.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn forms_of_the_command_line() {
        let medium = Some(Path::new("/run/xenith/medium"));
        let parse = |text| AnswerSource::parse(text, medium);
        let file = AnswerSource::File("/run/xenith/medium/xenith/a.toml".into());
        assert_eq!(parse("/xenith/a.toml").unwrap(), file);
        assert_eq!(parse("file:///xenith/a.toml").unwrap(), file);
        assert_eq!(parse("label:X").unwrap(), AnswerSource::Label("X".into()));
        assert!(parse("http://192.0.2.1/a").unwrap().needs_network());
        for bad in ["", "/", "label:", "label:../x", "ftp://x/y", "/../etc/shadow"] {
            assert!(matches!(parse(bad), Err(SourceError::Form(_))), "{bad}");
        }
        assert!(matches!(AnswerSource::parse("/a", None), Err(SourceError::NoMedium(_))));
    }

    #[test]
    fn an_empty_file_on_the_medium_holds_no_answers() {
        let medium = tempfile::tempdir().unwrap();
        assert_eq!(AnswerSource::on_medium(medium.path()), None);
        let file = medium.path().join(ANSWERS);
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        assert_eq!(AnswerSource::on_medium(medium.path()), None);
        fs::write(&file, "answers").unwrap();
        assert_eq!(AnswerSource::on_medium(medium.path()), Some(AnswerSource::File(file)));
    }

    #[test]
    fn a_url_is_fetched_and_a_failure_names_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/answers.toml", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            for answer in ["200 OK\r\ncontent-length: 5\r\n\r\nhello", "404 Not Found\r\n\r\n"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).unwrap() > 0);
                write!(stream, "HTTP/1.1 {answer}").unwrap();
            }
        });
        let source = AnswerSource::Url(url.clone());
        assert_eq!(source.load().unwrap(), "hello");
        assert_eq!(source.load().unwrap_err().to_string(), format!("fetching {url}"));
        server.join().unwrap();
    }
}
