// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where files come from. No address is written into this program: they are the person's.
//!
//! In this order: the option, the environment (`XENITH_MIRROR`), the person's configuration, the
//! Debian mirrors of the host's own apt configuration, and last a snapshot archive, where the
//! configuration (or `XENITH_SNAPSHOT`) names one.

use appliance_model::lock::Archive;

use super::{AptError, Config, ConfigError, apt};

/// One place that serves Debian's archives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Who named it: `--mirror`, a file's path.
    pub named_by: String,
    debian: Option<String>,
    security: Option<String>,
}

/// All places, in the order in which they are tried. None is no error until something must be
/// fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors(pub Vec<Mirror>);

/// The variable that names a mirror, after the option.
pub const MIRROR: &str = "XENITH_MIRROR";
/// The variable that forbids to fetch where there is no option `--offline`: set to anything but
/// nothing. `cargo xtask test` sets it for the tests.
pub const OFFLINE: &str = "XENITH_OFFLINE";

/// Whether [`OFFLINE`] is set.
#[must_use]
pub fn is_offline() -> bool {
    std::env::var_os(OFFLINE).is_some_and(|value| !value.is_empty())
}

/// What to do where nobody names a mirror.
pub(crate) const NO_MIRROR: &str = "no Debian mirror is known: give one with \
    --mirror http://HOST/debian, in XENITH_MIRROR, or as mirror = \"http://HOST/debian\" in \
    ~/.config/xenith/config.toml";

/// There is no usable mirror.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Not an http or https address.
    #[error("the mirror {address:?} named by {named_by} is not an http:// or https:// address")]
    Address {
        /// What was given.
        address: String,
        /// Where.
        named_by: String,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The host's apt configuration cannot be read.
    #[error(transparent)]
    Apt(#[from] AptError),
}

impl Mirror {
    /// A mirror at `address`, which serves the main archive there and the security archive beside
    /// it (`…/debian` and `…/debian-security`).
    ///
    /// # Errors
    /// It is not an address.
    pub fn at(address: &str, named_by: &str) -> Result<Self, MirrorError> {
        let debian = checked(address, named_by)?;
        let top = debian.strip_suffix("/debian").unwrap_or(&debian);
        Ok(Self {
            named_by: named_by.to_owned(),
            debian: Some(format!("{top}/debian")),
            security: Some(format!("{top}/debian-security")),
        })
    }

    /// The address of an archive on this mirror.
    pub fn base(&self, archive: Archive) -> Option<&str> {
        match archive {
            Archive::Debian => self.debian.as_deref(),
            Archive::DebianSecurity => self.security.as_deref(),
        }
    }
}

impl Mirrors {
    /// All that the person and the host name. `option` is `--mirror`'s, `timestamp` the lock's,
    /// for a snapshot archive.
    ///
    /// # Errors
    /// One is not an address, or a configuration cannot be read.
    pub fn find(option: Option<&str>, timestamp: Option<&str>) -> Result<Self, MirrorError> {
        let config = Config::of_user()?;
        let environment = std::env::var(MIRROR).ok().filter(|v| !v.is_empty());
        let snapshot = std::env::var("XENITH_SNAPSHOT").ok().filter(|v| !v.is_empty());
        let snapshot = snapshot.or(config.snapshot.clone());
        Self::gather(option, environment, config, apt::of_host()?, snapshot.zip(timestamp))
    }

    fn gather(
        option: Option<&str>,
        environment: Option<String>,
        config: Config,
        apt: Vec<(Archive, String, String)>,
        snapshot: Option<(String, &str)>,
    ) -> Result<Self, MirrorError> {
        let mut mirrors = Vec::new();
        if let Some(address) = option {
            mirrors.push(Mirror::at(address, "--mirror")?);
        }
        if let Some(address) = environment {
            mirrors.push(Mirror::at(&address, MIRROR)?);
        }
        let named_by = config.path.display().to_string();
        if let Some(address) = &config.mirror {
            let mut mirror = Mirror::at(address, &named_by)?;
            if let Some(security) = &config.security_mirror {
                mirror.security = Some(checked(security, &named_by)?);
            }
            mirrors.push(mirror);
        }
        for (archive, address, named_by) in apt {
            let address = checked(&address, &named_by)?;
            let (debian, security) = match archive {
                Archive::Debian => (Some(address), None),
                Archive::DebianSecurity => (None, Some(address)),
            };
            mirrors.push(Mirror { named_by, debian, security });
        }
        if let Some((address, timestamp)) = snapshot {
            let top = checked(&address, "the snapshot setting")?;
            mirrors.push(Mirror {
                named_by: "the snapshot setting".to_owned(),
                debian: Some(format!("{top}/debian/{timestamp}")),
                security: Some(format!("{top}/debian-security/{timestamp}")),
            });
        }
        Ok(Self(mirrors))
    }

    /// The addresses of a file, in the order in which they are tried.
    pub fn urls(&self, archive: Archive, path: &str) -> Vec<String> {
        let mut urls: Vec<String> = Vec::new();
        for base in self.0.iter().filter_map(|mirror| mirror.base(archive)) {
            // `+` and `~` are allowed in a path, and mirrors serve them so.
            let url = format!("{base}/{path}");
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls
    }
}

fn checked(address: &str, named_by: &str) -> Result<String, MirrorError> {
    let rest = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split('/').next().unwrap_or_default());
    let plain = |c: char| c.is_ascii_graphic() && !"\"<>?#\\".contains(c);
    if host.is_none_or(str::is_empty) || !address.chars().all(plain) {
        let (address, named_by) = (address.to_owned(), named_by.to_owned());
        return Err(MirrorError::Address { address, named_by });
    }
    Ok(address.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_option_environment_config_apt_snapshot() {
        let config = Config {
            mirror: Some("http://config.test/debian/".into()),
            security_mirror: Some("http://security.test/sec".into()),
            ..Config::default()
        };
        let apt = vec![(Archive::Debian, "http://apt.test/debian/".into(), "sources".into())];
        let snapshot = Some(("https://snap.test/archive".to_owned(), "20260101T000000Z"));
        let env = Some("http://env.test".to_owned());
        let mirrors =
            Mirrors::gather(Some("http://option.test/debian"), env, config, apt, snapshot).unwrap();
        assert_eq!(
            mirrors.urls(Archive::Debian, "pool/a"),
            [
                "http://option.test/debian/pool/a",
                "http://env.test/debian/pool/a",
                "http://config.test/debian/pool/a",
                "http://apt.test/debian/pool/a",
                "https://snap.test/archive/debian/20260101T000000Z/pool/a",
            ]
        );
        assert_eq!(
            mirrors.urls(Archive::DebianSecurity, "pool/a"),
            [
                "http://option.test/debian-security/pool/a",
                "http://env.test/debian-security/pool/a",
                "http://security.test/sec/pool/a",
                "https://snap.test/archive/debian-security/20260101T000000Z/pool/a",
            ]
        );
    }

    #[test]
    fn none_is_no_error_yet_and_bad_ones_are_named() {
        let none = Mirrors::gather(None, None, Config::default(), Vec::new(), None).unwrap();
        assert_eq!(none, Mirrors::default());
        for bad in ["mirror.test/debian", "ftp://a/debian", "http://", "http:///x", "http://a b"] {
            let error = Mirror::at(bad, "--mirror").unwrap_err().to_string();
            assert!(error.contains("--mirror"), "{error}");
        }
    }
}
