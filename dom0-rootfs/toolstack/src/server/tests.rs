// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long connections are kept.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use xapi_model::Role;

use super::*;
use crate::database::MemoryDatabase;
use crate::derived;
use crate::session::Owner;
use crate::simulate::Simulation;
use crate::store::Store;

const SOON: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(200));

fn toolstack(folder: &Path) -> Arc<Toolstack> {
    let outside = Simulation::new(folder, "secret", false).unwrap().into_outside();
    let store = Store::open(Box::new(MemoryDatabase::default()), derived::derive).unwrap();
    let identity = Identity::open(&folder.join("tls"), &["localhost".into()]).unwrap();
    Arc::new(Toolstack::new(store, outside, Arc::new(identity)))
}

async fn connect(toolstack: &Arc<Toolstack>) -> (DuplexStream, JoinHandle<()>) {
    let places = Places::new();
    let visit = places.enter(places.free().await.unwrap(), [192, 0, 2, 1].into()).unwrap();
    let (client, server) = tokio::io::duplex(64 << 10);
    (client, tokio::spawn(serve(server, visit, toolstack.clone(), SOON)))
}

fn call(session: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"id": 1, "method": "session.get_uuid", "params": ["{session}", "{session}"]}}"#
    );
    format!("POST /jsonrpc HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
}

/// Sends a call and reads its answer.
async fn answer(client: &mut DuplexStream, session: &str) -> String {
    client.write_all(&call(session)).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = client.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn strangers_do_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    let toolstack = toolstack(folder.path());
    // One says nothing, one never ends the head, one stands idle after a call, one never ends a call.
    let calls: [&[u8]; 4] = [
        b"",
        b"POST / HTTP/1.1\r\nA: b",
        &call("nobody"),
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1",
    ];
    for sent in calls {
        let (mut client, served) = connect(&toolstack).await;
        client.write_all(sent).await.unwrap();
        tokio::time::timeout(Duration::from_secs(20), served).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn who_has_a_session_stays() {
    let folder = tempfile::tempdir().unwrap();
    let toolstack = toolstack(folder.path());
    let session = toolstack.sessions.open(Owner::Host(Role::PoolAdmin), "root", "test");
    let (mut client, served) = connect(&toolstack).await;
    for _ in 0..2 {
        let answer = answer(&mut client, session.as_str()).await;
        assert!(answer.contains("200 OK"), "{answer}");
        tokio::time::sleep(SOON.0 * 3).await;
    }
    assert!(!served.is_finished());
}
