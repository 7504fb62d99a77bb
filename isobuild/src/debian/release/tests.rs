// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;

/// Debian's own, as the security archive served it.
const SIGNED: &str = include_str!("../../../tests/golden/trixie-security.InRelease");

fn now() -> Timestamp {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

fn verify(text: &str) -> Result<Release, ReleaseError> {
    Release::verify("trixie-security", text, &DEBIAN_13_KEYS, now())
}

#[test]
fn debians_own_signature_is_accepted_with_the_pinned_keys() {
    let release = verify(SIGNED).unwrap();
    assert_eq!(release.codename, "trixie-security");
    assert_eq!(release.date.to_string(), "2026-11-21T00:53:03Z");
    assert!(release.files.contains_key("main/binary-amd64/Packages.xz"));
}

#[test]
fn a_changed_byte_or_an_added_line_is_refused() {
    let digest = SIGNED.find("main/binary-amd64/Packages.xz").unwrap() - 60;
    let mut changed = SIGNED.as_bytes().to_vec();
    changed[digest] = if changed[digest] == b'0' { b'1' } else { b'0' };
    let changed = String::from_utf8(changed).unwrap();
    assert!(matches!(verify(&changed), Err(ReleaseError::Signature { .. })));
    let added = SIGNED.replacen("SHA256:\n", "SHA256:\n 00 1 evil\n", 1);
    assert!(matches!(verify(&added), Err(ReleaseError::Signature { .. })));
}

#[test]
fn text_outside_of_the_signature_is_refused() {
    for text in [format!("Codename: x\n{SIGNED}"), format!("{SIGNED}Codename: x\n")] {
        assert!(matches!(verify(&text), Err(ReleaseError::Form { .. })));
    }
}

#[test]
fn what_is_not_signed_or_cut_off_is_refused() {
    let no_signature = &SIGNED[..SIGNED.find("-----BEGIN PGP SIGNATURE").unwrap()];
    let unsigned = "Codename: trixie-security\n";
    for text in ["", unsigned, no_signature, &SIGNED[..SIGNED.len() - 200], &SIGNED[..5000]] {
        let error = verify(text).unwrap_err();
        let refused = matches!(error, ReleaseError::Form { .. } | ReleaseError::Signature { .. });
        assert!(refused, "{error}");
    }
}

#[test]
fn another_key_another_suite_and_another_time_are_refused() {
    // The stable release key does not sign the security archive.
    let other = &DEBIAN_13_KEYS[2..];
    let error = Release::verify("trixie-security", SIGNED, other, now()).unwrap_err();
    assert!(matches!(error, ReleaseError::Signature { .. }), "{error}");
    let error = Release::verify("trixie", SIGNED, &DEBIAN_13_KEYS, now()).unwrap_err();
    assert!(matches!(error, ReleaseError::OtherSuite { .. }), "{error}");
    let later = "2027-01-01T00:00:00Z".parse().unwrap();
    let error = Release::verify("trixie-security", SIGNED, &DEBIAN_13_KEYS, later).unwrap_err();
    assert!(matches!(error, ReleaseError::Expired { .. }), "{error}");
    let error = Release::verify("trixie", SIGNED, &["junk"], now()).unwrap_err();
    assert!(matches!(error, ReleaseError::Key(_)), "{error}");
}

#[test]
fn bad_fields_of_a_signed_text_are_named() {
    let good = "Codename: trixie\nDate: Sat, 21 Nov 2026 09:15:44 UTC\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/x\n";
    let read = |text: &str| Release::read("trixie", text, now());
    let release = read(good).unwrap();
    release.check_index("main/x", b"").unwrap();
    assert!(matches!(release.check_index("main/x", b"y"), Err(ReleaseError::WrongIndex { .. })));
    assert!(matches!(release.check_index("main/z", b""), Err(ReleaseError::NoIndex { .. })));
    let cases = [
        ("Codename: trixie\n", "", "Codename"),
        ("Date: Sat, 21 Nov", "Date: yesterday", "Date"),
        ("SHA256:\n", "MD5Sum:\n", "SHA256"),
        (" 0 main/x", " -1 main/x", "SHA256"),
        (" 0 main/x", "", "SHA256"),
        ("e3b0", "x3b0", "SHA256"),
        ("Date:", "Valid-Until: never\nDate:", "Valid-Until"),
        ("Date:", "Date", "reading trixie's InRelease"),
    ];
    for (from, to, expected) in cases {
        let error = read(&good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(expected), "{to}: {error}");
    }
}
