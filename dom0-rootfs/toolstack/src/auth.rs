// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may log in.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use xapi_model::Role;

/// Checks names and passwords.
pub trait Authenticator: Send + Sync {
    /// The role of a user who gave the right password; none for anybody else. An error is the
    /// host's fault, not the user's.
    fn check(&self, user: &str, password: &str) -> anyhow::Result<Option<Role>>;
}

/// Root's password in `/etc/shadow`, as SHA-512-crypt (`$6$`). Read at each login, so a changed
/// password counts at once. No name service is asked: only root can log in.
#[derive(Debug)]
pub struct ShadowFile {
    path: PathBuf,
    /// One check at a time: each costs milliseconds of CPU, which must not be multiplied.
    turn: Mutex<()>,
}

impl ShadowFile {
    /// Passwords of this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), turn: Mutex::new(()) }
    }
}

impl Authenticator for ShadowFile {
    fn check(&self, user: &str, password: &str) -> anyhow::Result<Option<Role>> {
        use anyhow::Context as _;
        if user != "root" {
            return Ok(None);
        }
        let text = fs::read_to_string(&self.path)
            .with_context(|| format!("reading {}", self.path.display()))?;
        let hash = text.lines().find_map(|line| {
            let mut parts = line.split(':');
            (parts.next() == Some(user)).then(|| parts.next()).flatten()
        });
        // Anything but SHA-512-crypt (`*`, `!`, empty, another scheme) lets nobody in.
        let Some(hash) = hash.filter(|hash| hash.starts_with("$6$")) else { return Ok(None) };
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(sha_crypt::sha512_check(password, hash).is_ok().then_some(Role::PoolAdmin))
    }
}

/// One password for root, given on the command line of the simulator.
#[derive(Debug)]
pub struct FixedPassword(pub String);

impl Authenticator for FixedPassword {
    fn check(&self, user: &str, password: &str) -> anyhow::Result<Option<Role>> {
        Ok((user == "root" && password == self.0).then_some(Role::PoolAdmin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_of_a_shadow_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shadow");
        let hash = sha_crypt::sha512_simple("secret", &sha_crypt::Sha512Params::new(5000).unwrap())
            .unwrap();
        fs::write(&path, format!("daemon:*:1::::::\nroot:{hash}:19000:0:99999:7:::\n")).unwrap();
        let shadow = ShadowFile::new(&path);
        assert_eq!(shadow.check("root", "secret").unwrap(), Some(Role::PoolAdmin));
        assert_eq!(shadow.check("root", "Secret").unwrap(), None);
        assert_eq!(shadow.check("root", "").unwrap(), None);
        assert_eq!(shadow.check("daemon", "secret").unwrap(), None);
        for hash in ["", "*", "!", "!$6$x$y", "secret"] {
            fs::write(&path, format!("root:{hash}:19000:0:99999:7:::\n")).unwrap();
            assert_eq!(shadow.check("root", "").unwrap(), None, "{hash}");
            assert_eq!(shadow.check("root", "secret").unwrap(), None, "{hash}");
        }
        fs::remove_file(&path).unwrap();
        assert!(shadow.check("root", "secret").is_err());
    }

    #[test]
    fn a_hash_of_another_program_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shadow");
        // openssl passwd -6 -salt saltstring 'Hello world!'
        let hash = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJu\
                    esI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
        fs::write(&path, format!("root:{hash}:19000:0:99999:7:::\n")).unwrap();
        let shadow = ShadowFile::new(&path);
        assert_eq!(shadow.check("root", "Hello world!").unwrap(), Some(Role::PoolAdmin));
    }
}
