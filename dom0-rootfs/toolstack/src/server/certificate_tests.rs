// SPDX-License-Identifier: MIT OR Apache-2.0

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::*;

struct Made {
    key: String,
    leaf: String,
    authority: String,
}

fn params(name: &str, years: (i32, i32)) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    params
}

/// A certificate that an authority has signed.
fn made(years: (i32, i32)) -> Made {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = params("authority", (2020, 2049));
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = params("host", years).signed_by(&key, &issuer).unwrap();
    Made { key: key.serialize_pem(), leaf: leaf.pem(), authority: certificate.pem() }
}

fn code(made: Result<Checked, ApiError>) -> String {
    made.map_or_else(|error| error.code, |_| "none".to_owned())
}

/// 2026-11-30.
const NOW: DateTime = DateTime(1_795_996_800);

#[test]
fn what_fits_is_taken() {
    let made = made((2025, 2030));
    for chain in ["", &made.authority] {
        let noise = format!("subject=host\n{}\nend", made.leaf);
        let checked = check(&noise, &made.key, chain, NOW).unwrap();
        assert!(checked.pem.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{}", checked.pem);
        assert_eq!(checked.leaf.trim(), made.leaf.trim().replace('\r', ""));
        assert_eq!(checked.certified.cert.len(), if chain.is_empty() { 1 } else { 2 });
    }
    let (_, der) = certificates(&made.leaf).unwrap().remove(0);
    let facts = facts(&der).unwrap();
    assert_eq!(facts.not_before, DateTime(1_735_689_600));
    assert_eq!((facts.sha256.len(), facts.sha1.len()), (95, 59));
}

#[test]
fn what_does_not_fit_is_named() {
    let (good, other) = (made((2025, 2030)), made((2025, 2030)));
    for (leaf, key, chain, expected) in [
        (&good.leaf, &other.key, "", "SERVER_CERTIFICATE_KEY_MISMATCH"),
        (&good.key, &good.key, "", "SERVER_CERTIFICATE_INVALID"),
        (&format!("{0}{0}", good.leaf), &good.key, "", "SERVER_CERTIFICATE_INVALID"),
        (&good.leaf, &good.leaf, "", "SERVER_CERTIFICATE_KEY_INVALID"),
        (&good.leaf, &format!("{0}{0}", good.key), "", "SERVER_CERTIFICATE_KEY_INVALID"),
        (&good.leaf, &good.key, "nonsense", "SERVER_CERTIFICATE_CHAIN_INVALID"),
        (&good.leaf, &good.key, &good.leaf, "SERVER_CERTIFICATE_CHAIN_INVALID"),
        (&made((2010, 2011)).leaf, &good.key, "", "SERVER_CERTIFICATE_EXPIRED"),
        (&made((2040, 2041)).leaf, &good.key, "", "SERVER_CERTIFICATE_NOT_VALID_YET"),
    ] {
        assert_eq!(code(check(leaf, key, chain, NOW)), expected);
    }
    let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(code(check(&good.leaf, broken, "", NOW)), "SERVER_CERTIFICATE_KEY_INVALID");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(code(check(broken, &good.key, "", NOW)), "SERVER_CERTIFICATE_INVALID");
    let error = current(&made((2010, 2011)).leaf, NOW, &AUTHORITY).unwrap_err();
    let words = ["CA_CERTIFICATE_EXPIRED", "20261130T00:00:00Z", "20110101T00:00:00Z"];
    assert_eq!(error.description(), words);
}

#[test]
fn whatever_comes_is_looked_at_without_harm() {
    let good = made((2025, 2030));
    let (_, der) = certificates(&good.leaf).unwrap().remove(0);
    for length in 0..der.len() {
        assert_eq!(facts(&der[..length]), None, "{length}");
    }
    for at in 0..der.len() {
        let mut changed = der.to_vec();
        changed[at] ^= 0x55;
        // Some bytes may be anything; none may end the daemon.
        let _ = facts(&changed);
    }
    assert!(certificates(&"x".repeat(LONGEST + 1)).is_none());
}
