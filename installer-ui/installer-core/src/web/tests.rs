// SPDX-License-Identifier: MIT OR Apache-2.0
//! Against servers on the loopback address.

use rustls::version::{TLS12, TLS13};

use super::testing::{proxy, serve};
use super::*;
use crate::steps::chain;

fn url(server: &str, path: &str) -> Url {
    format!("{server}{path}").parse().unwrap()
}

#[test]
fn a_certificate_with_that_fingerprint_is_trusted() {
    for version in [&TLS12, &TLS13] {
        let server = serve("200 OK", "hello", Some(version));
        let web = Web { pin: server.fingerprint, proxy: None };
        assert_eq!(web.get(&url(&server.url, "/a?b")).unwrap(), b"hello");
        assert_eq!(server.requests.recv().unwrap().line, "GET /a?b");
        assert_eq!(web.post(&url(&server.url, "/a"), "{}").unwrap(), b"hello");
        let posted = server.requests.recv().unwrap();
        assert_eq!(
            (&*posted.line, &*posted.content_type, &*posted.body),
            ("POST /a", "application/json", "{}")
        );
    }
}

#[test]
fn another_certificate_is_refused_and_both_fingerprints_are_named() {
    let server = serve("200 OK", "hello", Some(&TLS13));
    let expected = Fingerprint::of(b"another");
    let web = Web { pin: Some(expected), proxy: None };
    let error = chain(&web.get(&url(&server.url, "/a")).unwrap_err());
    let shown = server.fingerprint.unwrap();
    assert_eq!(
        error,
        format!(
            "fetching {}/a: the server shows another certificate than the one that it should have: \
             its SHA-256 fingerprint is {shown}, expected was {expected}",
            server.url
        )
    );
    assert!(server.requests.try_recv().is_err(), "nothing was asked of it");
}

#[test]
fn without_a_fingerprint_authorities_decide() {
    let server = serve("200 OK", "hello", Some(&TLS13));
    let error = chain(&Web::default().get(&url(&server.url, "/")).unwrap_err());
    assert!(error.contains("certificate"), "{error}");
    assert!(server.requests.try_recv().is_err());
}

#[test]
fn a_fingerprint_is_not_given_in_vain() {
    let server = serve("200 OK", "hello", None);
    let web = Web { pin: Some(Fingerprint::of(b"")), proxy: None };
    let error = web.get(&url(&server.url, "/")).unwrap_err().to_string();
    assert!(error.ends_with("it must begin with https://"), "{error}");
    // Nor by way of a redirection.
    let away = serve(&format!("302 Found\r\nlocation: {}/", server.url), "", Some(&TLS13));
    let web = Web { pin: away.fingerprint, proxy: None };
    let error = chain(&web.get(&url(&away.url, "/")).unwrap_err());
    assert!(error.contains("https only"), "{error}");
    assert!(server.requests.try_recv().is_err());
}

#[test]
fn what_a_server_refuses_names_address_and_status() {
    let server = serve("404 Not Found", "no", None);
    let error = chain(&Web::default().get(&url(&server.url, "/a")).unwrap_err());
    assert_eq!(error, format!("fetching {}/a: the server answers with status 404", server.url));
    let error = chain(&Web::default().post(&url(&server.url, "/a"), "").unwrap_err());
    assert_eq!(error, format!("posting to {}/a: the server answers with status 404", server.url));
    let long = serve("200 OK", &"x".repeat(LONGEST as usize + 1), None);
    let error = chain(&Web::default().get(&url(&long.url, "/a")).unwrap_err());
    assert!(error.contains("larger than"), "{error}");
}

#[test]
fn a_proxy_is_asked_and_its_password_is_not_told() {
    let (address, heads) = proxy();
    for tls in [None, Some(&TLS13)] {
        let server = serve("200 OK", "hello", tls);
        let web = Web { pin: server.fingerprint, proxy: Some(address.parse().unwrap()) };
        assert_eq!(web.get(&url(&server.url, "/a")).unwrap(), b"hello");
        let head = heads.lock().unwrap().pop().unwrap();
        let (_, place) = server.url.split_once("://").unwrap();
        assert!(head.starts_with(&format!("CONNECT {place} ")), "{head}");
        assert!(head.contains("Basic bWU6c2VjcmV0"), "{head}");
    }
    let web = Web { pin: None, proxy: Some("http://me:secret@127.0.0.1:1".parse().unwrap()) };
    let error = chain(&web.get(&url("http://192.0.2.1", "/a")).unwrap_err());
    assert!(
        error.starts_with("fetching http://192.0.2.1/a through the proxy http://…@127.0.0.1:1: "),
        "{error}"
    );
}
