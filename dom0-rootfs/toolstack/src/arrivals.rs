// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clients that come over the network and log in: each is proof that the host is reached.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When the newest of the connections began that have shown a session.
#[derive(Debug, Default)]
pub struct Arrivals {
    newest: Mutex<Option<Instant>>,
    news: Condvar,
}

impl Arrivals {
    /// A connection from elsewhere has shown its first session; it `began` then.
    pub fn note(&self, began: Instant) {
        let mut newest = self.newest();
        *newest = Some(newest.map_or(began, |known| known.max(began)));
        self.news.notify_all();
    }

    /// Waits until a connection that began after `since` has shown a session, `longest` at most; tells
    /// whether one has.
    pub fn wait(&self, since: Instant, longest: Duration) -> bool {
        let came = |newest: &mut Option<Instant>| newest.is_some_and(|began| began > since);
        let waited = self.news.wait_timeout_while(self.newest(), longest, |newest| !came(newest));
        let (mut newest, _) = waited.unwrap_or_else(PoisonError::into_inner);
        came(&mut newest)
    }

    fn newest(&self) -> MutexGuard<'_, Option<Instant>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_came_since_counts() {
        let arrivals = Arrivals::default();
        let (before, since) = (Instant::now(), Instant::now() + Duration::from_millis(1));
        arrivals.note(before);
        assert!(!arrivals.wait(since, Duration::from_millis(1)));
        std::thread::scope(|scope| {
            scope.spawn(|| arrivals.note(since + Duration::from_millis(1)));
            assert!(arrivals.wait(since, Duration::from_secs(60)));
        });
        // One that began earlier and took longer does not undo that.
        arrivals.note(before);
        assert!(arrivals.wait(since, Duration::ZERO));
    }
}
