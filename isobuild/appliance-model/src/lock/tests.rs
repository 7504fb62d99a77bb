// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;

const GOOD: &str = r#"
    version = 1
    revision = 0
    timestamp = "20261123T101500Z"
    [[set]]
    name = "tools"
    packages = ["libc6"]
    [set.request]
    packages = ["libc6"]
    [[package]]
    name = "libc6"
    version = "2.41-12"
    architecture = "amd64"
    archive = "debian"
    path = "pool/main/g/glibc/libc6_2.41-12_amd64.deb"
    size = 5
    sha256 = "abababababababababababababababababababababababababababababababab"
"#;

#[test]
fn text_round_trips() {
    let lock = Lock::parse(GOOD).unwrap();
    assert_eq!(lock.set("tools").unwrap()[0].version, "2.41-12");
    assert_eq!(lock.source_date_epoch(), 1_795_428_900);
    assert_eq!(Lock::parse(&lock.to_toml().unwrap()).unwrap(), lock);
}

#[test]
fn bad_locks_say_what_is_wrong() {
    let cases = [
        ("version = 1", "version = 2", "has version 2"),
        ("20261123T101500Z", "2026-11-23", "timestamp"),
        ("20261123T101500Z", "20261323T101500Z", "timestamp"),
        ("20261123T101500Z", "2026112ßT10150Z", "timestamp"),
        (r#"packages = ["libc6"]"#, r#"packages = ["libc7"]"#, "libc7"),
        ("pool/main", "../main", "not below an archive"),
        ("pool/main", "/main", "not below an archive"),
        ("abab", "xbab", "reading the lock"),
        ("size = 5", "size = -5", "reading the lock"),
        ("size = 5", "size = 5\nhost = 'a'", "reading the lock"),
        ("[[package]]", "[[package]]\n[[package]]", "reading the lock"),
        ("[[set]]", "[[set", "reading the lock"),
    ];
    for (from, to, expected) in cases {
        let error = Lock::parse(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(expected), "{to}: {error}");
    }
    let twice = format!("{GOOD}\n{}", &GOOD[GOOD.find("[[package]]").unwrap()..]);
    assert!(matches!(Lock::parse(&twice), Err(LockError::Twice { kind: "package", .. })));
}

#[test]
fn a_changed_request_is_stale_and_an_equal_one_is_found_under_another_name() {
    let lock = Lock::parse(GOOD).unwrap();
    let same = Request { packages: vec!["libc6".into(), "libc6".into()], ..Request::default() };
    assert_eq!(lock.set_for("mine", &same).unwrap(), "tools");
    let more = Request { packages: vec!["libc6".into(), "vim".into()], ..Request::default() };
    let error = lock.set_for("tools", &more).unwrap_err().to_string();
    assert!(error.contains("new: vim") && error.contains("cargo xtask lock"), "{error}");
}

#[test]
fn no_damage_makes_it_panic() {
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
        (state >> 33) as usize % below
    };
    for _ in 0..2000 {
        let mut bytes = GOOD.as_bytes().to_vec();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = b" \"'=[]{}x0\n-"[random(12)],
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        if let Ok(lock) = Lock::parse(&String::from_utf8_lossy(&bytes)) {
            assert_eq!(Lock::parse(&lock.to_toml().unwrap()).unwrap(), lock);
        }
    }
}
