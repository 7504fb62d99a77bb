// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon over a made-up host, for targets that talk to it. Its clock stands still while it works
//! and jumps ahead when it waits.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};
use toolstack::database::MemoryDatabase;
use toolstack::server::{Identity, serve_stranger};
use toolstack::session::Owner;
use toolstack::simulate::Simulation;
use toolstack::store::Store;
use toolstack::toolstack::{Peer, Toolstack};
use toolstack::{derived, dispatch, startup};
use xapi_model::{Call, Ref, Reply, Role};

/// A documentation address (RFC 5737).
const STRANGER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Bytes of a connection that are under way at once.
const PIPE: usize = 64 << 10;

thread_local! {
    static DAEMON: Daemon = Daemon::start();
}

/// See the module.
pub(crate) struct Daemon {
    runtime: Runtime,
    toolstack: Arc<Toolstack>,
    _folder: TempDir,
}

/// Talks to the daemon, which is started at the first time.
pub(crate) fn with<T>(talk: impl FnOnce(&Daemon) -> T) -> T {
    DAEMON.with(talk)
}

impl Daemon {
    fn start() -> Daemon {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let simulation = Simulation::new(folder.path(), "secret", false).expect("a made-up host");
        let handover = simulation.handover.clone();
        let store = Store::open(Box::new(MemoryDatabase::default()), derived::derive);
        let identity = Identity::open(&folder.path().join("tls"), &["localhost".into()]);
        let toolstack = Arc::new(Toolstack::new(
            store.expect("an empty database"),
            simulation.into_outside(),
            Arc::new(identity.expect("a certificate")),
        ));
        let starting = toolstack.clone();
        let started = runtime.spawn_blocking(move || startup::start(&starting, &handover));
        runtime.block_on(started).expect("no panic").expect("a host that starts");
        Daemon { runtime, toolstack, _folder: folder }
    }

    /// Talks in a session that may look at everything and change nothing, so that inputs leave no traces.
    pub(crate) fn in_session<T>(&self, talk: impl FnOnce(&Ref) -> T) -> T {
        let session = self.toolstack.sessions.open(Owner::Host(Role::ReadOnly), "reader", "fuzz");
        let result = talk(&session);
        self.toolstack.sessions.close(&session);
        result
    }

    /// An object of a class; the null reference if there is none.
    pub(crate) fn any(&self, class: &str) -> Ref {
        let first = self
            .toolstack
            .store
            .read(|objects| objects.all(class).next().map(|object| object.reference().clone()));
        first.unwrap_or_else(Ref::null)
    }

    /// Sends bytes over a connection and no more, and reads until the daemon ends it.
    pub(crate) fn connection(&self, sent: &[u8]) -> Vec<u8> {
        let (mut client, server) = tokio::io::duplex(PIPE);
        self.runtime.block_on(async {
            let served = serve_stranger(server, STRANGER.into(), self.toolstack.clone());
            let talk = async {
                let (mut read, mut write) = tokio::io::split(&mut client);
                let send = async {
                    // The daemon may end the connection before it has read all.
                    let _ = write.write_all(sent).await;
                    let _ = write.shutdown().await;
                };
                let mut answer = Vec::new();
                let _ = tokio::join!(send, read.read_to_end(&mut answer));
                answer
            };
            tokio::join!(served, talk).1
        })
    }

    /// Calls.
    pub(crate) fn call(&self, call: Call) -> Reply {
        let peer = Peer::Network(STRANGER.to_string());
        self.runtime.block_on(dispatch::call(&self.toolstack, &peer, call))
    }
}
