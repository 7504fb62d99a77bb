// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for a future on a thread that may block.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What the future gives, or none if it takes longer. The runtime's timers are not asked: work under way
/// outlives them for a moment when the daemon ends, and using them then is a panic.
pub fn within<F: Future>(longest: Duration, future: F) -> Option<F::Output> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let begun = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = longest.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::watch;

    use super::*;

    #[test]
    fn what_comes_in_time_and_what_does_not() {
        assert_eq!(within(Duration::ZERO, ready(1)), Some(1));
        assert_eq!(within(Duration::from_millis(5), pending::<()>()), None);
        let (sender, mut receiver) = watch::channel(0);
        let waiting = std::thread::spawn(move || {
            within(Duration::from_secs(20), receiver.changed()).unwrap().unwrap();
            *receiver.borrow()
        });
        sender.send(7).unwrap();
        assert_eq!(waiting.join().unwrap(), 7);
    }

    #[test]
    fn the_end_of_the_runtime_does_not_matter() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (begin, begun) = std::sync::mpsc::channel();
        let (running, runs) = std::sync::mpsc::channel();
        let waiting = runtime.spawn_blocking(move || {
            running.send(()).unwrap();
            begun.recv().unwrap();
            within(Duration::from_millis(5), pending::<()>())
        });
        runs.recv().unwrap();
        runtime.shutdown_background();
        begin.send(()).unwrap();
        assert_eq!(within(Duration::from_secs(20), waiting).unwrap().unwrap(), None);
    }
}
