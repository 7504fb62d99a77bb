// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ctrl-C: long work asks between its steps whether it should stop.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the person asked to stop. Clones share the answer.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    set: Arc<AtomicBool>,
    wake: Option<Arc<(UnixStream, UnixStream)>>,
}

/// The person asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

impl Interrupt {
    /// One that only [`Interrupt::trip`] sets off.
    pub fn new() -> Self {
        // Without the pair it is noticed a little later.
        Self { set: Arc::default(), wake: UnixStream::pair().ok().map(Arc::new) }
    }

    /// One that the first SIGINT or SIGTERM to this process sets off; a second one ends the
    /// process at once, which leaves no half-written artifact either.
    ///
    /// # Errors
    /// The handler cannot be set.
    pub fn on_signals() -> io::Result<Self> {
        let interrupt = Self::new();
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, interrupt.set.clone())?;
            signal_hook::flag::register(signal, interrupt.set.clone())?;
            if let Some(wake) = &interrupt.wake {
                signal_hook::low_level::pipe::register(signal, wake.1.try_clone()?)?;
            }
        }
        Ok(interrupt)
    }

    /// Asks to stop.
    pub fn trip(&self) {
        self.set.store(true, Ordering::Relaxed);
        if let Some(wake) = &self.wake {
            // The flag says the same.
            let _ = (&wake.1).write_all(b"!");
        }
    }

    /// Becomes readable, and stays so, when it is time to stop.
    pub(crate) fn wake(&self) -> Option<BorrowedFd<'_>> {
        self.wake.as_ref().map(|wake| wake.0.as_fd())
    }

    /// Whether to stop.
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::Relaxed)
    }

    /// `Err` where work should stop.
    ///
    /// # Errors
    /// [`Interrupted`], then.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.is_set() { Err(Interrupted) } else { Ok(()) }
    }
}
