// SPDX-License-Identifier: MIT OR Apache-2.0
//! The person's configuration: `~/.config/xenith/config.toml`.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What the file may say; all of it is optional, and so is the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Where the file is or would be.
    #[serde(skip)]
    pub path: PathBuf,
    /// Address of a Debian mirror, ending in `/debian`.
    pub mirror: Option<String>,
    /// Address of the security archive, where it is not beside the mirror.
    pub security_mirror: Option<String>,
    /// Address of a snapshot archive, below which `debian/20261123T101500Z/` is.
    pub snapshot: Option<String>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("reading the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is not TOML, or says something unknown.
    #[error("reading the configuration {}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<toml::de::Error>,
    },
}

impl Config {
    /// The file in `$XDG_CONFIG_HOME/xenith` or `~/.config/xenith`, or nothing where there is none.
    ///
    /// # Errors
    /// It is there and cannot be used.
    pub fn of_user() -> Result<Self, ConfigError> {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let folder = var("XDG_CONFIG_HOME").or_else(|| var("HOME").map(|h| h.join(".config")));
        match folder {
            Some(folder) => Self::read(&folder.join("xenith/config.toml")),
            None => Ok(Self::default()),
        }
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let own = || path.to_owned();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(ConfigError::Read { path: own(), source }),
        };
        let config: Self = toml::from_str(&text)
            .map_err(|e| ConfigError::Syntax { path: own(), source: Box::new(e) })?;
        Ok(Self { path: own(), ..config })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_says_nothing_and_a_wrong_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        assert_eq!(
            Config::read(&path).unwrap(),
            Config { path: path.clone(), ..Config::default() }
        );
        std::fs::write(&path, "mirror = 'http://a/debian'").unwrap();
        assert_eq!(Config::read(&path).unwrap().mirror.as_deref(), Some("http://a/debian"));
        std::fs::write(&path, "miror = 'http://a/debian'").unwrap();
        let error = Config::read(&path).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("miror"), "{cause}");
    }
}
