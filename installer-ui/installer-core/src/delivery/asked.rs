// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel command line asks for: where the answers are, and how their server is trusted and
//! reached. The options of the program say the same.

use std::path::Path;

use certificate_pin::{Fingerprint, NotAFingerprint};

use super::{AnswerSource, Place, SourceError};
use crate::cmdline;
use crate::web::{BadAddress, Web};

/// The words of the kernel command line, or options in their place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Words<'a> {
    /// `xenith.answers=`
    pub answers: Option<&'a str>,
    /// `xenith.answers-sha256=`
    pub sha256: Option<&'a str>,
    /// `xenith.proxy=`
    pub proxy: Option<&'a str>,
}

/// Answers that are somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Where.
    pub source: AnswerSource,
    /// How they are fetched.
    pub web: Web,
}

/// Why what is asked for cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum AskedError {
    /// The place.
    #[error("xenith.answers")]
    Answers(#[source] SourceError),
    /// The fingerprint.
    #[error("xenith.answers-sha256")]
    Fingerprint(#[source] NotAFingerprint),
    /// The fingerprint has nothing to do.
    #[error(
        "xenith.answers-sha256 is given, and xenith.answers={0} is not fetched over https: there is no \
         certificate that could be compared"
    )]
    FingerprintInVain(String),
    /// The proxy.
    #[error("xenith.proxy")]
    Proxy(#[source] BadAddress),
}

impl<'a> Words<'a> {
    /// Those of a kernel command line.
    pub fn of(line: &'a str) -> Self {
        let value = |key| cmdline::value(line, key);
        Self {
            answers: value("xenith.answers"),
            sha256: value("xenith.answers-sha256"),
            proxy: value("xenith.proxy"),
        }
    }
}

impl Asked {
    /// What the words ask for, none without `xenith.answers`; `medium` is where the medium is mounted.
    ///
    /// # Errors
    /// See [`AskedError`].
    pub fn parse(words: Words<'_>, medium: Option<&Path>) -> Result<Option<Self>, AskedError> {
        match words.answers {
            Some(text) => {
                let source = AnswerSource::parse(text, medium).map_err(AskedError::Answers)?;
                Self::at(source, words).map(Some)
            }
            // Menus of netboot have the same words in every entry.
            None => Ok(None),
        }
    }

    /// Answers at a place that is known, fetched as the words say.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn at(source: AnswerSource, words: Words<'_>) -> Result<Self, AskedError> {
        let proxy = words.proxy.map(str::parse).transpose().map_err(AskedError::Proxy)?;
        let pin: Option<Fingerprint> =
            words.sha256.map(str::parse).transpose().map_err(AskedError::Fingerprint)?;
        if pin.is_some() && source != AnswerSource::Announced && !has_certificate(&source) {
            return Err(AskedError::FingerprintInVain(source.to_string()));
        }
        Ok(Self { source, web: Web { pin, proxy } })
    }
}

/// Whether the server that is asked shows a certificate.
pub(super) fn has_certificate(source: &AnswerSource) -> bool {
    match source {
        AnswerSource::Place(Place::Url(url)) | AnswerSource::Post(url) => url.is_secure(),
        AnswerSource::Place(_) | AnswerSource::Label(_) | AnswerSource::Announced => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::golden;
    use crate::steps::chain;

    fn asked(line: &str) -> Result<Option<Asked>, AskedError> {
        Asked::parse(Words::of(line), Some(Path::new("/run/xenith/medium")))
    }

    #[test]
    fn good_lines_are_understood() {
        golden("boot-lines/good", &["line"], |line| match asked(line).unwrap() {
            Some(asked) => format!("{}\n{asked:#?}\n", asked.source),
            None => "nothing is asked for\n".to_owned(),
        });
    }

    #[test]
    fn bad_lines_are_refused_with_their_reasons() {
        golden("boot-lines/bad", &["line"], |line| {
            format!("{}\n", chain(&asked(line).unwrap_err()))
        });
    }
}
