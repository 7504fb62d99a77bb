// SPDX-License-Identifier: MIT OR Apache-2.0
//! Places for connections. Whoever has shown no session yet is a stranger: strangers have some of the
//! places, each address a few of these, and not for long, so that those who are logged in keep theirs.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::arrivals::Arrivals;
use crate::toolstack::Peer;

/// Most connections at once; more wait to be accepted.
const CONNECTIONS: usize = 2048;
/// Most of them that may be strangers'.
const STRANGERS: usize = 1024;
/// Most strangers from one address; a program that manages hosts may open hundreds at once.
const OF_ONE_ADDRESS: usize = 256;

/// What counts as one address where many would be too many: hosts have whole networks of 64 bits of IPv6.
pub fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

/// All places.
pub(super) struct Places {
    all: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

/// Places for a connection that is still to come.
pub(super) struct Free {
    any: OwnedSemaphorePermit,
    stranger: OwnedSemaphorePermit,
}

impl Places {
    /// All of them free.
    pub(super) fn new() -> Arc<Places> {
        Arc::new(Places {
            all: Arc::new(Semaphore::new(CONNECTIONS)),
            strangers: Arc::new(Semaphore::new(STRANGERS)),
            addresses: Mutex::default(),
        })
    }

    /// Waits until there is room for one more.
    pub(super) async fn free(&self) -> Result<Free, AcquireError> {
        let stranger = self.strangers.clone().acquire_owned().await?;
        Ok(Free { any: self.all.clone().acquire_owned().await?, stranger })
    }

    /// Gives a place to a connection; none if there are too many strangers from its address.
    pub(super) fn enter(self: &Arc<Self>, free: Free, address: IpAddr) -> Option<Visit> {
        let (peer, address) = (address.to_canonical(), origin(address));
        let mut addresses = self.addresses();
        let count = addresses.entry(address).or_default();
        if *count >= OF_ONE_ADDRESS {
            return None;
        }
        *count += 1;
        let stranger = Stranger { places: self.clone(), address, _place: free.stranger };
        Some(Visit {
            peer: Peer::Network(peer.to_string()),
            began: (!peer.is_loopback()).then(Instant::now),
            stranger: Mutex::new(Some(stranger)),
            _place: Some(free.any),
        })
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stranger's place, until it is dropped.
struct Stranger {
    places: Arc<Places>,
    address: IpAddr,
    _place: OwnedSemaphorePermit,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut addresses = self.places.addresses();
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

/// A connection: who is there, and its place.
pub(super) struct Visit {
    peer: Peer,
    /// When it began, if it comes from elsewhere.
    began: Option<Instant>,
    stranger: Mutex<Option<Stranger>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Visit {
    /// One over the local socket, which only users of this host reach.
    pub(super) fn local(user: u32) -> Visit {
        Visit { peer: Peer::Local(user), began: None, stranger: Mutex::new(None), _place: None }
    }

    /// Who is there.
    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// It has shown a session: it may stay.
    pub(super) fn known(&self, arrivals: &Arrivals) {
        let was_stranger = self.stranger().take().is_some();
        if let (true, Some(began)) = (was_stranger, self.began) {
            arrivals.note(began);
        }
    }

    /// Ends after a while, if it still is a stranger's then; otherwise never.
    pub(super) async fn overstays(&self, time: Duration) {
        tokio::time::sleep(time).await;
        if self.stranger().is_none() {
            std::future::pending().await
        }
    }

    fn stranger(&self) -> MutexGuard<'_, Option<Stranger>> {
        self.stranger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn enter(places: &Arc<Places>, address: &str) -> Option<Visit> {
        places.enter(places.free().await.unwrap(), address.parse().unwrap())
    }

    #[tokio::test]
    async fn one_address_does_not_take_all_places() {
        let places = Places::new();
        let mut visits = Vec::new();
        for _ in 0..OF_ONE_ADDRESS {
            visits.push(enter(&places, "192.0.2.1").await.unwrap());
        }
        assert!(enter(&places, "192.0.2.1").await.is_none());
        assert!(enter(&places, "::ffff:192.0.2.1").await.is_none());
        assert!(enter(&places, "192.0.2.2").await.is_some());
        // Whoever is logged in does not count, and neither does who has gone.
        visits[0].known(&Arrivals::default());
        drop(visits.pop());
        for _ in 0..2 {
            visits.push(enter(&places, "192.0.2.1").await.unwrap());
        }
        assert!(enter(&places, "192.0.2.1").await.is_none());
        drop(visits);
        assert!(places.addresses().is_empty());
        assert_eq!(places.strangers.available_permits(), STRANGERS);
        assert_eq!(places.all.available_permits(), CONNECTIONS);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let origin = |text: &str| super::origin(text.parse().unwrap()).to_string();
        assert_eq!(origin("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(origin("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(origin("192.0.2.1"), "192.0.2.1");
    }
}
