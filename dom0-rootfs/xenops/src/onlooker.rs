// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who waits while a guest's memory moves.

/// Hears how far an operation with a guest's memory has come, and may stop it. Asked about twice a second,
/// on the thread that waits for the operation.
pub trait Onlooker: Sync {
    /// So many bytes of the image are written or read.
    fn moved(&self, bytes: u64);

    /// Whether the operation is to stop; it then fails with [`crate::XenopsError::Stopped`], unless it was done.
    fn stop(&self) -> bool;
}

/// Nobody: an operation takes as long as it takes.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Onlooker for Nobody {
    fn moved(&self, _bytes: u64) {}

    fn stop(&self) -> bool {
        false
    }
}
