// SPDX-License-Identifier: MIT OR Apache-2.0
//! A script, and where it is.

use std::fmt;
use std::path::Path;

use super::Stage;
use crate::delivery::{Place, PlaceError};

/// Where a script is.
#[derive(Clone, PartialEq, Eq)]
pub enum ScriptSource {
    /// In the answer file itself.
    Inline(String),
    /// Elsewhere; a file's path is relative to the medium.
    Place(Place),
}

impl ScriptSource {
    /// Understands a text that begins with `#!` as the script itself, and any other as a place.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        match text.trim_start() {
            script if script.starts_with("#!") => Ok(Self::Inline(script.to_owned())),
            // A command that stands alone is not a path with blanks in it.
            _ if !text.starts_with('/') && !text.contains("://") => {
                Err(PlaceError::Form(text.to_owned()))
            }
            _ => Ok(Self::Place(Place::parse(text, Some(Path::new("")))?)),
        }
    }
}

impl fmt::Display for ScriptSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("a script in the answers"),
            Self::Place(Place::File(path)) => write!(f, "{} on the medium", path.display()),
            Self::Place(place) => place.fmt(f),
        }
    }
}

/// Without the script, which may have secrets in it.
impl fmt::Debug for ScriptSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(text) => write!(f, "Inline({} bytes)", text.len()),
            Self::Place(place) => f.debug_tuple("Place").field(place).finish(),
        }
    }
}

/// Why something is no script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadScript {
    /// A web page, most likely.
    #[error("it does not begin with #!, such as #!/bin/bash, so it is no script")]
    NoInterpreter,
    /// Lines that end as those of Windows do: the carriage return would be part of the name.
    #[error("its lines end with CR LF; save it with LF alone")]
    CarriageReturn,
    /// What should run it is not in this system.
    #[error("it needs {0}, which is not here; bash and sh are")]
    Missing(String),
}

/// A script that is here.
#[derive(Clone, PartialEq, Eq)]
pub struct Script {
    /// When it runs.
    pub stage: Stage,
    /// The whole of it.
    pub bytes: Vec<u8>,
}

impl Script {
    /// The program that runs it, by its first line: a path, or a name that is looked for as `env` does.
    ///
    /// # Errors
    /// See [`BadScript`].
    pub fn interpreter(bytes: &[u8]) -> Result<&str, BadScript> {
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if line.ends_with(b"\r") {
            return Err(BadScript::CarriageReturn);
        }
        let line = std::str::from_utf8(line).map_err(|_| BadScript::NoInterpreter)?;
        let mut words =
            line.strip_prefix("#!").ok_or(BadScript::NoInterpreter)?.split_ascii_whitespace();
        let program = words.next().filter(|program| program.starts_with('/'));
        let program = program.ok_or(BadScript::NoInterpreter)?;
        match (program.rsplit('/').next(), words.find(|word| !word.starts_with('-'))) {
            (Some("env"), Some(name)) => Ok(name),
            _ => Ok(program),
        }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Script({}, {} bytes)", self.stage, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_places_are_told_apart() {
        let inline = ScriptSource::parse("\n#!/bin/sh\necho secret\n").unwrap();
        assert_eq!(inline, ScriptSource::Inline("#!/bin/sh\necho secret\n".into()));
        assert!(!format!("{inline:?} {inline}").contains("secret"));
        let said = |text| ScriptSource::parse(text).unwrap().to_string();
        assert_eq!(said("/hooks/a.sh"), "hooks/a.sh on the medium");
        assert_eq!(said("https://192.0.2.1/a.sh"), "https://192.0.2.1/a.sh");
        for bad in ["", "echo hello", "a.sh", "ftp://x/y", "/../a.sh"] {
            assert!(ScriptSource::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_first_line_says_what_runs_it() {
        let of = |text: &'static str| Script::interpreter(text.as_bytes());
        assert_eq!(of("#!/bin/bash -e\n"), Ok("/bin/bash"));
        assert_eq!(of("#! /bin/sh"), Ok("/bin/sh"));
        assert_eq!(of("#!/usr/bin/env -S python3 -u\n"), Ok("python3"));
        assert_eq!(of("#!/usr/bin/env"), Ok("/usr/bin/env"));
        for bad in ["", "<!doctype html>", "#!", "#!bash\n", "echo #!/bin/sh"] {
            assert_eq!(of(bad), Err(BadScript::NoInterpreter), "{bad}");
        }
        assert_eq!(of("#!/bin/sh\r\n"), Err(BadScript::CarriageReturn));
        assert_eq!(Script::interpreter(b"#!\xff/\n"), Err(BadScript::NoInterpreter));
    }
}
