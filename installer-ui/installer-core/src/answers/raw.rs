// SPDX-License-Identifier: MIT OR Apache-2.0
//! The answer file as it is written, before any check of the values.

use std::collections::BTreeMap;

use appliance_model::nearest;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::schema::{self, alone_or_any, kept_without, one_of, schema, wiped_or_kept, words};
use super::{AnswersError, Problem, check, network};
use crate::hooks::HookAnswers;

/// Answers for an unattended installation of Xenith.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "Xenith answer file")]
#[schemars(extend("oneOf" = one_of(&["root-password", "root-password-hash"])))]
#[schemars(extend("not" = kept_without("storage")))]
pub(super) struct RawAnswers {
    /// Name of the host, with or without a domain.
    #[schemars(required)]
    pub(super) hostname: Option<String>,
    /// Root's password in plain text, at least 6 characters.
    pub(super) root_password: Option<String>,
    /// Root's password as a SHA-512 crypt hash, $6$salt$hash, as `openssl passwd -6` prints it.
    pub(super) root_password_hash: Option<String>,
    /// Public keys that may log in as root, as in authorized_keys. They switch the SSH server on.
    #[serde(default)]
    pub(super) ssh_keys: Vec<String>,
    /// Switches the SSH server on without keys too.
    pub(super) ssh: Option<bool>,
    /// What the machine does after a success; reboot if it is left out.
    #[schemars(extend("enum" = words(check::ON_SUCCESS)))]
    pub(super) on_success: Option<String>,
    /// The keyboard of the host's console, such as de or fr-latin9; us if it is left out.
    pub(super) keymap: Option<String>,
    /// The disk that is installed on.
    #[schemars(required)]
    pub(super) disk: Option<RawDisk>,
    /// The management network; left out: the first card, by DHCP.
    pub(super) network: Option<RawNetwork>,
    /// Local storage for guests.
    pub(super) storage: Option<RawStorage>,
    /// The host's clock.
    pub(super) time: Option<RawTime>,
    /// The pool that the host is.
    pub(super) pool: Option<RawPool>,
    /// Scripts that run during the installation: each a script that begins with #!, an address
    /// (https, http, nfs), or a path on the medium.
    pub(super) hooks: Option<RawHooks>,
    /// A server that is told how the installation ended.
    pub(super) webhook: Option<RawWebhook>,
}

/// A table that names one disk, by its path or by rules of which all hold, and may say more. (Flattened structures would give
/// errors without the line.)
macro_rules! disk_table {
    ($name:ident, $one_of:expr, { $($(#[$meta:meta])* $field:ident: $kind:ty,)* }) => {
        #[derive(Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        #[schemars(extend("oneOf" = $one_of))]
        pub(super) struct $name {
            /// A device path, such as /dev/sda; links below /dev/disk too.
            pub(super) device: Option<String>,
            /// The disk's serial number; * and ? are wildcards.
            pub(super) serial: Option<String>,
            /// udev properties that must all match, such as ID_MODEL; * and ? are wildcards.
            pub(super) filter: Option<BTreeMap<String, String>>,
            /// The disk has at least this size, such as "480 GB" or "1 TiB".
            pub(super) min_size: Option<String>,
            /// The disk has at most this size.
            pub(super) max_size: Option<String>,
            /// Of those that match, the smallest disk that can be used and is not removable.
            #[schemars(extend("enum" = words(check::SELECT)))]
            pub(super) select: Option<String>,
            $($(#[$meta])* pub(super) $field: $kind,)*
        }
    };
}

disk_table!(RawChoice, alone_or_any("device", check::RULES), {});

disk_table!(RawDisk, wiped_or_kept("device", check::RULES), {
    /// A second disk with the same content, so that the host outlives the loss of either.
    mirror: Option<RawChoice>,
    /// Consent: everything on every disk that is named is lost.
    #[schemars(extend("const" = true))]
    wipe: Option<bool>,
    /// Instead of wipe: the host that is installed on the disk is installed again, and its guests, their
    /// storage and their records stay. Without the name of a disk it is the only host on the machine.
    #[schemars(extend("const" = true))]
    keep_storage: Option<bool>,
});

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawNetwork {
    /// The kernel's name of the card. This or mac is needed only with several cards.
    pub(super) interface: Option<String>,
    /// The card's MAC address.
    pub(super) mac: Option<String>,
    /// How the IPv4 address is found.
    #[schemars(required, extend("enum" = words(network::MODES)))]
    pub(super) mode: Option<String>,
    /// The IPv4 address with prefix length, such as 192.0.2.10/24, if mode is "static".
    pub(super) address: Option<String>,
    /// The default gateway, if mode is "static".
    pub(super) gateway: Option<String>,
    /// Addresses of name servers, of both families, if an address is "static" or IPv6 is "auto".
    #[serde(default)]
    pub(super) dns: Vec<String>,
    /// The VLAN tag that the management traffic has; left out: none.
    #[schemars(range(min = 1, max = 4094))]
    pub(super) vlan: Option<i64>,
    /// The cards' MTU in bytes; at least 1280 with IPv6.
    #[schemars(range(min = 576, max = 9216))]
    pub(super) mtu: Option<i64>,
    /// Several cards that act as one, instead of interface or mac.
    pub(super) bond: Option<RawBond>,
    /// IPv6; left out: none.
    pub(super) ipv6: Option<RawIpv6>,
    /// The HTTP proxy, http://[NAME:PASSWORD@]HOST:PORT, for scripts and reports, and for shells on the
    /// host.
    pub(super) proxy: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawBond {
    /// How the cards share the work; lacp wants the switch's ports set to it.
    #[schemars(required, extend("enum" = words(network::BOND_MODES)))]
    pub(super) mode: Option<String>,
    /// What lacp chooses the link of a frame by; tcpudp-ports if it is left out.
    #[schemars(extend("enum" = words(network::BOND_HASHES)))]
    pub(super) hash: Option<String>,
    /// The cards, by MAC address or by the kernel's name. The first one's MAC address is the bond's.
    #[serde(default)]
    #[schemars(required, length(min = 2, max = 8))]
    pub(super) members: Vec<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawIpv6 {
    /// How IPv6 addresses are found; auto: by what routers announce.
    #[schemars(required, extend("enum" = words(network::IPV6_MODES)))]
    pub(super) mode: Option<String>,
    /// The address with prefix length, such as 2001:db8::10/64, if mode is "static".
    pub(super) address: Option<String>,
    /// The default gateway, if mode is "static"; it may be link-local.
    pub(super) gateway: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawStorage {
    /// Image files on ext4, thin logical volumes, or no local storage; ext if it is left out.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = words(check::STORAGE)))]
    pub(super) kind: Option<String>,
    /// More disks for the same storage, each named as the system disk is. They are wiped too.
    #[serde(default)]
    pub(super) disks: Vec<RawChoice>,
    /// Whether the rest of the system disk is part of it; true if it is left out.
    pub(super) system_disk: Option<bool>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawTime {
    /// Names or addresses of the time servers that are asked instead of Debian's.
    #[serde(default)]
    pub(super) ntp: Vec<String>,
    /// The time zone of the host, such as Europe/Berlin; UTC if it is left out.
    pub(super) zone: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawPool {
    /// Its name; none if it is left out.
    pub(super) name: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawHooks {
    /// Runs before anything is written. If it fails nothing is installed.
    pub(super) before: Option<String>,
    /// Runs when everything but the boot loader is on the disk; $XENITH_ROOT is the installed root. If
    /// it fails the installation fails.
    pub(super) populated: Option<String>,
    /// Runs after the installation. If it fails that is said, and the host is installed all the same.
    pub(super) completed: Option<String>,
    /// Seconds that each of them may take; 600 if it is left out.
    #[schemars(range(min = 1, max = HookAnswers::LONGEST))]
    pub(super) timeout: Option<i64>,
    /// SHA-256 fingerprint of the certificate of the https server that has the scripts.
    pub(super) certificate_sha256: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawWebhook {
    /// The http or https address to which a report is posted as JSON, after a success and a failure.
    #[schemars(required)]
    pub(super) url: Option<String>,
    /// SHA-256 fingerprint of the certificate of that server.
    pub(super) certificate_sha256: Option<String>,
}

pub(super) fn parse(text: &str) -> Result<RawAnswers, AnswersError> {
    let syntax = |error| syntax(text, &error);
    let table: toml::Table = text.parse().map_err(syntax)?;
    let mut problems = Vec::new();
    unknown_keys("", &table, schema(), &mut problems);
    if !problems.is_empty() {
        return Err(AnswersError { problems });
    }
    toml::from_str(text).map_err(syntax)
}

fn syntax(text: &str, error: &toml::de::Error) -> AnswersError {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let number = text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let secret = ["passw", "rootpw"].iter().any(|word| line.to_lowercase().contains(word));
    let message = match secret {
        // The whole message would quote the line, and this goes to consoles and logs.
        true => format!("line {number}: {}", error.message()),
        false => error.to_string(),
    };
    AnswersError { problems: vec![Problem::new("", message)] }
}

/// Looks at a table and at the tables in it.
fn unknown_keys(path: &str, table: &toml::Table, schema: &Value, problems: &mut Vec<Problem>) {
    let Some(known) = schema::keys(schema) else { return };
    for (key, value) in table {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if known.contains(&key.as_str()) {
            let below = &schema["properties"][key.as_str()];
            match value {
                toml::Value::Table(table) => unknown_keys(&full, table, below, problems),
                toml::Value::Array(items) => {
                    for (at, table) in items.iter().enumerate() {
                        if let toml::Value::Table(table) = table {
                            unknown_keys(
                                &format!("{full}[{at}]"),
                                table,
                                &below["items"],
                                problems,
                            );
                        }
                    }
                }
                _ => {}
            }
            continue;
        }
        let problem = Problem::new(&full, "there is no such key");
        problems.push(match (home_of(key), nearest(key, known.iter().copied())) {
            (Some(home), _) => problem.hint(format!("it belongs to [{home}]")),
            (None, Some(name)) => problem.hint(format!("did you mean {name:?}?")),
            (None, None) => problem.hint(format!("known here: {}", known.join(", "))),
        });
    }
}

/// The table in which a key that is misplaced would be known.
fn home_of(key: &str) -> Option<&'static str> {
    let mut tables = schema()["properties"].as_object()?.iter();
    let has = |table| schema::keys(table).is_some_and(|keys| keys.contains(&key));
    tables.find(|(_, table)| has(table)).map(|(name, _)| name.as_str())
}
