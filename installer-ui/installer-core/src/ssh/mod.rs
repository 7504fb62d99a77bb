// SPDX-License-Identifier: MIT OR Apache-2.0
//! The installer over SSH, if the kernel command line asks for it: who may come in, how OpenSSH's
//! server is told so, and what the consoles show. Pure.

mod key;

use std::fmt;

use uuid::Uuid;

use crate::answers::{BadField, PasswordHash, SshKey};
use crate::cmdline;

pub use key::BadKey;

/// The word that asks for it.
pub const WORD: &str = "xenith.ssh";
/// The word with a password.
const PASSWORD: &str = "xenith.ssh-password";
/// The word with a public key.
const KEY: &str = "xenith.ssh-key";
/// The only account that may come in. It has root's id, and exists only in the memory of this start.
pub const USER: &str = "installer";
/// Letters of random passwords: none that looks like another one.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Of a random password; each is worth five bits.
const LENGTH: usize = 12;

/// How a person proves that they may come in.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// By the password of the kernel command line.
    Given(String),
    /// By a random one, which the consoles show.
    Random(String),
    /// By this key alone.
    Key(SshKey),
}

/// Never shows a password.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given(_) => "Given(…)",
            Self::Random(_) => "Random(…)",
            Self::Key(_) => "Key(…)",
        })
    }
}

/// Why nobody may come in although it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// The password.
    #[error("{PASSWORD} on the kernel command line cannot be used")]
    Password(#[source] BadField),
    /// The key.
    #[error("{KEY} on the kernel command line cannot be used")]
    Key(#[source] BadKey),
    /// Both.
    #[error("{PASSWORD} and {KEY} are both on the kernel command line: leave one of them out")]
    Both,
}

impl Proof {
    /// What the kernel command line asks for; none if it does not have [`WORD`]. `random` makes the
    /// password if it names neither password nor key.
    ///
    /// # Errors
    /// See [`BadRequest`].
    pub fn of(line: &str, random: Uuid) -> Result<Option<Self>, BadRequest> {
        if !cmdline::has(line, WORD) {
            return Ok(None);
        }
        match (cmdline::value(line, PASSWORD), cmdline::value(line, KEY)) {
            (Some(_), Some(_)) => Err(BadRequest::Both),
            (Some(password), None) => {
                PasswordHash::of_plain(password).map_err(BadRequest::Password)?;
                Ok(Some(Self::Given(password.to_owned())))
            }
            (None, Some(blob)) => Ok(Some(Self::Key(key::parse(blob).map_err(BadRequest::Key)?))),
            (None, None) => Ok(Some(Self::Random(password(random)))),
        }
    }

    /// The account's line for passwd(5). The password's hash stands in it and not in shadow(5),
    /// which is copied to the installed host.
    ///
    /// # Errors
    /// The password cannot be hashed.
    pub fn account(&self) -> Result<String, BadField> {
        let hash = match self {
            Self::Given(password) | Self::Random(password) => PasswordHash::of_plain(password)?,
            // No password fits it, and sshd does not take it for a locked account.
            Self::Key(_) => return Ok(format!("{USER}:*:0:0:Installer:/root:/bin/bash\n")),
        };
        Ok(format!("{USER}:{}:0:0:Installer:/root:/bin/bash\n", hash.as_crypt()))
    }

    /// The content of the file of [`Self::configuration`]'s AuthorizedKeysFile.
    #[must_use]
    pub fn authorized_keys(&self) -> String {
        match self {
            Self::Key(key) => format!("{}\n", key.as_str()),
            Self::Given(_) | Self::Random(_) => String::new(),
        }
    }

    /// sshd_config(5), with the host's key and authorized keys in `folder`, and `session` run for
    /// whoever comes in, whatever they ask for.
    #[must_use]
    pub fn configuration(&self, folder: &str, session: &str) -> String {
        let by_key = matches!(self, Self::Key(_));
        let (password, key) = if by_key { ("no", "yes") } else { ("yes", "no") };
        format!(
            "# Written by the installer, for this start only.\n\
             HostKey {folder}/host_key\n\
             PidFile none\n\
             AllowUsers {USER}\n\
             PermitRootLogin yes\n\
             PasswordAuthentication {password}\n\
             PubkeyAuthentication {key}\n\
             AuthorizedKeysFile {folder}/authorized_keys\n\
             KbdInteractiveAuthentication no\n\
             UsePAM no\n\
             UseDNS no\n\
             DisableForwarding yes\n\
             PermitUserRC no\n\
             MaxAuthTries 3\n\
             LoginGraceTime 60\n\
             ForceCommand {session}\n"
        )
    }
}

/// Twelve letters out of 60 random bits, in three groups.
fn password(random: Uuid) -> String {
    // The bits of a random id that are fixed (RFC 9562, section 5.4) are in its upper half and in
    // the first two of its lower one.
    let mut bits = random.as_u128();
    let mut text = String::new();
    for at in 0..LENGTH {
        if at > 0 && at % 4 == 0 {
            text.push('-');
        }
        text.push(char::from(LETTERS[usize::try_from(bits % 32).unwrap_or_default()]));
        bits /= 32;
    }
    text
}

/// What the consoles show, so that a person elsewhere can come in and knows whom they reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Addresses of this machine.
    pub addresses: Vec<String>,
    /// How it is proved that one may come in.
    pub proof: Proof,
    /// Of the host's key, as ssh(1) shows it.
    pub fingerprint: String,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.addresses.first().map_or("?", String::as_str);
        write!(f, "Over SSH: ssh {USER}@{first}")?;
        match &self.proof {
            Proof::Given(_) => writeln!(f, "   with the password of the boot line")?,
            Proof::Random(password) => writeln!(f, "   password {password}")?,
            Proof::Key(_) => writeln!(f, "   with the key of the boot line")?,
        }
        if let [_, others @ ..] = self.addresses.as_slice()
            && !others.is_empty()
        {
            writeln!(f, "also at {}", others.join(", "))?;
        }
        write!(f, "key of this machine {}", self.fingerprint)
    }
}

/// Takes the addresses out of what `ip -json address show scope global` prints (ip(8)).
///
/// # Errors
/// It is not that.
pub fn addresses(json: &str) -> Result<Vec<String>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Link {
        #[serde(default)]
        addr_info: Vec<Address>,
    }
    #[derive(serde::Deserialize)]
    struct Address {
        local: Option<String>,
    }
    let links: Vec<Link> = serde_json::from_str(json)?;
    let found = links.into_iter().flat_map(|link| link.addr_info);
    Ok(found.filter_map(|address| address.local).collect())
}

#[cfg(test)]
mod tests;
