// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ctrl-C: long work asks between its steps whether it should stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the person asked to stop. Clones share the answer.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

/// The person asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

impl Interrupt {
    /// One that only [`Interrupt::trip`] sets off.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that the first SIGINT or SIGTERM to this process sets off; a second one ends the
    /// process at once, which leaves no half-written artifact either.
    ///
    /// # Errors
    /// The handler cannot be set.
    pub fn on_signals() -> std::io::Result<Self> {
        let interrupt = Self::new();
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, interrupt.0.clone())?;
            signal_hook::flag::register(signal, interrupt.0.clone())?;
        }
        Ok(interrupt)
    }

    /// Asks to stop.
    pub fn trip(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// `Err` where work should stop.
    ///
    /// # Errors
    /// [`Interrupted`], then.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.is_set() { Err(Interrupted) } else { Ok(()) }
    }
}
