// SPDX-License-Identifier: MIT OR Apache-2.0
//! `CONNECT /console` turns a connection into the console, both ways.

use std::sync::Arc;

use crate::common::{Served, Wire, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

type Connection = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect(address: &str, certificate: &[u8]) -> Connection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

async fn read_until(connection: &mut Connection, word: &str) -> String {
    let mut seen = String::new();
    let mut buffer = [0; 512];
    while !seen.contains(word) {
        let reading = connection.read(&mut buffer);
        let count = tokio::time::timeout(std::time::Duration::from_secs(20), reading).await;
        let count =
            count.unwrap_or_else(|_| panic!("{word:?} did not come after {seen:?}")).unwrap();
        assert!(count > 0, "the console ended after {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    seen
}

#[test]
fn a_client_follows_a_boot_from_its_first_line() {
    let served = Served::new();
    let client = served.login(Wire::Json);
    let made = client.make_vm("guest");
    client.ok("VM.start", vec![made.vm.as_str().into(), true.into(), false.into()]);
    let console = client.ok("VM.get_consoles", vec![made.vm.as_str().into()]);
    let console = console.as_set().unwrap()[0].text();
    let location = client.text("console.get_location", vec![console.into()]);
    let (_, target) = location.split_once("/console").unwrap();
    let address = served.url.trim_start_matches("https://").to_owned();
    let certificate = std::fs::read(served.folder.path().join("tls/cert.pem")).unwrap();
    let session = &client.session;
    let request = format!("CONNECT /console{target}&session_id={session} HTTP/1.0\r\n\r\n");
    let forged = format!("CONNECT /console{target}&session_id=x HTTP/1.0\r\n\r\n");
    served.block_on(async {
        let mut stranger = connect(&address, &certificate).await;
        stranger.write_all(forged.as_bytes()).await.unwrap();
        read_until(&mut stranger, " 401 ").await;
        let mut early = connect(&address, &certificate).await;
        early.write_all(request.as_bytes()).await.unwrap();
        let head = read_until(&mut early, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.0 200 ") && head.ends_with("\r\n\r\n"), "{head}");
        let unpausing = client.clone();
        let vm = made.vm.clone();
        let unpaused = served.spawn_blocking(move || unpausing.ok("VM.unpause", vec![vm.into()]));
        unpaused.await.unwrap();
        let said = read_until(&mut early, "login: ").await;
        // Whoever comes later sees the same.
        let mut late = connect(&address, &certificate).await;
        late.write_all(request.as_bytes()).await.unwrap();
        let seen = read_until(&mut late, "login: ").await;
        assert!(seen.ends_with(&said), "{seen}");
        // Unless a console is one person's at a time.
        let (limiting, pool) = (client.clone(), served.toolstack.pool());
        let limited = served.spawn_blocking(move || {
            limiting.ok("pool.set_limit_console_sessions", vec![pool.into(), true.into()])
        });
        limited.await.unwrap();
        let mut third = connect(&address, &certificate).await;
        third.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut third, " 409 ").await;
        drop((early, late));
        let vm = made.reference();
        let gone = served.toolstack.clone();
        let gone = served.spawn_blocking(move || {
            eventually("nobody uses it", || gone.console_users.begin(&vm, true).is_some());
        });
        gone.await.unwrap();
        let mut alone = connect(&address, &certificate).await;
        alone.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut alone, "login: ").await;
    });
}
