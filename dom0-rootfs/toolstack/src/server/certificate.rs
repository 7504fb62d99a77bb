// SPDX-License-Identifier: MIT OR Apache-2.0
//! X.509 certificates that administrators bring: what they say, and whether they can be used.

use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use xapi_model::{ApiError, DateTime, ErrorCode, errors};

/// Longest text with certificates or a key that is looked at, in bytes.
const LONGEST: usize = 256 << 10;
/// Most certificates of a chain.
const LONGEST_CHAIN: usize = 16;
/// Signatures with SHA-2 or Ed25519, as OIDs (RFC 8017, 5758, 8410).
const SIGNATURES: [&str; 8] = [
    "1.2.840.113549.1.1.10",
    "1.2.840.113549.1.1.11",
    "1.2.840.113549.1.1.12",
    "1.2.840.113549.1.1.13",
    "1.2.840.10045.4.3.2",
    "1.2.840.10045.4.3.3",
    "1.2.840.10045.4.3.4",
    "1.3.101.112",
];

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// It is valid from this second on.
    pub not_before: DateTime,
    /// It is valid up to this second.
    pub not_after: DateTime,
    /// SHA-256 of it, as `AA:BB:…`.
    pub sha256: String,
    /// SHA-1 of it.
    pub sha1: String,
}

/// A key with its certificates, seen to fit.
#[derive(Debug)]
pub struct Checked {
    /// Key, certificate and those above it, in this order, as PEM.
    pub pem: String,
    /// The certificate alone.
    pub leaf: String,
    /// For the handshakes.
    pub certified: Arc<CertifiedKey>,
}

/// Codes for a certificate that cannot be used.
pub struct Refusals {
    /// It is none.
    pub invalid: &'static ErrorCode,
    /// Its time has not come.
    pub not_yet: &'static ErrorCode,
    /// Its time is over.
    pub expired: &'static ErrorCode,
}

/// Those of a host's own certificate.
pub const SERVER: Refusals = Refusals {
    invalid: &errors::SERVER_CERTIFICATE_INVALID,
    not_yet: &errors::SERVER_CERTIFICATE_NOT_VALID_YET,
    expired: &errors::SERVER_CERTIFICATE_EXPIRED,
};

/// Those of an authority that is to be trusted.
pub const AUTHORITY: Refusals = Refusals {
    invalid: &errors::CA_CERTIFICATE_INVALID,
    not_yet: &errors::CA_CERTIFICATE_NOT_VALID_YET,
    expired: &errors::CA_CERTIFICATE_EXPIRED,
};

/// What a certificate in DER says; none if it is no X.509 certificate.
pub fn facts(der: &[u8]) -> Option<Facts> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    rest.is_empty().then(|| Facts {
        not_before: DateTime(validity.not_before.timestamp()),
        not_after: DateTime(validity.not_after.timestamp()),
        sha256: colons(&Sha256::digest(der)),
        sha1: colons(&Sha1::digest(der)),
    })
}

fn colons(digest: &[u8]) -> String {
    let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

/// Blocks of PEM (RFC 7468) whose label ends so, without what stands around them.
fn blocks(text: &str, label: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines().map(str::trim_end) {
        let framed = |edge: &str| {
            let inside = line.strip_prefix("-----")?.strip_prefix(edge)?.strip_suffix("-----")?;
            inside.ends_with(label).then_some(())
        };
        if framed("BEGIN ").is_some() {
            block = Some(String::new());
        }
        if let Some(text) = &mut block {
            text.push_str(line);
            text.push('\n');
        }
        if framed("END ").is_some() {
            found.extend(block.take());
        }
    }
    found
}

/// The certificates of a text, each as PEM and as DER.
pub fn certificates(text: &str) -> Option<Vec<(String, CertificateDer<'static>)>> {
    if text.len() > LONGEST {
        return None;
    }
    let parse = |pem: String| {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        facts(&der).map(|_| (pem, der))
    };
    blocks(text, "CERTIFICATE").into_iter().map(parse).collect()
}

/// The one certificate of a text, if its time is now.
pub fn current(
    text: &str,
    now: DateTime,
    refusals: &Refusals,
) -> Result<(String, CertificateDer<'static>), ApiError> {
    let one: Option<[_; 1]> = certificates(text).and_then(|all| all.try_into().ok());
    let [(pem, der)] = one.ok_or_else(|| refusals.invalid.bare())?;
    let facts = facts(&der).ok_or_else(|| refusals.invalid.bare())?;
    if now < facts.not_before {
        return Err(refusals.not_yet.with([now.to_string(), facts.not_before.to_string()]));
    }
    if now > facts.not_after {
        return Err(refusals.expired.with([now.to_string(), facts.not_after.to_string()]));
    }
    Ok((pem, der))
}

/// Looks whether a host can show these: they fit each other and are of now. In `chain` is who signed the
/// certificate, then who signed that, and so on; it may be empty.
pub fn check(leaf: &str, key: &str, chain: &str, now: DateTime) -> Result<Checked, ApiError> {
    let invalid = || errors::SERVER_CERTIFICATE_KEY_INVALID.bare();
    let one: Option<[String; 1]> = match key.len() <= LONGEST {
        true => blocks(key, "PRIVATE KEY").try_into().ok(),
        false => None,
    };
    let [key] = one.ok_or_else(invalid)?;
    let secret = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| invalid())?;
    let (leaf, der) = current(leaf, now, &SERVER)?;
    let parsed = X509Certificate::from_der(&der);
    let (_, parsed) = parsed.map_err(|_| errors::SERVER_CERTIFICATE_INVALID.bare())?;
    let signer = ring::sign::any_supported_type(&secret).map_err(|_| unusable(&parsed))?;
    if !SIGNATURES.contains(&parsed.signature_algorithm.algorithm.to_id_string().as_str()) {
        return Err(errors::SERVER_CERTIFICATE_SIGNATURE_NOT_SUPPORTED.bare());
    }
    let above = match chain.trim().is_empty() {
        true => Some(Vec::new()),
        false => certificates(chain).filter(|all| !all.is_empty() && all.len() <= LONGEST_CHAIN),
    };
    let above = above.ok_or_else(|| errors::SERVER_CERTIFICATE_CHAIN_INVALID.bare())?;
    let (texts, ders): (Vec<String>, Vec<_>) = above.into_iter().unzip();
    let all: Vec<CertificateDer<'static>> = std::iter::once(der.clone()).chain(ders).collect();
    if !all.windows(2).all(|pair| is_signed_by(&pair[0], &pair[1])) {
        return Err(errors::SERVER_CERTIFICATE_CHAIN_INVALID.bare());
    }
    let certified = CertifiedKey::new(all, signer);
    if certified.keys_match().is_err() {
        return Err(errors::SERVER_CERTIFICATE_KEY_MISMATCH.bare());
    }
    let pem = [key, leaf.clone()].into_iter().chain(texts).collect();
    Ok(Checked { pem, leaf, certified: Arc::new(certified) })
}

/// Whether a certificate says that the owner of another one signed it.
fn is_signed_by(one: &[u8], other: &[u8]) -> bool {
    let one = X509Certificate::from_der(one).map(|(_, one)| one.issuer().as_raw().to_vec());
    let other =
        X509Certificate::from_der(other).map(|(_, other)| other.subject().as_raw().to_vec());
    matches!((one, other), (Ok(issuer), Ok(subject)) if issuer == subject)
}

/// Why a key cannot be used, by the certificate that should be its.
fn unusable(certificate: &X509Certificate<'_>) -> ApiError {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if !(2048..=4096).contains(&key.key_size()) => {
            let length = key.key_size().to_string();
            errors::SERVER_CERTIFICATE_KEY_RSA_LENGTH_NOT_SUPPORTED.with([length])
        }
        Ok(PublicKey::RSA(_)) => errors::SERVER_CERTIFICATE_KEY_INVALID.bare(),
        Ok(PublicKey::EC(key)) if [256, 384].contains(&key.key_size()) => {
            errors::SERVER_CERTIFICATE_KEY_INVALID.bare()
        }
        _ => {
            let kind = certificate.public_key().algorithm.algorithm.to_id_string();
            errors::SERVER_CERTIFICATE_KEY_ALGORITHM_NOT_SUPPORTED.with([kind])
        }
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
