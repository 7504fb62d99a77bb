// SPDX-License-Identifier: MIT OR Apache-2.0
//! Trust in a server's certificate: the one seen first, as `ssh` has it.
//!
//! Hosts make their own certificate, so there is no authority to ask. The fingerprint of the first
//! one that a server shows is kept in `~/.xe-known-hosts`; another one later is refused.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use certificate_pin::Fingerprint;
use rustls::pki_types::CertificateDer;

/// What is known of servers' certificates.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// Any will do.
    Any,
    /// What the file says; servers that are not in it are added.
    File(PathBuf),
}

impl Trust {
    /// Decides on the certificate that a server showed.
    pub(crate) fn check(&self, server: &str, certificate: &CertificateDer<'_>) -> Result<()> {
        let Trust::File(path) = self else {
            return Ok(());
        };
        let shown = Fingerprint::of(certificate);
        if let Some(known) = kept(path, server)? {
            if known == shown.to_string() {
                return Ok(());
            }
            bail!(
                "{server} shows another certificate than before: {shown}. If it was installed \
                 anew, remove its line from {} and connect again",
                path.display()
            );
        }
        let doing = || format!("adding {server} to {}", path.display());
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| writeln!(file, "{server} {shown}"))
            .with_context(doing)?;
        eprintln!("{server} is new; its certificate is kept in {}: {shown}", path.display());
        Ok(())
    }

    /// Whether a server was seen before, or any certificate will do.
    pub(crate) fn knows(&self, server: &str) -> bool {
        match self {
            Trust::Any => true,
            Trust::File(path) => matches!(kept(path, server), Ok(Some(_))),
        }
    }
}

/// The fingerprint that is kept of a server.
fn kept(path: &Path, server: &str) -> Result<Option<String>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).context(format!("reading {}", path.display())),
    };
    let mut known = text.lines().filter_map(|line| line.split_once(' '));
    Ok(known.find(|(name, _)| *name == server).map(|(_, known)| known.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_kept_and_another_refused() {
        let dir = tempfile::tempdir().unwrap();
        let trust = Trust::File(dir.path().join("known"));
        let (one, two) = (CertificateDer::from(vec![1]), CertificateDer::from(vec![2]));
        assert!(!trust.knows("a:443") && Trust::Any.knows("a:443"));
        trust.check("a:443", &one).unwrap();
        trust.check("a:443", &one).unwrap();
        assert!(trust.knows("a:443"));
        trust.check("b:443", &two).unwrap();
        let error = trust.check("a:443", &two).unwrap_err();
        assert!(error.to_string().starts_with("a:443 shows another certificate"), "{error}");
        Trust::Any.check("a:443", &two).unwrap();
        let text = fs::read_to_string(dir.path().join("known")).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(
            text.starts_with("a:443 4B:F5:12:2F:34:45:54:C5:3B:DE:2E:BB:8C:D2:B7:E3:"),
            "{text}"
        );
    }

    #[test]
    fn trust_that_cannot_be_kept_is_an_error() {
        let trust = Trust::File("/nope/known".into());
        assert!(trust.check("a:443", &CertificateDer::from(vec![1])).is_err());
    }
}
