// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the person who installs decides: the answer file, or the same things typed into screens.
//!
//! ```toml
//! hostname = "xen1"
//! root-password = "correct horse"      # or root-password-hash = "$6$…"
//! ssh-keys = ["ssh-ed25519 AAAA… me"]
//! on-success = "reboot"                # or poweroff, shell
//! keymap = "de"                         # left out: us
//!
//! [disk]
//! device = "/dev/sda"                  # or rules: serial, filter, min-size, max-size, select
//! mirror = { device = "/dev/sdb" }     # software RAID 1; left out: one disk
//! wipe = true                          # consent: everything on these disks is lost
//! # or, for a host that is there:
//! keep-storage = true                  # guests and their storage stay; [storage] is left out
//!
//! [network]
//! interface = "eth0"                   # or mac = "52:54:00:12:34:56"
//! mode = "static"                      # or dhcp, none
//! address = "192.0.2.10/24"
//! gateway = "192.0.2.1"
//! dns = ["192.0.2.53"]
//! vlan = 42                            # left out: untagged
//! mtu = 9000                           # left out: what the card has
//! bond = { mode = "lacp", members = ["eth0", "eth1"] }
//! ipv6 = { mode = "auto" }             # or dhcp, static with address and gateway
//!
//! [storage]
//! type = "ext"                         # or lvm-thin, none
//! disks = [{ serial = "WD-*" }]        # besides the rest of the system disk
//! system-disk = true                   # false: on those disks only
//!
//! [time]
//! ntp = ["ntp.example.org"]            # left out: Debian's
//! zone = "Europe/Berlin"               # left out: UTC
//!
//! [pool]
//! name = "Rack 4"
//! ```

mod bytes;
mod check;
mod fields;
mod glob;
mod hooks;
mod network;
mod raw;
mod regional;
mod schema;
mod xml;

use std::collections::BTreeMap;
use std::path::PathBuf;

use appliance_model::handover::LocalSrKind;

use crate::hooks::HookAnswers;
use crate::report::Webhook;
use crate::web::Proxy;
pub use bytes::bytes;
pub use fields::{
    BadField, Hostname, MacAddress, NtpServer, PasswordHash, SshKey, ipv4_cidr, ipv4_gateway,
    ipv6_cidr, ipv6_gateway,
};

pub use glob::Glob;
pub use network::{
    BOND_HASHES, BOND_MODES, BondChoice, InterfaceChoice, NetworkAnswer, mtu, name_server, vlan_tag,
};
pub use regional::{Keymap, RegionalAnswer, TimeZone};
pub use schema::schema;

/// Everything the plan needs, valid in itself; whether it fits the machine is the plan's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// The disk that is wiped, or that of the host that is installed again.
    pub disk: DiskChoice,
    /// Whether guests, their storage and their records stay of a host that is there.
    pub keep: bool,
    /// A second one, which gets the same content; none: no mirror.
    pub mirror: Option<DiskChoice>,
    /// Name of the host.
    pub hostname: Hostname,
    /// The management interface; none: the first card with DHCP, found at every first start.
    pub network: Option<NetworkAnswer>,
    /// Root's password; plain text is hashed as soon as it is read.
    pub root_password: PasswordHash,
    /// Keys that may log in as root; with at least one, the SSH server is switched on.
    pub ssh_keys: Vec<SshKey>,
    /// Switches the SSH server on without keys too.
    pub ssh: bool,
    /// The local SR; none: no local SR.
    pub storage: Option<StorageAnswer>,
    /// Time servers; none: Debian's.
    pub ntp: Vec<NtpServer>,
    /// Keyboard and time zone.
    pub regional: RegionalAnswer,
    /// `name_label` of the pool; may be empty.
    pub pool_name: String,
    /// What happens after a success.
    pub on_success: OnSuccess,
    /// Scripts that run during the installation.
    pub hooks: HookAnswers,
    /// A server that is told how it ended.
    pub webhook: Option<Webhook>,
    /// The way of the host's shells, and of scripts and reports, to HTTP servers.
    pub proxy: Option<Proxy>,
}

/// How the disk is named. Unless exactly one disk is meant, the plan refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskChoice {
    /// A device path, links below `/dev/disk` included.
    Device(PathBuf),
    /// That of the only host that is installed on the machine.
    Installed,
    /// The one that all rules leave.
    Rules(DiskRules),
}

/// Rules of which all must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskRules {
    /// Every property must match; names as udev has them (`ID_MODEL`, `ID_SERIAL_SHORT`, …).
    pub properties: BTreeMap<String, Glob>,
    /// In bytes.
    pub min_size: Option<u64>,
    /// In bytes.
    pub max_size: Option<u64>,
    /// Of those that match otherwise the smallest that can be used; two of that size are ambiguous.
    pub smallest: bool,
}

/// The local SR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageAnswer {
    /// What lies on it.
    pub kind: LocalSrKind,
    /// Whether the rest of the system disk, or of its mirror, is part of it.
    pub on_system: bool,
    /// More disks that are part of it; they are wiped.
    pub disks: Vec<DiskChoice>,
}

impl StorageAnswer {
    /// Of this kind on the rest of the system disk.
    pub fn on_system(kind: LocalSrKind) -> Self {
        Self { kind, on_system: true, disks: Vec::new() }
    }
}

/// What happens after a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnSuccess {
    /// Starts the installed host.
    #[default]
    Reboot,
    /// Switches the machine off.
    Poweroff,
    /// Leaves a shell.
    Shell,
}

/// An answer file that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerFile {
    /// What it says.
    pub answers: Answers,
    /// What is written in it and has no meaning here, for the person to know. Only a file of
    /// XenServer's kind has such.
    pub notes: Vec<Note>,
}

/// Something that an answer file says in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The element or attribute.
    pub about: String,
    /// What holds instead.
    pub text: String,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "note: {}: {}", self.about, self.text)
    }
}

impl AnswerFile {
    /// Reads and checks the text of an answer file: TOML, or XML as XenServer and XCP-ng have it,
    /// which begins with `<`.
    ///
    /// # Errors
    /// Every finding in the file; see [`AnswersError`].
    pub fn read(text: &str) -> Result<Self, AnswersError> {
        let text = text.trim_start_matches('\u{feff}');
        match text.trim_start().starts_with('<') {
            true => xml::read(text),
            false => Ok(Self { answers: Answers::from_toml(text)?, notes: Vec::new() }),
        }
    }
}

/// Why an answer file is refused: every finding, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct AnswersError {
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted key or `<element>`, empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    fn new(key: &str, message: impl Into<String>) -> Self {
        Self { key: key.to_owned(), message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl AnswersError {
    fn text(&self) -> String {
        let mut lines = Vec::new();
        for problem in &self.problems {
            match problem.key.as_str() {
                "" => lines.push(problem.message.trim_end().to_owned()),
                key => lines.push(format!("{key}: {}", problem.message)),
            }
            lines.extend(problem.hint.iter().map(|hint| format!("  hint: {hint}")));
        }
        lines.join("\n")
    }
}

impl Answers {
    /// Reads and checks the text of an answer file in TOML; see [`AnswerFile::read`] for any kind.
    ///
    /// # Errors
    /// Every finding in the file; see [`AnswersError`].
    pub fn from_toml(text: &str) -> Result<Self, AnswersError> {
        check::check(raw::parse(text)?)
    }
}

#[cfg(test)]
mod tests;
