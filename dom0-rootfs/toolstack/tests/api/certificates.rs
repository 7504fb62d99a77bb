// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's certificate, and authorities that it trusts.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use crate::common::{Client, Served, Wire};
use rcgen::{CertificateParams, Issuer, KeyPair};
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use tokio_rustls::rustls::{self, ServerConfig};
use xapi_model::Value;

fn host(served: &Served) -> Value {
    served.toolstack.host().into()
}

fn params(names: &[&str]) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 1, 1);
    params
}

/// An authority and a key with the certificate that it signed for this machine, as PEM.
struct Made {
    authority: String,
    leaf: String,
    key: KeyPair,
}

fn made() -> Made {
    let (mut authority, authority_key) = (params(&[]), KeyPair::generate().unwrap());
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "authority");
    let certificate = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = params(&["127.0.0.1"]).signed_by(&key, &issuer).unwrap().pem();
    Made { authority: certificate, leaf, key }
}

fn certificates(client: &Client) -> Vec<(String, String, String)> {
    let all = client.ok("Certificate.get_all_records", vec![]);
    let all = all.as_map().unwrap().values().map(|one| {
        let one = one.as_map().unwrap();
        (one["type"].text(), one["name"].text(), one["fingerprint_sha256"].text())
    });
    all.collect()
}

/// A client that trusts one authority, from now on.
fn trusting(served: &Served, authority: &str) -> Client {
    let path = served.folder.path().join("trusted.pem");
    std::fs::write(&path, authority).unwrap();
    Client::new(&served.url, &path, Wire::Json)
}

#[test]
fn another_certificate_is_shown_from_the_next_connection_on() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let before = certificates(&client);
    assert_eq!((before.len(), before[0].0.as_str()), (1, "host"));
    let mirrored = client.ok("host.get_certificates", vec![host(&served)]);
    assert_eq!(mirrored.as_set().unwrap().len(), 1);
    let (made, other) = (made(), made());
    let install = |leaf: &str, key: &KeyPair, chain: &str| {
        let key = key.serialize_pem();
        let call = vec![host(&served), leaf.into(), key.into(), chain.into()];
        client.call("host.install_server_certificate", call)
    };
    let error = install(&made.leaf, &other.key, "").unwrap_err();
    assert_eq!(error.code, "SERVER_CERTIFICATE_KEY_MISMATCH");
    assert_eq!(certificates(&client), before);
    install(&made.leaf, &made.key, &made.authority).unwrap();
    // This client knows the old one alone, and its connection goes on.
    let after = certificates(&client);
    assert_eq!(after.len(), 1);
    assert_ne!(after, before);
    let shown = client.text("host.get_server_certificate", vec![host(&served)]);
    assert_eq!(shown.trim(), made.leaf.replace('\r', "").trim());
    let mut newcomer = trusting(&served, &made.authority);
    newcomer.login();
    let unknown = served.client(Wire::Json);
    assert!(unknown.try_raw("host.list_methods", vec![]).is_err(), "the old one is shown no more");
    // An address that the host gets changes nothing, and a later start shows the same.
    served.toolstack.identity.cover("192.0.2.77");
    assert_eq!(newcomer.text("host.get_server_certificate", vec![host(&served)]), shown);
    let again = toolstack::server::Identity::open(&served.folder.path().join("tls"), &[]).unwrap();
    assert_eq!(again.certificate_pem(), shown);

    newcomer.ok("host.emergency_reset_server_certificate", vec![]);
    assert!(!served.folder.path().join("tls/installed.pem").exists());
    let mut own = served.client(Wire::Xml);
    own.login();
    assert_ne!(certificates(&own), before, "the key is a new one");
    own.ok("host.reset_server_certificate", vec![host(&served)]);
    assert_eq!(certificates(&own).len(), 1);
}

/// An HTTPS server that answers one request with what it was sent.
fn echo(made: &Made) -> (u16, std::thread::JoinHandle<String>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivatePkcs8KeyDer::from(made.key.serialize_der());
    let leaf = rustls::pki_types::CertificateDer::from_pem_slice(made.leaf.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf], key.into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(session, stream);
        let (mut text, mut buffer) = (String::new(), [0; 4096]);
        while !text.ends_with("hello") && !text.ends_with("0\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return text,
                Ok(length) => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        text
    });
    (port, thread)
}

#[test]
fn authorities_decide_whom_the_host_talks_to() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let (good, other) = (made(), made());
    let post = |port: u16| {
        let call = vec!["127.0.0.1".into(), i64::from(port).into(), "hello".into()];
        client.call("pool.send_test_post", call)
    };
    let (port, refused) = echo(&good);
    assert_eq!(post(port).unwrap_err().code, "INTERNAL_ERROR");
    assert_eq!(refused.join().unwrap(), "", "nobody is trusted without being told");
    let install = |name: &str, text: &str| {
        client.call("pool.install_ca_certificate", vec![name.into(), text.into()])
    };
    for name in ["", "a", ".a.pem", "../a.pem", "a b.pem", &format!("{}.pem", "a".repeat(128))] {
        assert_eq!(install(name, &good.authority).unwrap_err().code, "CERTIFICATE_NAME_INVALID");
    }
    assert_eq!(install("a.pem", "nonsense").unwrap_err().code, "CA_CERTIFICATE_INVALID");
    install("other.pem", &other.authority).unwrap();
    let (port, refused) = echo(&good);
    assert!(post(port).is_err());
    refused.join().unwrap();
    install("good.pem", &good.authority).unwrap();
    let again = install("good.pem", &good.authority).unwrap_err();
    assert_eq!(again.description(), ["CERTIFICATE_ALREADY_EXISTS", "good.pem"]);
    let (port, answered) = echo(&good);
    assert_eq!(post(port).unwrap().text(), "hi");
    assert!(answered.join().unwrap().starts_with("POST / HTTP/1.1\r\n"));
    let names = || client.ok("pool.certificate_list", vec![]);
    assert_eq!(names(), Value::strings(["good.pem", "other.pem"]));
    let mut known = certificates(&client);
    known.sort();
    let shown: Vec<(&str, &str)> =
        known.iter().map(|one| (one.0.as_str(), one.1.as_str())).collect();
    assert_eq!(shown, [("ca", "good.pem"), ("ca", "other.pem"), ("host", "")]);
    // A file that somebody took away.
    std::fs::remove_file(served.folder.path().join("authorities/other.pem")).unwrap();
    client.ok("pool.certificate_sync", vec![]);
    assert_eq!(certificates(&client).len(), 2);
    client.ok("pool.uninstall_ca_certificate", vec!["good.pem".into()]);
    let error = client.err("pool.certificate_uninstall", vec!["good.pem".into()]);
    assert_eq!(error.description(), ["CERTIFICATE_DOES_NOT_EXIST", "good.pem"]);
    client.ok("pool.uninstall_ca_certificate", vec!["good.pem".into(), true.into()]);
    assert_eq!(names(), Value::strings([""; 0]));
    for (host, port) in [("a/b", 443), ("", 443), ("127.0.0.1", 0), ("127.0.0.1", 65_536)] {
        let call = vec![host.into(), i64::from(port).into(), "".into()];
        assert_eq!(client.err("pool.send_test_post", call).code, "INVALID_VALUE");
    }
}

#[test]
fn what_a_crash_left_is_sent_away() {
    let served = Served::with(|outside| {
        let root = tempfile::tempdir().unwrap().keep();
        let folder = root.join("sys/fs/pstore");
        std::fs::create_dir_all(&folder).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        for (name, text) in [("dmesg-efi-1", "pan"), ("dmesg-efi-2", "ic")] {
            std::fs::write(folder.join(name), text).unwrap();
            let file = std::fs::File::options().write(true).open(folder.join(name)).unwrap();
            file.set_modified(time).unwrap();
        }
        outside.machine = toolstack::hardware::Machine::new(root);
    });
    let client = served.login(Wire::Xml);
    let crash = client.ok("host_crashdump.get_all", vec![]).as_set().unwrap()[0].clone();
    let made = made();
    let upload = |url: String| {
        let call = vec![crash.clone(), url.into(), Value::Map(Default::default())];
        client.call("host_crashdump.upload", call)
    };
    assert_eq!(upload("file:///etc/shadow".into()).unwrap_err().code, "INVALID_VALUE");
    let (port, refused) = echo(&made);
    assert!(upload(format!("https://127.0.0.1:{port}/x")).is_err());
    refused.join().unwrap();
    let install = vec!["a.pem".into(), made.authority.as_str().into()];
    client.ok("pool.certificate_install", install);
    let (port, sent) = echo(&made);
    upload(format!("https://127.0.0.1:{port}/x")).unwrap();
    let sent = sent.join().unwrap();
    assert!(sent.starts_with("PUT /x HTTP/1.1\r\n"), "{sent}");
    let body = sent.split_once("\r\n\r\n").unwrap().1;
    let words: String = body.chars().filter(|c| "panic".contains(*c)).collect();
    assert!(words == "panic" || words == "icpan", "{body}");

    let (port, sent) = echo(&made);
    served
        .programs
        .answer("journalctl --no-pager --output=short-iso --lines=20000", "it went wrong");
    client.ok("host.send_debug_keys", vec![host(&served), "h".into()]);
    let call = |url: String| {
        let options = Value::Map(Default::default());
        client.call("host.bugreport_upload", vec![host(&served), url.into(), options])
    };
    assert_eq!(call(String::new()).unwrap_err().code, "INVALID_VALUE");
    call(format!("https://127.0.0.1:{port}/report")).unwrap();
    let sent = sent.join().unwrap();
    for words in ["PUT /report", "product_brand: Xenith", "(XEN) 'h' pressed", "it went wrong"] {
        assert!(sent.contains(words), "{words}: {sent}");
    }
}
