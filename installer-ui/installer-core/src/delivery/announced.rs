// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a network says of answers: options of its DHCP server, or a record of its DNS. Read only where
//! the kernel command line asks for it (`xenith.answers=auto`): a machine must not be wiped because some
//! server says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use certificate_pin::{Fingerprint, NotAFingerprint};
use serde::Deserialize;

use super::asked::has_certificate;
use super::{AnswerSource, Asked, SourceError};
use crate::answers::Hostname;
use crate::program::{Program, ProgramError};
use crate::web::Web;

/// DHCP option with the place of the answers; for private use (RFC 3942, section 4).
pub const OPTION_URL: u8 = 240;
/// DHCP option with the fingerprint of the server's certificate.
pub const OPTION_SHA256: u8 = 241;
/// Before the search domain, the name of the TXT record.
const RECORD: &str = "_xenith-answers";
/// Where systemd-networkd writes its leases.
const LEASES: &str = "/run/systemd/netif/leases";
/// How many seconds DNS is asked.
const PATIENCE: &str = "30";

/// A place with answers, as a network names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// What `xenith.answers=` could say.
    pub source: AnswerSource,
    /// Of the server's certificate.
    pub pin: Option<Fingerprint>,
}

/// What a lease says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lease {
    /// A place with answers.
    pub announced: Option<Announced>,
    /// Domains in which names are looked for.
    pub domains: Vec<String>,
}

/// Why nothing announced can be used.
#[derive(Debug, thiserror::Error)]
pub enum AnnouncedError {
    /// An option or a record that is not of the right form.
    #[error("{0} is not of the right form: {1}")]
    Form(&'static str, &'static str),
    /// The place.
    #[error("{0} names no place of answers")]
    Place(&'static str, #[source] SourceError),
    /// The fingerprint.
    #[error("{0} names no fingerprint")]
    Fingerprint(&'static str, #[source] NotAFingerprint),
    /// A fingerprint where none can be compared.
    #[error("{0} has a fingerprint, and the place {1} has no certificate")]
    FingerprintInVain(&'static str, String),
    /// Two networks, two places.
    #[error("several networks name different answers: {0}")]
    Several(String),
    /// Nothing at all.
    #[error(
        "xenith.answers=auto: no answers are announced, neither by DHCP option {OPTION_URL} nor by a TXT \
         record {}", names(.0)
    )]
    Nothing(Vec<String>),
    /// The leases.
    #[error("reading {LEASES}")]
    Leases(#[source] std::io::Error),
    /// DNS.
    #[error("asking DNS for the TXT record {0}")]
    Dns(String, #[source] ProgramError),
}

fn names(domains: &[String]) -> String {
    match domains {
        [] => format!("{RECORD}.<domain> (no lease has a search domain)"),
        domains => {
            let names: Vec<String> =
                domains.iter().map(|name| format!("{RECORD}.{name}")).collect();
            names.join(", ")
        }
    }
}

const DHCP: &str = "the DHCP lease";
const DNS: &str = "the TXT record";

impl Announced {
    fn new(
        what: &'static str,
        place: &str,
        pin: Option<Fingerprint>,
    ) -> Result<Self, AnnouncedError> {
        let place = place.trim_end_matches('\0');
        let web = place.strip_prefix("post:").unwrap_or(place);
        if !["https://", "http://", "nfs://"].iter().any(|scheme| web.starts_with(scheme)) {
            return Err(AnnouncedError::Form(
                what,
                "a place begins with https://, http://, nfs:// or post:",
            ));
        }
        let source = AnswerSource::parse(place, None);
        let source = source.map_err(|source| AnnouncedError::Place(what, source))?;
        match pin.is_some() && !has_certificate(&source) {
            true => Err(AnnouncedError::FingerprintInVain(what, source.to_string())),
            false => Ok(Self { source, pin }),
        }
    }

    /// Reads the strings of a TXT record: `url=…` and, if the server's certificate is its own,
    /// `sha256=…`, each in a string of its own or with a blank between.
    ///
    /// # Errors
    /// Something else is in there.
    pub fn from_txt(strings: &[impl AsRef<str>]) -> Result<Self, AnnouncedError> {
        let mut values = BTreeMap::new();
        let words = strings.iter().flat_map(|text| text.as_ref().split_ascii_whitespace());
        for word in words {
            let known = word.split_once('=').filter(|(key, _)| ["url", "sha256"].contains(key));
            let (key, value) = known
                .ok_or(AnnouncedError::Form(DNS, "it has url=… and sha256=… and nothing else"))?;
            if values.insert(key, value).is_some() {
                return Err(AnnouncedError::Form(DNS, "a word is there twice"));
            }
        }
        let url = values.get("url").ok_or(AnnouncedError::Form(DNS, "it has no url=…"))?;
        let pin = values.get("sha256").map(|text| text.parse()).transpose();
        let pin = pin.map_err(|error| AnnouncedError::Fingerprint(DNS, error))?;
        Self::new(DNS, url, pin)
    }

    /// Reads what `resolvectl --json=short query --type=TXT` prints: an object on each line.
    ///
    /// # Errors
    /// Not such a text, a record that is none of ours, or several records.
    pub fn from_resolvectl(text: &str) -> Result<Self, AnnouncedError> {
        #[derive(Deserialize)]
        struct Record {
            items: Vec<String>,
        }
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(AnnouncedError::Form(DNS, "there must be exactly one"));
        };
        let record: Record = serde_json::from_str(line)
            .map_err(|_| AnnouncedError::Form(DNS, "resolvectl prints something unknown"))?;
        // Other bytes than those of text are escaped by a backslash, which is in no address.
        Self::from_txt(&record.items)
    }
}

impl Lease {
    /// Reads a lease as systemd-networkd keeps it: lines of `NAME=value`, options that it does not know
    /// in hexadecimal.
    ///
    /// # Errors
    /// An option of ours is not of the right form.
    pub fn parse(text: &str) -> Result<Self, AnnouncedError> {
        let pairs: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.split_once('=')).collect();
        let option = |number: u8| {
            let text = pairs.get(format!("OPTION_{number}").as_str());
            let bytes = text.map(|text| hex(text)).transpose()?;
            Ok(bytes.filter(|bytes| !bytes.is_empty()))
        };
        let pin = option(OPTION_SHA256)?.map(|bytes| fingerprint(&bytes)).transpose()?;
        let announced = match option(OPTION_URL)? {
            Some(bytes) => {
                let text = String::from_utf8(bytes);
                let text = text.map_err(|_| AnnouncedError::Form(DHCP, "the place is not text"))?;
                Some(Announced::new(DHCP, &text, pin)?)
            }
            None if pin.is_some() => {
                return Err(AnnouncedError::Form(DHCP, "it has a fingerprint and no place"));
            }
            None => None,
        };
        let mut domains = Vec::new();
        for key in ["DOMAIN_SEARCH_LIST", "DOMAINNAME"] {
            for name in pairs.get(key).into_iter().flat_map(|text| text.split_ascii_whitespace()) {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                // What is no name goes on no command line.
                if name.parse::<Hostname>().is_ok() && !domains.contains(&name) {
                    domains.push(name);
                }
            }
        }
        Ok(Self { announced, domains })
    }
}

/// Digits of a fingerprint, or its 32 bytes: DHCP servers take digits with colons for bytes.
fn fingerprint(bytes: &[u8]) -> Result<Fingerprint, AnnouncedError> {
    let text = match bytes.len() {
        32 => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        _ => String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned(),
    };
    text.parse().map_err(|error| AnnouncedError::Fingerprint(DHCP, error))
}

fn hex(text: &str) -> Result<Vec<u8>, AnnouncedError> {
    let bad = AnnouncedError::Form(DHCP, "an option is not in hexadecimal");
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad);
    }
    let pairs = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16));
    pairs.collect::<Result<_, _>>().map_err(|_| bad)
}

/// Looks for answers that the network announces: in the leases, then by DNS. The network must be up.
/// A fingerprint of the kernel command line goes before that of the network.
///
/// # Errors
/// Nothing is announced, or nothing that can be used.
pub fn look(web: &Web, say: &mut dyn FnMut(&str)) -> Result<Asked, AnnouncedError> {
    let mut leases = Vec::new();
    for text in read_leases(Path::new(LEASES)).map_err(AnnouncedError::Leases)? {
        leases.push(Lease::parse(&text)?);
    }
    let announced = match of_leases(&leases)? {
        Some(announced) => {
            say(&format!("DHCP option {OPTION_URL} names answers: {}", announced.source));
            announced
        }
        None => of_dns(&leases, say)?,
    };
    let Announced { source, pin } = announced;
    let pin = web.pin.or(pin);
    if pin.is_some() && !has_certificate(&source) {
        return Err(AnnouncedError::FingerprintInVain(
            "the kernel command line",
            source.to_string(),
        ));
    }
    Ok(Asked { source, web: Web { pin, proxy: web.proxy.clone() } })
}

fn read_leases(folder: &Path) -> std::io::Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    paths
        .iter()
        .map(fs::read)
        .map(|bytes| Ok(String::from_utf8_lossy(&bytes?).into_owned()))
        .collect()
}

/// The one that all leases with one name.
fn of_leases(leases: &[Lease]) -> Result<Option<Announced>, AnnouncedError> {
    let mut all: Vec<&Announced> =
        leases.iter().filter_map(|lease| lease.announced.as_ref()).collect();
    all.dedup();
    match all.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).clone())),
        several => {
            let places: Vec<String> = several.iter().map(|one| one.source.to_string()).collect();
            Err(AnnouncedError::Several(places.join(", ")))
        }
    }
}

fn of_dns(leases: &[Lease], say: &mut dyn FnMut(&str)) -> Result<Announced, AnnouncedError> {
    let mut domains: Vec<String> = Vec::new();
    for domain in leases.iter().flat_map(|lease| &lease.domains) {
        if !domains.contains(domain) {
            domains.push(domain.clone());
        }
    }
    for domain in &domains {
        let name = format!("{RECORD}.{domain}");
        say(&format!("asking DNS for the TXT record {name}, at most {PATIENCE} s"));
        let query = Program::new("timeout").args([
            PATIENCE,
            "resolvectl",
            "--json=short",
            "query",
            "--type=TXT",
            &name,
        ]);
        let (status, stdout, _) =
            query.ask().map_err(|source| AnnouncedError::Dns(name.clone(), source))?;
        // Any other status: there is none, or nobody answers, which the log says.
        if status == Some(0) {
            let announced = Announced::from_resolvectl(&stdout)?;
            say(&format!("the TXT record {name} names answers: {}", announced.source));
            return Ok(announced);
        }
    }
    Err(AnnouncedError::Nothing(domains))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::golden;
    use crate::steps::chain;

    #[test]
    fn good_leases_are_understood() {
        golden("leases/good", &["lease"], |text| format!("{:#?}\n", Lease::parse(text).unwrap()));
    }

    #[test]
    fn bad_leases_are_refused_with_their_reasons() {
        golden("leases/bad", &["lease"], |text| {
            format!("{}\n", chain(&Lease::parse(text).unwrap_err()))
        });
    }

    #[test]
    fn good_records_are_understood() {
        golden("txt/good", &["json"], |text| {
            format!("{:#?}\n", Announced::from_resolvectl(text).unwrap())
        });
    }

    #[test]
    fn bad_records_are_refused_with_their_reasons() {
        golden("txt/bad", &["json"], |text| {
            format!("{}\n", chain(&Announced::from_resolvectl(text).unwrap_err()))
        });
    }

    #[test]
    fn leases_must_agree() {
        let lease = |url: Option<&str>| Lease {
            announced: url.map(|url| Announced::new(DHCP, url, None).unwrap()),
            domains: vec!["example.org".into()],
        };
        let (a, b, none) =
            (lease(Some("http://192.0.2.1/a")), lease(Some("http://192.0.2.1/b")), lease(None));
        assert_eq!(of_leases(&[none.clone(), a.clone(), a.clone()]).unwrap(), a.announced);
        assert_eq!(of_leases(std::slice::from_ref(&none)).unwrap(), None);
        let text = of_leases(&[a, b]).unwrap_err().to_string();
        assert!(text.ends_with(": http://192.0.2.1/a, http://192.0.2.1/b"), "{text}");
        let text = AnnouncedError::Nothing(vec!["example.org".into()]).to_string();
        assert!(text.ends_with("nor by a TXT record _xenith-answers.example.org"), "{text}");
        let nowhere = read_leases(Path::new("/nowhere")).unwrap();
        assert!(nowhere.is_empty());
    }
}
