// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which Xen is built: the pin in `source.toml`.

use appliance_model::lock::{LockedFile, Source};

/// The pin does not serve.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Not of the form of a locked source.
    #[error("reading hypervisor/source.toml")]
    Syntax(#[source] toml::de::Error),
    /// More or less than one tarball.
    #[error("hypervisor/source.toml must name exactly one tarball, not {0}")]
    Files(usize),
}

/// Xen's source as it is pinned.
///
/// # Errors
/// The pin in this repository is malformed.
pub fn pinned() -> Result<Source, SourceError> {
    parse(include_str!("../source.toml"))
}

/// The one tarball of [`pinned`].
///
/// # Errors
/// As [`pinned`].
pub(crate) fn tarball() -> Result<LockedFile, SourceError> {
    let files = pinned()?.files;
    let count = files.len();
    files.into_iter().next().ok_or(SourceError::Files(count))
}

fn parse(text: &str) -> Result<Source, SourceError> {
    let source: Source = toml::from_str(text).map_err(SourceError::Syntax)?;
    if source.files.len() == 1 { Ok(source) } else { Err(SourceError::Files(source.files.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_is_whole_and_names_the_version_that_it_says() {
        let source = pinned().unwrap();
        let upstream = source.version.rsplit_once('-').unwrap().0;
        assert!(source.files[0].path.contains(upstream), "{source:?}");
    }

    #[test]
    fn bad_pins_are_refused() {
        let good = include_str!("../source.toml");
        for (from, to) in [
            ("sha256", "sha512"),
            ("df08", "xf08"),
            ("[[file]]", "[file]"),
            ("size = ", "size = -"),
        ] {
            assert!(
                matches!(parse(&good.replacen(from, to, 1)), Err(SourceError::Syntax(_))),
                "{to}"
            );
        }
        let file = &good[good.find("[[file]]").unwrap()..];
        assert!(matches!(parse(&format!("{good}\n{file}")), Err(SourceError::Files(2))));
    }
}
