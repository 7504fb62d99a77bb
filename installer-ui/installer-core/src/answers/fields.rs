// SPDX-License-Identifier: MIT OR Apache-2.0
//! Single values with their rules; the screens check what is typed with the same functions.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha_crypt::{Sha512Params, sha512_simple};

/// Why a value is refused, as a sentence for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadField(pub(super) String);

impl BadField {
    /// With the sentence, which starts in lower case and has no full stop.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

fn bad<T>(text: impl Into<String>) -> Result<T, BadField> {
    Err(BadField(text.into()))
}

/// A host name by RFC 1123, with or without a domain, at most 64 characters (Linux's limit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hostname(String);

impl Hostname {
    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hostname {
    type Err = BadField;

    fn from_str(text: &str) -> Result<Self, BadField> {
        if text.is_empty() {
            return bad("the host name is empty");
        }
        if text.len() > 64 {
            return bad(format!(
                "the host name has {} characters, at most 64 are allowed",
                text.len()
            ));
        }
        for label in text.split('.') {
            if label.is_empty() {
                return bad("the host name has an empty part between dots");
            }
            if label.len() > 63 {
                return bad("a part of the host name is longer than 63 characters");
            }
            if let Some(c) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
                return bad(format!("{c:?} is not allowed in a host name: use a-z, 0-9 and -"));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return bad("a part of the host name starts or ends with \"-\"");
            }
        }
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return bad("a host name of digits only would be taken for an address");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A password in crypt(3)'s SHA-512 form, `$6$salt$hash`. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The shortest password that is accepted, in characters.
    pub const SHORTEST: usize = 6;

    /// Hashes a password with a new random salt.
    ///
    /// # Errors
    /// A password that is too short or holds control characters, which nobody can type at a login.
    pub fn of_plain(password: &str) -> Result<Self, BadField> {
        if password.chars().count() < Self::SHORTEST {
            return bad(format!("the password is shorter than {} characters", Self::SHORTEST));
        }
        if password.chars().any(char::is_control) {
            return bad("the password holds a control character");
        }
        let params = Sha512Params::new(5000).or_else(|_| bad("rounds out of range"))?;
        match sha512_simple(password, &params) {
            Ok(hash) => Ok(Self(hash)),
            Err(_) => bad("no random salt could be drawn for the password"),
        }
    }

    /// For `/etc/shadow`.
    pub fn as_crypt(&self) -> &str {
        &self.0
    }
}

impl FromStr for PasswordHash {
    type Err = BadField;

    fn from_str(text: &str) -> Result<Self, BadField> {
        let mut parts = text.split('$');
        let head = (parts.next(), parts.next());
        let mut rest: Vec<&str> = parts.collect();
        if rest.first().is_some_and(|part| part.starts_with("rounds=")) {
            rest.remove(0);
        }
        let crypt = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '/';
        match (head, rest.as_slice()) {
            ((Some(""), Some("6")), [salt, hash])
                if (1..=16).contains(&salt.len())
                    && salt.chars().all(crypt)
                    && hash.len() == 86
                    && hash.chars().all(crypt) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => bad("not a SHA-512 crypt hash ($6$salt$hash, as `openssl passwd -6` prints)"),
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A public key as one line of `authorized_keys`, without options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey(String);

impl SshKey {
    /// The line, without a line end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SshKey {
    type Err = BadField;

    fn from_str(text: &str) -> Result<Self, BadField> {
        const KINDS: &[&str] = &["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
        let text = text.trim();
        if text.contains("PRIVATE KEY") {
            return bad("that is a private key; the public one (file name ends in .pub) is needed");
        }
        if text.contains(['\n', '\r']) {
            return bad("a key is one line");
        }
        let mut words = text.split_ascii_whitespace();
        let (kind, blob) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !KINDS.iter().any(|known| kind.starts_with(known)) {
            return bad(format!("{kind:?} is not a kind of SSH key, such as ssh-ed25519"));
        }
        let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        if !blob.starts_with("AAAA") || blob.len() < 40 || !blob.chars().all(base64) {
            return bad("the second word of an SSH key is its base64 text, AAAA…");
        }
        Ok(Self(text.to_owned()))
    }
}

/// A unicast MAC address, lower case with colons.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress(String);

impl MacAddress {
    /// `aa:bb:cc:dd:ee:ff`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MacAddress {
    type Err = BadField;

    fn from_str(text: &str) -> Result<Self, BadField> {
        let parts: Vec<&str> = text.split([':', '-']).collect();
        let hex = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        if parts.len() != 6 || !parts.iter().all(hex) {
            return bad(format!("{text:?} is not a MAC address such as 52:54:00:12:34:56"));
        }
        let first = u8::from_str_radix(parts[0], 16).unwrap_or(1);
        if first & 1 == 1 {
            return bad(format!("{text:?} is a multicast address, no network card has it"));
        }
        Ok(Self(parts.join(":").to_lowercase()))
    }
}

impl TryFrom<String> for MacAddress {
    type Error = BadField;

    fn try_from(text: String) -> Result<Self, BadField> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(address: MacAddress) -> Self {
        address.0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A time server, by name or by address, as chrony takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NtpServer(String);

impl NtpServer {
    /// The name or the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NtpServer {
    type Err = BadField;

    fn from_str(text: &str) -> Result<Self, BadField> {
        match text.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() || address.is_multicast() => {
                bad(format!("{address} cannot be the address of a time server"))
            }
            Ok(address) => Ok(Self(address.to_string())),
            Err(_) if text.parse::<Hostname>().is_ok() => Ok(Self(text.to_owned())),
            Err(_) => bad(format!("{text:?} is neither the name nor the address of a time server")),
        }
    }
}

/// Checks `192.0.2.10/24`: an address that a host can have, with its prefix length in bits.
///
/// # Errors
/// Not of that form, or an address that no host can have.
pub fn ipv4_cidr(text: &str) -> Result<(Ipv4Addr, u8), BadField> {
    let Some((address, prefix)) = text.split_once('/') else {
        return bad(format!("{text:?} has no prefix length: write it as 192.0.2.10/24"));
    };
    let Ok(address) = address.parse::<Ipv4Addr>() else {
        return bad(format!("{address:?} is not an IPv4 address"));
    };
    let Some(prefix) = prefix.parse::<u8>().ok().filter(|p| (1..=32).contains(p)) else {
        return bad(format!("/{prefix} is not a prefix length (1 to 32)"));
    };
    if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
        return bad(format!("{address} cannot be the address of a host"));
    }
    let host_bits = !mask(prefix);
    if prefix < 31 && [0, host_bits].contains(&(address.to_bits() & host_bits)) {
        return bad(format!("{address} is the network or broadcast address of its /{prefix}"));
    }
    Ok((address, prefix))
}

/// Checks a gateway against the host's own address.
///
/// # Errors
/// Not an address, not in the same network, or the host itself.
pub fn ipv4_gateway(text: &str, host: (Ipv4Addr, u8)) -> Result<Ipv4Addr, BadField> {
    let Ok(gateway) = text.parse::<Ipv4Addr>() else {
        return bad(format!("{text:?} is not an IPv4 address"));
    };
    let mask = mask(host.1);
    if gateway.to_bits() & mask != host.0.to_bits() & mask {
        return bad(format!("{gateway} is not in the network of {}/{}", host.0, host.1));
    }
    if gateway == host.0 {
        return bad("the gateway is the host itself");
    }
    Ok(gateway)
}

/// Checks `2001:db8::10/64`: an address that a host can have, with its prefix length in bits.
///
/// # Errors
/// Not of that form, or an address that a host cannot be given (RFC 4291).
pub fn ipv6_cidr(text: &str) -> Result<(Ipv6Addr, u8), BadField> {
    let Some((address, prefix)) = text.split_once('/') else {
        return bad(format!("{text:?} has no prefix length: write it as 2001:db8::10/64"));
    };
    let Ok(address) = address.parse::<Ipv6Addr>() else {
        return bad(format!("{address:?} is not an IPv6 address"));
    };
    let Some(prefix) = prefix.parse::<u8>().ok().filter(|p| (1..=128).contains(p)) else {
        return bad(format!("/{prefix} is not a prefix length of IPv6 (1 to 128)"));
    };
    if address.is_unspecified()
        || address.is_multicast()
        || address.is_loopback()
        || address.to_ipv4_mapped().is_some()
    {
        return bad(format!("{address} cannot be the address of a host"));
    }
    if address.is_unicast_link_local() {
        return bad(format!("{address} is link-local: every interface makes one by itself"));
    }
    if prefix < 127 && address.to_bits() & !mask6(prefix) == 0 {
        return bad(format!("{address} is the address of all routers of its /{prefix}"));
    }
    Ok((address, prefix))
}

/// Checks an IPv6 gateway against the host's own address.
///
/// # Errors
/// Neither link-local nor in the same network, or the host itself.
pub fn ipv6_gateway(text: &str, host: (Ipv6Addr, u8)) -> Result<Ipv6Addr, BadField> {
    let Ok(gateway) = text.parse::<Ipv6Addr>() else {
        return bad(format!("{text:?} is not an IPv6 address"));
    };
    let mask = mask6(host.1);
    if !gateway.is_unicast_link_local() && gateway.to_bits() & mask != host.0.to_bits() & mask {
        return bad(format!(
            "{gateway} is neither in the network of {}/{} nor link-local (fe80::...)",
            host.0, host.1
        ));
    }
    if gateway == host.0 {
        return bad("the gateway is the host itself");
    }
    Ok(gateway)
}

fn mask6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_passwords_are_hashed_and_can_be_verified() {
        let hash = PasswordHash::of_plain("correct horse").unwrap();
        assert!(sha_crypt::sha512_check("correct horse", hash.as_crypt()).is_ok());
        assert!(sha_crypt::sha512_check("wrong horse", hash.as_crypt()).is_err());
        assert_eq!(hash.as_crypt().parse::<PasswordHash>(), Ok(hash.clone()));
        assert_ne!(PasswordHash::of_plain("correct horse").unwrap(), hash, "the salt is random");
        assert!(!format!("{hash:?}").contains("$6$"));
    }

    #[test]
    fn host_names() {
        for good in ["xen1", "a", "xen-1.example.org", "1host"] {
            assert!(good.parse::<Hostname>().is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "-a", "a-", "a..b", "a_b", "hôte", "192.168.1.1", "a b", long.as_str()] {
            assert!(bad.parse::<Hostname>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_and_gateways() {
        let host = ipv4_cidr("192.0.2.10/24").unwrap();
        assert!(ipv4_gateway("192.0.2.1", host).is_ok());
        for bad in ["192.0.3.1", "192.0.2.10", "x"] {
            assert!(ipv4_gateway(bad, host).is_err(), "{bad}");
        }
        for bad in ["192.0.2.10", "192.0.2.0/24", "192.0.2.255/24", "127.0.0.1/8", "1.2.3.4/33"] {
            assert!(ipv4_cidr(bad).is_err(), "{bad}");
        }
        assert!(ipv4_cidr("192.0.2.0/31").is_ok());
    }

    #[test]
    fn addresses_and_gateways_of_ipv6() {
        let host = ipv6_cidr("2001:db8::10/64").unwrap();
        for good in ["fe80::1", "2001:db8::1", "2001:db8::"] {
            assert!(ipv6_gateway(good, host).is_ok(), "{good}");
        }
        for bad in ["2001:db8:1::1", "2001:db8::10", "192.0.2.1", "fe80::1%eth0"] {
            assert!(ipv6_gateway(bad, host).is_err(), "{bad}");
        }
        for bad in [
            "2001:db8::10",
            "2001:db8::10/0",
            "2001:db8::10/129",
            "::1/128",
            "ff02::1/64",
            "::/64",
            "fe80::1/64",
            "2001:db8::/64",
            "::ffff:192.0.2.1/96",
            "192.0.2.10/24",
        ] {
            assert!(ipv6_cidr(bad).is_err(), "{bad}");
        }
        assert!(ipv6_cidr("2001:db8::/127").is_ok());
    }

    #[test]
    fn time_servers() {
        for good in ["ntp1.example.org", "ntp", "192.0.2.1", "2001:db8::1"] {
            assert_eq!(good.parse::<NtpServer>().unwrap().as_str(), good);
        }
        for bad in
            ["", "ntp iburst", "a\nserver b", "0.0.0.0", "192.0.2.300", "fe80::1%eth0", "ff02::1"]
        {
            assert!(bad.parse::<NtpServer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_and_macs() {
        let blob = format!("AAAA{}", "C3NzaC1lZDI1".repeat(5));
        assert!(format!("ssh-ed25519 {blob} me@here").parse::<SshKey>().is_ok());
        for bad in [String::new(), blob.clone(), format!("ssh-foo {blob}"), "ssh-rsa AAA".into()] {
            assert!(bad.parse::<SshKey>().is_err(), "{bad}");
        }
        let mac: MacAddress = "52-54-00-AB-cd-01".parse().unwrap();
        assert_eq!(mac.as_str(), "52:54:00:ab:cd:01");
        for bad in ["", "52:54:00:ab:cd", "01:00:5e:00:00:01", "52:54:00:ab:cd:0g"] {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad}");
        }
    }
}
