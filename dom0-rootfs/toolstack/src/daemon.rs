// SPDX-License-Identifier: MIT OR Apache-2.0
//! Putting the daemon together and running it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use appliance_model::handover::Handover;

use crate::api;
use crate::database::SqliteDatabase;
use crate::derived;
use crate::housekeeping;
use crate::metrics;
use crate::server::{Identity, Listeners};
use crate::startup;
use crate::store::Store;
use crate::toolstack::{Outside, Toolstack};

/// Where a daemon has its files and its doors.
#[derive(Debug, Clone)]
pub struct Places {
    /// The database.
    pub database: PathBuf,
    /// Folder of the TLS key and certificate.
    pub tls: PathBuf,
    /// Address on the network.
    pub listen: SocketAddr,
    /// Socket for this host.
    pub socket: Option<PathBuf>,
}

/// A daemon that is ready to serve.
pub struct Daemon {
    /// Its inside.
    pub toolstack: Arc<Toolstack>,
    listeners: Listeners,
    handover: Arc<Handover>,
    /// The host has started since the last run.
    booted: bool,
}

impl Daemon {
    /// Opens everything and does all that comes before the first answer.
    pub async fn start(places: &Places, outside: Outside, handover: Handover) -> Result<Daemon> {
        let handover = Arc::new(handover);
        let opened = {
            let (places, handover) = (places.clone(), handover.clone());
            tokio::task::spawn_blocking(move || open(&places, outside, &handover))
        };
        let (toolstack, booted) = opened.await.context("starting")??;
        let listeners = Listeners::bind(places.listen, places.socket.as_deref()).await?;
        Ok(Daemon { toolstack, listeners, handover, booted })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listeners.address().context("asking for the address")
    }

    /// Serves for ever.
    pub async fn serve(self) {
        if self.booted {
            let toolstack = self.toolstack.clone();
            // Not waited for: guests take their time.
            drop(tokio::task::spawn_blocking(move || api::start_with_host(&toolstack)));
        }
        tokio::spawn(startup::keep_figures(self.toolstack.clone(), self.handover));
        tokio::spawn(housekeeping::keep_tidy(self.toolstack.clone()));
        if let Some(pause) = self.toolstack.sampling {
            tokio::spawn(metrics::keep(self.toolstack.clone(), pause));
        }
        self.listeners.serve(self.toolstack).await;
    }
}

fn open(places: &Places, outside: Outside, handover: &Handover) -> Result<(Arc<Toolstack>, bool)> {
    let make_parent = |path: &Path| match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder)
            .with_context(|| format!("creating {}", folder.display())),
        None => Ok(()),
    };
    make_parent(&places.database)?;
    let database = SqliteDatabase::open(&places.database)?;
    let store = Store::open(Box::new(database), derived::derive)?;
    let mut names = vec![rustix::system::uname().nodename().to_string_lossy().into_owned()];
    if !places.listen.ip().is_unspecified() {
        names.push(places.listen.ip().to_string());
    }
    // A host without a name in the kernel is called "(none)".
    names.retain(|name| !name.is_empty() && !name.contains(['(', ')', ' ']));
    let identity = Arc::new(Identity::open(&places.tls, &names)?);
    let toolstack = Arc::new(Toolstack::new(store, outside, identity));
    let booted = startup::start(&toolstack, handover)?;
    Ok((toolstack, booted))
}
