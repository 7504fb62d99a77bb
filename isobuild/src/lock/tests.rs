// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole way against a small archive on the loopback interface.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::fetch::Mirror;
use crate::progress::Silent;

const KEY: &str = include_str!("../../tests/golden/archive/key.asc");

/// Serves `tests/golden/archive`, and packages that are not in `gone`.
fn serve(gone: &'static [&'static str], damage: Option<&'static str>) -> Mirrors {
    serve_cut(gone, damage, None)
}

/// The same, but the file `cut` ends in its middle.
fn serve_cut(
    gone: &'static [&'static str],
    damage: Option<&'static str>,
    cut: Option<&'static str>,
) -> Mirrors {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/debian", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || answer(stream.unwrap(), gone, damage, cut));
        }
    });
    Mirrors(vec![Mirror::at(&address, "the test").unwrap()])
}

fn answer(mut stream: TcpStream, gone: &[&str], damage: Option<&str>, cut: Option<&str>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.find(String::is_empty);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let body = if path.contains("/pool/") {
        (!gone.contains(&name)).then(|| b"deb".to_vec())
    } else {
        let suite = path.split('/').skip_while(|part| *part != "dists").nth(1).unwrap_or_default();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/archive");
        fs::read(folder.join(suite).join(name)).ok()
    };
    // A client that hung up has seen enough.
    let _ = match body {
        None => write!(stream, "HTTP/1.1 404 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        Some(mut body) => {
            if damage == Some(name) {
                let middle = body.len() / 2;
                body[middle] ^= 1;
            }
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let sent = if request.starts_with("HEAD") { 0 } else { length };
            body.truncate(if cut == Some(name) { length / 2 } else { sent });
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body))
        }
    };
}

fn wanted() -> Wanted {
    let request = Request { packages: vec!["app".into()], ..Request::default() };
    Wanted { sets: BTreeMap::from([("set".to_owned(), request)]), ..Wanted::default() }
}

fn lock(wanted: &Wanted, mirrors: &Mirrors) -> Result<Lock, RefreshError> {
    refresh_with(&[KEY], wanted, mirrors, &Silent, &Interrupt::new())
}

fn versions(lock: &Lock) -> Vec<String> {
    let packages = lock.packages().values();
    packages.map(|p| format!("{} {} {}", p.name, p.version, p.file.archive)).collect()
}

#[test]
fn the_newest_version_of_all_suites_is_locked() {
    let lock = lock(&wanted(), &serve(&[], None)).unwrap();
    assert_eq!(versions(&lock), ["app 2 debian", "lib 3 debian-security"]);
    // The newest release's time, not the time of asking.
    assert_eq!(lock.timestamp(), "20261122T100000Z");
    let text = lock.to_toml().unwrap();
    assert!(!text.contains("127.0.0.1") && !text.contains("http"), "{text}");
}

#[test]
fn a_listed_package_that_is_not_served_gives_way_to_an_older_one() {
    let lock = lock(&wanted(), &serve(&["lib_3.deb"], None)).unwrap();
    assert_eq!(versions(&lock), ["app 2 debian", "lib 2 debian"]);
}

#[test]
fn a_package_that_is_served_in_no_version_is_named() {
    let error = lock(&wanted(), &serve(&["app_1.deb", "app_2.deb"], None)).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    let expected = "there is no package app that a mirror serves; name another mirror";
    assert!(cause.starts_with(expected), "{cause}");
}

#[test]
fn what_debian_did_not_sign_is_refused() {
    let mirrors = serve(&[], None);
    let error = refresh(&wanted(), &mirrors, &Silent, &Interrupt::new()).unwrap_err();
    assert!(matches!(&error, RefreshError::Release(ReleaseError::Signature { .. })), "{error:?}");
    let error = lock(&wanted(), &serve(&[], Some("Packages.xz"))).unwrap_err();
    assert!(matches!(&error, RefreshError::Release(ReleaseError::WrongIndex { .. })), "{error:?}");
    let error = lock(&wanted(), &serve(&[], Some("InRelease"))).unwrap_err();
    assert!(matches!(&error, RefreshError::Release(_)), "{error:?}");
}

#[test]
fn a_bad_mirror_does_not_matter_where_another_is_good() {
    let mut mirrors = serve(&[], Some("Packages.xz"));
    mirrors.0.extend(serve(&[], None).0);
    assert_eq!(lock(&wanted(), &mirrors).unwrap().packages().len(), 2);
}

#[test]
fn an_index_that_ends_early_is_not_used() {
    for name in ["InRelease", "Packages.xz"] {
        let cut = serve_cut(&[], None, Some(name));
        let error = lock(&wanted(), &cut).unwrap_err();
        let RefreshError::Fetch { path, source: Some(HttpError::Read { .. }), .. } = &error else {
            panic!("{error:?}")
        };
        assert!(path.ends_with(name) && error.to_string().contains("--mirror"), "{error}");
        let mut mirrors = cut;
        mirrors.0.extend(serve(&[], None).0);
        assert_eq!(lock(&wanted(), &mirrors).unwrap().packages().len(), 2);
    }
}

#[test]
fn a_pinned_source_must_be_served() {
    let text = "version = '1'\n[[file]]\narchive = 'debian'\npath = 'pool/lib_3.deb'\nsize = 3\n\
        sha256 = 'abababababababababababababababababababababababababababababababab'";
    let source: Source = toml::from_str(text).unwrap();
    let mut wanted = wanted();
    wanted.sources.insert("xen".to_owned(), source);
    assert_eq!(lock(&wanted, &serve(&[], None)).unwrap().source("xen").unwrap().version, "1");
    let error = lock(&wanted, &serve(&["lib_3.deb"], None)).unwrap_err().to_string();
    assert!(error.contains("pool/lib_3.deb") && error.contains("source.toml"), "{error}");
}

#[test]
fn a_lock_file_is_written_whole_and_a_missing_one_says_what_to_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock.toml");
    let error = load(&path).unwrap_err().to_string();
    assert!(error.contains("cargo xtask lock") && error.contains("lock.toml"), "{error}");
    let lock = lock(&wanted(), &serve(&[], None)).unwrap();
    save(&path, &lock).unwrap();
    assert_eq!(load(&path).unwrap(), lock);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    fs::write(&path, "junk").unwrap();
    assert!(matches!(load(&path).unwrap_err(), LockFileError::Lock { .. }));
}
